"""Coordinate ascent on the corpus IoU: one image after another takes its best proposal."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from rerank.types import Array, FloatArray, IntArray


class AscentProblem(NamedTuple):
    """What `ascend` climbs on.

    Attributes
    ----------
    intersections, unions : (N, M, C) int32, int64 or float64 arrays, C-contiguous
        Of the M proposals of N images; expected counts may be fractions.
    least : (C,) float64 array
        A class is present where its union over the corpus is above this.
    """

    intersections: Array
    unions: Array
    least: FloatArray

    @classmethod
    def of(cls, intersections: Array, unions: Array) -> AscentProblem:
        """Problem of counts or of expected counts.

        Parameters
        ----------
        intersections, unions : (N, M, C) integer or float arrays
            With at least 1 image and 1 proposal.

        Returns
        -------
        AscentProblem
        """
        whole = np.issubdtype(unions.dtype, np.integer)
        kind = (np.int32 if unions.dtype == np.int32 else np.int64) if whole else np.float64
        # Sums of fractions that are added and taken away again come back to 0 but for rounding.
        most = unions.max(axis=1).sum(axis=0, dtype=np.float64)
        least = np.full(len(most), 0.5) if whole else 1e-9 * most
        return cls(
            np.ascontiguousarray(intersections, dtype=kind),
            np.ascontiguousarray(unions, dtype=kind),
            least,
        )

    def score(self, choice: IntArray) -> float:
        """Mean over the present classes of the corpus IoU of a choice, in [0, 1]."""
        rows = np.arange(len(choice))
        inter = self.intersections[rows, choice].sum(axis=0)
        union = self.unions[rows, choice].sum(axis=0)
        present = union > self.least
        return float(np.mean(inter[present] / union[present])) if present.any() else 0.0


def ascend(problem: AscentProblem, choice: IntArray, n_first: int, max_sweeps: int) -> float:
    """Improve a choice until no image gains by changing its proposal alone.

    Parameters
    ----------
    problem : AscentProblem
    choice : (N,) int64 array
        Index of a proposal for each image; it is changed in place.
    n_first : int
        Only the first so many proposals are taken.
    max_sweeps : int
        Most sweeps over all images; it ends earlier where nothing changes.

    Returns
    -------
    float
        Corpus mIoU of the choice, in [0, 1].
    """
    return float(_ascend(*problem, choice, n_first, max_sweeps))


@njit(cache=True)
def _ascend(
    intersections: Array,
    unions: Array,
    least: FloatArray,
    choice: IntArray,
    n_first: int,
    max_sweeps: int,
) -> float:
    n_images, _, n_classes = intersections.shape
    # Exact for whole numbers too.
    total_i, total_u = np.zeros(n_classes), np.zeros(n_classes)
    current = -1.0
    for _ in range(max_sweeps):
        # Counted anew for each sweep, so that rounding of fractions does not pile up.
        total_i[:], total_u[:] = 0, 0
        for image in range(n_images):
            for k in range(n_classes):
                total_i[k] += intersections[image, choice[image], k]
                total_u[k] += unions[image, choice[image], k]
        changed = False
        for image in range(n_images):
            old = choice[image]
            for k in range(n_classes):
                total_i[k] -= intersections[image, old, k]
                total_u[k] -= unions[image, old, k]
            current = _mean_iou(
                total_i, total_u, intersections[image, old], unions[image, old], least
            )
            best, best_score = old, current
            for m in range(n_first):
                score = _mean_iou(
                    total_i, total_u, intersections[image, m], unions[image, m], least
                )
                # A gain within rounding would let two equal choices take turns for ever.
                if score > best_score + 1e-13:
                    best, best_score = m, score
            for k in range(n_classes):
                total_i[k] += intersections[image, best, k]
                total_u[k] += unions[image, best, k]
            changed = changed or best != old
            choice[image] = best
            current = best_score
        if not changed:
            break
    return current


@njit(cache=True)
def _mean_iou(
    total_i: Array, total_u: Array, own_i: Array, own_u: Array, least: FloatArray
) -> float:
    total, n_present = 0.0, 0
    for k in range(len(total_i)):
        union = total_u[k] + own_u[k]
        if union > least[k]:
            total += (total_i[k] + own_i[k]) / union
            n_present += 1
    return total / n_present if n_present else 0.0
