"""How does the cost of inference grow with nodes, labels and proposals, and what does the first
call cost?

    python benchmarks/inference_costs.py --out DIR

One thread, CPU time, the best of `--repeats` calls after one that compiles, from the raw arrays
on. Draws `inference_costs.png` into DIR and prints the measured series. The first call's time is
taken in fresh processes, one with an empty cache of compiled code and one after it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import matplotlib  # noqa: E402

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
from superpixel_problems import node_cost, superpixel_problem  # noqa: E402

from rerank.crf import PottsEnergy, map_inference  # noqa: E402
from rerank.proposals import div_mbest  # noqa: E402

NODES, LABELS, MODES = (150, 300, 600, 1200, 2400), (2, 4, 8, 16, 32, 64), (1, 3, 10, 30, 100)
#: What stays fixed while another number grows.
N_NODES, N_LABELS, N_MODES = 600, 11, 10
STRENGTH, SHARE = 0.5, 0.2

Solver = Callable[[PottsEnergy, float, int], object]
SOLVERS: dict[str, Solver] = {
    "TRW-S, 10 iterations": lambda energy, diversity, modes: map_inference(
        energy, "trws", max_iterations=10
    ),
    "expansion": lambda energy, diversity, modes: map_inference(energy, "alpha_expansion"),
    "ICM": lambda energy, diversity, modes: map_inference(energy, "icm"),
    "DivMBest, M": lambda energy, diversity, modes: div_mbest(
        energy, modes, diversity, method="trws"
    ),
    "DivMBest, M cuts of 2 labels": lambda energy, diversity, modes: div_mbest(
        energy, modes, diversity, method="graph_cut"
    ),
}

FIRST_CALL = """
import time
begin = time.perf_counter()
import numpy as np
from rerank.crf import PottsEnergy, map_inference
from rerank.proposals import div_mbest
imported = time.perf_counter()
energies = [PottsEnergy(np.random.default_rng(0).random((9, n_labels)), np.array([[0, 1], [1, 2]]),
                        np.ones(2)) for n_labels in (2, 3)]
for energy in energies:
    div_mbest(energy, 2, 0.1)
    for method in ("trws", "alpha_expansion", "icm"):
        map_inference(energy, method)
print(imported - begin, time.perf_counter() - imported)
"""


def best_time(solver: Solver, n_nodes: int, n_labels: int, modes: int, repeats: int) -> float:
    arrays = superpixel_problem(n_nodes, n_labels, STRENGTH)
    diversity = SHARE * node_cost(arrays[0])
    best = np.inf
    for attempt in range(repeats + 1):
        begin = time.process_time()
        solver(PottsEnergy(*arrays), diversity, modes)
        if attempt:
            best = min(best, time.process_time() - begin)
    return 1e3 * best


def all_series(repeats: int) -> dict[str, tuple[tuple[int, ...], dict[str, list[float]]]]:
    """Milliseconds of each solver, by what grows."""
    found: dict[str, tuple[tuple[int, ...], dict[str, list[float]]]] = {}
    grown: list[tuple[str, tuple[int, ...]]] = [
        (f"nodes n (L = {N_LABELS}, M = {N_MODES})", NODES),
        (f"labels L (n = {N_NODES}, M = {N_MODES})", LABELS),
        (f"proposals M (n = {N_NODES}, L = {N_LABELS})", MODES),
    ]
    for axis, (title, values) in enumerate(grown):
        rows = {}
        for name, solver in SOLVERS.items():
            cuts = "2 labels" in name
            if (cuts and axis == 1) or ("DivMBest" not in name and axis == 2):
                continue
            sizes = [[N_NODES, 2 if cuts else N_LABELS, N_MODES] for _ in values]
            for size, value in zip(sizes, values):
                size[axis] = value
            rows[name] = [
                best_time(solver, n_nodes, n_labels, modes, repeats)
                for n_nodes, n_labels, modes in sizes
            ]
        found[title] = (values, rows)
    return found


def draw(series: dict[str, tuple[tuple[int, ...], dict[str, list[float]]]], path: Path) -> None:
    figure, axes = plt.subplots(
        1, len(series), figsize=(4.2 * len(series), 3.6), sharey=True, layout="constrained"
    )
    for axis, (title, (values, rows)) in zip(axes, series.items()):
        for name in SOLVERS:
            # Drawn even where it is empty, so that a solver has the same colour everywhere.
            axis.loglog(values, rows.get(name, [np.nan] * len(values)), marker="o", label=name)
        axis.set_xticks(values, [str(value) for value in values])
        axis.minorticks_off()
        axis.set_xlabel(title)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("CPU time, ms")
    axes[0].legend(fontsize=7)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def first_calls() -> list[tuple[float, float]]:
    """Seconds to import and to call everything once, with an empty and with a filled cache."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
        runs = [
            subprocess.run(
                [sys.executable, "-c", FIRST_CALL],
                env=environment,
                check=True,
                capture_output=True,
                text=True,
            ).stdout
            for _ in range(2)
        ]
    return [(float(run.split()[0]), float(run.split()[1])) for run in runs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].replace("\n", " "))
    parser.add_argument("--out", required=True, help="folder for the plot; made if need be")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    for state, (imported, called) in zip(("empty", "filled"), first_calls()):
        print(
            f"first calls of every solver with {state} cache: {called:.1f} s, after "
            f"{imported:.1f} s of import"
        )
    series = all_series(options.repeats)
    for title, (values, rows) in series.items():
        print(f"\nms by {title}")
        print(f"{'':30}" + "".join(f"{value:>10}" for value in values))
        for name, times in rows.items():
            print(f"{name:30}" + "".join(f"{each:10.3f}" for each in times))
    draw(series, out / "inference_costs.png")
    print(f"\n{out / 'inference_costs.png'}")


if __name__ == "__main__":
    main()
