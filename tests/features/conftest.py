"""A small made-up image that all tests of the room share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from rerank.evidence import PERCENTILES, ImageEvidence, ImageRegions, ImageScores, SegNetMap
from rerank.features import ColumnSettings, FeatureTable, proposal_features
from rerank.features.proposal_features import COLUMN_SETTINGS
from rerank.proposals import ProposalSet
from rerank.superpixels import RegionGraph


def block_map(rows: int, columns: int, size: int) -> np.ndarray:
    """A superpixel map of square blocks."""
    y, x = np.mgrid[: rows * size, : columns * size] // size
    return (y * columns + x).astype(np.int32)


def block_edges(rows: int, columns: int) -> np.ndarray:
    index = np.arange(rows * columns).reshape(rows, columns)
    return np.concatenate(
        [
            np.stack([index[:, :-1].ravel(), index[:, 1:].ravel()], axis=1),
            np.stack([index[:-1].ravel(), index[1:].ravel()], axis=1),
        ]
    )


def block_overlap(superpixels: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Cells of whole pixels, by counting."""
    height, width = superpixels.shape
    cells = (np.arange(height) * grid[0] // height)[:, None] * grid[1] + np.arange(width) * grid[
        1
    ] // width
    overlap = np.zeros((grid[0] * grid[1], superpixels.max() + 1))
    np.add.at(overlap, (cells.ravel(), superpixels.ravel()), 1)
    return overlap / overlap.sum(axis=1, keepdims=True)


@dataclass(frozen=True, eq=False)
class Case:
    """All that the table of one image is made from."""

    regions: ImageRegions
    proposals: ProposalSet
    evidence: ImageEvidence
    classes: tuple[str, ...]
    generators: tuple[str, ...]
    similarity: np.ndarray | None = None

    def table(
        self, groups: str | Iterable[str] | None = None, settings: ColumnSettings = COLUMN_SETTINGS
    ) -> FeatureTable:
        return proposal_features(
            self.regions,
            self.proposals,
            self.evidence,
            self.classes,
            self.generators,
            similarity=self.similarity,
            groups=groups,
            settings=settings,
        )


def _make_case(
    seed: int = 0,
    rows: int = 5,
    columns: int = 6,
    size: int = 4,
    n_proposals: int = 7,
    n_classes: int = 4,
    grid: tuple[int, int] = (3, 4),
    image_id: str = "cow",
    percentiles: tuple[float, ...] = PERCENTILES,
    **changes: Any,
) -> Case:
    rng = np.random.default_rng(seed)
    n_sizes = len(percentiles)
    superpixels = block_map(rows, columns, size)
    n = rows * columns
    edges = block_edges(rows, columns)
    base = rng.integers(0, n_classes - 1, n)
    labelings = np.where(
        rng.random((n_proposals, n)) < 0.7, base, rng.integers(0, n_classes - 1, (n_proposals, n))
    ).astype(np.uint8)
    names = ("div_mbest", "joint")
    v: dict[str, Any] = dict(
        superpixels=superpixels,
        edges=edges,
        boundary_length=np.full(len(edges), float(size)),
        contrast=rng.random(len(edges)) * 100,
        areas=np.full(n, float(size * size)),
        labelings=labelings,
        energies=rng.random(n_proposals) * 50,
        lower_bounds=np.where(np.arange(n_proposals) < 2, -1.0, np.nan),
        region_probabilities=rng.dirichlet(np.full(n_classes, 0.3), n),
        made_by=tuple(names[k] for k in rng.integers(0, 2, n_proposals)),
        generators=names,
        segnet_map=rng.dirichlet(np.full(n_classes, 0.5), grid),
        cell_overlap=block_overlap(superpixels, grid),
        scores=rng.normal(size=n_classes - 1),
        size_scores=rng.normal(size=n_sizes * (n_classes - 1)),
        size_thresholds=np.sort(rng.random((n_classes - 1, n_sizes)) * 0.5, axis=1),
        percentiles=percentiles,
        background=0,
        region_values=rng.normal(size=(n, 3)),
        value_names=("L", "a", "b"),
        location=rng.dirichlet(np.full(n_classes, 2.0), n),
        cooccurrence=_symmetric(rng.normal(size=(n_classes, n_classes))),
        fused_posterior=rng.dirichlet(np.full(n_classes, 0.2), n),
        edge_map=None,
        similarity=None,
    )
    assert set(changes) <= set(v)
    v.update(changes)
    scores = ImageScores(v["scores"], v["size_scores"], v["size_thresholds"], v["percentiles"])
    return Case(
        ImageRegions(
            v["superpixels"],
            RegionGraph(v["edges"], v["boundary_length"], v["contrast"], v["areas"]),
            v["region_values"],
            v["value_names"],
            image_id,
        ),
        ProposalSet(
            v["labelings"],
            v["energies"][: len(v["labelings"])],
            v["lower_bounds"][: len(v["labelings"])],
            v["made_by"][: len(v["labelings"])],
            ({},) * len(v["labelings"]),
        ),
        ImageEvidence(
            v["region_probabilities"],
            None if v["segnet_map"] is None else SegNetMap(v["segnet_map"], v["cell_overlap"]),
            None if v["scores"] is None else scores,
            v["background"],
            location=v["location"],
            cooccurrence=v["cooccurrence"],
            fused_posterior=v["fused_posterior"],
            edge_map=v["edge_map"],
        ),
        tuple(f"class{c}" for c in range(n_classes)),
        v["generators"],
        v["similarity"],
    )


def _symmetric(matrix: np.ndarray) -> np.ndarray:
    matrix = (matrix + matrix.T) / 2
    np.fill_diagonal(matrix, 0)
    return matrix


@pytest.fixture
def make_case() -> Callable[..., Case]:
    """Make an image of square regions; any array can be given."""
    return _make_case


@pytest.fixture
def case() -> Case:
    return _make_case()
