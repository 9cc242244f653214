"""M labelings found together: low energies and many differences, as one problem.

Minimise ``sum_m E(y^m) - diversity * sum_i w_i * #{m < m' : y^m_i != y^m'_i}``. DivMBest is its
greedy approximation (Kirillov et al. 2015). For two labels and a submodular energy the minimum is
found exactly by M independent cuts (Kirillov et al. 2016): at a node with k ones the
pairs that differ number k (M - k), concave in k, so some minimiser is nested, and its m-th
labeling minimises ``E(y) - diversity * (M - 2m + 1) * sum_i w_i y_i``. For more labels expansion
moves change one labeling at a time given the others, in turn with trades of labels between two of
them (`exchange`); once from the labelings of DivMBest, and once after expansion moves of all
labelings at once (`joint_moves`). The lower of the two ends is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rerank.crf import GraphCutSolver, PottsEnergy, alpha_expansion, is_submodular
from rerank.crf.expansion import check_expandable
from rerank.errors import InputError
from rerank.proposals.divmbest import check_weights, div_mbest
from rerank.proposals.generator import ProposalGenerator, check_amount, check_count
from rerank.proposals.joint_moves import exchange, expand_together, together
from rerank.proposals.proposal_context import ProposalContext
from rerank.proposals.proposal_set import ProposalSet
from rerank.types import Array, FloatArray, IntArray, RandomState


def joint_mbest(
    energy: PottsEnergy,
    n_proposals: int,
    diversity: float,
    *,
    node_weights: Array | None = None,
    max_cycles: int = 20,
    bound_iterations: int = 50,
) -> ProposalSet:
    """Minimise the sum of the energies of M labelings less a reward for each difference.

    Parameters
    ----------
    energy : PottsEnergy
        Two labels and submodular, or tables that `alpha_expansion` takes.
    n_proposals : int
        M, at least 1.
    diversity : float
        Reward, in units of the energy, for each pair of labelings that differ at a node of weight
        1; at least 0. The same scale as in `div_mbest`.
    node_weights : (n,) float, optional
        Weight of each node in the diversity, at least 0; ones by default.
    max_cycles : int
        At most this many rounds of moves (more than two labels).
    bound_iterations : int
        TRW-S iterations spent on the lower bound (more than two labels).

    Returns
    -------
    ProposalSet
        In the order of energy. With two labels the joint problem is solved exactly
        (``parameters[k]["exact"]``), and ``lower_bounds`` are the energies: row k has the least
        energy of all labelings with so many ones (or more, or fewer, as its multiplier goes). With
        more, the joint cost is at most that of `div_mbest`, and the bound is one on all energies.

    Raises
    ------
    InputError
        If a number or weight is out of range, or no cut can express a table.

    Examples
    --------
    >>> import numpy as np
    >>> energy = PottsEnergy(np.array([[0.0, 0.3], [0.0, 0.2], [0.4, 0.0]]),
    ...                      np.array([[0, 1], [1, 2]]), np.array([0.1, 0.1]))
    >>> joint_mbest(energy, 3, diversity=0.2).labelings
    array([[0, 0, 1],
           [0, 0, 0],
           [1, 1, 1]])
    """
    check_count(n_proposals, "n_proposals")
    check_amount(diversity, "diversity")
    check_count(max_cycles, "max_cycles")
    check_count(bound_iterations, "bound_iterations", least=0)
    weights = diversity * check_weights(node_weights, energy.n_nodes, "node_weights")
    exact = energy.n_labels == 2 and is_submodular(energy)
    if exact:
        rows = _by_parametric_cuts(energy, n_proposals, weights)
        energies = energy.evaluate(rows)
        bounds = energies
    else:
        check_expandable(energy)
        rows = _by_expansion(energy, n_proposals, diversity, weights, node_weights, max_cycles)
        energies = energy.evaluate(rows)
        bound = alpha_expansion(
            energy, rows[energies.argmin()], max_cycles=1, bound_iterations=bound_iterations
        ).lower_bound
        bounds = np.minimum(energies, bound)
    order = np.argsort(energies, kind="stable")
    return ProposalSet.of(
        "joint_mbest",
        rows[order],
        energies[order],
        bounds[order],
        {"diversity": float(diversity), "exact": exact},
        [{"rank": k} for k in range(n_proposals)],
    )


def joint_cost(
    energy: PottsEnergy, labelings: Array, diversity: float, node_weights: Array | None = None
) -> float:
    """What `joint_mbest` minimises: the energies less the reward for each pair's differences.

    Parameters
    ----------
    energy : PottsEnergy
    labelings : (M, n) int
    diversity : float
    node_weights : (n,) float, optional

    Returns
    -------
    float
    """
    weights = check_weights(node_weights, energy.n_nodes, "node_weights")
    return together(energy, np.asarray(labelings), diversity * weights)


def _by_parametric_cuts(energy: PottsEnergy, n_proposals: int, weights: FloatArray) -> IntArray:
    solver = GraphCutSolver(energy)
    difference = energy.unary[:, 1] - energy.unary[:, 0]
    rows = np.empty((n_proposals, energy.n_nodes), dtype=np.int64)
    for m in range(1, n_proposals + 1):
        # Rising multipliers, so that each cut starts from the flow of its neighbour.
        rows[m - 1] = solver.cut(difference - (n_proposals - 2 * m + 1) * weights)
    return rows


def _by_expansion(
    energy: PottsEnergy,
    n_proposals: int,
    diversity: float,
    weights: FloatArray,
    node_weights: Array | None,
    max_cycles: int,
) -> IntArray:
    start = div_mbest(
        energy, n_proposals, diversity, method="trws", node_weights=node_weights
    ).labelings
    ends = [_one_by_one(energy, start, weights, max_cycles)]
    if n_proposals > 1 and weights.any():
        moved = expand_together(energy, start, weights, max_cycles)
        ends.append(_one_by_one(energy, moved, weights, max_cycles))
    return min(ends, key=lambda rows: together(energy, rows, weights))


def _one_by_one(
    energy: PottsEnergy, start: IntArray, weights: FloatArray, max_cycles: int
) -> IntArray:
    """Expansions of each labeling given the others, in turn with trades."""
    nodes, rows = np.arange(energy.n_nodes), start.copy()
    taken = np.zeros_like(energy.unary)
    for row in rows:
        taken[nodes, row] += weights
    for _ in range(max_cycles):
        changed = False
        for row in rows:
            taken[nodes, row] -= weights
            given = energy.with_unary(energy.unary + taken)
            better = alpha_expansion(given, row)
            now = given.evaluate(row)
            # A difference within rounding would let labels go round in circles.
            if better.energy < now - 1e-12 * (1 + abs(now)):
                row[:] = better.labeling
                changed = True
            taken[nodes, row] += weights
        if not changed and not exchange(energy, rows):
            break
    return rows


@dataclass(frozen=True)
class JointMBest(ProposalGenerator):
    """The labelings of `joint_mbest` for a fixed number of them, by rising energy.

    Parameters
    ----------
    diversity : float
        Reward for each pair that differs at a node, at least 0.
    size : int
        How many labelings are found together, however many are asked for.
    per : {"node", "area"}
        Count each superpixel once, or by its share of the area.
    """

    name: ClassVar[str] = "joint_mbest"
    diversity: float = 0.1
    size: int = 10
    per: str = "node"

    def __post_init__(self) -> None:
        check_amount(self.diversity, "diversity")
        check_count(self.size, "size")
        if self.per not in ("node", "area"):
            raise InputError(f"per must be 'node' or 'area', got {self.per!r}")

    def generate(
        self, context: ProposalContext, n_proposals: int, random_state: RandomState = None
    ) -> ProposalSet:
        """Make at most `size` labelings."""
        weights = context.node_areas if self.per == "area" else None
        found = joint_mbest(context.energy, self.size, self.diversity, node_weights=weights).take(
            range(min(n_proposals, self.size))
        )
        each = [{"rank": k} for k in range(len(found))]
        return self._wrap(context, found.labelings, found.lower_bounds, each)
