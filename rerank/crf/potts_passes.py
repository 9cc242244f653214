"""A pass of TRW-S for Potts costs, O(L) a message.

The message of `trws` becomes ``min(h(b), min_a h(a) + weight)`` less ``min_a h(a)``.

A relaxation r above 1 passes on r times the share of a node's costs, a step from TRW-S towards
max-product belief propagation, which passes on all of them (Wiegerinck and Heskes 2003 study what
lies between). A few such passes bring labelings closer to the best, but they bound nothing.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from rerank.crf.energy_arrays import EnergyArrays
from rerank.crf.label_rows import (
    Lanes,
    difference,
    first_at_most,
    least,
    lower_of,
    product,
    row_at,
    row_of,
    sum_of,
    write_row,
)
from rerank.types import FloatArray, IntArray


# Each node's share is of at least one arc: nothing is divided by zero.
@njit(cache=True, error_model="numpy")
def potts_pass(
    problem: EnergyArrays,
    messages: FloatArray,
    labeling: IntArray,
    forward: bool,
    relaxation: float,
    lanes: Lanes,
) -> float:
    """Visit all nodes in one direction, reading a labeling off on the way.

    Parameters
    ----------
    problem : EnergyArrays
        Its unary costs as `padded` makes them, W columns; its tables are not read.
    messages : (m, W) float64
        On each edge the message against the direction of the pass; that along it afterwards.
    labeling : (n,) int64, written
        Each node takes the best label given those that nodes before it took and the messages of
        those after it (Kolmogorov 2006).
    forward : bool
        From the first node to the last, or from the last to the first.
    relaxation : float
    lanes : tuple
        `lanes_for` the labels.

    Returns
    -------
    float
        A lower bound on the energy of every labeling, if `relaxation` is 1.
    """
    start, split, head, edge, _, _ = problem.graph
    weights = problem.pairwise.weights
    n, width = problem.theta.shape
    costs = problem.theta.reshape(-1)
    flat = messages.reshape(-1)
    choice = np.empty(width)
    bound = 0.0
    for step in range(n):
        i = step if forward else n - 1 - step
        # Arcs to nodes that come later in this pass, and to those that were visited.
        ahead0 = split[i] if forward else start[i]
        ahead1 = start[i + 1] if forward else split[i]
        behind0 = start[i] if forward else split[i]
        behind1 = split[i] if forward else start[i + 1]
        belief = row_at(costs, i * width, lanes)
        for arc in range(ahead0, ahead1):
            belief = sum_of(belief, row_at(flat, edge[arc] * width, lanes))
        write_row(choice, 0, belief)
        for arc in range(behind0, behind1):
            choice[labeling[head[arc]]] -= weights[edge[arc]]
            belief = sum_of(belief, row_at(flat, edge[arc] * width, lanes))
        chosen = row_at(choice, 0, lanes)
        labeling[i] = first_at_most(chosen, least(chosen))
        lowest = least(belief)
        bound += lowest
        if ahead1 == ahead0:
            continue
        share = relaxation / max(ahead1 - ahead0, behind1 - behind0)
        belief = product(row_of(share, lanes), difference(belief, row_of(lowest, lanes)))
        for arc in range(ahead0, ahead1):
            place = edge[arc] * width
            sent = difference(belief, row_at(flat, place, lanes))
            lowest = least(sent)
            bound += lowest
            sent = difference(sent, row_of(lowest, lanes))
            write_row(flat, place, lower_of(sent, row_of(weights[edge[arc]], lanes)))
    return bound
