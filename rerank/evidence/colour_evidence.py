"""What an image's colours say of its regions' classes, by the colours of all its regions."""

from __future__ import annotations

import numpy as np

from rerank.errors import InputError
from rerank.potentials.appearance_affinity import affinity_weights
from rerank.types import Array, FloatArray

#: Share of the image that speaks for no class: a class of little area is known by few colours.
COLOUR_PRIOR = 0.2


def colour_evidence(
    probabilities: Array, kernel: Array, areas: Array, prior: float = COLOUR_PRIOR
) -> FloatArray:
    """How much likelier each class is where the image has a region's colours than elsewhere.

    ``log((sum_j K_ij p_jc + m) / (P_c + m))``, with K of `affinity_weights`, P_c = mean of p_jc
    by area, and m = `prior`. It is the pointwise mutual information of class and colour within
    the image, by a kernel estimate that leaves the region itself out, and shrunk towards 0 for
    classes of small expected area.

    Parameters
    ----------
    probabilities : (n, C) float
        Class probabilities of the regions.
    kernel : (n, n) float
        Row i holds the weights of the other regions for region i; rows sum to 1.
    areas : (n,) float
    prior : float
        Above 0, in shares of the image.

    Returns
    -------
    (n, C) float64
        To be added to log-probabilities, times a weight.

    Raises
    ------
    InputError
        If shapes disagree, or `prior` is not above 0.
    """
    p, pixels = np.asarray(probabilities, np.float64), np.asarray(areas, np.float64)
    if p.ndim != 2 or np.shape(kernel) != (len(p), len(p)) or pixels.shape != (len(p),):
        raise InputError(
            f"probabilities {p.shape}, kernel {np.shape(kernel)} and areas {pixels.shape} must be "
            "(n, C), (n, n) and (n,)"
        )
    if not prior > 0:
        raise InputError(f"prior must be above 0, got {prior}")
    here, anywhere = np.asarray(kernel) @ p, pixels / pixels.sum() @ p
    return np.asarray(np.log((here + prior) / (anywhere + prior)))


def with_evidence(probabilities: Array, evidence: Array, weight: float) -> FloatArray:
    """Class probabilities of regions after evidence: proportional to ``p exp(weight * evidence)``.

    Parameters
    ----------
    probabilities : (n, C) float
    evidence : (n, C) float
    weight : float

    Returns
    -------
    (n, C) float64
        Rows sum to 1.
    """
    p = np.asarray(probabilities, np.float64) * np.exp(weight * np.asarray(evidence))
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def informed_by_colours(
    probabilities: Array, region_values: Array, areas: Array, weight: float
) -> FloatArray:
    """Class probabilities of regions after the `colour_evidence` of all others.

    Parameters
    ----------
    probabilities : (n, C) float
    region_values : (n, D) float
        Mean colours, by which `affinity_weights` compares regions.
    areas : (n,) float
    weight : float
        0 leaves the probabilities as they are.

    Returns
    -------
    (n, C) float array
        Rows sum to 1.
    """
    if not weight:
        return probabilities
    kernel = affinity_weights(region_values, areas)
    return with_evidence(probabilities, colour_evidence(probabilities, kernel, areas), weight)
