"""What the features of one image are made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rerank.errors import InputError
from rerank.features.statistics import check_labels
from rerank.types import Array
from rerank.validation import check_finite

#: Every group that `image_features` can make, in the order of its columns.
GROUPS = ("segnet", "rule", "classification", "proposal", "posterior", "summary")


@dataclass(frozen=True, eq=False)
class ImageInputs:
    """What the features of one image are made from; n regions, m edges, M proposals, C classes.

    The optional fields each add columns; what is None adds none.

    Parameters
    ----------
    image_id : str
    classes : C names
    superpixels : (H, W) int
        Region of each pixel, 0..n-1. Read once, for centres and frame.
    edges : (m, 2) int
    boundary_length : (m,) float, pixels
    contrast : (m,) float, at least 0
        Squared colour difference across each edge; its root is what features use.
    areas : (n,) float, pixels
    labelings : (M, n) int
    energies, lower_bounds : (M,) float
        Lower bounds may be -inf or NaN where there is none.
    probabilities : (n, C) float
        Class probabilities of stage 1, from a model that did not see this image.
    generator : (M,) int or str, optional
        What made each proposal, by name or by index into `generators`; without it all are of
        the first.
    generators : tuple of str
        All generators of the collection, so that every image has the same columns.
    segnet_map : (gh, gw, C) float, optional
        The coarse SegNet's probabilities; needs `cell_overlap`.
    cell_overlap : (gh * gw, n) float, optional
        The share of each grid cell that lies on each region; rows sum to 1.
    scores, size_scores, size_thresholds : (K,), (K * P,), (K, P) float, optional
        Of `ImageClassifiers` and `SizeThresholdClassifiers`; all three or none.
    background : int or None
        The class without classifiers, and the one that Eq. 17 penalises.
    region_values : (n, D) float, optional
        Colours and textures of regions.
    value_names : tuple of D str
    location : (n, C) float, optional
        Of `LocationPrior.transform`.
    cooccurrence : (C, C) float, optional
        `log_ratio_` of `CooccurrencePrior`.
    edge_map : (H, W) bool, optional
        Of `detect_edges`, or of any edge detector.
    posterior : (n, C) float, optional
        A finer posterior over regions, from a model that did not see this image.
    similarity : (M, M) float, optional
        ``similarity[m, k]``: quality of proposal m, such as its mean IoU, if k were the truth.

    Raises
    ------
    InputError
        If shapes disagree, or an input is given without another that it needs.
    """

    image_id: str
    classes: tuple[str, ...]
    superpixels: Array
    edges: Array
    boundary_length: Array
    contrast: Array
    areas: Array
    labelings: Array
    energies: Array
    lower_bounds: Array
    probabilities: Array
    generator: Array | None = None
    generators: tuple[str, ...] = ("div_mbest",)
    segnet_map: Array | None = None
    cell_overlap: Array | None = None
    scores: Array | None = None
    size_scores: Array | None = None
    size_thresholds: Array | None = None
    background: int | None = None
    region_values: Array | None = None
    value_names: tuple[str, ...] = ()
    location: Array | None = None
    cooccurrence: Array | None = None
    edge_map: Array | None = None
    posterior: Array | None = None
    similarity: Array | None = None

    def __post_init__(self) -> None:
        for name in (
            "boundary_length",
            "contrast",
            "areas",
            "probabilities",
            "location",
            "posterior",
            "cell_overlap",
            "similarity",
        ):
            value = getattr(self, name)
            if value is not None:
                value = np.ascontiguousarray(value, dtype=np.float64)
                check_finite(value, name, self.image_id)
                object.__setattr__(self, name, value)
        edges = np.ascontiguousarray(self.edges, dtype=np.int32).reshape(-1, 2)
        object.__setattr__(self, "edges", edges)
        labelings = np.ascontiguousarray(self.labelings)
        check_labels(labelings, len(self.classes), self.image_id)
        object.__setattr__(self, "labelings", labelings)
        object.__setattr__(self, "classes", tuple(self.classes))
        if self.generator is None:
            object.__setattr__(self, "generator", np.zeros(len(self.labelings), dtype=np.int64))
        object.__setattr__(self, "generator", self._generator_index())
        self._check_shapes()
        self._check_companions()
        if len(self.classes) <= 256:
            # Bytes are compared 16 to 32 at a time.
            object.__setattr__(self, "labelings", self.labelings.astype(np.uint8))

    def _generator_index(self) -> Array:
        named = np.asarray(self.generator)
        if named.dtype.kind not in "US":
            return named
        unknown = sorted(set(named.tolist()) - set(self.generators))
        if unknown:
            raise self._error(f"generator {unknown[0]!r} is not among generators {self.generators}")
        return np.array([self.generators.index(name) for name in named.tolist()])

    def _check_shapes(self) -> None:
        n, n_edges, n_classes = len(self.areas), len(self.edges), len(self.classes)
        n_proposals = len(self.labelings)
        expected = {
            "areas": (n,),
            "boundary_length": (n_edges,),
            "contrast": (n_edges,),
            "labelings": (n_proposals, n),
            "energies": (n_proposals,),
            "lower_bounds": (n_proposals,),
            "generator": (n_proposals,),
            "probabilities": (n, n_classes),
            "location": (n, n_classes),
            "posterior": (n, n_classes),
            "cooccurrence": (n_classes, n_classes),
            "similarity": (n_proposals, n_proposals),
        }
        for name, shape in expected.items():
            value = getattr(self, name)
            if value is not None and np.shape(value) != shape:
                raise self._error(f"{name} must be {shape}, got {np.shape(value)}")
        if not n or not n_proposals:
            raise self._error(
                f"there are {n} regions and {n_proposals} proposals; at least one of each is needed"
            )
        if not (self.areas > 0).all():
            raise self._error("every region must have an area above 0")
        if n_edges and not (self.edges.min() >= 0 and self.edges.max() < n):
            raise self._error(f"edges must join regions 0..{n - 1}")
        if n_edges and (self.boundary_length.min() < 0 or self.contrast.min() < 0):
            raise self._error("boundary_length and contrast must be at least 0")
        if self.edge_map is not None and np.shape(self.edge_map) != np.shape(self.superpixels):
            raise self._error(
                f"edge_map must be of the size of superpixels, "
                f"{np.shape(self.superpixels)}, got {np.shape(self.edge_map)}"
            )
        if np.ndim(self.superpixels) != 2 or int(np.max(self.superpixels)) != n - 1:
            raise self._error(f"superpixels must be an (H, W) map of regions 0..{n - 1}")

    def _check_companions(self) -> None:
        for names in (("segnet_map", "cell_overlap"), ("scores", "size_scores", "size_thresholds")):
            given = [n for n in names if getattr(self, n) is not None]
            if given == ["cell_overlap"]:
                continue
            if given and len(given) < len(names):
                lacking = next(n for n in names if n not in given)
                raise self._error(f"{given[0]} is given without {lacking}")
        if self.region_values is not None and np.shape(self.region_values)[1:] != (
            len(self.value_names),
        ):
            raise self._error(
                f"region_values must be (n, {len(self.value_names)}) as there "
                f"are {len(self.value_names)} value_names, got "
                f"{np.shape(self.region_values)}"
            )

    def _error(self, message: str) -> InputError:
        return InputError(f"{self.image_id}: {message}" if self.image_id else message)

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups that these inputs can give."""
        has = {
            "segnet": self.segnet_map is not None,
            "rule": self.segnet_map is not None and self.background is not None,
            "classification": self.scores is not None,
            "proposal": True,
            "posterior": self.posterior is not None,
            "summary": True,
        }
        return tuple(g for g in GROUPS if has[g])
