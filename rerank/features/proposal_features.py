"""The table that all groups of features make of one image's proposals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple, TypeVar

import numpy as np

from rerank.errors import InputError
from rerank.evidence import ImageEvidence, ImageRegions, ImageScores, SegNetMap
from rerank.features.appearance_fit import APPEARANCE_SCALARS, appearance_features
from rerank.features.boundary import BORDER_SCALARS, boundary_features
from rerank.features.classification import classification_features, paper_columns
from rerank.features.consensus import (
    CONSENSUS_SCALARS,
    Consensus,
    compare_proposals,
    consensus_features,
)
from rerank.features.edges import EDGE_SCALARS, edge_features
from rerank.features.energy_columns import energy_features
from rerank.features.feature_table import FeatureTable
from rerank.features.geometry import region_geometry
from rerank.features.layout import layout_features, pair_features
from rerank.features.prior_columns import cooccurrence_score, prior_features
from rerank.features.probability_scores import (
    ProbabilityScores,
    class_log_prob,
    fused_posterior_table,
    score_against,
)
from rerank.features.risk import (
    expected_qualities,
    risk_features,
    risk_names,
    similarity_matrix,
    untrained_scores,
)
from rerank.features.segnet_columns import (
    SMOOTHING,
    background_mass,
    coarsen_labelings,
    segnet_features,
)
from rerank.features.statistics import (
    LabelingStatistics,
    RegionBoundaries,
    RegionGeometry,
    check_labels,
    labeling_statistics,
)
from rerank.features.summary import (
    ClassFree,
    classifier_scalars,
    component_scalars,
    energy_scalars,
    score_scalars,
    structure_scalars,
    summary_features,
)
from rerank.features.support import ComponentSupport, component_support, support_features
from rerank.proposals import ProposalSet
from rerank.types import Array, FloatArray
from rerank.validation import check_finite

#: Every group that `proposal_features` can make, in the order of its columns.
GROUPS = ("segnet", "rule", "classification", "proposal", "fused_posterior", "summary")

T = TypeVar("T")


class ColumnSettings(NamedTuple):
    """How some columns are made.

    Attributes
    ----------
    smoothing : float in (0, 1)
        Of the divergences; see `segnet_features`.
    classification : {"crossed", "paper"}
        Which columns the group `classification` has: all of `classification_features`, or those
        of `paper_columns`.
    """

    smoothing: float = SMOOTHING
    classification: Literal["crossed", "paper"] = "crossed"


#: The default.
COLUMN_SETTINGS = ColumnSettings()


def available_groups(evidence: ImageEvidence) -> tuple[str, ...]:
    """The groups of features that the evidence is enough for."""
    has = {
        "segnet": evidence.segnet is not None,
        "rule": evidence.segnet is not None and evidence.background is not None,
        "classification": evidence.scores is not None,
        "proposal": True,
        "fused_posterior": evidence.fused_posterior is not None,
        "summary": True,
    }
    return tuple(group for group in GROUPS if has[group])


def proposal_features(
    regions: ImageRegions,
    proposals: ProposalSet,
    evidence: ImageEvidence,
    classes: tuple[str, ...],
    generators: tuple[str, ...],
    *,
    similarity: Array | None = None,
    groups: Iterable[str] | None = None,
    settings: ColumnSettings = COLUMN_SETTINGS,
) -> FeatureTable:
    """Make the table of one image: one row for each proposal, and the columns of some groups.

    Groups: `segnet` (2 + 4C columns), `rule` (`rule.background_mass`, what Eq. 17 of Cogswell
    et al. 2014 adds to the divergences), `classification`, `proposal` (all families of
    hand-made features), `fused_posterior` and `summary` (class-free). The columns depend on the
    classes, the generators, the names of region values and on which optional evidence is there,
    and on nothing else.

    Parameters
    ----------
    regions : ImageRegions
        The n superpixels of the image. The root of their graph's `contrast` is used.
    proposals : ProposalSet
        M labelings of the regions. Lower bounds may be -inf or NaN where there is none.
    evidence : ImageEvidence
        From models that did not see this image.
    classes : C names
    generators : tuple of str
        All generators that any image of the collection has, so that columns agree.
    similarity : (M, M) float, optional
        Of `similarity_matrix`: ``similarity[m, k]`` is the quality of proposal m if k were the
        truth. It adds the columns of `risk_features`.
    groups : names, optional
        By default all that the evidence is enough for.
    settings : ColumnSettings

    Returns
    -------
    FeatureTable
        Rows in the order of the proposals.

    Raises
    ------
    InputError
        If shapes disagree, or a number is not finite or out of its range.
    InputError
        If a group is unknown, or its evidence is not there.
    """
    regions = regions.checked()
    available = available_groups(evidence)
    wanted = available if groups is None else (groups,) if isinstance(groups, str) else (*groups,)
    for group in wanted:
        if group not in GROUPS:
            raise InputError(f"there is no feature group {group!r}; there are {', '.join(GROUPS)}")
        if group not in available:
            raise regions.error(f"the evidence for feature group {group!r} is not given")
    classes = tuple(classes)
    families = _Families(
        regions,
        _checked_proposals(proposals, regions, len(classes)),
        evidence.checked(regions, len(classes)),
        classes,
        tuple(generators),
        _checked_similarity(similarity, regions, len(proposals)),
        settings,
    )
    return FeatureTable.join(
        [table for group in GROUPS if group in wanted for table in families.tables(group)]
    )


def _checked_proposals(
    proposals: ProposalSet, regions: ImageRegions, n_classes: int
) -> ProposalSet:
    labelings = np.ascontiguousarray(proposals.labelings)
    check_labels(labelings, n_classes, regions.image_id)
    if not len(labelings) or labelings.shape[1] != len(regions):
        raise regions.error(
            f"labelings must be (M, {len(regions)}) with M of at least 1, got {labelings.shape}"
        )
    if n_classes <= 256:
        # Bytes are compared 16 to 32 at a time.
        labelings = labelings.astype(np.uint8)
    return replace(proposals, labelings=labelings)


def _checked_similarity(
    similarity: Array | None, regions: ImageRegions, n_proposals: int
) -> FloatArray | None:
    if similarity is None:
        return None
    table = np.ascontiguousarray(similarity, dtype=np.float64)
    check_finite(table, "similarity", regions.image_id)
    if table.shape != (n_proposals, n_proposals):
        raise regions.error(f"similarity must be ({n_proposals}, {n_proposals}), got {table.shape}")
    return table


@dataclass(frozen=True, eq=False)
class _Families:
    """The families of columns, and what several of them share, each computed when first used."""

    regions: ImageRegions
    proposals: ProposalSet
    evidence: ImageEvidence
    classes: tuple[str, ...]
    generators: tuple[str, ...]
    similarity: FloatArray | None
    settings: ColumnSettings

    def tables(self, group: str) -> list[FeatureTable]:
        """The tables of one group, side by side."""
        return self.proposal if group == "proposal" else [getattr(self, group)]

    @property
    def labelings(self) -> Array:
        return self.proposals.labelings

    @property
    def areas(self) -> FloatArray:
        return self.regions.graph.areas

    @property
    def names(self) -> tuple[tuple[str, ...], str]:
        return self.classes, self.regions.image_id

    @cached_property
    def boundaries(self) -> RegionBoundaries:
        graph = self.regions.graph
        return RegionBoundaries(graph.edges, graph.boundary_length, np.sqrt(_given(graph.contrast)))

    @cached_property
    def statistics(self) -> LabelingStatistics:
        centroids, frame = region_geometry(self.regions.superpixels, len(self.regions))
        return labeling_statistics(
            self.labelings,
            len(self.classes),
            RegionGeometry(self.areas, centroids, frame),
            self.boundaries,
        )

    @cached_property
    def stage1(self) -> ProbabilityScores:
        return self._against(self.evidence.region_probabilities)

    @cached_property
    def fused(self) -> ProbabilityScores:
        return self._against(_given(self.evidence.fused_posterior))

    @cached_property
    def components(self) -> ComponentSupport:
        return component_support(
            self.labelings,
            self.statistics.component,
            self.evidence.region_probabilities,
            self.areas,
        )

    @cached_property
    def others(self) -> Consensus:
        return compare_proposals(self.labelings, self.areas, len(self.classes))

    @cached_property
    def boundary(self) -> FeatureTable:
        return boundary_features(self.statistics, self.boundaries, *self.names)

    @cached_property
    def appearance(self) -> FeatureTable | None:
        r = self.regions
        if r.values is None:
            return None
        return appearance_features(
            self.labelings, self.areas, r.values, len(self.classes), r.value_names, *self.names
        )

    @cached_property
    def edges(self) -> FeatureTable | None:
        edge_map = self.evidence.edge_map
        if edge_map is None:
            return None
        return edge_features(
            self.labelings, self.regions.superpixels, edge_map, len(self.classes), *self.names
        )

    @cached_property
    def expected(self) -> FloatArray | None:
        if self.similarity is None:
            return None
        found = expected_qualities(self.proposals.energies, self.similarity)
        if self.evidence.samples is None:
            return found
        judged = similarity_matrix(
            self.labelings, self.areas, len(self.classes), self.evidence.samples
        )
        without = untrained_scores(self.proposals.energies, self.similarity, judged)
        return np.column_stack([found, judged.mean(axis=1), without])

    @cached_property
    def location(self) -> FloatArray | None:
        location = self.evidence.location
        return None if location is None else class_log_prob(self.labelings, location, self.areas)

    @cached_property
    def coarse(self) -> FloatArray:
        segnet: SegNetMap = _given(self.evidence.segnet)
        height, width = np.shape(segnet.probabilities)[:2]
        return coarsen_labelings(
            self.labelings, segnet.cell_overlap, (height, width), len(self.classes)
        )

    @cached_property
    def energy(self) -> FeatureTable:
        return energy_features(self.proposals, self.generators, self.regions.image_id)

    @cached_property
    def segnet(self) -> FeatureTable:
        return segnet_features(
            _given(self.evidence.segnet).probabilities,
            self.coarse,
            self.settings.smoothing,
            classes=self.classes,
            image_id=self.regions.image_id,
        )

    @cached_property
    def rule(self) -> FeatureTable:
        mass = background_mass(self.coarse, _given(self.evidence.background))
        return FeatureTable.of_image(
            mass[:, None], ("rule.background_mass",), "rule", self.regions.image_id
        )

    @property
    def classification(self) -> FeatureTable:
        crossed = self.crossed
        return paper_columns(crossed) if self.settings.classification == "paper" else crossed

    @cached_property
    def crossed(self) -> FeatureTable:
        scores: ImageScores = _given(self.evidence.scores)
        if scores.size_thresholds is None:
            raise self.regions.error("the image's scores are given without size_thresholds")
        return classification_features(
            scores.presence,
            scores.sizes,
            scores.size_thresholds,
            self.stage1.painted,
            self.evidence.background,
            *self.names,
            percentiles=scores.percentiles,
        )

    @cached_property
    def fused_posterior(self) -> FeatureTable:
        return fused_posterior_table(self.fused, *self.names)

    @cached_property
    def proposal(self) -> list[FeatureTable]:
        tables = [
            self.energy,
            layout_features(self.statistics, *self.names),
            pair_features(self.statistics, *self.names),
            support_features(self.stage1, self.components, *self.names),
            self.boundary,
            consensus_features(self.others, *self.names),
        ]
        tables += [table for table in (self.appearance, self.edges) if table is not None]
        if self.expected is not None:
            tables.append(risk_features(self.expected, self.regions.image_id))
        cooccurrence = self.evidence.cooccurrence
        if self.location is not None or cooccurrence is not None:
            tables.append(
                prior_features(self.location, cooccurrence, self.stage1.painted, *self.names)
            )
        return tables

    @cached_property
    def summary(self) -> FeatureTable:
        e = self.evidence
        found = [score_scalars("stage1", self.stage1)]
        if e.segnet is not None:
            found.append(score_scalars("segnet", self._against(e.segnet.of_regions())))
        if e.fused_posterior is not None:
            found.append(score_scalars("fused_posterior", self.fused))
        found += [
            component_scalars(self.components, self.statistics),
            ClassFree(CONSENSUS_SCALARS, self.others.scalars),
            energy_scalars(self.energy),
            structure_scalars(self.statistics),
            _first(BORDER_SCALARS, self.boundary),
        ]
        if self.expected is not None:
            found.append(ClassFree(risk_names(self.expected), self.expected))
        if e.segnet is not None:
            n_cells = len(e.segnet.cell_overlap)
            divergence = self.segnet.values[:, :2].sum(axis=1) / n_cells
            found.append(ClassFree(("symmetric_kl",), divergence))
        if self.appearance is not None:
            found.append(_first(APPEARANCE_SCALARS, self.appearance))
        if self.edges is not None:
            found.append(_first(EDGE_SCALARS, self.edges))
        if e.scores is not None:
            found.append(classifier_scalars(self.crossed, len(e.scores.presence)))
        if self.location is not None:
            found.append(ClassFree(("location_log_prob",), self.location.sum(axis=1)))
        if e.cooccurrence is not None:
            score = cooccurrence_score(self.stage1.painted > 0, e.cooccurrence)
            found.append(ClassFree(("cooccurrence",), score))
        return summary_features(found, self.regions.image_id)

    def _against(self, region_probabilities: Array) -> ProbabilityScores:
        return score_against(self.labelings, region_probabilities, self.areas)


def _first(names: tuple[str, ...], table: FeatureTable) -> ClassFree:
    """The class-free columns, which stand first in their family's table."""
    return ClassFree(names, table.values[:, : len(names)])


def _given(value: T | None) -> T:
    # `available_groups` has told what is there.
    assert value is not None
    return value
