"""An upper bound on the corpus IoU of every choice of one proposal per image."""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np

from rerank.metrics.coordinate_ascent import AscentProblem, ascend
from rerank.types import BoolArray, FloatArray, IntArray

#: Steps of the subgradient method at one node, and a gap in IoU that counts as none.
_STEPS, _CLOSED = 60, 1e-9


class CorpusBound(NamedTuple):
    """What branch and bound found.

    Attributes
    ----------
    choice : (N,) int64 array
        The best choice that was met.
    value : float
        Its corpus IoU.
    upper_bound : float
        No choice has a higher one.
    """

    choice: IntArray
    value: float
    upper_bound: float


class _Node(NamedTuple):
    """Some of the choices: the proposals that are still allowed, and a range of each union."""

    allowed: BoolArray
    low: FloatArray
    high: FloatArray


def bound_corpus(problem: AscentProblem, choice: IntArray, max_nodes: int) -> CorpusBound:
    """Bound the mean over classes of I_c / U_c over all choices, and improve a choice.

    The ratio z = I / U of sums I in [i, j] and U in [u, v] lies below two planes, its concave
    envelope over that rectangle:

        z <= I / u - i U / (u v) + i / v        z <= I / v - j U / (u v) + j / u

    A mixture of the two with weight w in [0, 1], plus a multiplier for the range of U, is linear in
    I and U, so that its maximum over choices is found image by image. Weights and multipliers are
    moved by subgradients with Polyak's step. The best of these maxima that is met on the way is
    improved by coordinate ascent. Then the node with the highest bound is split: by the union of
    the class whose planes are farthest from its ratio, or by the proposals of an image.

    Parameters
    ----------
    problem : AscentProblem
    choice : (N,) int64 array
        A good choice; the higher its value, the fewer nodes it takes.
    max_nodes : int
        Nodes that are bounded, at least 1. With enough of them the bound meets the value.

    Returns
    -------
    CorpusBound
    """
    inter, union = problem.intersections.astype(np.float64), problem.unions.astype(np.float64)
    most = union.max(axis=1).sum(axis=0)
    least = union.min(axis=1).sum(axis=0)
    # A class that some choice leaves out and another brings in: at best it counts as 1.
    certain, unsure = least > problem.least, int(((least <= problem.least) & (most > 0)).sum())
    best, value = choice.copy(), problem.score(choice)
    if not certain.any():
        return CorpusBound(best, value, 1.0 if unsure else value)
    n_certain = int(certain.sum())
    search = _Search(inter[..., certain], union[..., certain])

    def total(mean: float) -> float:
        return (mean * n_certain + unsure) / (n_certain + unsure)

    def visit(node: _Node, parent_bound: float) -> None:
        nonlocal best, value
        target = (value * (n_certain + unsure) - unsure) / n_certain
        found = search.bound(node, target)
        if found is None:
            return
        for candidate in found.met:
            start = candidate.copy()
            reached = ascend(problem, start, inter.shape[1], 50)
            if reached > value + 1e-13:
                best, value = start, reached
        limit = min(total(found.upper_bound), parent_bound)
        if limit > value + _CLOSED:
            heapq.heappush(queue, (-limit, len(closed) + len(queue), node, found))

    queue: list[tuple[float, int, _Node, _NodeBound]] = []
    closed: list[float] = []
    visit(_Node(np.ones(inter.shape[:2], dtype=bool), least[certain], most[certain]), 1.0)
    n_nodes = 1
    while queue and n_nodes < max_nodes:
        limit, _, node, found = heapq.heappop(queue)
        if -limit <= value + _CLOSED:
            break
        children = search.split(node, found)
        closed.append(limit)
        for child in children:
            visit(child, -limit)
            n_nodes += 1
    limits = [-entry[0] for entry in queue]
    return CorpusBound(best, value, max([value, *limits]))


class _NodeBound(NamedTuple):
    upper_bound: float
    met: list[IntArray]
    choice: IntArray
    slack: FloatArray


