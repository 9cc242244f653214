"""Scores of image classifiers, alone and multiplied with what a proposal paints."""

from __future__ import annotations

import numpy as np

from rerank.errors import InputError
from rerank.evidence import PERCENTILES, foreground_classes
from rerank.features.feature_table import FeatureTable
from rerank.features.naming import check_class_names, class_names
from rerank.types import Array


def classification_features(
    scores: Array,
    size_scores: Array,
    thresholds: Array,
    proposal_shares: Array,
    background: int | None = None,
    classes: tuple[str, ...] = (),
    image_id: str = "",
    percentiles: tuple[float, ...] = PERCENTILES,
) -> FeatureTable:
    """Classifier scores of the image for each of its proposals.

    With K foreground classes and P percentiles, s_c the score of class c and s_ct that of
    "c fills at least its t-th threshold":

    - `score[c]`, `size_score_20[c]`, ...: the K + KP scores themselves (Cogswell et al. 2014,
      section 4). They are the same for all proposals of an image, so that they help only a
      ranker that multiplies columns; a linear ranker needs the columns below.
    - `score_painted[c]`: s_c where the proposal paints c, else 0.
    - `size_score_claimed_20[c]`, ...: s_ct where the proposal's share is at least the
      threshold, else 0.
    - `denied[c]`: max(0, -s_c) where the proposal paints c.
    - `missed[c]`: max(0, s_c) where it does not paint c.
    - `size_denied[c]`, `size_missed[c]`: the same over thresholds, summed.

    Parameters
    ----------
    scores : (K,) float
    size_scores : (K * P,) float
        Thresholds of one class side by side.
    thresholds : (K, P) float
        Shares of the image, from training images.
    proposal_shares : (M, C) float
        Share of the image that each proposal gives to each class.
    background : int or None
        The class without classifiers: K = C - 1 with it, C without.
    classes : C names
    image_id : str
    percentiles : tuple of P float
        For the columns' names.

    Returns
    -------
    FeatureTable
        M rows, 6K + 2KP columns of group `classification`, of which the first K + KP are the
        paper's.

    Raises
    ------
    InputError
        If shapes disagree.
    """
    shares = np.asarray(proposal_shares, dtype=np.float64)
    if shares.ndim != 2:
        raise InputError(f"proposal_shares must be (M, C), got {shares.shape}")
    foreground = foreground_classes(shares.shape[1], background)
    n_foreground, n_sizes = len(foreground), len(percentiles)
    s = np.asarray(scores, dtype=np.float64)
    t = np.asarray(size_scores, dtype=np.float64)
    limits = np.asarray(thresholds, dtype=np.float64)
    for name, value, shape in (
        ("scores", s, (n_foreground,)),
        ("size_scores", t, (n_foreground * n_sizes,)),
        ("thresholds", limits, (n_foreground, n_sizes)),
    ):
        if value.shape != shape:
            raise InputError(
                f"{name} must be {shape} for {n_foreground} foreground classes and "
                f"{n_sizes} percentiles, got {value.shape}"
            )
    all_names = check_class_names(classes, shares.shape[1])
    shares = shares[:, foreground]
    sizes = t.reshape(n_foreground, n_sizes)
    painted = shares > 0
    claimed = painted[:, :, None] & (shares[:, :, None] >= limits)
    denied = claimed * np.maximum(-sizes, 0)
    missed = ~claimed * np.maximum(sizes, 0)
    n_rows = len(shares)
    # Size columns stand percentile by percentile, as their names do.
    values = np.concatenate(
        [
            np.broadcast_to(s, (n_rows, n_foreground)),
            np.broadcast_to(sizes.T.ravel(), (n_rows, n_foreground * n_sizes)),
            painted * s,
            (claimed * sizes).transpose(0, 2, 1).reshape(n_rows, -1),
            painted * np.maximum(-s, 0),
            ~painted * np.maximum(s, 0),
            denied.sum(axis=2),
            missed.sum(axis=2),
        ],
        axis=1,
    )
    names = tuple(all_names[c] for c in foreground)
    columns = (
        class_names("classification", ("score",), names)
        + class_names("classification", tuple(f"size_score_{p:g}" for p in percentiles), names)
        + class_names("classification", ("score_painted",), names)
        + class_names(
            "classification", tuple(f"size_score_claimed_{p:g}" for p in percentiles), names
        )
        + class_names("classification", ("denied", "missed", "size_denied", "size_missed"), names)
    )
    return FeatureTable.of_image(values, columns, "classification", image_id)


def paper_columns(classification: FeatureTable) -> FeatureTable:
    """The K + KP columns of `classification_features` that stand for the paper's.

    Cogswell et al. 2014, section 4, has K scores of classes and KP of sizes for an image: 100
    columns for VOC. They are constant within an image, where a linear ranker compares proposals,
    so a weight acts on them only through what a proposal paints. These are therefore
    `score_painted` and `size_score_claimed`: each score where the proposal paints the class, or
    paints at least the size, and 0 where it does not.

    Parameters
    ----------
    classification : FeatureTable
        Of `classification_features`.

    Returns
    -------
    FeatureTable
    """
    kept = ("classification.score_painted[", "classification.size_score_claimed_")
    return classification.select(columns=[c for c in classification.columns if c.startswith(kept)])
