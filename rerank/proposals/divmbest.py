"""Diverse M-best solutions with Hamming diversity (Batra et al. 2012, DivMBest).

Each labeling minimises the energy plus, at every node, a cost for each earlier labeling that gave
the node the same label: a Lagrangian relaxation of "at least so different from all earlier
ones", and a change of the unaries alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rerank.crf import METHODS, GraphCutSolver, PottsEnergy, contract, map_inference
from rerank.crf.graph_cut import is_submodular
from rerank.crf.trws import check_relaxation
from rerank.errors import InputError
from rerank.proposals.augmented_problems import AugmentedProblems, Schedule, solve_augmented
from rerank.proposals.generator import ProposalGenerator, check_amount, check_count
from rerank.proposals.proposal_context import ProposalContext, Regions, check_kind
from rerank.proposals.proposal_set import ProposalSet
from rerank.types import Array, FloatArray, IntArray, RandomState
from rerank.validation import check_finite


def div_mbest(
    energy: PottsEnergy,
    n_proposals: int,
    diversity: float,
    *,
    method: str = "auto",
    node_weights: Array | None = None,
    class_weights: Array | None = None,
    **options: Any,
) -> ProposalSet:
    """Make labelings one after another, each pushed away from all earlier ones.

    Parameters
    ----------
    energy : PottsEnergy
    n_proposals : int
        M, at least 1. Labelings may repeat where `diversity` is too small to drive them apart.
    diversity : float
        Cost, in units of the energy, of giving a node of weight 1 a label that it had before; at
        least 0. A tenth to three tenths of an average node's cost is a good start.
    method : {"auto", "trws", "graph_cut", "alpha_expansion", "icm"}
        ``trws`` keeps its messages from one labeling to the next, joins the best parts of the
        labelings read off them, and ends with ICM; ``graph_cut`` (two labels) is exact and keeps
        its flow; the others call `map_inference` afresh. ``auto`` is ``graph_cut`` where that
        applies and ``trws`` elsewhere.
    node_weights : (n,) float, optional
        Weight of each node in the diversity, at least 0; ones by default. With areas the
        diversity counts pixels instead of superpixels.
    class_weights : (L,) float, optional
        Factor for each label that is repeated, at least 0; ones by default.
    **options
        Options of the method. ``alpha_expansion`` and ``icm`` take those of `map_inference`,
        ``graph_cut`` takes none. ``trws`` takes these, and so does ``auto``, which needs them
        only where it is ``trws``:

        - ``map_iterations`` (int, 10): TRW-S iterations for the first labeling, at least 1;
        - ``iterations`` (float, 2): those for each later labeling, at least 1; a half one is a
          pass in one direction;
        - ``relaxation`` (float, 1.25): how far all but the last pass of a later labeling go
          from TRW-S, which is 1, towards max-product belief propagation; at least 1. Up to 1.5
          labelings mostly get better; bounds get looser where the pairwise costs are strong.

    Returns
    -------
    ProposalSet
        The first row is the MAP labeling as the method finds it. ``lower_bounds[k]`` bounds the
        energy of every labeling that agrees with the first k rows at most as much, weighted, as
        row k does; ``gaps[k]`` is thereby also the gap of the k-th augmented problem.

    Raises
    ------
    InputError
        If a count, weight or diversity is out of range or not finite, the method is unknown or
        cannot take this energy, or an option does not belong to it.

    Examples
    --------
    >>> import numpy as np
    >>> energy = PottsEnergy(np.array([[0.0, 1.0], [0.0, 0.3], [0.2, 0.0]]),
    ...                      np.array([[0, 1], [1, 2]]), np.array([0.5, 0.1]))
    >>> div_mbest(energy, 3, diversity=0.5).labelings
    array([[0, 0, 1],
           [0, 0, 0],
           [1, 1, 1]])
    """
    if n_proposals < 1:
        raise InputError(f"n_proposals must be at least 1, got {n_proposals}")
    if not (np.isfinite(diversity) and diversity >= 0):
        raise InputError(f"diversity must be finite and at least 0, got {diversity}")
    by_node = check_weights(node_weights, energy.n_nodes, "node_weights")
    by_class = check_weights(class_weights, energy.n_labels, "class_weights")
    penalty = diversity * by_node[:, None] * by_class
    if method == "auto":
        method = "graph_cut" if _takes_cuts(energy) else "trws"
        schedule, options = _schedule(method, options), {}
    elif method == "trws":
        schedule = _schedule(method, options)
    if method == "trws":
        labelings, gaps = solve_augmented(energy, n_proposals, penalty, schedule)
    elif method == "graph_cut":
        if options:
            raise InputError(f"method {method!r} has no option {sorted(options)[0]!r}")
        labelings, gaps = _by_cuts(energy, n_proposals, penalty)
    elif method in METHODS:
        labelings, gaps = _afresh(energy, n_proposals, penalty, method, options)
    else:
        raise InputError(f"method must be auto or one of {', '.join(METHODS)}, got {method!r}")
    energies = energy.evaluate(labelings)
    return ProposalSet.of(
        "div_mbest",
        labelings,
        energies,
        energies - gaps,
        {"diversity": float(diversity), "method": method},
        [{"mode": k} for k in range(n_proposals)],
    )


def div_mbest_each(
    energy: PottsEnergy,
    n_proposals: int,
    diversities: Sequence[float],
    *,
    method: str = "auto",
    node_weights: Array | None = None,
) -> list[IntArray]:
    """The labelings of `div_mbest` for each of several diversities.

    Parameters
    ----------
    energy : PottsEnergy
    n_proposals : int
    diversities : sequence of float
    method : {"auto", "trws", "graph_cut", "alpha_expansion", "icm"}
    node_weights : (n,) float, optional
        As `div_mbest` takes them.

    Returns
    -------
    list of (n_proposals, n) int64
        TRW-S finds the first labeling once for all of them.

    Raises
    ------
    InputError
        As in `div_mbest`.
    """
    if method not in ("auto", "trws") or (method == "auto" and _takes_cuts(energy)):
        return [
            div_mbest(energy, n_proposals, each, method=method, node_weights=node_weights).labelings
            for each in diversities
        ]
    check_count(n_proposals, "n_proposals")
    weights = check_weights(node_weights, energy.n_nodes, "node_weights")
    problems = AugmentedProblems(energy, _schedule("trws", {}))
    found = []
    for diversity in diversities:
        check_amount(diversity, "diversity")
        penalty = diversity * weights[:, None] * np.ones(energy.n_labels)
        found.append(problems.solve(n_proposals, penalty)[0])
    return found


def _takes_cuts(energy: PottsEnergy) -> bool:
    return energy.n_labels == 2 and is_submodular(energy)


def check_weights(values: Array | None, size: int, name: str) -> FloatArray:
    """Return weights as float64, or ones for None.

    Parameters
    ----------
    values : (size,) float, optional
    size : int
    name : str
        What the message calls them.

    Returns
    -------
    (size,) float64

    Raises
    ------
    InputError
        If the shape differs, or a value is not finite or is negative.
    """
    if values is None:
        return np.ones(size)
    weights = np.asarray(values, dtype=np.float64)
    if weights.shape != (size,):
        raise InputError(f"{name} must have shape ({size},), got {weights.shape}")
    check_finite(weights, name)
    if (weights < 0).any():
        raise InputError(f"{name} must be at least 0, the least is {weights.min()}")
    return weights


def _schedule(method: str, options: dict[str, Any]) -> Schedule:
    known = {"map_iterations": 10, "iterations": 2, "relaxation": 1.25}
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise InputError(f"method {method!r} has no option {unknown[0]!r}")
    map_iterations, iterations, relaxation = {**known, **options}.values()
    if not min(map_iterations, iterations) >= 1 or iterations != round(2 * iterations) / 2:
        raise InputError(
            f"map_iterations and iterations must be at least 1, in steps of 1 and 1/2, got "
            f"{map_iterations} and {iterations}"
        )
    check_relaxation(relaxation)
    return Schedule(map_iterations, round(2 * iterations), float(relaxation))


def _by_cuts(
    energy: PottsEnergy, n_proposals: int, penalty: FloatArray
) -> tuple[IntArray, FloatArray]:
    solver = GraphCutSolver(energy)
    difference = energy.unary[:, 1] - energy.unary[:, 0]
    labelings = np.empty((n_proposals, energy.n_nodes), dtype=np.int64)
    for k in range(n_proposals):
        labelings[k] = solver.cut(difference)
        difference += np.where(labelings[k] == 1, penalty[:, 1], -penalty[:, 0])
    return labelings, np.zeros(n_proposals)


def _afresh(
    energy: PottsEnergy, n_proposals: int, penalty: FloatArray, method: str, options: dict[str, Any]
) -> tuple[IntArray, FloatArray]:
    nodes = np.arange(energy.n_nodes)
    theta = energy.unary.copy()
    labelings = np.empty((n_proposals, energy.n_nodes), dtype=np.int64)
    gaps = np.empty(n_proposals)
    for k in range(n_proposals):
        init = labelings[k - 1] if method == "icm" and k else None
        result = map_inference(energy.with_unary(theta), method, init=init, **options)
        labelings[k], gaps[k] = result.labeling, result.gap
        theta[nodes, result.labeling] += penalty[nodes, result.labeling]
    return labelings, gaps


@dataclass(frozen=True)
class DivMBest(ProposalGenerator):
    """Labelings one after another, each pushed away from all earlier ones (`div_mbest`).

    With regions other than superpixels the labelings are constant on each region, so that whole
    objects change their label; bounds then hold among such labelings.

    Parameters
    ----------
    diversity : float
        Cost of a repeated label, at least 0.
    per : {"node", "area"}
        Count each superpixel or region once, or by its share of the area (a superpixel of average
        size counts 1).
    regions : {"superpixels", "components"} or int
        What changes its label as a whole; see `ProposalContext.regions`.
    class_weights : tuple of L floats, optional
        Factor for each label that is repeated, at least 0.
    iterations : int
        TRW-S iterations a labeling.
    """

    name: ClassVar[str] = "div_mbest"
    diversity: float = 0.2
    per: str = "node"
    regions: Regions = "superpixels"
    class_weights: tuple[float, ...] | None = None
    iterations: int = 2

    def __post_init__(self) -> None:
        check_amount(self.diversity, "diversity")
        check_count(self.iterations, "iterations")
        check_kind(self.regions)
        if self.per not in ("node", "area"):
            raise InputError(f"per must be 'node' or 'area', got {self.per!r}")

    def generate(
        self, context: ProposalContext, n_proposals: int, random_state: RandomState = None
    ) -> ProposalSet:
        """Make exactly `n_proposals` labelings; they may repeat where the diversity is small."""
        region = context.regions(self.regions)
        whole = self.regions == "superpixels"
        energy = context.energy if whole else contract(context.energy, region)
        weights = np.bincount(region, weights=context.node_areas) if self.per == "area" else None
        classes = None if self.class_weights is None else np.asarray(self.class_weights)
        found = div_mbest(
            energy,
            n_proposals,
            self.diversity,
            node_weights=weights,
            class_weights=classes,
            iterations=self.iterations,
        )
        each = [{"mode": k} for k in range(n_proposals)]
        bounds = found.lower_bounds
        rows = found.labelings[:, region]
        if not whole:
            # The contracted sums round differently.
            bounds = np.minimum(bounds, context.energy.evaluate(rows))
        return self._wrap(context, rows, bounds, each)
