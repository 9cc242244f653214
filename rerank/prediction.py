"""The results for one image, and the models of a finished run that compute them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from rerank.config import Recipe
from rerank.engine.hdf5 import read_arrays, read_strings
from rerank.errors import ConfigError, StoreError
from rerank.evidence import ImageEvidence, region_signals
from rerank.features import detect_edges
from rerank.potentials import SuperpixelClassifier
from rerank.potentials.dense_network_unary import DenseNetworkUnary
from rerank.potentials.network_map import map_to_regions, network_labels
from rerank.stages.activations import make_coarse_input, reads_inputs
from rerank.stages.auxiliary import AuxiliaryModels
from rerank.stages.classifiers import ImageModels, backbone_vector, load_models
from rerank.stages.crf_settings import CRFChoice, load_choice
from rerank.stages.features import Classes, describe_proposals, with_columns
from rerank.stages.fusion import TrainingPriors, image_evidence, load_fusion
from rerank.stages.proposals import NETWORK, Drawing, image_proposals
from rerank.stages.segnet import load_segnet, segnet_maps
from rerank.stages.superpixel_features import (
    Descriptor,
    describe_whole,
    make_descriptor,
    whole_image_features,
)
from rerank.stages.superpixels import graph_of, segment
from rerank.stages.unaries import load_classifier
from rerank.superpixels import to_pixels
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
)
#: Opens what a stage of `MODEL_STAGES` wrote for the evaluation images.
OpenStage = Callable[[str], AbstractContextManager[h5py.Group]]


@dataclass(frozen=True, eq=False)
class Proposals:
    """The proposals of one image.

    Attributes
    ----------
    superpixels : (H, W) int32 array
        Regions of the image; with a network map, superpixels split along the network's borders.
    labelings : (M, n) uint8 array
        Labels of the superpixels; the first labeling is MAP.
    energies : (M,) float64 array
        Of the CRF; lower is more probable.
    lower_bounds : (M,) float64 array
        What is proved about each energy; -inf where nothing is.
    generators : tuple of M str
        What made each proposal.
    """

    superpixels: Array
    labelings: Array
    energies: FloatArray
    lower_bounds: FloatArray
    generators: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labelings)

    @property
    def network(self) -> int | None:
        """The proposal that is the network's own labeling; None where there is no network map."""
        return self.generators.index(NETWORK) if NETWORK in self.generators else None

    def labels(self, proposal: int) -> Array:
        """Full-resolution labels of a proposal, (H, W) uint8."""
        return to_pixels(self.labelings[proposal], self.superpixels)

    @classmethod
    def of(cls, superpixels: Array, drawn: Mapping[str, Any]) -> Proposals:
        """Build the record from what `image_proposals` returns.

        Parameters
        ----------
        superpixels : (H, W) int array
        drawn : mapping of str to array
            The result of `image_proposals`.

        Returns
        -------
        Proposals
        """
        return cls(
            superpixels.astype(np.int32),
            drawn["labelings"],
            drawn["energies"],
            drawn["lower_bounds"],
            tuple(drawn["generators"]),
        )


@dataclass(frozen=True, eq=False)
class Result:
    """The proposals of one image and the choice among them.

    Attributes
    ----------
    proposals : Proposals
    scores : (M,) float64 array
        Higher is better.
    chosen : int
        The proposal of the highest score.
    """

    proposals: Proposals
    scores: FloatArray
    chosen: int

    @property
    def labels(self) -> Array:
        """Full-resolution labels of the choice, (H, W) uint8."""
        return self.proposals.labels(self.chosen)

    @property
    def energies(self) -> FloatArray:
        """Energies of the proposals, (M,) float64."""
        return self.proposals.energies

    @property
    def kept(self) -> str:
        """Why this proposal was chosen, as a sentence."""
        own = self.proposals.labelings[self.chosen]
        others = (self.proposals.labelings != own).any(axis=1)
        if not others.any():
            return "All proposals are the same."
        next_best = int(np.where(others, self.scores, -np.inf).argmax())
        margin = self.scores[self.chosen] - self.scores[next_best]
        return (
            f"Proposal {self.chosen} ({self.proposals.generators[self.chosen]}) has the highest "
            f"score, {margin:.3g} above the next different one, proposal {next_best}."
        )


