"""How good and how fast is MAP inference beside gco-wrapper and PyMaxflow?

    python benchmarks/inference.py --peers peers/bin/python [--work DIR ...]

One thread, CPU time, the best of `--repeats` calls after one that compiles; `gco_peer.py` says how
to make the peers' environment. Ours are timed from the raw arrays on, gco from its arrays on. A
gap is the energy above the best lower bound that 1,000 iterations of TRW-S (or a cut) reach, a
certified gap that above the method's own bound, both in per cent of the best bound.

Further tables: 200 two-label problems with one seed of cost 1e3, where gco's scaling to integers
loses the small costs; the same problems in whole numbers; and, for each work folder of a finished
`rerank run`, all methods on the energies of its images, where every bound must lie below every
energy.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402
from peers import Problem, ask_peers, timed  # noqa: E402
from superpixel_problems import superpixel_problem  # noqa: E402
from work_energies import name_of, read_energies  # noqa: E402

from rerank.crf import PottsEnergy, map_inference, trws  # noqa: E402

#: Mean weight of an edge within a blob, in nats.
STRENGTHS = {"weak": 0.25, "strong": 1.0}
#: Name in the tables -> method and options.
SOLVERS: dict[str, tuple[str, dict[str, Any]]] = {
    "trws": ("trws", {}),
    "trws, 10": ("trws", {"max_iterations": 10}),
    "trws, 6 relaxed": ("trws", {"max_iterations": 6, "relaxation": 1.25}),
    "trws, 5": ("trws", {"max_iterations": 5}),
    "expansion": ("alpha_expansion", {}),
    "icm": ("icm", {}),
}
SEED_COST = 1e3


def methods(n_labels: int) -> dict[str, tuple[str, dict[str, Any]]]:
    cut: dict[str, tuple[str, dict[str, Any]]] = {"cut": ("graph_cut", {})}
    return {**cut, **SOLVERS} if n_labels == 2 else SOLVERS


def best_bound(energy: PottsEnergy) -> float:
    if energy.n_labels == 2:
        return map_inference(energy, "graph_cut").lower_bound
    return trws(energy, max_iterations=1000, tolerance=1e-4).lower_bound


def excess(value: float, bound: float) -> float:
    """How far a value lies above a bound, in per cent of the bound."""
    return 100 * (value - bound) / abs(bound)


def map_table(peers: str, nodes: list[int], labels: list[int], repeats: int) -> None:
    problems = [
        Problem(f"n={n} L={n_labels} {name}", *superpixel_problem(n, n_labels, strength))
        for n in nodes
        for n_labels in labels
        for name, strength in STRENGTHS.items()
    ]
    print(
        f"{'problem':22} {'solver':15} {'ms':>8} {'x gco':>7} {'energy':>12} {'gap %':>8} "
        f"{'certified %':>11}"
    )
    for problem, answer in zip(problems, ask_peers(peers, problems, repeats)):
        energy = problem.energy()
        bound = best_bound(energy)
        base = answer["gco"].seconds[0]
        for peer, given in answer.items():
            value = energy.evaluate(given.labelings[0])
            print(
                f"{problem.name:22} {peer:15} {1e3 * given.seconds[0]:8.3f} "
                f"{base / given.seconds[0]:7.1f} {value:12.4f} {excess(value, bound):8.4f} "
                f"{'-':>11}"
            )
        for solver, (method, options) in methods(energy.n_labels).items():
            result, seconds = timed(
                lambda: map_inference(problem.energy(), method, **options), repeats
            )
            print(
                f"{problem.name:22} {solver:15} {1e3 * seconds:8.3f} {base / seconds:7.1f} "
                f"{result.energy:12.4f} {excess(result.energy, bound):8.4f} "
                f"{100 * result.gap / abs(bound):11.4f}"
            )


def seeded_problems(count: int) -> list[Problem]:
    """Two-label problems, one node of each held to a label by a cost of 1e3."""
    problems = []
    for seed in range(count):
        unary, edges, weights = superpixel_problem(300, 2, 1.0, seed)
        unary = unary.copy()
        unary[np.random.default_rng(seed).integers(len(unary)), seed % 2] = SEED_COST
        problems.append(Problem(f"seed {seed}", unary, edges, weights))
    return problems


def seed_table(peers: str, count: int) -> None:
    floats = seeded_problems(count)
    whole = [
        Problem(
            problem.name,
            np.rint(100 * problem.unary).astype(np.int32),
            problem.edges,
            np.rint(100 * problem.weights).astype(np.int32),
        )
        for problem in floats
    ]
    print(f"\n{count} two-label problems with one seed of cost {SEED_COST:g}")
    print(f"{'costs':9} {'solver':15} {'suboptimal':>10} {'worst % above':>13} {'all zeros':>9}")
    for kind, problems in (("float", floats), ("integer", whole)):
        answers = ask_peers(peers, problems, 1)
        found: dict[str, list[np.ndarray]] = {
            "gco": [answer["gco"].labelings[0] for answer in answers],
            "maxflow": [answer["maxflow"].labelings[0] for answer in answers],
        }
        for method in ("graph_cut", "alpha_expansion", "trws"):
            found[method] = [
                map_inference(problem.energy(), method).labeling for problem in problems
            ]
        values = {
            solver: np.array(
                [problem.energy().evaluate(row) for problem, row in zip(problems, rows)]
            )
            for solver, rows in found.items()
        }
        least = np.min(list(values.values()), axis=0)
        for solver, energies in values.items():
            above = energies - least
            wrong = int((above > 1e-9 * np.abs(least)).sum())
            zeros = sum(not row.any() for row in found[solver])
            print(
                f"{kind:9} {solver:15} {wrong:10d} {100 * (above / least).max():13.4f} {zeros:9d}"
            )


def real_table(work: str, limit: int) -> None:
    energies = [real.energy for real in read_energies(work, limit)]
    sizes = [energy.n_nodes for energy in energies]
    n_labels = energies[0].n_labels
    print(
        f"\n{name_of(work)}: {len(energies)} energies of {min(sizes)} to {max(sizes)} nodes, "
        f"{n_labels} labels"
    )
    bounds = np.array([best_bound(energy) for energy in energies])
    print(
        f"{'solver':15} {'ms':>8} {'mean gap %':>10} {'worst gap %':>11} {'optimal':>7} "
        f"{'own bound %':>11}"
    )
    lowest = np.full(len(energies), np.inf)
    highest = bounds.copy()
    for solver, (method, options) in methods(n_labels).items():
        results, seconds = zip(
            *[timed(lambda: map_inference(energy, method, **options), 1) for energy in energies]
        )
        values = np.array([result.energy for result in results])
        own = np.array([result.lower_bound for result in results])
        gaps = 100 * (values - bounds) / np.abs(bounds)
        below = 100 * (bounds - own) / np.abs(bounds)
        proved = sum(result.optimal for result in results)
        print(
            f"{solver:15} {1e3 * np.mean(seconds):8.3f} {gaps.mean():10.5f} {gaps.max():11.5f} "
            f"{proved:7d} {below.mean():11.5f}"
        )
        lowest, highest = np.minimum(lowest, values), np.maximum(highest, own)
    slack = 1e-12 * np.abs(lowest)
    print(
        f"every bound lies below every energy: {bool((highest <= lowest + slack).all())}; "
        f"closed to rounding on {int((lowest - highest <= 1e-9 * np.abs(lowest)).sum())}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peers", help="interpreter with gco-wrapper, PyMaxflow")
    parser.add_argument("--work", nargs="*", default=[], help="work folders of finished runs")
    parser.add_argument("--images", type=int, default=30, help="energies of a work folder")
    parser.add_argument("--nodes", type=int, nargs="+", default=[300, 600, 1200])
    parser.add_argument("--labels", type=int, nargs="+", default=[2, 11, 21])
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    if options.peers:
        map_table(options.peers, options.nodes, options.labels, options.repeats)
        seed_table(options.peers, options.seeds)
    elif not options.work:
        parser.error("name --peers, --work or both")
    for work in options.work:
        real_table(work, options.images)


if __name__ == "__main__":
    main()
