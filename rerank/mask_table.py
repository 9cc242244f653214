"""Candidate masks from anywhere: how they differ, and what a ranker sees of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rerank.errors import InputError
from rerank.evidence import ImageEvidence, ImageRegions
from rerank.features import FeatureTable, detect_edges, proposal_features, similarity_matrix
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
from rerank.ranking import expected_quality
from rerank.recipe_defaults import CONTRAST_SCALE, POTTS_WEIGHT
from rerank.settings import SuperpixelSettings
from rerank.stages.superpixels import VALUE_NAMES, describe_regions, graph_of
from rerank.superpixels import labels_of_regions, slic_superpixels, split_at_borders
from rerank.types import VOID, Array, FloatArray, IntArray

#: Of the CRF that says how probable a mask is.
_ENERGY = EnergySettings(POTTS_WEIGHT, CONTRAST_SCALE)


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
        masks, slic_superpixels(image, SuperpixelSettings().number(size[0] * size[1]))
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
