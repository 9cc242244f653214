"""Energy, place in the list, generator and certificate of each proposal."""

from __future__ import annotations

import numpy as np

from rerank.errors import InputError
from rerank.features.feature_table import FeatureTable
from rerank.features.naming import scalar_names
from rerank.proposals import ProposalSet
from rerank.types import FloatArray
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
    proposals: ProposalSet, generators: tuple[str, ...], image_id: str = ""
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
    proposals : ProposalSet
        Of M labelings of the image's regions. Bounds are on the energy of the same labeling
        problem, and -inf or NaN where there is none.
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
        If energies or bounds are not (M,), an energy is not finite, or a generator is unknown.
    """
    energies = np.asarray(proposals.energies, dtype=np.float64)
    bounds = np.asarray(proposals.lower_bounds, dtype=np.float64)
    n, n_regions = proposals.labelings.shape
    if energies.shape != (n,) or bounds.shape != (n,):
        raise InputError(
            f"energies {energies.shape} and lower_bounds {bounds.shape} must be ({n},)"
        )
    check_finite(energies, "energies", image_id)
    unknown = sorted(set(proposals.generators) - set(generators))
    if unknown:
        where = f"{image_id}: " if image_id else ""
        raise InputError(f"{where}generator {unknown[0]!r} is not among generators {generators}")
    made_by = np.array([generators.index(name) for name in proposals.generators], dtype=np.int64)
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
