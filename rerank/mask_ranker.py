"""Candidate masks from anywhere: what rankers see of them, and a ranker that learns to choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from sklearn.base import BaseEstimator

from rerank.config import Recipe, SuperpixelSettings, build_recipe
from rerank.engine.folds import assign_folds, fold_name
from rerank.engine.hdf5 import read_arrays, write_arrays
from rerank.errors import DataError, InputError, NotFittedError
from rerank.evidence import ImageEvidence, ImageRegions
from rerank.features import FeatureTable, detect_edges, proposal_features, similarity_matrix
from rerank.files import replace_file
from rerank.metrics import (
    IntersectionUnion,
    generalised_energy_distance,
    image_iou,
    matched_iou,
    mean_distance,
    pairwise_image_iou,
    region_histogram,
    region_intersection_union,
)
from rerank.potentials.energy_settings import EnergySettings, potts_energy
from rerank.proposals import ProposalSet, UserMasks
from rerank.ranking import Ranker, expected_quality
from rerank.ranking.bounded_ranker import BoundedRanker
from rerank.ranking.ranking_table import ImageRows, RankingTable, join, padded_table
from rerank.stages.superpixels import VALUE_NAMES, describe_regions, graph_of
from rerank.superpixels import labels_of_regions, slic_superpixels, split_at_borders
from rerank.tuning.ranker_choice import choose_ranker, fit_ranker, rank_candidates, ranker_scores
from rerank.types import VOID, Array, FloatArray, IntArray

#: Version of the layout of a saved `MaskRanker`.
FORMAT = 1
#: Fewest labelled images that a ranker is fitted on.
FEWEST_IMAGES = 20
#: Group of the columns that say where a mask comes from.
SOURCE = "source"
GROUPS = ("summary", SOURCE)
_ENERGY = EnergySettings(potts_weight=1.5, contrast_scale=4.0)


@dataclass(frozen=True, eq=False)
class Diversity:
    """How different the M masks of an image are, and how like its annotations.

    Distances are 1 - IoU, the mean over the classes that either labeling holds.

    Attributes
    ----------
    n_distinct : int
        Masks that differ from all before them.
    distance : float
        Mean distance between two masks; 0 for one mask.
    energy_distance : float
        Squared generalised energy distance to the annotations (Kohl et al. 2018); NaN without.
    matched_iou : float
        Hungarian-matched IoU with the annotations (Kohl et al. 2019); NaN without.
    """

    n_distinct: int
    distance: float
    energy_distance: float = np.nan
    matched_iou: float = np.nan


@dataclass(frozen=True, eq=False)
class MaskTable:
    """What is kept of an image with M candidate masks: no pixels.

    Attributes
    ----------
    image_id : str
    names : tuple of M str
        Where each mask comes from, such as the name of its file.
    table : FeatureTable
        M rows of group `summary`.
    energies : (M,) float array
        Of a CRF whose class probabilities are the shares of the masks.
    similarity : (M, M) float array
        Entry [m, k] is the mean IoU of mask m if mask k were the truth.
    consensus : (M,) float array
        Mean IoU with all masks, by their weights: minimum Bayes risk chooses the highest.
    diversity : Diversity
    counts : IntersectionUnion or None
        (M, C) against the labels, summed over annotations; None without labels.
    vote : IntersectionUnion or None
        (C,) of the majority vote of the masks, pixel by pixel.
    """

    image_id: str
    names: tuple[str, ...]
    table: FeatureTable
    energies: FloatArray
    similarity: FloatArray
    consensus: FloatArray
    diversity: Diversity
    counts: IntersectionUnion | None = None
    vote: IntersectionUnion | None = None


def joint_regions(masks: Sequence[Array], superpixels: IntArray) -> tuple[IntArray, Array]:
    """Split superpixels so that every mask is a labeling of the regions, pixel for pixel.

    Parameters
    ----------
    masks : sequence of M (H, W) uint8 arrays
    superpixels : (H, W) integer array

    Returns
    -------
    regions : (H, W) int32 array
        Region of each pixel, 0..n-1.
    labelings : (M, n) uint8 array
        The masks as labelings of the regions.
    """
    regions = superpixels
    for mask in masks:
        regions = split_at_borders(regions, mask)
    return regions, np.stack([labels_of_regions(regions, mask) for mask in masks])


def describe_masks(
    image: Array,
    masks: Sequence[Array],
    class_names: tuple[str, ...],
    *,
    names: Sequence[str] | None = None,
    weights: FloatArray | None = None,
    labels: Sequence[Array] = (),
    image_id: str = "image",
) -> MaskTable:
    """Describe the candidate masks of one image, and measure them where there are labels.

    Regions are SLIC superpixels split along the borders of all masks. The class probabilities of
    a region are the shares of the masks, by their weights, with one mask more that is spread over
    all classes.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
    masks : sequence of M (H, W) integer arrays
        Classes 0..C-1; M at least 1.
    class_names : tuple of C str
    names : sequence of M str, optional
        Where each mask comes from; numbers by default.
    weights : (M,) float array, optional
        Of the masks in the consensus, above 0; equal by default.
    labels : sequence of (H, W) integer arrays
        Annotations of the image, classes or 255 for void; may be empty.
    image_id : str
        Names the image in errors.

    Returns
    -------
    MaskTable

    Raises
    ------
    InputError
        If there is no mask, shapes disagree, or a value is out of range.
    """
    n_classes, size = len(class_names), image.shape[:2]
    _check_masks(masks, size, n_classes, image_id)
    shares = np.ones(len(masks)) if weights is None else np.asarray(weights, dtype=np.float64)
    if shares.shape != (len(masks),) or not (np.isfinite(shares) & (shares > 0)).all():
        raise InputError(f"{image_id}: weights must be {len(masks)} numbers above 0, got {weights}")
    shares = len(masks) * shares / shares.sum()
    superpixels, labelings = joint_regions(
        masks, slic_superpixels(image, SuperpixelSettings().number(*size))
    )
    arrays = describe_regions(image, superpixels)
    graph = graph_of(arrays)
    votes = np.zeros((labelings.shape[1], n_classes))
    for labeling, share in zip(labelings, shares):
        votes[np.arange(len(votes)), labeling] += share
    probabilities = (votes + 1.0 / n_classes) / (len(masks) + 1.0)
    energies = potts_energy(probabilities, graph, _ENERGY).evaluate(labelings.astype(np.int64))
    similarity = similarity_matrix(labelings, graph.areas, n_classes)
    table = proposal_features(
        ImageRegions(superpixels, graph, arrays["region_values"], VALUE_NAMES, image_id),
        ProposalSet.of(UserMasks.name, labelings.astype(np.int64), energies),
        ImageEvidence(probabilities, edge_map=detect_edges(image)),
        class_names,
        (UserMasks.name,),
        similarity=similarity,
        groups=("summary",),
    )
    vote = votes.argmax(axis=1).astype(np.uint8)
    counts, diversity = _measure(superpixels, np.vstack([labelings, vote]), labels, n_classes)
    if counts is None:
        diversity = _diversity(labelings, 1.0 - similarity)
    return MaskTable(
        image_id,
        tuple(str(k) for k in range(len(masks))) if names is None else tuple(names),
        table,
        energies,
        similarity,
        # Energies whose exponential is the weight of each mask.
        expected_quality(-np.log(shares), similarity, temperature=1.0),
        diversity,
        None
        if counts is None
        else IntersectionUnion(counts.intersections[:-1], counts.unions[:-1]),
        None if counts is None else IntersectionUnion(counts.intersections[-1], counts.unions[-1]),
    )


def _check_masks(
    masks: Sequence[Array], size: tuple[int, ...], n_classes: int, image_id: str
) -> None:
    if not len(masks):
        raise InputError(f"{image_id}: there is no mask to choose")
    for k, mask in enumerate(masks):
        if mask.shape != size or not np.issubdtype(mask.dtype, np.integer):
            raise InputError(
                f"{image_id}: mask {k} must be integers of the image's size {size}, got "
                f"{mask.dtype} of shape {mask.shape}"
            )
        if mask.min() < 0 or mask.max() >= n_classes:
            raise InputError(
                f"{image_id}: mask {k} holds {int(mask.min())}..{int(mask.max())}, and classes are "
                f"0..{n_classes - 1}"
            )


def _measure(
    regions: IntArray, labelings: Array, labels: Sequence[Array], n_classes: int
) -> tuple[IntersectionUnion | None, Diversity]:
    """Counts of each labeling, and the diversity of all but the last, which is the vote."""
    nothing = Diversity(0, 0.0)
    if not len(labels):
        return None, nothing
    n = labelings.shape[1]
    histograms = [region_histogram(regions, truth, n_classes, VOID, n) for truth in labels]
    found = [region_intersection_union(histogram, labelings) for histogram in histograms]
    counts = IntersectionUnion(
        np.sum([c.intersections for c in found], axis=0), np.sum([c.unions for c in found], axis=0)
    )
    valid = np.all([truth != VOID for truth in labels], axis=0)
    if not valid.any():
        return counts, _diversity(labelings[:-1], np.full((len(labelings) - 1,) * 2, np.nan))
    # Distances are over the pixels that every annotation labels.
    areas = np.bincount(regions[valid], minlength=n)
    own = similarity_matrix(labelings[:-1], areas, n_classes)
    between = np.stack(
        [
            image_iou(
                region_intersection_union(
                    region_histogram(regions, np.where(valid, truth, VOID), n_classes, VOID, n),
                    labelings[:-1],
                )
            )
            for truth in labels
        ],
        axis=1,
    )
    truths = np.stack(labels)
    within_labels = 1.0 - pairwise_image_iou(truths, truths, n_classes, valid)
    diversity = _diversity(labelings[:-1], 1.0 - own)
    return counts, Diversity(
        diversity.n_distinct,
        diversity.distance,
        generalised_energy_distance(1.0 - between, 1.0 - own, within_labels),
        matched_iou(between),
    )


def _diversity(labelings: Array, distances: FloatArray) -> Diversity:
    return Diversity(len(np.unique(labelings, axis=0)), mean_distance(distances))


class MaskRanker(BaseEstimator):
    """Learns which of an image's candidate masks is the best, from labelled images.

    Its columns are class-free: how well a mask agrees with the others, its components, borders,
    colours and shapes; and, where all labelled images have masks from the same sources (equal
    names), the source. Images may have different numbers of masks. The ranker is the structured
    SVM of the pipeline, and its C is chosen on held-out images.

    Parameters
    ----------
    n_folds : int
        Folds of the labelled images for `cross_fit`, at least 2.
    random_state : int

    Attributes
    ----------
    columns_ : tuple of D str
    coef_, lowest_, highest_ : (D,) float arrays
        Weight of each column, and the range in which it counts.
    sources_ : tuple of str
        Names of masks that are columns; empty where images have different ones.
    C_ : float
    """

    columns_: tuple[str, ...]
    coef_: FloatArray
    lowest_: FloatArray
    highest_: FloatArray
    sources_: tuple[str, ...]
    C_: float

    def __init__(self, *, n_folds: int = 5, random_state: int = 0) -> None:
        self.n_folds = n_folds
        self.random_state = random_state

    def fit(self, tables: Sequence[MaskTable]) -> MaskRanker:
        """Fit on labelled images.

        Parameters
        ----------
        tables : sequence of MaskTable
            With counts.

        Returns
        -------
        self

        Raises
        ------
        InputError
            If there are fewer than 20 images, one has no labels, or no image has two different
            masks.
        """
        self.sources_, parts = self._parts(tables)
        chosen, fitted = self._fit_parts(parts)
        self.columns_ = parts[0].table.columns
        self.coef_ = np.asarray(fitted.ranker.coef_)
        self.lowest_, self.highest_ = fitted.lowest, fitted.highest
        self.C_ = float(chosen.get_params()["C"])
        return self

    def cross_fit(self, tables: Sequence[MaskTable]) -> list[FloatArray]:
        """Scores of each image's masks by a ranker that did not see the image.

        Everything that is chosen or fitted for a fold, C too, comes from the other folds.

        Parameters
        ----------
        tables : sequence of MaskTable
            As for `fit`.

        Returns
        -------
        list of (M,) float arrays
            In the order of the images; higher is better.
        """
        _, parts = self._parts(tables)
        found: dict[str, FloatArray] = {}
        for k, part in enumerate(parts):
            _, fitted = self._fit_parts([other for j, other in enumerate(parts) if j != k])
            found.update(zip(part.image_ids, ranker_scores(fitted, part, _groups(part))))
        return [found[t.image_id][: len(t.names)] for t in tables]

    def decision_function(self, table: MaskTable) -> FloatArray:
        """Scores of an image's masks, (M,), higher for better.

        Raises
        ------
        NotFittedError
            Before `fit`.
        """
        if not hasattr(self, "coef_"):
            raise NotFittedError("this MaskRanker is not fitted; call fit, or MaskRanker.load")
        values = _columns(table, self.sources_).select(columns=self.columns_).values
        return np.asarray(np.clip(values, self.lowest_, self.highest_) @ self.coef_)

    def save(self, path: str | Path, class_names: Sequence[str]) -> None:
        """Write a fitted ranker to one HDF5 file, without pickles.

        Parameters
        ----------
        path : path
        class_names : sequence of str
            Of the masks, for those who load it.

        Raises
        ------
        NotFittedError
            Before `fit`.
        """
        if not hasattr(self, "coef_"):
            raise NotFittedError("this MaskRanker is not fitted; call fit first")
        with replace_file(Path(path)) as temporary, h5py.File(temporary, "w") as file:
            file.attrs["format"] = FORMAT
            file.attrs["kind"] = "mask_ranker"
            arrays = {
                "columns": self.columns_,
                "coef": self.coef_,
                "lowest": self.lowest_,
                "highest": self.highest_,
                "sources": self.sources_,
                "class_names": tuple(class_names),
                "C": self.C_,
            }
            write_arrays(file, arrays)

    @classmethod
    def load(cls, path: str | Path) -> tuple[MaskRanker, tuple[str, ...]]:
        """Read what `save` wrote: the ranker, and the names of the classes.

        Parameters
        ----------
        path : path

        Raises
        ------
        DataError
            If the file is missing or not a saved ranker of masks.
        """
        found = cls()
        try:
            with h5py.File(path, "r") as file:
                if file.attrs.get("kind") != "mask_ranker" or file.attrs["format"] != FORMAT:
                    raise ValueError("of another kind or version")
                arrays: Mapping[str, Any] = read_arrays(file)
            for name in ("columns", "coef", "lowest", "highest", "sources"):
                setattr(found, f"{name}_", arrays[name])
            found.C_ = float(arrays["C"])
            if not all(
                np.shape(arrays[name]) == found.coef_.shape for name in ("lowest", "highest")
            ):
                raise ValueError("its arrays disagree")
            if len(found.columns_) != len(found.coef_):
                raise ValueError("its arrays disagree")
            return found, tuple(arrays["class_names"])
        except (OSError, KeyError, ValueError) as error:
            raise DataError(
                f"{path}: not a ranker that `rerank rank --labels` wrote ({error}); make it again"
            ) from None

    def _parts(self, tables: Sequence[MaskTable]) -> tuple[tuple[str, ...], list[RankingTable]]:
        """Sources that are columns, and the folds, without columns of one value."""
        if len(tables) < FEWEST_IMAGES:
            raise InputError(
                f"a ranker needs at least {FEWEST_IMAGES} labelled images, got {len(tables)}"
            )
        unlabelled = [t.image_id for t in tables if t.counts is None or not t.counts.unions.any()]
        if unlabelled:
            raise InputError(f"{unlabelled[0]}: has no labelled pixel; leave it out")
        if all(t.diversity.n_distinct == 1 for t in tables):
            raise InputError("no image has two different masks, so there is nothing to choose")
        sources = common_sources(tables)
        folds = assign_folds(len(tables), self.n_folds, "random", self.random_state)
        most = max(len(t.names) for t in tables)
        parts = [
            padded_table(
                fold_name(k),
                [_rows(t, sources) for t, fold in zip(tables, folds) if fold == k],
                most,
            )
            for k in range(self.n_folds)
        ]
        constant = join(parts).table.constant_columns()
        return sources, [
            RankingTable(
                p.name,
                p.image_ids,
                p.table.drop(constant),
                p.counts,
                p.kl,
                p.similarity,
                p.energies,
            )
            for p in parts
        ]

    def _fit_parts(self, parts: Sequence[RankingTable]) -> tuple[Ranker, BoundedRanker]:
        recipe, groups = _recipe(self.random_state), _groups(parts[0])
        chosen = choose_ranker(parts, groups, rank_candidates("svm", recipe), recipe)
        return chosen, fit_ranker(join(parts), groups, chosen, recipe)


def common_sources(tables: Sequence[MaskTable]) -> tuple[str, ...]:
    """Names of masks that every image has; none where they are fewer than two.

    Parameters
    ----------
    tables : sequence of MaskTable
    """
    shared = set(tables[0].names).intersection(*(t.names for t in tables))
    return tuple(name for name in tables[0].names if name in shared) if len(shared) > 1 else ()


def padded_counts(tables: Sequence[MaskTable]) -> IntersectionUnion:
    """Counts of all masks, (N, M, C), M the most of any image; see `padded_table`.

    Parameters
    ----------
    tables : sequence of MaskTable
        With counts.
    """
    most = max(len(table.names) for table in tables)
    return padded_table("all", [_rows(table, ()) for table in tables], most).counts


def _columns(table: MaskTable, sources: tuple[str, ...]) -> FeatureTable:
    if not sources:
        return table.table
    made_by = np.array([[float(name == source) for source in sources] for name in table.names])
    columns = tuple(f"{SOURCE}.{source}" for source in sources)
    return FeatureTable.join(
        [table.table, FeatureTable.of_image(made_by, columns, SOURCE, table.image_id)]
    )


def _rows(table: MaskTable, sources: tuple[str, ...]) -> ImageRows:
    assert table.counts is not None
    return ImageRows(_columns(table, sources), table.counts, table.similarity, table.energies)


def _groups(part: RankingTable) -> tuple[str, ...]:
    return tuple(group for group in GROUPS if group in part.table.groups)


def _recipe(random_state: int) -> Recipe:
    tree: dict[str, Any] = {
        "name": "masks",
        "dataset": {"name": "arrays", "evaluate": None},
        "random_state": random_state,
        "unary": {"source": "probabilities", "probabilities": "arrays"},
        "backbone": {"architecture": "small"},
        "ranking": {"groups": ["summary"], "compared": []},
    }
    return build_recipe(tree, "MaskRanker")
