"""The models of a finished run, and what they find in images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import h5py
import numpy as np

from rerank.config import Recipe
from rerank.datasets import fit_map
from rerank.engine.hdf5 import read_arrays, read_strings
from rerank.errors import ConfigError, InputError
from rerank.evidence import ImageEvidence, region_signals
from rerank.features import detect_edges
from rerank.potentials import SuperpixelClassifier
from rerank.potentials.dense_network_unary import DenseNetworkUnary
from rerank.potentials.network_map import map_to_regions, network_labels
from rerank.ranking import ExpectedCounts, Gate, proposal_beliefs
from rerank.result import Proposals, Result, region_beliefs
from rerank.stages.activations import make_coarse_input, reads_inputs
from rerank.stages.auxiliary import AuxiliaryModels
from rerank.stages.calibration import Calibration, joint_choice
from rerank.stages.classifiers import ImageModels, backbone_vector, load_models
from rerank.stages.crf_settings import CRFChoice, crf_sources, load_choice
from rerank.stages.features import Classes, describe_proposals, with_columns
from rerank.stages.fusion import TrainingPriors, image_evidence, load_fusion
from rerank.stages.judged_images import change_of
from rerank.stages.proposals import NETWORK, Drawing, image_proposals
from rerank.stages.ranking import StoredRanking
from rerank.stages.run_data import WeightFiles
from rerank.stages.segnet import check_segnet, load_segnet, segnet_maps
from rerank.stages.stored_probabilities import as_stored
from rerank.stages.superpixel_features import (
    Descriptor,
    describe_whole,
    shares_features,
    unary_descriptor,
    whole_image_descriptor,
)
from rerank.stages.superpixels import graph_of, segment
from rerank.stages.unaries import load_classifier
from rerank.superpixels import check_image
from rerank.types import Array, FloatArray

#: Stages whose files hold what a prediction needs.
MODEL_STAGES = (
    "unaries",
    "auxiliary",
    "segnet",
    "classifiers",
    "fusion",
    "crf_settings",
    "ranking",
    "calibration",
)
#: Opens what a stage of `MODEL_STAGES` wrote for the evaluation images.
OpenStage = Callable[[str], AbstractContextManager[h5py.Group]]


class Judgement(NamedTuple):
    """The result of one image, and what is believed about its proposals.

    Attributes
    ----------
    result : Result
    expected : ExpectedCounts
        (M, C) arrays.
    """

    result: Result
    expected: ExpectedCounts


class JointResult(NamedTuple):
    """Results of several images whose proposals are chosen together.

    Attributes
    ----------
    results : list of Result
    expected_iou : float
        Expected corpus IoU of the choice under the ranker's beliefs, in [0, 1].
    upper_bound : float
        No choice has a higher one.
    """

    results: list[Result]
    expected_iou: float
    upper_bound: float


def choose_jointly(judgements: Sequence[Judgement]) -> JointResult:
    """Choose the proposals of several images together, for the highest expected corpus IoU.

    Parameters
    ----------
    judgements : sequence of Judgement
        Of `FinalModels.judge`, at least one.

    Returns
    -------
    JointResult
    """
    joint = joint_choice(
        np.array([found.result.scores for found in judgements]),
        ExpectedCounts(*(np.stack(a) for a in zip(*(found.expected for found in judgements)))),
    )
    results = [_chosen_together(found.result, int(m)) for found, m in zip(judgements, joint.choice)]
    return JointResult(results, joint.expected_iou, joint.upper_bound)


class FinalModels:
    """The models of a finished run, ready for new images.

    Parameters
    ----------
    open_stage : callable
        Opens what each of `MODEL_STAGES` wrote.
    recipe : Recipe
    classes : Classes
    weights : WeightFiles
    """

    def __init__(
        self, open_stage: OpenStage, recipe: Recipe, classes: Classes, weights: WeightFiles
    ) -> None:
        self.recipe, self.classes = recipe, classes
        self._coarse_input = (
            make_coarse_input(recipe, weights.backbone) if reads_inputs(recipe) else None
        )
        with open_stage("unaries") as file:
            self._classifier: SuperpixelClassifier | None = None
            self._network: DenseNetworkUnary | None = None
            if recipe.unary.source == "classifier":
                self._classifier = load_classifier(file)
            elif recipe.unary.source == "dense_network":
                self._network = DenseNetworkUnary.from_arrays(
                    read_arrays(file["model"]), classes.n_classes, recipe, weights.backbone
                )
            class_shares = file["class_shares"][()]
        with open_stage("auxiliary") as file:
            self._auxiliary = AuxiliaryModels.load(
                file, recipe, classes.n_classes, weights.backbone
            )
        self._segnet: dict[str, Array] | None = None
        if recipe.segnet.enabled:
            with open_stage("segnet") as file:
                self._segnet = load_segnet(file)
                check_segnet(recipe, self._segnet, classes.n_classes)
        with open_stage("classifiers") as file:
            self._models: ImageModels = load_models(file)
        self._priors = TrainingPriors(self._models.location, class_shares, classes.background)
        self._fusion = None
        if recipe.fusion.enabled:
            with open_stage("fusion") as file:
                self._fusion = load_fusion(file)
        with open_stage("crf_settings") as file:
            self._choice: CRFChoice = load_choice(file)
        with open_stage("ranking") as file:
            self._ranking = StoredRanking.load(
                file["model"], read_strings(file["model"]["columns"])
            )
        with open_stage("calibration") as file:
            self.calibration: Calibration = Calibration.load(file["model"], recipe)
        self._describe = unary_descriptor(recipe, weights.unary)
        self._describe_whole = whole_image_descriptor(recipe, weights.backbone)
        if self._describe is not None and shares_features(recipe):
            self._describe_whole = self._describe

    def propose(
        self,
        image: Array,
        probabilities: Array | None = None,
        image_id: str = "image",
        auxiliary: Sequence[Array] = (),
    ) -> Proposals:
        """The proposals of one image.

        Parameters
        ----------
        image : (H, W, 3) uint8 array
        probabilities : (H, W, C) or (C, H, W) float array, optional
            The network map; needed where the run was made from such maps.
        image_id : str
            Names the image in errors.
        auxiliary : sequence of (H, W, C) or (C, H, W) float arrays
            The maps of the further networks that the run was made from, in their order.

        Returns
        -------
        Proposals
        """
        return self._view(image, probabilities, image_id, auxiliary).proposals

    def predict(
        self,
        image: Array,
        probabilities: Array | None = None,
        image_id: str = "image",
        auxiliary: Sequence[Array] = (),
    ) -> Result:
        """The proposals of one image, and the choice of the ranker.

        Parameters
        ----------
        image : (H, W, 3) uint8 array
        probabilities : (H, W, C) or (C, H, W) float array, optional
            The network map; needed where the run was made from such maps.
        image_id : str
            Names the image in errors.
        auxiliary : sequence of (H, W, C) or (C, H, W) float arrays
            The maps of the further networks that the run was made from, in their order.

        Returns
        -------
        Result

        Raises
        ------
        ConfigError
            If maps are needed and not given, or given and not needed.
        InputError
            If the map does not fit the image or the classes.
        """
        return self.judge(image, probabilities, image_id, auxiliary).result

    def predict_corpus(
        self,
        images: Sequence[Array],
        probabilities: Sequence[Array] | None = None,
        image_ids: Sequence[str] | None = None,
        auxiliary: Sequence[Sequence[Array]] = (),
    ) -> JointResult:
        """The proposals of several images, chosen together for the highest expected corpus IoU.

        Parameters
        ----------
        images : sequence of (H, W, 3) uint8 arrays
            They may be read one after another; none is kept.
        probabilities : sequence of (H, W, C) or (C, H, W) float arrays, optional
            The network maps; needed where the run was made from such maps.
        image_ids : sequence of str, optional
            Name the images in errors.
        auxiliary : sequence of sequences of (H, W, C) or (C, H, W) float arrays
            The maps of the further networks that the run was made from, one sequence a network.

        Returns
        -------
        JointResult
            The gate is about choices of single images and has no say in these.

        Raises
        ------
        ConfigError
            As in `predict`.
        InputError
            If there is no image, the sequences differ in length, or a map does not fit.
        """
        names = [str(k) for k in range(len(images))] if image_ids is None else image_ids
        maps = [None] * len(images) if probabilities is None else probabilities
        if not len(images) or not len(images) == len(names) == len(maps):
            raise InputError(
                f"there are {len(images)} images, {len(maps)} maps and {len(names)} names; give "
                "one of each for every image, and at least one image"
            )
        if any(len(others) != len(images) for others in auxiliary):
            raise InputError(f"give a map of each auxiliary network for all {len(images)} images")
        others = zip(*auxiliary) if len(auxiliary) else [()] * len(images)
        return choose_jointly([self.judge(*given) for given in zip(images, maps, names, others)])

    def judge(
        self,
        image: Array,
        probabilities: Array | None = None,
        image_id: str = "image",
        auxiliary: Sequence[Array] = (),
    ) -> Judgement:
        """The result of one image, with what a joint choice of several images needs.

        Parameters
        ----------
        image : (H, W, 3) uint8 array
        probabilities : (H, W, C) or (C, H, W) float array, optional
        image_id : str
        auxiliary : sequence of (H, W, C) or (C, H, W) float arrays
            All as in `predict`.

        Returns
        -------
        Judgement
        """
        seen = self._view(image, probabilities, image_id, auxiliary)
        edges = detect_edges(image) if self.recipe.features.edges else None
        evidence = with_columns(seen.evidence, self._models, seen.fused_posterior, edges)
        table, similarity = describe_proposals(
            image_id,
            self.classes,
            self.recipe,
            seen.regions,
            seen.drawn,
            evidence,
            self._ranking.groups,
        )
        values = table.select(columns=self._ranking.columns).values.astype(np.float32)
        scores, by_family = self._ranking.score(values)
        reference = seen.proposals.network or 0
        gate, sets = self.calibration.gate, self.calibration.sets
        change = change_of(similarity[:, reference])
        gated = gate.choose(scores[None], reference, change[None])
        kept = self.recipe.gate.enabled and bool(gated.kept[0])
        own = evidence.region_probabilities
        counts = self.calibration.beliefs.counts(
            scores,
            seen.proposals.labelings,
            seen.regions["areas"],
            own if seen.fused_posterior is None else seen.fused_posterior,
        )
        result = Result(
            seen.proposals,
            scores,
            int(gated.choice[0]) if self.recipe.gate.enabled else int(scores.argmax()),
            float(gated.confidence[0]),
            sets.sets(scores[None], similarity[None])[0],
            _why_kept(float(gated.confidence[0]), gate, reference) if kept else "",
            self._class_beliefs(seen, scores),
            by_family,
        )
        return Judgement(result, counts)

    def _class_beliefs(self, seen: _View, scores: FloatArray) -> FloatArray:
        if "samples" in seen.drawn:
            return region_beliefs(seen.drawn["samples"], self.classes.n_classes)
        weights = proposal_beliefs(scores, self.calibration.beliefs.temperature)
        return region_beliefs(seen.proposals.labelings, self.classes.n_classes, weights)

    def _view(
        self, image: Array, probabilities: Array | None, image_id: str, auxiliary: Sequence[Array]
    ) -> _View:
        recipe = self.recipe
        own = recipe.unary.source == "probabilities"
        if probabilities is not None and not own:
            raise ConfigError(
                "this run has models of its own and does not use probability maps; leave "
                "--probabilities away"
            )
        if probabilities is None and own:
            raise ConfigError(
                "this run was made from probability maps; give those of the new "
                "images with --probabilities"
            )
        network_map, labels = None, None
        if probabilities is not None:
            size = check_image(image).shape[:2]
            network_map = fit_map(probabilities, size, self.classes.n_classes, image_id)
            labels = network_labels(network_map, image_id)
        regions = segment(image, recipe.superpixels, labels)
        superpixels = regions["superpixels"]
        described: dict[int, FloatArray] = {}

        def describe(descriptor: Descriptor) -> FloatArray:
            if id(descriptor) not in described:
                described[id(descriptor)] = descriptor(image, superpixels)
            return described[id(descriptor)]

        if self._classifier is not None and self._describe is not None:
            # Features wait in the store in half precision.
            unary = self._classifier.predict_proba(describe(self._describe).astype(np.float16))
        elif self._network is not None:
            unary = self._network.predict_proba(image, superpixels)
        else:
            assert network_map is not None
            unary = map_to_regions(
                network_map,
                image,
                superpixels,
                refined=recipe.unary.dense_crf,
                device=recipe.device,
            )
        sources = {"unary": as_stored(unary)}
        coarse = None if self._coarse_input is None else np.asarray(self._coarse_input(image))
        segnet_map = vector = scores = None
        if self._segnet is not None and coarse is not None:
            maps = segnet_maps(recipe, self._segnet, coarse[None], self.classes.n_classes)
            segnet_map = as_stored(maps[0])
        if self._describe_whole is not None:
            vector = describe_whole(describe(self._describe_whole), regions["areas"])
        elif recipe.classifiers.enabled and coarse is not None:
            vector = backbone_vector(coarse)
        if vector is not None:
            scores = self._models.score(vector)
        evidence = image_evidence(
            sources["unary"],
            superpixels,
            segnet_map,
            scores,
            self._priors,
            self._auxiliary.predict(image, superpixels, auxiliary, image_id),
        )
        if self._fusion is not None:
            colours = recipe.fusion.colours
            signals = region_signals(evidence, regions["areas"], regions["region_values"], colours)
            sources["fusion"] = as_stored(self._fusion.predict_proba(signals))
        drawn = image_proposals(
            crf_sources(sources, regions, recipe),
            graph_of(regions),
            regions["region_values"],
            self._choice,
            Drawing.of(recipe),
            regions.get(NETWORK),
        )
        return _View(regions, drawn, evidence, sources.get("fusion"))


def _why_kept(confidence: float, gate: Gate, reference: int) -> str:
    if not gate.promised_:
        return f"Proposal {reference} is kept by the gate. {gate.explanation_}"
    return (
        f"Proposal {reference} is kept by the gate: the ranker's confidence in its own choice, "
        f"{confidence:.3g}, is not above {gate.threshold_:.3g}, which holds the share of images "
        f"that lose more than {100 * gate.tolerance:g} IoU points to {100 * gate.level:g} %."
    )


def _chosen_together(result: Result, proposal: int) -> Result:
    if proposal == result.preferred:
        return replace(result, chosen=proposal, reason="")
    return replace(
        result,
        chosen=proposal,
        reason=f"Proposal {proposal} is chosen for the expected corpus IoU of all images; alone, "
        f"proposal {result.preferred} has the highest score.",
    )


@dataclass(frozen=True, eq=False)
class _View:
    """What the models make of one image before it is ranked."""

    regions: dict[str, Any]
    drawn: dict[str, Any]
    evidence: ImageEvidence
    fused_posterior: FloatArray | None

    @property
    def proposals(self) -> Proposals:
        return Proposals.of(self.regions["superpixels"], self.drawn)
