"""The augmented problems of DivMBest, solved one after another by TRW-S."""

from __future__ import annotations

import numpy as np
from numba import njit

from rerank.crf import PottsEnergy
from rerank.crf.descent import polish
from rerank.crf.energy_arrays import labeling_cost
from rerank.crf.fusion_move import fuse
from rerank.crf.trws import iterate, one_pass
from rerank.types import FloatArray


def starting_costs(energy: PottsEnergy) -> FloatArray:
    """Unary costs (n, L) less the least of each node, for `solve_modes`.

    With Potts costs there may be a further label or two, which no node can afford: a pass handles
    four labels at a time, and the last two or three of them one by one.
    """
    n, n_labels = energy.unary.shape
    further = -n_labels % 4
    if len(energy.tables) or further > 2:
        further = 0
    theta = np.full((n, n_labels + further), 1e100)
    np.subtract(energy.unary, energy.lowest[:, None], out=theta[:, :n_labels])
    return theta


@njit(cache=True)
def solve_modes(
    theta,
    start,
    split,
    head,
    edge,
    first,
    weights,
    tables,
    penalty,
    map_iterations,
    passes,
    relaxation,
    rounding,
    leaders,
    labelings,
    gaps,
):
    """Solve the augmented problems one after another, each from the messages of the last.

    Parameters
    ----------
    theta : (n, L) float64, overwritten
        As of `starting_costs`.
    start, split, head, edge, first : arrays of `Adjacency`
    weights, tables : pairwise costs of `PottsEnergy`
    penalty : (n, L) float64
    map_iterations, passes : int
        Iterations for the first labeling, passes for each later one.
    relaxation : float
        Of all passes for a later labeling but the last, which gives the bound.
    rounding : float
        A gap up to this is zero.
    leaders : (M, n) int64, or (0, n)
        What each next problem is pushed away from in place of the labelings found.
    labelings : (M, n) int64, written
    gaps : (M,) float64, written
        Augmented energy less its lower bound.
    """
    n, n_labels = theta.shape
    messages = np.zeros((len(weights), n_labels))
    labeling = np.empty(n, dtype=np.int64)
    for i in range(n):
        labeling[i] = theta[i].argmin()
    candidate = np.empty(n, dtype=np.int64)
    bounds = np.empty(map_iterations)
    forward = True
    for k in range(len(labelings)):
        if k == 0:
            used = iterate(
                theta,
                start,
                split,
                head,
                edge,
                first,
                weights,
                tables,
                messages,
                labeling,
                bounds,
                1e-3,
                rounding,
                1.0,
            )
            bound = bounds[:used].max()
        else:
            # Each pass goes against the one before, also from one labeling to the next.
            one_pass(
                theta,
                start,
                split,
                head,
                edge,
                first,
                weights,
                tables,
                messages,
                labeling,
                forward,
                relaxation,
            )
            forward = not forward
            for step in range(1, passes):
                bound = one_pass(
                    theta,
                    start,
                    split,
                    head,
                    edge,
                    first,
                    weights,
                    tables,
                    messages,
                    candidate,
                    forward,
                    relaxation if step < passes - 1 else 1.0,
                )
                forward = not forward
                fuse(theta, start, split, head, edge, first, weights, tables, labeling, candidate)
            polish(theta, start, split, head, edge, first, weights, tables, labeling)
        cost = labeling_cost(theta, start, split, head, edge, first, weights, tables, labeling)
        gap = cost - bound
        gaps[k] = gap if gap > rounding else 0.0
        labelings[k] = labeling
        leader = leaders[k] if len(leaders) else labeling
        for i in range(n):
            theta[i, leader[i]] += penalty[i, leader[i]]
