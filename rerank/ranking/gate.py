"""A gate before the ranker's choice: the network's own labeling stays unless the ranker is sure.

The promise is about the share of images whose IoU falls by more than a tolerance when the choice
replaces the network's labeling.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
from scipy.stats import beta, binom

from rerank.errors import InputError
from rerank.ranking.stored_fit import StoredFit
from rerank.types import Array, BoolArray, FloatArray, IntArray

#: What a gate can measure its confidence by.
STATISTICS = ("relative_margin", "margin", "margin_per_change")
#: What is kept where the gate is shut, in words.
REFERENCES = {"network": "the network's", "map": "the MAP"}
#: Exponent of the change that a margin is divided by, chosen on training images of VOC 2012.
CHANGE_EXPONENT = 0.75


class GatedChoice(NamedTuple):
    """What a gate lets through.

    Attributes
    ----------
    choice : (n_images,) int64 array
        The proposal that is taken.
    kept : (n_images,) bool array
        Whether the gate kept the network's labeling although the ranker prefers another one.
    confidence : (n_images,) float64 array
        Of the ranker in its own choice, in the unit of `threshold_`; 0 where it chooses the
        network's labeling itself.
    """

    choice: IntArray
    kept: BoolArray
    confidence: FloatArray


def smallest_n_images(level: float, delta: float) -> int:
    """Images that a promise needs at least: with fewer, not even no fall at all is enough.

    Without a fall among n images, a share of `level` is refuted with probability 1 - `delta` where
    ``(1 - level)**n <= delta``.

    Parameters
    ----------
    level, delta : float
        In (0, 1).

    Returns
    -------
    int

    Examples
    --------
    >>> smallest_n_images(0.1, 0.1), smallest_n_images(0.05, 0.1)
    (22, 45)
    """
    level, delta = _share(level, "level"), _share(delta, "delta")
    n_images = max(math.floor(math.log(delta) / math.log1p(-level)) - 1, 1)
    # The rule of `most_falls` decides, not the rounding of the logarithms.
    while most_falls(n_images, level, delta) < 0:
        n_images += 1
    return n_images


def most_falls(n_images: int, level: float, delta: float) -> int:
    """The largest number of falls among n images that refutes a share above a level.

    It is the largest k with ``P(Binomial(n, level) <= k) <= delta``: the exact test's p-value of
    k falls is that probability.

    Parameters
    ----------
    n_images : int
    level, delta : float
        In (0, 1).

    Returns
    -------
    int
        -1 where even no fall does not refute it.

    Examples
    --------
    >>> most_falls(100, 0.1, 0.1), most_falls(22, 0.1, 0.1), most_falls(21, 0.1, 0.1)
    (5, 0, -1)
    """
    counts = np.arange(n_images + 1)
    return int((binom.cdf(counts, n_images, level) <= delta).sum()) - 1


def upper_bound(n_falls: int, n_images: int, delta: float) -> float:
    """Upper confidence bound of a share (Clopper and Pearson 1934).

    Parameters
    ----------
    n_falls, n_images : int
        Falls among so many images.
    delta : float
        The bound is below the true share with at most this probability.

    Returns
    -------
    float
        1 where there is no image.

    Examples
    --------
    >>> round(upper_bound(5, 100, 0.1), 4)
    0.0908
    """
    if n_falls >= n_images:
        return 1.0
    return float(beta.ppf(1.0 - delta, n_falls + 1, n_images - n_falls))


class Gate(StoredFit):
    """Choose another proposal than the network's labeling only where the ranker is confident.

    The choice of the ranker is made where its confidence is above `threshold_`. That is calibrated
    on images that neither the network nor the ranker was fitted on, such that with a probability of
    at least 1 - `delta` over the draw of these images the promise holds: of new images, drawn
    alike, the share whose IoU falls by more than `tolerance` below that of the network's labeling
    is at most `level`. All images count, those too whose labeling is kept.

    Parameters
    ----------
    level : float
        In (0, 1).
    delta : float
        In (0, 1).
    tolerance : float
        IoU in [0, 1) that may be lost without counting as a fall.
    statistic : {"relative_margin", "margin", "margin_per_change"}
        Confidence: the score of the choice less that of the network's labeling (`margin`). It is
        divided by the standard deviation of the image's scores (`relative_margin`), or by the
        power 0.75 of the change that the choice makes (`margin_per_change`): the same margin says
        more where less is changed. That keeps most of the gain, and needs `change`.
    on_shortfall : {"network", "choice"}
        What to do where there are too few images for any promise: keep the network's labeling
        everywhere, or make every choice without a promise.
    reference : {"network", "map"}
        What explanations call the labeling that is kept; it is MAP where there is no network.

    Attributes
    ----------
    threshold_ : float
        Infinity where nothing is let through, -infinity where everything is.
    bound_ : float
        Upper confidence bound of the share of falls at the threshold (Clopper-Pearson, 1 - delta).
    share_ : float
        The observed share of falls at the threshold; NaN without images.
    n_images_, n_falls_, n_changed_ : int
        Calibration images; those that fall, and those whose choice is made, at the threshold.
    n_needed_ : int
        Images that a promise at this level needs at least.
    promised_ : bool
        Whether the promise holds.
    explanation_ : str
        All this as a sentence or two.

    Notes
    -----
    The procedure is Learn-then-Test (Angelopoulos et al. 2021) with exact binomial p-values: the
    hypothesis of a threshold t is that the share of falls R(t) is above the level. Thresholds are
    tested from the strictest on, each at level delta, until one is not rejected (fixed sequence
    testing). No grid is needed, and no power is lost to one, because R falls with t: let t* be the
    smallest threshold with R(t*) <= level. The promise breaks only if the gate opens beyond t*;
    then the falls of a confidence of t* or more were at most `most_falls`. These have a share of
    at least the level, so that this happens with a probability of at most delta. Equal
    confidences are let through together or not at all, so that ties do no harm.
    """

    FITTED: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        "threshold_": float,
        "bound_": float,
        "share_": float,
        "n_images_": int,
        "n_falls_": int,
        "n_changed_": int,
        "n_needed_": int,
        "promised_": bool,
        "explanation_": str,
    }

    def __init__(
        self,
        *,
        level: float = 0.1,
        delta: float = 0.1,
        tolerance: float = 0.01,
        statistic: str = "relative_margin",
        on_shortfall: str = "network",
        reference: str = "network",
    ) -> None:
        self.level = level
        self.delta = delta
        self.tolerance = tolerance
        self.statistic = statistic
        self.on_shortfall = on_shortfall
        self.reference = reference

    def fit(self, scores: Any, quality: Any, network: Any = 0, change: Any | None = None) -> Gate:
        """Calibrate the threshold.

        Parameters
        ----------
        scores : array-like of shape (n_images, M)
            Of each proposal by a ranker that was not fitted on that image; higher is better.
            -infinity where an image has fewer proposals.
        quality : array-like of shape (n_images, M)
            IoU of each proposal in [0, 1]. An image is left out where the network's labeling has
            NaN: it holds no labelled pixel.
        network : int, or array-like of shape (n_images,), default 0
            Index of the network's own labeling.
        change : array-like of shape (n_images, M), optional
            1 less the IoU of each proposal with the network's labeling, in [0, 1]; for the
            statistic `margin_per_change` alone.

        Returns
        -------
        self

        Raises
        ------
        InputError
            If a setting is out of range, shapes do not match, or a value is NaN or infinite.
        """
        level, delta, tolerance = self._check_settings()
        table, reference = _check_scores(scores, network)
        iou = np.asarray(quality, dtype=np.float64)
        if iou.shape != table.shape:
            raise InputError(f"quality must have the shape of scores, {table.shape}: {iou.shape}")
        rows = np.arange(len(table))
        choice, confidence = self._prefer(table, reference, change)
        own, chosen = iou[rows, reference], iou[rows, choice]
        counted = np.isfinite(own)
        if not np.isfinite(chosen[counted]).all():
            image = int(np.flatnonzero(counted & ~np.isfinite(chosen))[0])
            raise InputError(f"quality of proposal {choice[image]} of image {image} is not finite")
        confidence = confidence[counted]
        changed = (choice != reference)[counted]
        # The tolerance is of the order of 0.01, so that 1e-12 only takes rounding away.
        falls = (own - chosen)[counted] > tolerance + 1e-12
        n_images, self.n_images_ = int(counted.sum()), int(counted.sum())
        allowed = most_falls(n_images, level, delta)
        self.n_needed_ = smallest_n_images(level, delta)
        self.promised_ = allowed >= 0
        if self.promised_:
            ordered = np.sort(confidence[falls])[::-1]
            self.threshold_ = float(ordered[allowed]) if len(ordered) > allowed else -np.inf
        else:
            self.threshold_ = np.inf if self.on_shortfall == "network" else -np.inf
        let_through = changed & (confidence > self.threshold_)
        self.n_changed_, self.n_falls_ = int(let_through.sum()), int((let_through & falls).sum())
        self.share_ = self.n_falls_ / n_images if n_images else np.nan
        # Where the gate is shut there is nothing to estimate.
        shut = not self.promised_ and self.on_shortfall == "network"
        self.bound_ = 0.0 if shut else upper_bound(self.n_falls_, n_images, delta)
        self.explanation_ = self._explain(int(falls.sum()), int(changed.sum()))
        return self

    def choose(self, scores: Any, network: Any = 0, change: Any | None = None) -> GatedChoice:
        """The ranker's choice where it is confident, the network's labeling elsewhere.

        Parameters
        ----------
        scores : array-like of shape (n_images, M)
            As in `fit`.
        network : int, or array-like of shape (n_images,), default 0
            Index of the network's own labeling.
        change : array-like of shape (n_images, M), optional
            As in `fit`.

        Returns
        -------
        GatedChoice

        Raises
        ------
        NotFittedError
            Before `fit`.
        InputError
            If shapes do not match, or a score is NaN.
        """
        self._check_fitted()
        table, reference = _check_scores(scores, network)
        choice, confidence = self._prefer(table, reference, change)
        kept = (choice != reference) & ~(confidence > self.threshold_)
        return GatedChoice(np.where(kept, reference, choice), kept, confidence)

    def _prefer(
        self, scores: FloatArray, network: IntArray, change: Any | None
    ) -> tuple[IntArray, FloatArray]:
        """The ranker's own choice, and its confidence in it."""
        rows = np.arange(len(scores))
        choice = scores.argmax(axis=1)
        # Of equal scores the network's labeling counts as the better one.
        choice = np.where(scores[rows, choice] > scores[rows, network], choice, network)
        margin = scores[rows, choice] - scores[rows, network]
        if self.statistic == "margin_per_change":
            moved = _check_change(change, scores)[rows, choice]
            # A choice that changes nothing can't do harm.
            ratio = margin / np.where(moved > 0, moved, 1.0) ** CHANGE_EXPONENT
            return choice, np.where((moved > 0) | (choice == network), ratio, np.inf)
        if change is not None:
            raise InputError(f"change is of the statistic margin_per_change, not {self.statistic}")
        if self.statistic == "margin":
            return choice, margin
        present = np.isfinite(scores)
        spread = np.std(np.where(present, scores, 0.0), axis=1, where=present)
        return choice, margin / np.where(spread > 0, spread, 1.0)

    def _check_settings(self) -> tuple[float, float, float]:
        if self.statistic not in STATISTICS:
            raise InputError(
                f"statistic must be one of {', '.join(STATISTICS)}, got {self.statistic!r}"
            )
        if self.on_shortfall not in ("network", "choice"):
            raise InputError(f"on_shortfall must be network or choice, got {self.on_shortfall!r}")
        if self.reference not in REFERENCES:
            raise InputError(f"reference must be network or map, got {self.reference!r}")
        tolerance = float(self.tolerance)
        if not 0 <= tolerance < 1:
            raise InputError(f"tolerance must be in [0, 1), got {self.tolerance!r}")
        return _share(self.level, "level"), _share(self.delta, "delta"), tolerance

    def _explain(self, all_falls: int, all_changed: int) -> str:
        points = f"{100 * self.tolerance:g} IoU points"
        level, sure = f"{100 * self.level:g} %", f"{100 * (1 - self.delta):g} %"
        own = f"{REFERENCES[self.reference]} labeling"
        if not self.promised_:
            then = (
                f"{own} is kept everywhere"
                if self.on_shortfall == "network"
                else "every choice is made, without a promise"
            )
            return (
                f"No promise: {self.n_images_} labelled images are too few to show with {sure} "
                f"confidence that at most {level} of the images fall by more than {points}; it "
                f"takes {self.n_needed_}, even if none falls. So {then}."
            )
        text = (
            f"Of {self.n_images_} labelled images {self.n_changed_} get another labeling than "
            f"{'MAP' if self.reference == 'map' else REFERENCES['network']}, and "
            f"{self.n_falls_} fall by more than {points} "
            f"({100 * self.share_:.1f} %). With {sure} confidence at most "
            f"{100 * self.bound_:.1f} % of new images fall so; the level is {level}."
        )
        if self.n_changed_ < all_changed:
            text += (
                f" Without the gate {all_changed} would get another one, and {all_falls} "
                f"would fall."
            )
        return text


