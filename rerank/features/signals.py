"""What each source says of every class in every region, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numba import njit

from rerank.errors import InputError
from rerank.features.classifiers import foreground_classes
from rerank.features.inputs import ImageInputs
from rerank.features.posterior import PROBABILITY_FLOOR, cells_to_regions
from rerank.features.statistics import labeling_components
from rerank.potentials import affinity_weights
from rerank.types import Array, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class PosteriorSignals:
    """F signals of n regions and C classes; higher means that the class is more likely."""

    names: tuple[str, ...]  #: F names
    values: FloatArray  #: (n, C, F) float32

    def __post_init__(self) -> None:
        values = np.ascontiguousarray(self.values, dtype=np.float32)
        if values.ndim != 3 or values.shape[2] != len(self.names):
            raise InputError(f"values must be (n, C, {len(self.names)}), got {values.shape}")
        if not np.isfinite(values).all():
            bad = int(np.flatnonzero(~np.isfinite(values).all(axis=(0, 1)))[0])
            raise InputError(f"signal {self.names[bad]!r} is not finite")
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "values", values)


def region_signals(
    probabilities: Array,
    areas: Array,
    *,
    segnet_map: Array | None = None,
    cell_overlap: Array | None = None,
    scores: Array | None = None,
    size_scores: Array | None = None,
    location: Array | None = None,
    prior: Array | None = None,
    appearance: Array | None = None,
    posterior: Array | None = None,
    dense: Array | None = None,
    background: int | None = None,
) -> PosteriorSignals:
    """Collect what is known of each region and class before any proposal is made.

    Logarithms are of probabilities of at least 1e-4:

    - `superpixel`: log p of stage 1;
    - `image`, `highest`: log of p averaged over the image, and of its highest value there;
    - with a SegNet: `segnet`, log of its probability carried to the region, and
      `segnet_image`, log of its average over the image;
    - with classifiers: `classifier`, the score of the class (0 for the background), `denied`,
      the same where it is below 0 and else 0, so that a class that the image has not can
      weigh more than one that it has, and `size`, the mean of its size-threshold scores;
    - with a location prior: `location`, its logarithm;
    - with class frequencies: `prior`, their logarithm, so that what leans towards rare or
      frequent classes can be set upright;
    - with the regions' appearance: `similar`, log of p averaged over the regions that look
      alike (`affinity_weights`), twice over, and with a SegNet `segnet_similar`, the same of
      its probabilities;
    - with a second posterior: `posterior`, its logarithm, `posterior_image`, log of its average
      over the image, and with appearance `posterior_similar`; with that of a dense network the
      same three as `dense`, `dense_image` and `dense_similar`.

    Parameters
    ----------
    probabilities : (n, C) float
    areas : (n,) float, pixels
    segnet_map : (gh, gw, C) float, optional
        Needs `cell_overlap`, (gh * gw, n).
    scores, size_scores : (K,), (K * P,) float, optional
        Of `ImageClassifiers` and `SizeThresholdClassifiers`; both or none.
    location : (n, C) float, optional
        Of `LocationPrior.transform`.
    prior : (C,) float, optional
        Share of each class among the training pixels.
    appearance : (n, D) float, optional
        Such as mean colours.
    posterior : (n, C) float, optional
        Class probabilities from another model than stage 1's.
    dense : (n, C) float, optional
        Those of a dense network, averaged over each region.
    background : int or None
        The class without classifiers.

    Returns
    -------
    PosteriorSignals

    Raises
    ------
    InputError
        If an input is given without its companion, or a signal is not finite.
    """
    if (segnet_map is None) != (cell_overlap is None):
        raise InputError("segnet_map and cell_overlap must be given together")
    if (scores is None) != (size_scores is None):
        raise InputError("scores and size_scores must be given together")
    p = np.asarray(probabilities, dtype=np.float64)
    planes = _region_planes(
        p,
        np.asarray(areas, dtype=np.float64),
        segnet_map,
        cell_overlap,
        scores,
        size_scores,
        location,
        background,
    )
    if prior is not None:
        planes["prior"] = _log(prior)
    for name, other in (("posterior", posterior), ("dense", dense)):
        if other is not None:
            planes[name] = _log(other)
            planes[f"{name}_image"] = _log(np.asarray(areas) / np.sum(areas) @ other)
    if appearance is not None:
        kernel = affinity_weights(appearance, areas)
        planes["similar"] = _log(kernel @ (kernel @ p))
        for name in ("segnet", "posterior", "dense"):
            if name in planes:
                planes[f"{name}_similar"] = _log(kernel @ (kernel @ np.exp(planes[name])))
    return _stack(planes, p.shape)


def _region_planes(
    p: FloatArray,
    areas: FloatArray,
    segnet_map: Array | None,
    cell_overlap: Array | None,
    scores: Array | None,
    size_scores: Array | None,
    location: Array | None,
    background: int | None,
) -> dict[str, FloatArray]:
    n_classes = p.shape[1]
    share = areas / areas.sum()
    planes = {"superpixel": _log(p), "image": _log(share @ p), "highest": _log(p.max(axis=0))}
    if segnet_map is not None and cell_overlap is not None:
        regions = cells_to_regions(np.asarray(segnet_map).reshape(-1, n_classes), cell_overlap)
        planes["segnet"] = _log(regions)
        planes["segnet_image"] = _log(share @ regions)
    if scores is not None and size_scores is not None:
        foreground = foreground_classes(n_classes, background)
        for name, values in (
            ("classifier", np.asarray(scores)),
            ("denied", np.minimum(scores, 0)),
            ("size", np.reshape(size_scores, (len(foreground), -1)).mean(axis=1)),
        ):
            plane: FloatArray = np.zeros(n_classes)
            plane[foreground] = values
            planes[name] = plane
    if location is not None:
        planes["location"] = _log(location)
    return planes


def posterior_signals(inputs: ImageInputs) -> PosteriorSignals:
    """Collect what the sources of one image, its proposals among them, say of each region.

    The signals of `region_signals` but for `prior` and those of look-alikes, and of the proposals:

    - `component`: log of p averaged over the region's connected component in the proposal of
      least energy; `components`: the same averaged over all proposals before the logarithm;
    - `votes`: log of (proposals that give the region this class + 1/2) / (M + C / 2);
    - with a posterior: `posterior`, its logarithm.

    Parameters
    ----------
    inputs : ImageInputs

    Returns
    -------
    PosteriorSignals
    """
    i = inputs
    n_classes = len(i.classes)
    share = i.areas / i.areas.sum()
    best = int(np.argmin(i.energies))
    component = labeling_components(i.labelings, i.edges)
    planes = _region_planes(
        i.probabilities,
        i.areas,
        i.segnet_map,
        None if i.segnet_map is None else i.cell_overlap,
        i.scores,
        i.size_scores,
        i.location,
        i.background,
    )
    planes["component"] = _log(_pool(component[best : best + 1], i.probabilities, share))
    planes["components"] = _log(_pool(component, i.probabilities, share))
    planes["votes"] = np.log(
        (_votes(i.labelings, n_classes) + 0.5) / (len(i.labelings) + 0.5 * n_classes)
    )
    if i.posterior is not None:
        planes["posterior"] = _log(i.posterior)
    return _stack(planes, i.probabilities.shape)


def _stack(planes: Mapping[str, FloatArray], shape: tuple[int, ...]) -> PosteriorSignals:
    values = np.empty((*shape, len(planes)), dtype=np.float32)
    for k, plane in enumerate(planes.values()):
        values[:, :, k] = plane
    return PosteriorSignals(tuple(planes), values)


def _log(probabilities: Array) -> FloatArray:
    return np.asarray(np.log(np.maximum(probabilities, PROBABILITY_FLOOR)))


@njit(cache=True)
def _votes(labels: Array, n_classes: int) -> FloatArray:
    votes = np.zeros((labels.shape[1], n_classes))
    for m in range(labels.shape[0]):
        for i in range(labels.shape[1]):
            votes[i, labels[m, i]] += 1.0
    return votes


@njit(cache=True)
def _pool(component: IntArray, p: FloatArray, share: FloatArray) -> FloatArray:
    n_proposals, n = component.shape
    pooled = np.zeros(p.shape)
    mean = np.empty(p.shape)
    weight = np.empty(n)
    for m in range(n_proposals):
        mean[:] = 0.0
        weight[:] = 0.0
        for i in range(n):
            root = component[m, i]
            weight[root] += share[i]
            mean[root] += share[i] * p[i]
        for i in range(n):
            root = component[m, i]
            pooled[i] += mean[root] / (weight[root] * n_proposals)
    return pooled
