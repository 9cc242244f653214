"""Structured ranking: ours against the three learners of pystruct 0.3.2, on the same problems.

Question: how near to the optimum do they come, and how long does it take to come within 1% of it?

    python benchmarks/ranking.py --pystruct-python ENV/bin/python [--out DIR] [--quick]

pystruct needs an environment of its own. With a Python 3.6 and a C compiler:

    python3.6 -m venv ENV
    ENV/bin/pip install pip==21.3.1
    ENV/bin/pip install setuptools==57.5.0 wheel Cython==0.29.36 numpy==1.19.5 scipy==1.5.4 \
        scikit-learn==0.22.2.post1 cvxopt==1.2.6 joblib==0.14.1
    ENV/bin/pip install --no-build-isolation ad3 pystruct==0.3.2

Each learner runs with each of its `VARIANTS` in a process of its own, on one thread, until it
stops or has used `--patience` times what ours took to the end, 1 second at least and `--limit` at
most. All times are CPU times of the process, without reading the data, without the log and, for
ours, without numba's compilation. The optimum is ours to a gap of 1e-7: a certificate, not a guess.
"ours/peer" divides our objective, at the default tolerance of 1e-3, by the lowest that any learner
has come to. "1%" is the time to come within 1% of the optimum, for ours from the raw arrays on;
"cert." is a whole fit that stops where its own gap certifies 1%; a ">" says that no learner came
within 1% in its time, and the ratio is at least that. Without `--pystruct-python` only ours is
measured.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import os
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402

from rerank.ranking import StructuredRankSVM, proposal_model  # noqa: E402
from rerank.ranking.image_rows import as_rows, best_rows, image_rows, regret  # noqa: E402
from rerank.ranking.scaling import inverse_scale  # noqa: E402
from rerank.ranking.solvers.hinge_problem import scaled_problem  # noqa: E402
from rerank.ranking.solvers.hinge_solver import solve_hinge  # noqa: E402

#: Settings of each learner that a user would try; the best of them stands for the learner.
VARIANTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("NSlackSSVM", {}),
    ("NSlackSSVM", {"batch_size": -1, "check_constraints": False}),
    ("OneSlackSSVM", {}),
    ("OneSlackSSVM", {"inference_cache": 50}),
    ("FrankWolfeSSVM", {}),
    ("FrankWolfeSSVM", {"do_averaging": False}),
)
SIZES = tuple(itertools.product((50, 300, 1000), (10, 30), (20, 300, 2000)))
QUICK_SIZES = ((50, 10, 20), (300, 30, 300), (1000, 30, 20))


@dataclass(frozen=True)
class Problem:
    """One ranking problem: features, losses and first rows of the images."""

    n_images: int
    n_proposals: int
    n_columns: int
    noise: float
    X: Any
    losses: Any
    starts: Any


@dataclass
class Row:
    """One line of the table; times in seconds of CPU."""

    n_images: int
    n_proposals: int
    n_columns: int
    noise: float
    C: float
    optimum: float
    fit_objective: float
    fit_gap: float
    fit_seconds: float
    percent_seconds: float
    certified_percent_seconds: float
    peer_limit: float | None = None
    best_learner: str = ""
    peer_objective: float | None = None
    percent_learner: str = ""
    peer_percent_seconds: float | None = None
    objective_ratio: float | None = None
    time_ratio: float | None = None
    certified_time_ratio: float | None = None


def make_problem(
    n_images: int, n_proposals: int, n_columns: int, noise: float, seed: int
) -> Problem:
    """Features with correlated columns; a fifth of them, and noise, say the quality."""
    rng = np.random.default_rng(seed)
    hidden = max(2, n_columns // 4)
    X = rng.standard_normal((n_images * n_proposals, n_columns))
    X += (
        rng.standard_normal((len(X), hidden))
        @ rng.standard_normal((hidden, n_columns))
        / np.sqrt(hidden)
    )
    informative = max(2, n_columns // 5)
    score = X[:, :informative] @ rng.standard_normal(informative)
    score = score / score.std() + noise * rng.standard_normal(len(X))
    score += np.repeat(rng.standard_normal(n_images), n_proposals)
    quality = 1 / (1 + np.exp(-score))
    quality = quality.reshape(n_images, n_proposals)
    losses = quality.max(axis=1, keepdims=True) - quality
    return Problem(
        n_images,
        n_proposals,
        n_columns,
        noise,
        X,
        losses.ravel(),
        np.arange(n_images + 1) * n_proposals,
    )


def run_ours(problem: Problem, C: float) -> Row:
    """Fit with the default tolerance, and follow the solver on its way."""
    groups = np.repeat(np.arange(problem.n_images), problem.n_proposals)

    def fit(tol: float) -> tuple[StructuredRankSVM, float]:
        start = time.process_time()
        ranker = StructuredRankSVM(C=C, tol=tol, scale_columns=False, random_state=0)
        ranker.fit(problem.X, -problem.losses, groups)
        return ranker, time.process_time() - start

    exact, _ = fit(1e-7)
    ranker, seconds = fit(1e-3)
    _, certified = fit(1e-2)
    spent = [0.0]
    log: list[tuple[float, float]] = []

    def callback(weights: Any) -> None:
        now = time.process_time()
        value = hinge.objective(weights, hinge.margins(weights[None])[0])
        log.append((now - start - spent[0], value))
        spent[0] += time.process_time() - now

    start = time.process_time()
    rows = as_rows(problem.X)
    images = image_rows(groups, len(rows))
    inverse = inverse_scale(rows, images, scale_columns=False)
    hinge = scaled_problem(
        rows,
        inverse,
        images,
        regret(-problem.losses, images),
        best_rows(-problem.losses, images),
        C,
    )
    solve_hinge(hinge, 1e-3, 1000, np.random.default_rng(0), callback)
    optimum = exact.primal_objective_
    return Row(
        problem.n_images,
        problem.n_proposals,
        problem.n_columns,
        problem.noise,
        C,
        optimum,
        ranker.primal_objective_,
        ranker.duality_gap_ / ranker.primal_objective_,
        seconds,
        next(t for t, value in log if value <= 1.01 * optimum),
        certified,
    )


def run_peer(python: str, problem: Problem, C: float, limit: float, row: Row) -> None:
    """Run the learners with their settings and note the best of them in `row`."""
    peer = Path(__file__).with_name("ranking_peer.py")
    results: dict[str, list[list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        data, log = Path(folder, "problem.npz"), Path(folder, "log")
        np.savez(data, X=problem.X, losses=problem.losses, starts=problem.starts)
        for learner, options in VARIANTS:
            log.write_text("")
            command = [
                python,
                str(peer),
                proposal_model.__file__,
                str(data),
                learner,
                json.dumps(options),
                str(C),
                str(limit),
                str(log),
            ]
            try:
                subprocess.run(
                    command, check=True, timeout=2 * limit + 30, stdout=subprocess.DEVNULL
                )
            except subprocess.TimeoutExpired:
                # One step took longer than all the time that the learner had.
                pass
            except subprocess.CalledProcessError as error:
                print(f"{learner} {options} failed with exit status {error.returncode}")
            name = " ".join([learner, *(f"{key}={value}" for key, value in options.items())])
            results[name] = [json.loads(line) for line in log.read_text().splitlines()]
    reached = {name: min(value for _, value in found) for name, found in results.items() if found}
    row.peer_limit = limit
    if reached:
        row.best_learner = min(reached, key=lambda name: reached[name])
        row.peer_objective = reached[row.best_learner]
        row.objective_ratio = row.fit_objective / row.peer_objective
    arrived = {
        name: next((t for t, value in found if value <= 1.01 * row.optimum), np.inf)
        for name, found in results.items()
    }
    row.percent_learner = min(arrived, key=lambda name: arrived[name])
    fastest = arrived[row.percent_learner]
    if fastest > limit:
        row.percent_learner, fastest = "", limit
    row.peer_percent_seconds = fastest
    row.time_ratio = fastest / row.percent_seconds
    row.certified_time_ratio = fastest / row.certified_percent_seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pystruct-python", help="Python 3.6 that has pystruct 0.3.2")
    parser.add_argument("--out", type=Path, help="folder for ranking.csv")
    parser.add_argument("--quick", action="store_true", help="three sizes in place of eighteen")
    parser.add_argument(
        "--sizes",
        type=_size,
        nargs="+",
        metavar="IxPxC",
        help="images x proposals x columns, in place of the eighteen",
    )
    parser.add_argument("--limit", type=float, default=60.0, help="most seconds for each learner")
    parser.add_argument(
        "--patience", type=float, default=30.0, help="time for each learner, in units of ours"
    )
    parser.add_argument("--C", type=float, nargs="+", default=[1e-4, 1e-3, 1e-2, 1.0])
    parser.add_argument("--noise", type=float, nargs="+", default=[0.5])
    arguments = parser.parse_args()
    run_ours(make_problem(20, 5, 10, 1.0, seed=0), 1.0)
    run_ours(make_problem(20, 5, 200, 0.0, seed=0), 1.0)
    rows: list[Row] = []
    print(
        f"{'images':>6} {'prop.':>5} {'columns':>7} {'noise':>5} {'C':>6} {'optimum':>10} "
        f"{'ours/peer':>9} {'ours 1%':>9} {'cert. 1%':>9} {'peer 1%':>9} {'ratio':>7} "
        f"{'cert.':>7}  learner",
        flush=True,
    )
    sizes: tuple[tuple[int, int, int], ...] = QUICK_SIZES if arguments.quick else SIZES
    if arguments.sizes is not None:
        sizes = tuple(arguments.sizes)
    for size, noise in itertools.product(sizes, arguments.noise):
        problem = make_problem(*size, noise, seed=len(rows))
        for C in arguments.C:
            row = run_ours(problem, C)
            if arguments.pystruct_python is not None:
                limit = min(max(1.0, arguments.patience * row.fit_seconds), arguments.limit)
                run_peer(arguments.pystruct_python, problem, C, limit, row)
            rows.append(row)
            print(_line(row), flush=True)
            if arguments.out is not None:
                _write(arguments.out, rows)
    known = [row for row in rows if row.time_ratio is not None]
    if known:
        print(
            f"objective at most {max(r.objective_ratio or 0 for r in known):.5f} of the best "
            f"learner's; within 1% {min(r.time_ratio or 0 for r in known):.1f} times sooner at "
            f"least, certified {min(r.certified_time_ratio or 0 for r in known):.1f} times"
        )


def _size(text: str) -> tuple[int, int, int]:
    parts = [int(part) for part in text.split("x")]
    if len(parts) != 3:
        raise argparse.ArgumentTypeError(f"{text!r} is not images x proposals x columns")
    return parts[0], parts[1], parts[2]


def _line(row: Row) -> str:
    def number(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    return (
        f"{row.n_images:6d} {row.n_proposals:5d} {row.n_columns:7d} {row.noise:5.1f} "
        f"{row.C:6g} {row.optimum:10.5g} {number(row.objective_ratio, '.5f'):>9} "
        f"{row.percent_seconds:9.4f} {row.certified_percent_seconds:9.4f} "
        f"{number(row.peer_percent_seconds, '.3f'):>9} {number(row.time_ratio, '.1f'):>7} "
        f"{number(row.certified_time_ratio, '.1f'):>7}  {row.percent_learner or '>'}"
    )


def _write(folder: Path, rows: list[Row]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "ranking.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(asdict(rows[0])))
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


if __name__ == "__main__":
    main()