def _check_scores(scores: Any, network: Any) -> tuple[FloatArray, IntArray]:
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] == 0:
        raise InputError(f"scores must have shape (n_images, M) with M >= 1, got {table.shape}")
    if np.isnan(table).any() or np.isposinf(table).any():
        raise InputError("scores must be finite, or -infinity for proposals that do not exist")
    reference: Array = np.asarray(network)
    if reference.dtype.kind not in "iu" or reference.shape not in ((), (len(table),)):
        raise InputError(
            f"network must be the index of a proposal, or one for each of {len(table)} images, got "
            f"shape {reference.shape} of {reference.dtype}"
        )
    reference = np.broadcast_to(reference, (len(table),)).astype(np.int64)
    if len(table) and (reference.min() < 0 or reference.max() >= table.shape[1]):
        raise InputError(f"network must be in 0..{table.shape[1] - 1}")
    if not np.isfinite(table[np.arange(len(table)), reference]).all():
        raise InputError("the network's own labeling must have a finite score in each image")
    return table, reference


def _check_change(change: Any | None, scores: FloatArray) -> FloatArray:
    if change is None:
        raise InputError("the statistic margin_per_change needs change; give it, or another one")
    moved = np.asarray(change, dtype=np.float64)
    if moved.shape != scores.shape:
        raise InputError(f"change must have the shape of scores, {scores.shape}: {moved.shape}")
    here = moved[np.isfinite(scores)]
    if not ((here >= 0) & (here <= 1)).all():
        raise InputError("change must be in [0, 1] for each proposal")
    return moved


def _share(value: Any, name: str) -> float:
    number = float(value)
    if not 0 < number < 1:
        raise InputError(f"{name} must lie between 0 and 1, got {value!r}")
    return number
