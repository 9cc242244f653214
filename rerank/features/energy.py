"""Energy, place in the list, generator and certificate of each proposal."""

from __future__ import annotations

import numpy as np

from rerank.errors import InputError
from rerank.features.naming import scalar_names
from rerank.features.table import FeatureTable
from rerank.types import Array, FloatArray
from rerank.validation import check_finite

ENERGY_FEATURES = (
    "energy",
    "energy_per_region",
    "above_best",
    "above_best_per_region",
    "energy_rank",
    "rank",
    "has_bound",
    "gap",
    "certified",
)


def energy_features(
    energies: Array,
    lower_bounds: Array,
    n_regions: int,
    generator: Array,
    generators: tuple[str, ...],
    image_id: str = "",
) -> FeatureTable:
    """The class-free features that come from how a proposal was made.

    `energy` (a cost), `energy_per_region`, `above_best` = energy less the least of the image's
    proposals (the MAP's, where it is among them), `above_best_per_region`, `energy_rank` =
    share of the other proposals with less energy, `rank` = place in the list as given, from 0 to 1,
    `has_bound` = 1 where the lower bound is finite, `gap` = (energy - bound) per region where
    there is one and else 0, `certified` = 1 where that gap is at most 1e-6 of
    the energy's size, and one column a generator, 1 for the proposals that it made.

    Parameters
    ----------
    energies : (M,) float
    lower_bounds : (M,) float
        On the energy of the same labeling problem; -inf or NaN where there is none.
    n_regions : int
    generator : (M,) int
        Index into `generators`.
    generators : tuple of str
        All generators that any image of the collection has, so that columns agree.
    image_id : str

    Returns
    -------
    FeatureTable
        M rows of group `proposal`.

    Raises
    ------
    InputError
        If shapes disagree, an energy is not finite, or a generator is unknown.
    """
    energies = np.asarray(energies, dtype=np.float64)
    bounds = np.asarray(lower_bounds, dtype=np.float64)
    made_by = np.asarray(generator)
    if energies.ndim != 1 or bounds.shape != energies.shape or made_by.shape != energies.shape:
        raise InputError(
            f"energies {energies.shape}, lower_bounds {bounds.shape} and generator "
            f"{made_by.shape} must all be (M,)"
        )
    check_finite(energies, "energies", image_id)
    n = len(energies)
    if n and not (made_by.min() >= 0 and made_by.max() < len(generators)):
        raise InputError(
            f"generator must be 0..{len(generators) - 1}, found {made_by.min()} to {made_by.max()}"
        )
    above = energies - energies.min(initial=np.inf)
    bounded = np.isfinite(bounds)
    gap = np.where(bounded, energies - np.where(bounded, bounds, 0.0), 0.0)
    certified = bounded & (gap <= 1e-6 * np.maximum(1.0, np.abs(energies)))
    values = np.empty((n, len(ENERGY_FEATURES) + len(generators)))
    for k, column in enumerate(
        (
            energies,
            energies / n_regions,
            above,
            above / n_regions,
            energy_rank(energies),
            np.arange(n) / max(n - 1, 1),
            bounded,
            gap / n_regions,
            certified,
        )
    ):
        values[:, k] = column
    values[:, len(ENERGY_FEATURES) :] = made_by[:, None] == np.arange(len(generators))
    columns = scalar_names("proposal", ENERGY_FEATURES + tuple(f"made_by_{g}" for g in generators))
    return FeatureTable.of_image(values, columns, "proposal", image_id)


def energy_rank(energies: FloatArray) -> FloatArray:
    """(M,) share of the other proposals with less energy: 0 for the best, equal for equals."""
    ordered = np.sort(energies)
    return np.searchsorted(ordered, energies, side="left") / max(len(energies) - 1, 1)
