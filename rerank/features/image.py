"""The table that all feature groups make of one image."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TypeVar

import numpy as np

from rerank.errors import InputError
from rerank.features.agreement import Agreement, agreement_features, proposal_agreement
from rerank.features.appearance import appearance_features
from rerank.features.boundary import boundary_features
from rerank.features.classification import classification_features
from rerank.features.edges import edge_features
from rerank.features.energy import energy_features
from rerank.features.geometry import region_geometry
from rerank.features.inputs import GROUPS, ImageInputs
from rerank.features.layout import layout_features, pair_features
from rerank.features.posterior import (
    PosteriorScores,
    cells_to_regions,
    class_log_prob,
    posterior_table,
    score_against,
)
from rerank.features.priors import cooccurrence_score, prior_features
from rerank.features.risk import expected_qualities, risk_features
from rerank.features.segnet import SMOOTHING, background_mass, coarsen_labelings, segnet_features
from rerank.features.statistics import LabelingStatistics, labeling_statistics
from rerank.features.summary import classifier_scalars, summary_features
from rerank.features.support import ComponentSupport, component_support, support_features
from rerank.features.table import FeatureTable
from rerank.types import Array, FloatArray

T = TypeVar("T")


def image_features(
    inputs: ImageInputs, groups: Iterable[str] | None = None, smoothing: float = SMOOTHING
) -> FeatureTable:
    """The table of one image: a row a proposal, and the columns of the groups asked for.

    Groups: `segnet` (2 + 4C columns), `rule` (`rule.background_mass`, what Eq. 17 of Cogswell
    et al. 2014 adds to the divergences), `classification`, `proposal` (all families of
    hand-made features), `posterior` and `summary` (class-free). The columns depend on the
    classes, the generators, the names of region values and on which optional inputs are
    there, and on nothing else.

    Parameters
    ----------
    inputs : ImageInputs
    groups : names, optional
        Without it all that the inputs allow.
    smoothing : float in (0, 1)
        Of the divergences; see `segnet_features`.

    Returns
    -------
    FeatureTable
        Rows in the order of `inputs.labelings`.

    Raises
    ------
    InputError
        If a group is unknown, or the inputs that it needs are not there.
    """
    wanted = (
        inputs.groups if groups is None else (groups,) if isinstance(groups, str) else tuple(groups)
    )
    for group in wanted:
        if group not in GROUPS:
            raise InputError(f"there is no feature group {group!r}; there are {', '.join(GROUPS)}")
        if group not in inputs.groups:
            raise InputError(
                f"{inputs.image_id}: the inputs of feature group {group!r} are not given"
            )
    parts = _Parts(inputs, smoothing)
    return FeatureTable.join(
        [table for group in GROUPS if group in wanted for table in parts.tables(group)]
    )


class _Parts:
    """The quantities that several groups share, each computed once and when first asked for."""

    def __init__(self, inputs: ImageInputs, smoothing: float) -> None:
        self.inputs = inputs
        self.smoothing = smoothing

    def tables(self, group: str) -> list[FeatureTable]:
        """The tables of one group, side by side."""
        return self.proposal if group == "proposal" else [getattr(self, group)]

    @cached_property
    def statistics(self) -> LabelingStatistics:
        i = self.inputs
        centroids, frame = region_geometry(i.superpixels, len(i.areas))
        return labeling_statistics(
            i.labelings,
            len(i.classes),
            i.areas,
            centroids,
            frame,
            i.edges,
            i.boundary_length,
            self.distance,
        )

    @cached_property
    def distance(self) -> FloatArray:
        return np.asarray(np.sqrt(self.inputs.contrast))

    @cached_property
    def stage1(self) -> PosteriorScores:
        return _given(self._against(self.inputs.probabilities))

    @cached_property
    def components(self) -> ComponentSupport:
        i = self.inputs
        return component_support(i.labelings, self.statistics.component, i.probabilities, i.areas)

    @cached_property
    def agreement(self) -> Agreement:
        i = self.inputs
        return proposal_agreement(i.labelings, i.areas, len(i.classes))

    @cached_property
    def boundary(self) -> FeatureTable:
        i = self.inputs
        return boundary_features(
            self.statistics, i.boundary_length, self.distance, i.classes, i.image_id
        )

    @cached_property
    def appearance(self) -> FeatureTable | None:
        i = self.inputs
        if i.region_values is None:
            return None
        return appearance_features(
            i.labelings,
            i.areas,
            i.region_values,
            len(i.classes),
            i.value_names,
            i.classes,
            i.image_id,
        )

    @cached_property
    def edges(self) -> FeatureTable | None:
        i = self.inputs
        if i.edge_map is None:
            return None
        return edge_features(
            i.labelings, i.superpixels, i.edge_map, len(i.classes), i.classes, i.image_id
        )

    @cached_property
    def expected(self) -> FloatArray | None:
        i = self.inputs
        return None if i.similarity is None else expected_qualities(i.energies, i.similarity)

    @cached_property
    def location(self) -> FloatArray | None:
        i = self.inputs
        return None if i.location is None else class_log_prob(i.labelings, i.location, i.areas)

    @cached_property
    def finer(self) -> PosteriorScores | None:
        return self._against(self.inputs.posterior)

    @cached_property
    def coarse(self) -> FloatArray:
        i = self.inputs
        height, width = np.shape(_given(i.segnet_map))[:2]
        return coarsen_labelings(
            i.labelings, _given(i.cell_overlap), (height, width), len(i.classes)
        )

    @cached_property
    def energy(self) -> FeatureTable:
        i = self.inputs
        return energy_features(
            i.energies, i.lower_bounds, len(i.areas), _given(i.generator), i.generators, i.image_id
        )

    @cached_property
    def segnet(self) -> FeatureTable:
        i = self.inputs
        return segnet_features(
            _given(i.segnet_map),
            self.coarse,
            self.smoothing,
            classes=i.classes,
            image_id=i.image_id,
        )

    @cached_property
    def rule(self) -> FeatureTable:
        i = self.inputs
        mass = background_mass(self.coarse, _given(i.background))
        return FeatureTable.of_image(mass[:, None], ("rule.background_mass",), "rule", i.image_id)

    @cached_property
    def classification(self) -> FeatureTable:
        i = self.inputs
        shares = self.stage1.painted
        return classification_features(
            _given(i.scores),
            _given(i.size_scores),
            _given(i.size_thresholds),
            shares,
            i.background,
            i.classes,
            i.image_id,
        )

    @cached_property
    def posterior(self) -> FeatureTable:
        i = self.inputs
        return posterior_table(_given(self.finer), i.classes, i.image_id, "posterior")

    @cached_property
    def proposal(self) -> list[FeatureTable]:
        i = self.inputs
        names = i.classes, i.image_id
        tables = [
            self.energy,
            layout_features(self.statistics, *names),
            pair_features(self.statistics, *names),
            support_features(self.stage1, self.components, *names),
            self.boundary,
            agreement_features(self.agreement, *names),
        ]
        tables += [table for table in (self.appearance, self.edges) if table is not None]
        if self.expected is not None:
            tables.append(risk_features(self.expected, i.image_id))
        if self.location is not None or i.cooccurrence is not None:
            tables.append(
                prior_features(self.location, i.cooccurrence, self.stage1.painted, *names)
            )
        return tables

    @cached_property
    def summary(self) -> FeatureTable:
        i = self.inputs
        segnet, symmetric_kl = None, None
        if i.segnet_map is not None:
            cells = np.asarray(i.segnet_map).reshape(-1, len(i.classes))
            segnet = self._against(cells_to_regions(cells, _given(i.cell_overlap)))
            symmetric_kl = self.segnet.values[:, :2].sum(axis=1) / len(cells)
        classifiers = None
        if i.scores is not None:
            classifiers = classifier_scalars(self.classification, len(np.asarray(i.scores)))
        return summary_features(
            statistics=self.statistics,
            stage1=self.stage1,
            components=self.components,
            agreement=self.agreement,
            energy=self.energy,
            boundary=self.boundary,
            appearance=self.appearance,
            edges=self.edges,
            segnet=segnet,
            symmetric_kl=symmetric_kl,
            posterior=self.finer,
            expected=self.expected,
            classifiers=classifiers,
            location=self.location,
            cooccurrence=None
            if i.cooccurrence is None
            else cooccurrence_score(self.stage1.painted > 0, i.cooccurrence),
            image_id=i.image_id,
        )

    def _against(self, probabilities: Array | None) -> PosteriorScores | None:
        if probabilities is None:
            return None
        return score_against(self.inputs.labelings, probabilities, self.inputs.areas)


def _given(value: T | None) -> T:
    # `ImageInputs.groups` has told which inputs are there.
    assert value is not None
    return value
