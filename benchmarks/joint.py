"""Are labelings that are found together better than DivMBest's, one after another?

    python benchmarks/joint.py --work DIR [DIR ...]

On the energies of real images, from work folders of finished `rerank run`s. Both get the same
energies, areas as node weights and diversities: those that the run chose for DivMBest, times
`--scales`. Of energies with more than `--labels` labels those are kept that have most of the
probability. Per image: the joint cost (energies less the reward for each pair's differences),
the mean energy of a labeling above the least one, the mean share of the area that two labelings
label differently, distinct labelings, CPU ms on one thread; over the images: the oracle's mean
image IoU and corpus mIoU, of the image oracle, and what the cheapest labeling has.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402
from work_energies import RealEnergy, name_of, read_energies  # noqa: E402

from rerank.crf import PottsEnergy  # noqa: E402
from rerank.metrics import oracle_curve, region_intersection_union  # noqa: E402
from rerank.proposals import ProposalSet, div_mbest, joint_cost, joint_mbest  # noqa: E402

SOLVERS: dict[str, Callable[..., ProposalSet]] = {"div_mbest": div_mbest, "joint": joint_mbest}


@dataclass(frozen=True)
class Found:
    """What one solver makes of one image."""

    cost: float
    energy: float
    spread: float
    distinct: int
    seconds: float
    intersections: np.ndarray
    unions: np.ndarray


def kept_labels(real: RealEnergy, n_labels: int) -> np.ndarray:
    """The labels that have most of the probability, in their order."""
    unary = real.energy.unary - real.energy.unary.min(axis=1, keepdims=True)
    share = (np.exp(-unary) / np.exp(-unary).sum(axis=1, keepdims=True)).T @ real.areas
    return np.sort(np.argsort(-share, kind="stable")[:n_labels])


def solve(
    real: RealEnergy, solver: str, n_proposals: int, scale: float, n_labels: int, repeats: int
) -> Found:
    labels = kept_labels(real, n_labels)
    energy = PottsEnergy(real.energy.unary[:, labels], real.energy.edges, real.energy.weights)
    weights = real.areas / real.areas.mean()
    diversity, best = scale * real.diversity, np.inf
    for _ in range(repeats):
        begin = time.process_time()
        found = SOLVERS[solver](energy, n_proposals, diversity, node_weights=weights)
        best = min(best, time.process_time() - begin)
    rows = found.labelings[np.argsort(found.energies, kind="stable")]
    apart = (rows[:, None] != rows) @ weights / weights.sum()
    pairs = max(n_proposals * (n_proposals - 1), 1)
    overlap = region_intersection_union(real.histogram, labels[rows])
    return Found(
        joint_cost(energy, rows, diversity, weights),
        float(np.mean(found.energies) - found.energies.min()),
        float(apart.sum() / pairs),
        len(np.unique(rows, axis=0)),
        best,
        overlap.intersections,
        overlap.unions,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", nargs="+", required=True)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--proposals", type=int, default=10)
    parser.add_argument("--labels", type=int, default=5)
    parser.add_argument("--scales", type=float, nargs="+", default=[0.3, 1.0, 3.0])
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    for work in options.work:
        energies = read_energies(work, options.images)
        n_labels = min(options.labels, energies[0].energy.n_labels)
        print(
            f"\n{name_of(work)}: {len(energies)} energies, {n_labels} labels, "
            f"{options.proposals} proposals"
        )
        print(
            f"{'diversity':>9} {'solver':10} {'joint cost':>11} {'energy +':>9} {'apart %':>8} "
            f"{'distinct':>8} {'ms':>8} {'IoU':>6} {'mIoU':>6} {'first':>6} {'lower on':>8}"
        )
        for scale in options.scales:
            costs = {}
            for solver in SOLVERS:
                found = [
                    solve(real, solver, options.proposals, scale, n_labels, options.repeats)
                    for real in energies
                ]
                costs[solver] = np.array([each.cost for each in found])
                curve = oracle_curve(
                    np.array([each.intersections for each in found]),
                    np.array([each.unions for each in found]),
                )
                lower = (costs[solver] < costs["div_mbest"] - 1e-9).sum()
                print(
                    f"{scale * energies[0].diversity:9.3f} {solver:10} "
                    f"{costs[solver].mean():11.3f} "
                    f"{np.mean([each.energy for each in found]):9.3f} "
                    f"{100 * np.mean([each.spread for each in found]):8.3f} "
                    f"{np.mean([each.distinct for each in found]):8.2f} "
                    f"{1e3 * np.mean([each.seconds for each in found]):8.2f} "
                    f"{100 * curve.image_oracle_image_iou[-1]:6.2f} "
                    f"{100 * curve.image_oracle_miou[-1]:6.2f} "
                    f"{100 * curve.image_oracle_image_iou[0]:6.2f} {lower:8d}"
                )


if __name__ == "__main__":
    main()