class _Search:
    """Bounds and splits of nodes, over the classes that every choice has."""

    def __init__(self, inter: FloatArray, union: FloatArray) -> None:
        self.inter, self.union = inter, union
        self.rows = np.arange(len(inter))

    def bound(self, node: _Node, target: float) -> _NodeBound | None:
        """Bound of a node, or None where no choice is in it."""
        allowed = node.allowed[..., None]
        low_i = np.where(allowed, self.inter, np.inf).min(axis=1).sum(axis=0)
        high_i = np.where(allowed, self.inter, -np.inf).max(axis=1).sum(axis=0)
        low_u = np.where(allowed, self.union, np.inf).min(axis=1).sum(axis=0)
        high_u = np.where(allowed, self.union, -np.inf).max(axis=1).sum(axis=0)
        low, high = np.maximum(low_u, node.low), np.minimum(high_u, node.high)
        rounding = 1e-9 * high_u
        if (low > high + rounding).any():
            return None
        high = np.maximum(high, low)
        high_i = np.minimum(high_i, high)
        n_classes = len(low)
        weight, push = np.full(n_classes, 0.5), np.zeros(n_classes)
        best, best_choice, met, scale = np.inf, None, [], 1.0
        stalled = 0
        for _ in range(_STEPS):
            slope_u = push / high - (weight * low_i + (1 - weight) * high_i) / (low * high)
            slope_i = weight / low + (1 - weight) / high
            value = self.inter @ slope_i + self.union @ slope_u
            chosen = np.where(node.allowed, value, -np.inf).argmax(axis=1)
            constant = weight * low_i / high + (1 - weight) * high_i / low
            constant = constant - np.where(push > 0, push * low, push * high) / high
            upper = (value[self.rows, chosen].sum() + constant.sum()) / n_classes
            sum_i = self.inter[self.rows, chosen].sum(axis=0)
            sum_u = self.union[self.rows, chosen].sum(axis=0)
            first, second = self._planes(sum_i, sum_u, (low_i, high_i, low, high))
            if upper < best - 1e-12:
                best, best_choice, stalled = upper, chosen, 0
                slack = np.minimum(first, second) - sum_i / sum_u
            else:
                stalled += 1
                if stalled >= 8:
                    scale, stalled = scale / 2, 0
            if best <= target + _CLOSED:
                break
            to_weight = first - second
            to_push = (sum_u - np.where(push > 0, low, high)) / high
            # At 0 either end may be meant; where the union is within its range, none is.
            inside = (push == 0) & (sum_u >= low) & (sum_u <= high)
            below = (push == 0) & (sum_u < low)
            to_push = np.where(below, (sum_u - low) / high, np.where(inside, 0.0, to_push))
            size = float(to_weight @ to_weight + to_push @ to_push)
            if size < 1e-24:
                break
            step = scale * max(best - target, 1e-6) * n_classes / size
            weight = np.clip(weight - step * to_weight, 0.0, 1.0)
            moved = push - step * to_push
            push = np.where(push * moved < 0, 0.0, moved)
        assert best_choice is not None
        met.append(best_choice)
        return _NodeBound(best, met, best_choice, slack)

    @staticmethod
    def _planes(
        sum_i: FloatArray, sum_u: FloatArray, box: tuple[FloatArray, ...]
    ) -> tuple[FloatArray, FloatArray]:
        low_i, high_i, low, high = box
        first = sum_i / low - low_i * sum_u / (low * high) + low_i / high
        second = sum_i / high - high_i * sum_u / (low * high) + high_i / low
        return first, second

    def split(self, node: _Node, found: _NodeBound) -> list[_Node]:
        """Two nodes that hold the choices of one."""
        sum_u = self.union[self.rows, found.choice].sum(axis=0)
        allowed = node.allowed[..., None]
        low_u = np.where(allowed, self.union, np.inf).min(axis=1).sum(axis=0)
        high_u = np.where(allowed, self.union, -np.inf).max(axis=1).sum(axis=0)
        low, high = np.maximum(low_u, node.low), np.minimum(high_u, node.high)
        width = (high - low) / high
        k = int(np.argmax(np.where(width > 1e-6, found.slack * width, -np.inf)))
        free = node.allowed.sum(axis=1)
        if width[k] > 1e-3 and free.max() > 1 and len(self.rows) > 12:
            at = float(
                np.clip(sum_u[k], low[k] + 0.2 * (high - low)[k], high[k] - 0.2 * (high - low)[k])
            )
            below, above = node.high.copy(), node.low.copy()
            below[k], above[k] = at, at
            return [node._replace(high=below), node._replace(low=above)]
        if free.max() <= 1:
            return []
        # The image whose proposals differ most: what it takes decides most.
        spread = np.where(allowed, self.union, -np.inf).max(axis=1) - np.where(
            allowed, self.union, np.inf
        ).min(axis=1)
        image = int(np.argmax(np.where(free > 1, (spread / high_u).sum(axis=1), -np.inf)))
        taken, others = node.allowed.copy(), node.allowed.copy()
        taken[image] = False
        taken[image, found.choice[image]] = True
        others[image, found.choice[image]] = False
        return [node._replace(allowed=taken), node._replace(allowed=others)]
