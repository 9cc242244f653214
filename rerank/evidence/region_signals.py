"""What each source says of every class in every region, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rerank.errors import InputError
from rerank.evidence.colour_evidence import colour_evidence
from rerank.evidence.image_classifiers import foreground_classes
from rerank.evidence.image_evidence import ImageEvidence, ImageScores
from rerank.potentials import affinity_weights
from rerank.types import Array, FloatArray

#: Probabilities below this count as this before a logarithm is taken.
PROBABILITY_FLOOR = 1e-4


@dataclass(frozen=True, eq=False)
class RegionSignals:
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
    evidence: ImageEvidence, areas: Array, region_values: Array | None = None, colours: bool = False
) -> RegionSignals:
    """Collect what is known of each region and class before any proposal is made.

    Logarithms are of probabilities of at least 1e-4. The signals are:

    - `superpixel`: log p of stage 1;
    - `image`, `highest`: log of p averaged over the image, and of its highest value there;
    - with a SegNet: `segnet`, log of its probability carried to the region, and
      `segnet_image`, log of its average over the image;
    - with image classifiers: `classifier`, the score of the class (0 for the background);
      `denied`, the same where it is below 0 and else 0, so that absent classes can have another
      weight than present ones; and `size`, the mean of the size-threshold scores of the class;
    - with a location prior: `location`, its logarithm;
    - with class frequencies: `prior`, their logarithm, which can correct a bias towards rare or
      frequent classes;
    - with an auxiliary classifier: `auxiliary`, log of its probability, and `auxiliary_image`, log
      of its average over the image; with an auxiliary dense network the same two as
      `auxiliary_dense_network` and `auxiliary_dense_network_image`; with the maps of further
      networks the same as `auxiliary_map_1`, `auxiliary_map_1_image`, `auxiliary_map_2` and so on;
    - with `region_values`: `similar`, log of p averaged twice over the regions of similar colour
      (`affinity_weights`), and the same of the SegNet and the auxiliary models, as
      `segnet_similar`, `auxiliary_similar` and so on;
    - with `region_values` and `colours`: `colours`, the `colour_evidence` of p.

    Parameters
    ----------
    evidence : ImageEvidence
        All but its `cooccurrence`, `fused_posterior` and `edge_map` is used.
    areas : (n,) float, pixels
    region_values : (n, D) float, optional
        Such as mean colours.
    colours : bool

    Returns
    -------
    RegionSignals

    Raises
    ------
    InputError
        If a signal is not finite.
    """
    e = evidence
    p = np.asarray(e.region_probabilities, dtype=np.float64)
    n_classes = p.shape[1]
    pixels = np.asarray(areas, dtype=np.float64)
    share = pixels / pixels.sum()
    planes = {"superpixel": _log(p), "image": _log(share @ p), "highest": _log(p.max(axis=0))}
    if e.segnet is not None:
        of_segnet = e.segnet.of_regions()
        planes["segnet"] = _log(of_segnet)
        planes["segnet_image"] = _log(share @ of_segnet)
    if e.scores is not None:
        planes.update(_score_planes(e.scores, n_classes, e.background))
    if e.location is not None:
        planes["location"] = _log(e.location)
    if e.class_shares is not None:
        planes["prior"] = _log(e.class_shares)
    others = e.auxiliary.by_name()
    for name, other in others.items():
        planes[name] = _log(other)
        planes[f"{name}_image"] = _log(share @ other)
    if region_values is not None:
        kernel = affinity_weights(region_values, areas)
        planes["similar"] = _log(kernel @ (kernel @ p))
        if colours:
            planes["colours"] = colour_evidence(p, kernel, areas)
        for name in ("segnet", *others):
            if name in planes:
                planes[f"{name}_similar"] = _log(kernel @ (kernel @ np.exp(planes[name])))
    return _stack(planes, p.shape)


def _score_planes(
    scores: ImageScores, n_classes: int, background: int | None
) -> dict[str, FloatArray]:
    """(C,) scores by signal; 0 for the background."""
    foreground = foreground_classes(n_classes, background)
    planes: dict[str, FloatArray] = {}
    for name, values in (
        ("classifier", np.asarray(scores.presence)),
        ("denied", np.minimum(scores.presence, 0)),
        ("size", np.reshape(scores.sizes, (len(foreground), -1)).mean(axis=1)),
    ):
        planes[name] = np.zeros(n_classes)
        planes[name][foreground] = values
    return planes


def _stack(planes: Mapping[str, FloatArray], shape: tuple[int, ...]) -> RegionSignals:
    values = np.empty((*shape, len(planes)), dtype=np.float32)
    for k, plane in enumerate(planes.values()):
        values[:, :, k] = plane
    return RegionSignals(tuple(planes), values)


def _log(probabilities: Array) -> FloatArray:
    return np.asarray(np.log(np.maximum(probabilities, PROBABILITY_FLOOR)))
