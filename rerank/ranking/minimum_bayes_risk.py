"""Choice of the proposal of the highest expected quality (Premachandran et al. 2014)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rerank.errors import InputError
from rerank.features import expected_qualities
from rerank.ranking.image_rows import ImageRows, best_rows, check_rows_finite, image_rows
from rerank.ranking.ranker import Ranker, check_positive
from rerank.types import FloatArray

#: Temperatures that are tried, as multiples of the energies' spread within an image.
TEMPERATURE_STEPS = tuple(10.0 ** (k / 2) for k in range(-6, 7))


def minimum_bayes_risk_columns(
    energies: Any, similarities: Sequence[Any], groups: Any
) -> FloatArray:
    """Lay out the columns that `MinimumBayesRiskRanker` takes.

    Parameters
    ----------
    energies : array-like of shape (N,)
        Energy of each proposal, lower is more probable.
    similarities : sequence of n_images arrays of shape (M_i, M_i)
        ``similarities[i][m, n]`` is the quality of proposal m of image i if proposal n were the
        truth (such as its mean IoU against it); images in order of first appearance.
    groups : array-like of shape (N,)
        Image of each proposal.

    Returns
    -------
    ndarray of shape (N, 2 K), K = max M_i
        Columns 0..K-1: similarity to each proposal of the image, 0 where there is none. Columns
        K..2K-1: those proposals' energies, +infinity where there is none.

    Raises
    ------
    InputError
        Where shapes do not match, or a value is NaN or infinite.
    """
    energy = np.asarray(energies, dtype=np.float64)
    images = image_rows(groups)
    if energy.shape != (images.starts[-1],):
        raise InputError(f"energies must have shape ({images.starts[-1]},), got {energy.shape}")
    if len(similarities) != images.n_images:
        raise InputError(
            f"similarities holds {len(similarities)} arrays for {images.n_images} images"
        )
    sizes = np.diff(images.starts)
    width = int(sizes.max())
    ordered = images.ordered(energy)
    columns = np.zeros((len(energy), 2 * width))
    columns[:, width:] = np.inf
    for i, similarity in enumerate(similarities):
        table = np.asarray(similarity, dtype=np.float64)
        if table.shape != (sizes[i], sizes[i]):
            raise InputError(
                f"similarities[{i}] must have shape ({sizes[i]}, {sizes[i]}), got {table.shape}"
            )
        part = columns[images.starts[i] : images.starts[i + 1]]
        part[:, : sizes[i]] = table
        part[:, width : width + sizes[i]] = ordered[images.starts[i] : images.starts[i + 1]]
    result = images.restored(columns)
    _check_columns(result, 0)
    return result


def expected_quality(energies: Any, similarity: Any, temperature: float) -> FloatArray:
    """Expected quality of each proposal of one image (Premachandran et al. 2014).

    ``sum_n p_n similarity[m, n]`` with p = softmax(-energies / temperature): any proposal may be
    the truth, with a probability given by its energy.

    Parameters
    ----------
    energies : array-like of shape (M,)
    similarity : array-like of shape (M, M)
        ``similarity[m, n]``: quality of m if n were the truth.
    temperature : float
        Above 0. Small: only the lowest energy counts. Large: all proposals count the same.

    Returns
    -------
    ndarray of shape (M,)
        In the unit of the similarity.

    Raises
    ------
    InputError
        Where `temperature` is not a finite number above 0.

    Examples
    --------
    >>> similarity = np.array([[1.0, 0.8, 0.1], [0.8, 1.0, 0.3], [0.1, 0.3, 1.0]])
    >>> expected_quality([0.0, 0.0, 0.0], similarity, temperature=1.0).round(3)
    array([0.633, 0.7  , 0.467])
    """
    return expected_qualities(energies, similarity, (check_positive(temperature, "temperature"),))[
        :, 0
    ]


class MinimumBayesRiskRanker(Ranker):
    """Score a proposal by its expected quality against the others (Premachandran et al. 2014).

    Parameters
    ----------
    temperature : float, optional
        Of the softmax over -energy, in the unit of the energies. Without it, `fit` takes the one
        whose choices have the highest mean quality on the training images, out of 13 from 1e-3
        to 1e3 times the energies' mean standard deviation within images (the first of equals).

    Attributes
    ----------
    temperature_ : float

    Notes
    -----
    `X` is what `minimum_bayes_risk_columns` returns. At prediction it may have another K than in
    `fit`: the number of columns says how many proposals an image has, not which features.
    """

    def __init__(self, *, temperature: float | None = None) -> None:
        self.temperature = temperature

    def _fit(self, rows: Any, quality: FloatArray, images: ImageRows) -> None:
        columns = np.asarray(rows[:], dtype=np.float64)
        _check_columns(columns, 0)
        if self.temperature is not None:
            self.temperature_ = check_positive(self.temperature, "temperature")
            return
        energies = columns[:, columns.shape[1] // 2 :]
        spread = np.std(energies, axis=1, where=np.isfinite(energies)).mean()
        unit = spread if spread > 0 else 1.0
        candidates = [unit * step for step in TEMPERATURE_STEPS]
        gains = [quality[best_rows(_expected(columns, t), images)].mean() for t in candidates]
        self.temperature_ = float(candidates[int(np.argmax(gains))])

    def _scores(self, block: FloatArray) -> FloatArray:
        return _expected(block, self.temperature_)

    def _n_columns(self) -> int | None:
        return None

    def _check_block(self, block: FloatArray, first_row: int) -> None:
        _check_columns(block, first_row)


def _check_columns(columns: FloatArray, first_row: int) -> None:
    width = columns.shape[1] // 2
    if columns.shape[1] % 2:
        raise InputError(
            "X must hold K similarities and K energies, as minimum_bayes_risk_columns "
            f"returns them; {columns.shape[1]} columns are not an even number"
        )
    check_rows_finite(columns[:, :width], first_row)
    energies = columns[:, width:]
    check_rows_finite(np.where(np.isposinf(energies), 0.0, energies), first_row)
    empty = np.flatnonzero(np.isposinf(energies).all(axis=1))
    if len(empty):
        raise InputError(f"X has no finite energy in row {first_row + int(empty[0])}")


def _expected(columns: FloatArray, temperature: float) -> FloatArray:
    width = columns.shape[1] // 2
    energies = columns[:, width:]
    mass = np.exp(-(energies - energies.min(axis=1, keepdims=True)) / temperature)
    return np.asarray((mass * columns[:, :width]).sum(axis=1) / mass.sum(axis=1))
