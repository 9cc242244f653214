"""How fast are 10 or 30 diverse labelings beside a fresh gco call for each?

    python benchmarks/divmbest.py --peers peers/bin/python

One thread, CPU time. `gco_peer.py` says how to make the peers' environment. All solvers get the
same augmented problems, those of the run with gco, so that their energies can be compared; the
energies and distances of a free run stand beside. A gap is the mean over the first 10 or 30 modes
of the energy above the best lower bound, in per cent of that bound. Ours are timed from the raw
arrays on, gco from its arrays on; the first calls, which compile, are not timed.
"""

from __future__ import annotations

import argparse

import numpy as np
from peers import Problem, ask_peers, best_bounds, timed
from superpixel_problems import node_cost, superpixel_problem

from rerank.crf import GraphCutSolver, PottsEnergy
from rerank.proposals import div_mbest
from rerank.proposals.augmented_problems import Schedule, solve_augmented

#: Diversity in units of the average node's cost.
DIVERSITIES = {"moderate": 0.2, "strong": 1.0}


def by_messages(
    problem: Problem, leaders: np.ndarray, first: int, later: float, relaxation: float
) -> np.ndarray:
    """What `div_mbest` does with TRW-S, on the augmented problems of other labelings."""
    energy = problem.energy()
    penalty = np.full(energy.unary.shape, problem.diversity)
    schedule = Schedule(first, round(2 * later), relaxation)
    return solve_augmented(energy, len(leaders), penalty, schedule, leaders)[0]


def by_cuts(problem: Problem, leaders: np.ndarray) -> np.ndarray:
    """What `div_mbest` does with two labels, on the augmented problems of other labelings."""
    energy = problem.energy()
    solver = GraphCutSolver(energy)
    difference = energy.unary[:, 1] - energy.unary[:, 0]
    found = np.empty_like(leaders)
    for mode, leader in enumerate(leaders):
        found[mode] = solver.cut(difference)
        difference += np.where(leader == 1, problem.diversity, -problem.diversity)
    return found


def relative_gaps(
    energy: PottsEnergy, series: list[np.ndarray], labelings: np.ndarray, bounds: np.ndarray
) -> np.ndarray:
    """Energy above the bound of each mode, in per cent of the bound."""
    values = np.array(
        [energy.with_unary(theta).evaluate(row) for theta, row in zip(series, labelings)]
    )
    return 100 * np.maximum((values - bounds) / np.abs(bounds), 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peers", required=True, help="interpreter with gco-wrapper, PyMaxflow")
    parser.add_argument("--nodes", type=int, nargs="+", default=[300, 600, 1200])
    parser.add_argument("--labels", type=int, nargs="+", default=[2, 11, 21])
    parser.add_argument("--modes", type=int, default=30)
    parser.add_argument("--strength", type=float, default=0.5)
    parser.add_argument(
        "--settings",
        type=float,
        nargs=3,
        action="append",
        metavar=("MAP", "LATER", "RELAXATION"),
        help="TRW-S iterations for the first mode and for later ones, and the "
        "relaxation of the later ones; repeatable",
    )
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    settings = options.settings or [[5, 1.5, 1.4], [5, 2, 1.5], [10, 2, 1.25]]

    problems = []
    for n in options.nodes:
        for n_labels in options.labels:
            unary, edges, weights = superpixel_problem(n, n_labels, options.strength)
            for name, share in DIVERSITIES.items():
                problems.append(
                    Problem(
                        f"n={n} L={n_labels} {name}",
                        unary,
                        edges,
                        weights,
                        share * node_cost(unary),
                        options.modes,
                    )
                )
    answers = ask_peers(options.peers, problems, options.repeats)
    print(
        f"{'problem':26} {'solver':17} {'M=10 ms':>8} {'M=30 ms':>8} {'x at 10':>8} "
        f"{'x at 30':>8} {'gap 10 %':>8} {'gap 30 %':>8} {'free E/M':>10} {'free dist':>9}"
    )
    for problem, answer in zip(problems, answers):
        energy = problem.energy()
        leaders = answer["gco"].labelings
        series = problem.augmented(leaders)
        bounds = best_bounds(problem, series)
        few = leaders[:10]

        def row(
            solver: str, ten: float, all_of_them: float, found: np.ndarray, free: np.ndarray
        ) -> None:
            base = answer["gco"].seconds
            spread = (free[:, None] != free).mean()
            gaps = relative_gaps(energy, series, found, bounds)
            print(
                f"{problem.name:26} {solver:17} {1e3 * ten:8.2f} {1e3 * all_of_them:8.2f} "
                f"{base[:10].sum() / ten:8.1f} {base.sum() / all_of_them:8.1f} "
                f"{gaps[:10].mean():8.4f} {gaps.mean():8.4f} "
                f"{energy.evaluate(free).mean():10.2f} {spread:9.4f}"
            )

        for peer, given in answer.items():
            row(
                peer,
                given.seconds[:10].sum(),
                given.seconds.sum(),
                given.labelings,
                given.labelings,
            )
        if energy.n_labels == 2:
            _, ten = timed(lambda: by_cuts(problem, few), options.repeats)
            found, every = timed(lambda: by_cuts(problem, leaders), options.repeats)
            free = div_mbest(energy, options.modes, problem.diversity).labelings
            row("cuts, kept flow", ten, every, found, free)
            continue
        for first, later, relaxation in settings:
            first = int(first)
            _, ten = timed(
                lambda: by_messages(problem, few, first, later, relaxation), options.repeats
            )
            found, every = timed(
                lambda: by_messages(problem, leaders, first, later, relaxation), options.repeats
            )
            free = div_mbest(
                energy,
                options.modes,
                problem.diversity,
                method="trws",
                map_iterations=first,
                iterations=later,
                relaxation=relaxation,
            ).labelings
            row(f"trws {first} + {later:g}, {relaxation:g}", ten, every, found, free)


if __name__ == "__main__":
    main()
