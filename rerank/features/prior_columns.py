"""Columns of the priors: does each class lie where it usually lies, with its usual company?"""

from __future__ import annotations

import numpy as np

from rerank.errors import InputError
from rerank.features.feature_table import FeatureTable
from rerank.features.naming import class_names, scalar_names
from rerank.types import Array, FloatArray


def cooccurrence_score(painted: Array, log_ratio: Array) -> FloatArray:
    """Mean log ratio of co-occurrence over the pairs of painted classes; 0 where there is no pair.

    Parameters
    ----------
    painted : (M, C) bool
        Whether each proposal paints each class.
    log_ratio : (C, C) float
        `log_ratio_` of `CooccurrencePrior`.

    Returns
    -------
    (M,) float64

    Raises
    ------
    InputError
        If shapes disagree.
    """
    there = np.asarray(painted, dtype=np.float64)
    if there.ndim != 2 or np.shape(log_ratio) != (there.shape[1],) * 2:
        raise InputError(
            f"painted {there.shape} and log_ratio {np.shape(log_ratio)} must be (M, C) and (C, C)"
        )
    count = there.sum(axis=1)
    # The diagonal is 0, so that each pair comes twice in the quadratic form.
    total = ((there @ log_ratio) * there).sum(axis=1)
    return np.asarray(total / np.maximum(count * (count - 1), 1.0))


def prior_features(
    location: Array | None,
    log_ratio: Array | None,
    painted: Array,
    classes: tuple[str, ...],
    image_id: str = "",
) -> FeatureTable:
    """Score each proposal by the priors; columns of a prior that is None are left out.

    Parameters
    ----------
    location : (M, C) float or None
        `class_log_prob` of the labelings under the location prior. Gives `location_log_prob` =
        mean over the image of log prior(label), and a class `location[c]` = its part of
        class c, and `mean_location[c]` = the same over the painted share (0 if c is not
        painted).
    log_ratio : (C, C) float or None
        Of `CooccurrencePrior`. Gives `cooccurrence` (see `cooccurrence_score`), and a class
        `company[c]` = mean log ratio of a painted c with the other painted classes.
    painted : (M, C) float
        Share of the image that each proposal gives to each class.
    classes : C names
    image_id : str

    Returns
    -------
    FeatureTable
        M rows of group `proposal`.

    Raises
    ------
    InputError
        If both priors are None.
    """
    there = np.asarray(painted) > 0
    columns: tuple[str, ...] = ()
    blocks = []
    if location is not None:
        log_prob = np.asarray(location, dtype=np.float64)
        blocks += [
            log_prob.sum(axis=1, keepdims=True),
            log_prob,
            log_prob / np.where(there, painted, 1.0),
        ]
        columns += scalar_names("proposal", ("location_log_prob",)) + class_names(
            "proposal", ("location", "mean_location"), classes
        )
    if log_ratio is not None:
        others = np.maximum(there.sum(axis=1, keepdims=True) - 1, 1)
        blocks += [
            cooccurrence_score(there, log_ratio)[:, None],
            there * (there.astype(np.float64) @ log_ratio) / others,
        ]
        columns += scalar_names("proposal", ("cooccurrence",)) + class_names(
            "proposal", ("company",), classes
        )
    if not blocks:
        raise InputError("prior_features needs a location or a co-occurrence prior")
    return FeatureTable.of_image(np.concatenate(blocks, axis=1), columns, "proposal", image_id)
