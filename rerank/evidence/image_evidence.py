"""What the models of both stages say of one image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from rerank.evidence.grid_cells import cells_to_regions
from rerank.evidence.image_classifiers import PERCENTILES
from rerank.evidence.image_regions import ImageRegions
from rerank.types import Array, FloatArray
from rerank.validation import check_finite


class SegNetMap(NamedTuple):
    """The coarse SegNet's answer for one image."""

    probabilities: Array  #: (gh, gw, C) class probabilities of each grid cell
    cell_overlap: Array  #: (gh * gw, n) share of each cell that lies on each region; rows sum to 1

    def of_regions(self) -> FloatArray:
        """(n, C) class probabilities carried from the cells to the regions."""
        cells = np.asarray(self.probabilities)
        return cells_to_regions(cells.reshape(-1, cells.shape[-1]), self.cell_overlap)


class ImageScores(NamedTuple):
    """Scores of one image by classifiers of K foreground classes with P sizes each."""

    presence: Array  #: (K,) of `ImageClassifiers`
    sizes: Array  #: (K * P,) of `SizeThresholdClassifiers`; sizes of one class side by side
    size_thresholds: Array | None = None  #: (K, P) shares of the image; features need them
    percentiles: tuple[float, ...] = PERCENTILES  #: P of them; they name the columns of features


class AuxiliaryProbabilities(NamedTuple):
    """Class probabilities of regions, (n, C), by the models that stage 2 alone uses."""

    classifier: Array | None = None  #: the second superpixel classifier's
    dense_network: Array | None = None  #: a dense network's, averaged over each region
    maps: tuple[Array, ...] = ()  #: of the maps of further networks, averaged over each region

    def by_name(self) -> dict[str, Array]:
        """Those that there are, by the name of their signals."""
        found = {"auxiliary": self.classifier, "auxiliary_dense_network": self.dense_network}
        found.update((f"auxiliary_map_{k}", p) for k, p in enumerate(self.maps, start=1))
        return {name: p for name, p in found.items() if p is not None}


_NO_AUXILIARY = AuxiliaryProbabilities()


@dataclass(frozen=True, eq=False)
class ImageEvidence:
    """What stage 2 knows of one image of n regions and C classes.

    No model behind it has seen the image. Each optional field adds signals or columns; a field
    that is None adds none.

    Attributes
    ----------
    region_probabilities : (n, C) float
        Class probabilities of stage 1.
    segnet : SegNetMap or None
    scores : ImageScores or None
    background : int or None
        The class without classifiers, which Eq. 17 of Cogswell et al. 2014 penalises.
    location : (n, C) float or None
        Class probabilities by place, of `LocationPrior.transform`.
    class_shares : (C,) float or None
        Share of each class among the training pixels.
    cooccurrence : (C, C) float or None
        `log_ratio_` of `CooccurrencePrior`.
    auxiliary : AuxiliaryProbabilities
    fused_posterior : (n, C) float or None
        Of `FusedPosterior.predict_proba`.
    samples : (S, n) int or None
        Labelings that may be the truth, such as those of `PosteriorSamples`.
    edge_map : (H, W) bool or None
        Edges of the picture, of `rerank.features.detect_edges` or any edge detector.
    """

    region_probabilities: Array
    segnet: SegNetMap | None = None
    scores: ImageScores | None = None
    background: int | None = None
    location: Array | None = None
    class_shares: Array | None = None
    cooccurrence: Array | None = None
    auxiliary: AuxiliaryProbabilities = _NO_AUXILIARY
    fused_posterior: Array | None = None
    edge_map: Array | None = None
    samples: Array | None = None

    def checked(self, regions: ImageRegions, n_classes: int) -> ImageEvidence:
        """The same evidence with distributions over regions as contiguous float64.

        Parameters
        ----------
        regions : ImageRegions
            Those that the evidence is about.
        n_classes : int

        Returns
        -------
        ImageEvidence

        Raises
        ------
        InputError
            If shapes disagree with the regions, or a probability is not finite.
        """
        n = len(regions)
        floats: dict[str, Any] = {}
        for name in ("region_probabilities", "location", "fused_posterior"):
            if getattr(self, name) is not None:
                floats[name] = np.ascontiguousarray(getattr(self, name), dtype=np.float64)
                check_finite(floats[name], name, regions.image_id)
        expected = dict.fromkeys(floats, (n, n_classes)) | {"cooccurrence": (n_classes,) * 2}
        for name, shape in expected.items():
            value = getattr(self, name)
            if value is not None and np.shape(value) != shape:
                raise regions.error(f"{name} must be {shape}, got {np.shape(value)}")
        if self.samples is not None and np.shape(self.samples)[1:] != (n,):
            raise regions.error(f"samples must be (S, {n}), got {np.shape(self.samples)}")
        size = np.shape(regions.superpixels)
        if self.edge_map is not None and np.shape(self.edge_map) != size:
            raise regions.error(
                f"edge_map must be of the size of superpixels, {size}, got "
                f"{np.shape(self.edge_map)}"
            )
        if self.segnet is None:
            return replace(self, **floats)
        overlap = np.ascontiguousarray(self.segnet.cell_overlap, dtype=np.float64)
        check_finite(overlap, "cell_overlap", regions.image_id)
        return replace(self, segnet=self.segnet._replace(cell_overlap=overlap), **floats)