@dataclass(frozen=True, eq=False)
class _Ranking:
    """The final ranking SVM: a weight a column, and the range in which columns count."""

    columns: tuple[str, ...]
    coef: FloatArray
    lowest: FloatArray
    highest: FloatArray

    @classmethod
    def load(cls, model: h5py.Group) -> _Ranking:
        if "lowest" not in model:
            raise StoreError(
                f"{model.file.filename}: made by an older rerank, whose ranker kept no ranges; "
                "finish the run again with `rerank run`"
            )
        names = ("coef", "lowest", "highest")
        return cls(read_strings(model["columns"]), *(model[name][()] for name in names))

    def score(self, values: FloatArray) -> FloatArray:
        return np.clip(values, self.lowest, self.highest) @ self.coef


class FinalModels:
    """The models of a finished run, ready for new images.

    Parameters
    ----------
    open_stage : callable
        Opens what each of `MODEL_STAGES` wrote.
    recipe : Recipe
    classes : Classes
    weights : str or None
        The file of backbone weights.
    """

    def __init__(
        self, open_stage: OpenStage, recipe: Recipe, classes: Classes, weights: str | None
    ) -> None:
        self.recipe, self.classes = recipe, classes
        self._coarse_input = make_coarse_input(recipe, weights) if reads_inputs(recipe) else None
        with open_stage("unaries") as file:
            self._classifier: SuperpixelClassifier | None = None
            self._network: DenseNetworkUnary | None = None
            if recipe.unary.source == "classifier":
                self._classifier = load_classifier(file)
            elif recipe.unary.source == "dense_network":
                self._network = DenseNetworkUnary.from_arrays(
                    read_arrays(file["model"]), classes.n_classes, recipe, weights
                )
            class_shares = file["class_shares"][()]
        with open_stage("auxiliary") as file:
            self._auxiliary = AuxiliaryModels.load(file, recipe, classes.n_classes, weights)
        self._segnet: dict[str, Array] | None = None
        if recipe.segnet.enabled:
            with open_stage("segnet") as file:
                self._segnet = load_segnet(file)
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
            self._ranking = _Ranking.load(file["model"])
        whole = whole_image_features(recipe)
        self._describe_whole: Descriptor | None = None
        if whole is not None:
            self._describe_whole = make_descriptor(recipe, weights, whole, recipe.unary.scales)
        self._describe: Descriptor | None = None
        if recipe.unary.source == "classifier":
            kind = recipe.unary.features
            self._describe = (
                self._describe_whole
                if kind == whole
                else make_descriptor(recipe, weights, kind, recipe.unary.scales)
            )

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
        seen = self._view(image, probabilities, image_id, auxiliary)
        edges = detect_edges(image) if self.recipe.features.edges else None
        evidence = with_columns(seen.evidence, self._models, seen.fused_posterior, edges)
        table, _ = describe_proposals(
            image_id, self.classes, self.recipe, seen.regions, seen.drawn, evidence
        )
        values = table.select(columns=self._ranking.columns).values.astype(np.float32)
        scores = self._ranking.score(values)
        return Result(seen.proposals, scores, int(scores.argmax()))

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
        labels = None
        if probabilities is not None:
            labels = network_labels(
                probabilities, image, n_classes=self.classes.n_classes, where=image_id
            )
        regions = segment(image, recipe.superpixels, labels)
        superpixels = regions["superpixels"]
        described: dict[int, FloatArray] = {}

        def describe(descriptor: Descriptor) -> FloatArray:
            if id(descriptor) not in described:
                described[id(descriptor)] = descriptor(image, superpixels)
            return described[id(descriptor)]

        if self._classifier is not None and self._describe is not None:
            unary = self._classifier.predict_proba(describe(self._describe))
        elif self._network is not None:
            unary = self._network.predict_proba(image, superpixels)
        else:
            assert probabilities is not None
            unary = map_to_regions(
                probabilities,
                image,
                superpixels,
                n_classes=self.classes.n_classes,
                refined=recipe.unary.dense_crf,
                where=image_id,
            )
        sources = {"unary": unary.astype(np.float32)}
        coarse = None if self._coarse_input is None else np.asarray(self._coarse_input(image))
        segnet_map = vector = scores = None
        if self._segnet is not None and coarse is not None:
            segnet_map = segnet_maps(recipe, self._segnet, coarse[None], self.classes.n_classes)[0]
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
            signals = region_signals(evidence, regions["areas"], regions["region_values"])
            sources["fusion"] = self._fusion.predict_proba(signals).astype(np.float32)
        drawn = image_proposals(
            sources,
            graph_of(regions),
            regions["region_values"],
            self._choice,
            Drawing.of(recipe),
            regions.get(NETWORK),
        )
        return _View(regions, drawn, evidence, sources.get("fusion"))


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
