"""How many proposals a second do the features cost, and how many columns do they give?

    python benchmarks/features.py [--regions 24x25] [--proposals 30] [--classes 21]

One image, one thread, CPU time, the best of `--repeats` runs after one that compiles. Its
superpixels are squares of 11 pixels; the labelings are the largest of smooth random fields, so
that proposals have whole objects and share most of them, as those of DivMBest do. "proposal
without pixels" is the group without the columns of `edge_features`, which read the edge map's
pixels; the regions' centres, read from the superpixel map once an image, are counted in. Each
group is timed alone, with all that it shares with others.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402
from scipy.ndimage import gaussian_filter  # noqa: E402

from rerank.evidence import ImageEvidence, ImageRegions, ImageScores, SegNetMap  # noqa: E402
from rerank.features import GROUPS, available_groups, proposal_features  # noqa: E402
from rerank.proposals import ProposalSet  # noqa: E402
from rerank.superpixels import RegionGraph  # noqa: E402

#: Side of a superpixel in pixels, columns of colour and texture, and cells of the SegNet.
SIDE, N_VALUES, GRID = 11, 8, 13


def smooth_fields(
    rng: np.random.Generator, shape: tuple[int, int, int], sigma: float
) -> np.ndarray:
    """Unit-variance random fields over the rows and columns of superpixels."""
    fields = gaussian_filter(rng.standard_normal(shape), (sigma, sigma, 0))
    return np.asarray(fields / fields.std())


def probabilities_of(scores: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, the others joined."""
    values = np.exp(scores - scores.max(axis=-1, keepdims=True)).reshape(-1, scores.shape[-1])
    return np.asarray(values / values.sum(axis=1, keepdims=True))


class Case(NamedTuple):
    """What `proposal_features` takes."""

    regions: ImageRegions
    proposals: ProposalSet
    evidence: ImageEvidence
    classes: tuple[str, ...]
    generators: tuple[str, ...] = ("div_mbest",)


def make_case(rows: int, columns: int, n_proposals: int, n_classes: int) -> Case:
    """An image of rows x columns superpixels with every optional column but those of risk."""
    rng = np.random.default_rng(0)
    n = rows * columns
    index = np.arange(n).reshape(rows, columns)
    superpixels = np.kron(index, np.ones((SIDE, SIDE), dtype=np.int64))
    edges = np.concatenate(
        [
            np.stack([index[:, :-1].ravel(), index[:, 1:].ravel()], axis=1),
            np.stack([index[:-1].ravel(), index[1:].ravel()], axis=1),
        ]
    )
    scene = smooth_fields(rng, (rows, columns, n_classes), 4.0)
    # About six classes are in the picture.
    scene[:, :, rng.permutation(n_classes)[6:]] -= 3.0
    labelings = np.stack(
        [
            (scene + 0.5 * smooth_fields(rng, scene.shape, 2.0)).argmax(axis=2).ravel()
            for _ in range(n_proposals)
        ]
    )
    probabilities = probabilities_of(2.0 * scene)
    overlap = np.zeros((GRID * GRID, n))
    cell = (np.arange(rows) * GRID // rows)[:, None] * GRID + np.arange(columns) * GRID // columns
    overlap[cell.ravel(), np.arange(n)] = 1.0
    overlap[overlap.sum(axis=1) == 0, 0] = 1.0
    overlap /= overlap.sum(axis=1, keepdims=True)
    segnet = rng.dirichlet(np.ones(n_classes), GRID * GRID)
    n_foreground = n_classes - 1
    image = rng.random(superpixels.shape)
    graph = RegionGraph(
        edges,
        np.full(len(edges), float(SIDE)),
        rng.random(len(edges)),
        np.full(n, float(SIDE * SIDE)),
    )
    energies = np.sort(rng.random(n_proposals))
    proposals = ProposalSet.of("div_mbest", labelings, energies, np.zeros(n_proposals))
    segnet_map = SegNetMap(segnet.reshape(GRID, GRID, n_classes), overlap)
    scores = ImageScores(
        rng.standard_normal(n_foreground),
        rng.standard_normal(4 * n_foreground),
        np.sort(rng.random((n_foreground, 4)), axis=1),
    )
    values = rng.standard_normal((n, N_VALUES))
    evidence = ImageEvidence(
        probabilities,
        segnet_map,
        scores,
        background=0,
        location=rng.dirichlet(np.ones(n_classes), n),
        cooccurrence=rng.standard_normal((n_classes, n_classes)),
        fused_posterior=segnet_map.of_regions(),
        edge_map=image > 0.9,
    )
    names = tuple(f"value{k}" for k in range(N_VALUES))
    regions = ImageRegions(superpixels, graph, values, names, "scene")
    return Case(regions, proposals, evidence, tuple(f"class{k}" for k in range(n_classes)))


def best_time(function: Callable[[], object], repeats: int) -> float:
    function()
    found = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        found.append(time.process_time() - start)
    return min(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--regions", default="24x25", help="rows x columns of superpixels")
    parser.add_argument("--proposals", type=int, default=30)
    parser.add_argument("--classes", type=int, default=21)
    parser.add_argument("--repeats", type=int, default=50)
    arguments = parser.parse_args()
    rows, columns = (int(part) for part in arguments.regions.split("x"))
    whole = make_case(rows, columns, arguments.proposals, arguments.classes)
    bare = whole._replace(evidence=replace(whole.evidence, edge_map=None))
    painted = np.mean([len(np.unique(labeling)) for labeling in whole.proposals.labelings])
    print(
        f"{rows * columns} regions, {arguments.proposals} proposals of {painted:.1f} of "
        f"{arguments.classes} classes"
    )
    print(f"{'group':>24} {'columns':>8} {'ms':>8} {'proposals/s':>12}")
    cases: list[tuple[str, Case, tuple[str, ...]]] = [
        ("proposal without pixels", bare, ("proposal",))
    ]
    cases += [(group, whole, (group,)) for group in GROUPS]
    cases += [
        (label, case, available_groups(case.evidence))
        for label, case in (("all without pixels", bare), ("all", whole))
    ]
    for label, given, groups in cases:
        seconds = best_time(lambda: proposal_features(*given, groups=groups), arguments.repeats)
        n_columns = proposal_features(*given, groups=groups).shape[1]
        print(
            f"{label:>24} {n_columns:8d} {1e3 * seconds:8.3f} "
            f"{arguments.proposals / seconds:12.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
