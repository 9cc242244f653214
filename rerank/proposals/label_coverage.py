"""Diversity of the set of labels, or of label pairs that meet (Prasad et al. 2014).

A set of labelings is rewarded for each label that occurs in at least one of them ("presence"), or
for each pair of labels that meet across an edge in at least one ("transition"). Such a coverage
is submodular and monotone, so greedy choice, in which each labeling minimises its energy less the
reward for what it adds, comes within ``1 - 1/e`` of the best set, wherever each step is exact
(Prasad et al. 2014, after Nemhauser et al. 1978). Here a step is itself greedy: the
cheapest new label or pair is forced onto its cheapest place and the energy minimised around it,
as long as that costs less than the reward.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numba import njit

from rerank.crf import PottsEnergy
from rerank.crf.contraction import contract
from rerank.crf.descent import flip_costs
from rerank.crf.energy_arrays import PairwiseCosts, pair_cost
from rerank.errors import InputError
from rerank.proposals.generator import ProposalGenerator, check_amount, check_count
from rerank.proposals.proposal_context import ProposalContext, Regions, check_kind
from rerank.proposals.proposal_set import ProposalSet
from rerank.types import BoolArray, FloatArray, IntArray, RandomState

#: Labels forced onto nodes: (node, label) pairs.
Forced = list[tuple[int, int]]


@dataclass(frozen=True)
class LabelCoverage(ProposalGenerator):
    """The MAP labeling, then labelings that bring in labels, or pairs of them, not seen before.

    Parameters
    ----------
    reward : float
        Reward for each new label or pair, in units of the energy, at least 0.
    of : {"presence", "transition"}
        New labels, or new pairs of labels across an edge.
    hamming : float
        Hamming diversity on top, as in `div_mbest`, at least 0; it keeps labelings different once
        everything new costs more than its reward.
    iterations : int
        TRW-S iterations a trial.
    regions : {"superpixels", "components"} or int
        What takes a new label at the least, see `ProposalContext.regions`. A single superpixel
        brings a label in most cheaply, and hardly any pixels with it. With other regions coverage
        is sought among labelings that are constant on them; the regions it changes then keep
        their new label, and all other superpixels take what costs least around them.
    """

    name: ClassVar[str] = "label_coverage"
    reward: float = 5.0
    of: str = "presence"
    hamming: float = 0.0
    iterations: int = 3
    regions: Regions = "superpixels"

    def __post_init__(self) -> None:
        check_amount(self.reward, "reward")
        check_amount(self.hamming, "hamming")
        check_count(self.iterations, "iterations")
        if self.of not in ("presence", "transition"):
            raise InputError(f"of must be 'presence' or 'transition', got {self.of!r}")
        check_kind(self.regions)

    def generate(
        self, context: ProposalContext, n_proposals: int, random_state: RandomState = None
    ) -> ProposalSet:
        """Make exactly `n_proposals` labelings; they repeat once all new costs too much."""
        if self.regions == "superpixels":
            rows, added = self._cover(context, n_proposals)
        else:
            rows, added = self._cover_regions(context, n_proposals)
        return self._wrap(context, rows, each=[{"added": count} for count in added])

    def _cover_regions(
        self, context: ProposalContext, n_proposals: int
    ) -> tuple[IntArray, list[int]]:
        region = context.regions(self.regions)
        joined = ProposalContext(
            contract(context.energy, region), np.bincount(region, weights=context.node_areas)
        )
        coarse, added = self._cover(joined, n_proposals)
        rows = [context.map_result.labeling]
        for labels, changed in zip(coarse[1:], coarse[1:] != coarse[0]):
            moved = np.flatnonzero(changed[region])
            forced = list(zip(moved.tolist(), labels[region[moved]].tolist()))
            rows.append(
                context.solve(_force(context.energy.unary, forced, context.energy), self.iterations)
            )
        return np.array(rows), added

    def _cover(self, context: ProposalContext, n_proposals: int) -> tuple[IntArray, list[int]]:
        """Labelings, the MAP labeling first, and how many labels or pairs each brings in."""
        energy = context.energy
        nodes = np.arange(energy.n_nodes)
        rows = [context.map_result.labeling]
        seen = self._covered(energy, rows[0])
        added = [0]
        unary = energy.unary.copy()
        for _ in range(n_proposals - 1):
            unary[nodes, rows[-1]] += self.hamming
            row = self._step(context, unary, seen)
            covered = self._covered(energy, row)
            added.append(int((covered & ~seen).sum()))
            seen |= covered
            rows.append(row)
        return np.array(rows), added

    def _covered(self, energy: PottsEnergy, labeling: IntArray) -> BoolArray:
        """Labels (L,), or pairs (L, L) with the smaller label first, that `labeling` shows."""
        if self.of == "presence":
            shown: BoolArray = np.zeros(energy.n_labels, dtype=bool)
            shown[labeling] = True
            return shown
        pairs: BoolArray = np.zeros((energy.n_labels, energy.n_labels), dtype=bool)
        ends = np.sort(labeling[energy.edges], axis=1)
        ends = ends[ends[:, 0] != ends[:, 1]]
        pairs[ends[:, 0], ends[:, 1]] = True
        return pairs

    def _step(self, context: ProposalContext, unary: FloatArray, seen: BoolArray) -> IntArray:
        energy = context.energy.with_unary(unary)
        best = context.solve(unary, self.iterations)
        value = energy.evaluate(best) - self.reward * self._new(energy, best, seen)
        forced: Forced = []
        while True:
            known = seen | self._covered(energy, best)
            costs = flip_costs(energy.arrays(energy.unary.copy()), best)
            for node, _ in forced:
                costs[node, np.arange(energy.n_labels) != best[node]] = np.inf
            found = (
                cheapest_label(costs, known)
                if self.of == "presence"
                else cheapest_pair(costs, energy, best, known)
            )
            if not found:
                return best
            forced = forced + found
            trial = context.solve(_force(unary, forced, energy), self.iterations)
            cost = energy.evaluate(trial) - self.reward * self._new(energy, trial, seen)
            if cost >= value:
                return best
            best, value = trial, cost

    def _new(self, energy: PottsEnergy, labeling: IntArray, seen: BoolArray) -> int:
        return int((self._covered(energy, labeling) & ~seen).sum())


def cheapest_label(costs: FloatArray, known: BoolArray) -> Forced:
    """The node and label of least cost, among labels not known.

    Parameters
    ----------
    costs : (n, L) float64
    known : (L,) bool

    Returns
    -------
    list of (int, int)
        One node and its label, or none.
    """
    open_costs = np.where(known, np.inf, costs)
    place = int(open_costs.argmin())
    if not np.isfinite(open_costs.flat[place]):
        return []
    return [divmod(place, costs.shape[1])]


def cheapest_pair(
    costs: FloatArray, energy: PottsEnergy, labeling: IntArray, known: BoolArray
) -> Forced:
    """The two ends of an edge and their labels of least cost, among pairs not known.

    The cost of changing both ends is that of changing each, corrected for the edge they share.

    Parameters
    ----------
    costs : (n, L) float64
        As of `flip_costs`.
    energy : PottsEnergy
    labeling : (n,) int64
    known : (L, L) bool

    Returns
    -------
    list of (int, int)
        Two nodes and their labels, or none.
    """
    allowed = ~(known | known.T) & ~np.eye(energy.n_labels, dtype=bool)
    e, left, right = _cheapest_pair(costs, energy.edges, energy.pairwise, labeling, allowed)
    if e < 0:
        return []
    i, j = energy.edges[e].tolist()
    return [(i, left), (j, right)]


@njit(cache=True)
def _cheapest_pair(
    costs: FloatArray,
    edges: IntArray,
    pairwise: PairwiseCosts,
    labeling: IntArray,
    allowed: BoolArray,
) -> tuple[int, int, int]:
    weights, tables = pairwise
    n_nodes, n_labels = costs.shape
    # Most pairs cost more than the best one whatever their edge gives back, and are passed over.
    cheapest = np.empty(n_nodes)
    for i in range(n_nodes):
        cheapest[i] = costs[i].min()
    gives_back = 2.0 if len(tables) == 0 else 2.0 * tables.max() - tables.min()
    best = np.inf
    found = (-1, -1, -1)
    for e in range(len(edges)):
        i, j = edges[e]
        weight = weights[e]
        here = labeling[i]
        there = labeling[j]
        now = pair_cost(pairwise, e, here, there)
        # With room for rounding.
        least = now - weight * gives_back - 1e-9 * (1.0 + abs(now) + weight)
        for left in range(n_labels):
            if costs[i, left] + cheapest[j] + least >= best:
                continue
            for right in range(n_labels):
                if not allowed[left, right] or costs[i, left] + costs[j, right] + least >= best:
                    continue
                cost = costs[i, left] + costs[j, right] + now
                cost += pair_cost(pairwise, e, left, right)
                cost -= pair_cost(pairwise, e, left, there)
                cost -= pair_cost(pairwise, e, here, right)
                if cost < best:
                    best = cost
                    found = (e, left, right)
    return found


def _force(unary: FloatArray, forced: Forced, energy: PottsEnergy) -> FloatArray:
    """Unaries under which the forced labels are cheaper than all the others can make good."""
    changed = unary.copy()
    reach = 1.0 if energy.compatibility is None else float(np.ptp(energy.compatibility))
    barrier = 1.0 + float(np.ptp(unary)) + reach * float(energy.weights.sum())
    for node, label in forced:
        changed[node] += barrier
        changed[node, label] -= barrier
    return changed
