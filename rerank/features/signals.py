"""What each source says of every class in every region, side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from rerank.errors import InputError
from rerank.features.classifiers import foreground_classes
from rerank.features.inputs import ImageInputs
from rerank.features.posterior import PROBABILITY_FLOOR, cells_to_regions
from rerank.features.statistics import labeling_components
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


def posterior_signals(inputs: ImageInputs) -> PosteriorSignals:
    """Collect what the sources of one image say of each region and class.

    Logarithms are of probabilities of at least 1e-4:

    - `superpixel`: log p of stage 1;
    - `component`: log of p averaged over the region's connected component in the proposal of
      least energy; `components`: the same averaged over all proposals before the logarithm;
    - `votes`: log of (proposals that give the region this class + 1/2) / (M + C / 2);
    - `image`, `highest`: log of p averaged over the image, and of its highest value there;
    - with a SegNet: `segnet`, log of its probability carried to the region, and
      `segnet_image`, log of its average over the image;
    - with classifiers: `classifier`, the score of the class (0 for the background), `denied`,
      the same where it is below 0 and else 0, so that a class that the image has not can
      weigh more than one that it has, and `size`, the mean of its size-threshold scores;
    - with a location prior: `location`, its logarithm;
    - with a posterior: `posterior`, its logarithm.

    Parameters
    ----------
    inputs : ImageInputs

    Returns
    -------
    PosteriorSignals
    """
    i = inputs
    n, n_classes = len(i.areas), len(i.classes)
    share = i.areas / i.areas.sum()
    best = int(np.argmin(i.energies))
    component = labeling_components(i.labelings, i.edges)
    planes: dict[str, FloatArray] = {
        "superpixel": _log(i.probabilities),
        "component": _log(_pool(component[best:best + 1], i.probabilities, share)),
        "components": _log(_pool(component, i.probabilities, share)),
        "votes": np.log((_votes(i.labelings, n_classes) + 0.5)
                        / (len(i.labelings) + 0.5 * n_classes)),
        "image": _log(share @ i.probabilities),
        "highest": _log(i.probabilities.max(axis=0)),
    }
    if i.segnet_map is not None and i.cell_overlap is not None:
        regions = cells_to_regions(np.asarray(i.segnet_map).reshape(-1, n_classes),
                                   i.cell_overlap)
        planes["segnet"] = _log(regions)
        planes["segnet_image"] = _log(share @ regions)
    if i.scores is not None and i.size_scores is not None:
        foreground = foreground_classes(n_classes, i.background)
        for name, scores in (("classifier", np.asarray(i.scores)),
                             ("denied", np.minimum(i.scores, 0)),
                             ("size", np.reshape(i.size_scores, (len(foreground), -1)).mean(
                                 axis=1))):
            plane: FloatArray = np.zeros(n_classes)
            plane[foreground] = scores
            planes[name] = plane
    if i.location is not None:
        planes["location"] = _log(i.location)
    if i.posterior is not None:
        planes["posterior"] = _log(i.posterior)
    values = np.empty((n, n_classes, len(planes)), dtype=np.float32)
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
