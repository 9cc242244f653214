"""Expected quality of each proposal if the truth were one of the image's proposals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rerank.errors import InputError
from rerank.features.feature_table import FeatureTable
from rerank.features.naming import scalar_names
from rerank.features.probability_scores import score_against
from rerank.metrics import image_iou, pairwise_counts
from rerank.types import Array, FloatArray

#: In units of the energy, which is nats for each region of average area.
TEMPERATURES = (3.0, 10.0, 30.0)
RISK_SCALARS = tuple(f"expected_quality_{temperature:g}" for temperature in TEMPERATURES)
#: How much expected IoU a labeling may lose; chosen on maps made from the truth by small errors,
#: and on training images of VOC 2012, MSRC-21 and CamVid.
DEPARTURE = 0.9
#: With samples of the truth.
SAMPLED_SCALARS = (*RISK_SCALARS, "sampled_quality", "untrained_score")


def similarity_matrix(
    labelings: Array, areas: Array, n_classes: int, truths: Array | None = None
) -> FloatArray:
    """Mean IoU of each labeling if another one were the truth.

    The mean is over the classes that one of the two labelings has.

    Parameters
    ----------
    labelings : (M, n) int
    areas : (n,) float, whole pixels
    n_classes : int
    truths : (K, n) int, optional
        What could be the truth; the labelings themselves by default.

    Returns
    -------
    (M, K) float64
        Entry [m, k] judges labeling m by truth k.

    Raises
    ------
    InputError
        If shapes disagree, or a label is out of range.
    """
    return image_iou(pairwise_counts(labelings, areas, n_classes, truths))


def expected_qualities(
    energies: Array, similarity: Array, temperatures: Sequence[float] = TEMPERATURES
) -> FloatArray:
    """Expected quality of each proposal at each temperature (Premachandran et al. 2014).

    ``sum_n p_n similarity[m, n]`` with p = softmax(-energies / temperature). A ranker learns
    how much weight each temperature gets.

    Parameters
    ----------
    energies : (M,) float
    similarity : (M, M) float
        ``similarity[m, n]``: quality of proposal m, such as its mean IoU, if n were the truth.
    temperatures : sequence of T floats
        Above 0, in the unit of the energies.

    Returns
    -------
    (M, T) float64 array

    Raises
    ------
    InputError
        If shapes disagree, or a value is not finite.

    Examples
    --------
    >>> expected_qualities([0.0, 0.0], [[1.0, 0.5], [0.4, 1.0]]).round(2)
    array([[0.75, 0.75, 0.75],
           [0.7 , 0.7 , 0.7 ]])
    """
    energy, table = np.asarray(energies, np.float64), np.asarray(similarity, np.float64)
    if energy.ndim != 1 or table.shape != (len(energy), len(energy)):
        raise InputError(
            f"energies must be (M,) and similarity (M, M), got {energy.shape} and {table.shape}"
        )
    if not (np.isfinite(energy).all() and np.isfinite(table).all()):
        raise InputError("energies and similarity must be finite")
    above = energy - energy.min(initial=np.inf)
    weights = np.exp(-above[:, None] / np.asarray(temperatures))
    return np.asarray(table @ (weights / weights.sum(axis=0)))


def untrained_scores(
    energies: Array, similarity: Array, sampled: Array, temperature: float = 1.0
) -> FloatArray:
    """Scores of proposals by what the truth may be, without any training.

    The mean of two expected qualities: under the proposals, each with its probability
    softmax(-energies / T), T = `temperature` times the standard deviation of the energies, and
    under the samples, each equally likely.

    Parameters
    ----------
    energies : (M,) float
    similarity : (M, M) float
        ``similarity[m, n]``: quality of proposal m if n were the truth.
    sampled : (M, S) float
        The same for S samples.
    temperature : float
        Above 0.

    Returns
    -------
    (M,) float64 array
    """
    spread = max(float(np.std(energies)), 1e-9)
    by_energy = expected_qualities(energies, similarity, (temperature * spread,))[:, 0]
    scores: FloatArray = (by_energy + np.mean(sampled, axis=1)) / 2
    return scores


def departs_too_far(labeling: Array, own: Array, probabilities: Array, areas: Array) -> bool:
    """Whether the class probabilities speak against a labeling other than a network's own.

    With E the expected mean IoU of a labeling under the class probabilities, E = mean over
    classes c of ``sum_i a_i p_ic [x_i = c] / (sum_i a_i ([x_i = c] + p_ic (1 - [x_i = c])))``, a
    labeling may lose ``0.9 (1 - E(own)) ** 1.75``: a network that doubts itself leaves much open,
    one that is nearly sure leaves next to nothing, not even its small objects.

    Parameters
    ----------
    labeling, own : (n,) int
        The labeling that is asked about, and the network's own.
    probabilities : (n, C) float
        Class probabilities of the nodes, before any smoothing.
    areas : (n,) float

    Returns
    -------
    bool
    """
    scores = score_against(np.stack([own, labeling]), probabilities, areas)
    sure, expected = scores.iou[:, np.union1d(labeling, own)].mean(axis=1)
    return bool(sure - expected > DEPARTURE * (1 - sure) ** 1.75)


def risk_names(expected: FloatArray) -> tuple[str, ...]:
    """Names of the columns of `risk_features`."""
    return RISK_SCALARS if expected.shape[1] == len(RISK_SCALARS) else SAMPLED_SCALARS


def risk_features(expected: FloatArray, image_id: str = "") -> FeatureTable:
    """The columns of `expected_qualities` and, with samples, those that they add.

    Parameters
    ----------
    expected : (M, 3) or (M, 5) float
        At the default temperatures; then by samples, and `untrained_scores`.
    image_id : str

    Returns
    -------
    FeatureTable
        M rows, 3 or 5 columns of group `proposal`.
    """
    columns = scalar_names("proposal", risk_names(expected))
    return FeatureTable.of_image(expected, columns, "proposal", image_id)
