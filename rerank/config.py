"""Recipes: typed, frozen settings of the whole pipeline, read from YAML.

A recipe states only what differs from the defaults below. An unknown key, a wrong type and a
value out of range are errors that name the file, the key and what was expected.
"""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import pydantic
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from rerank.errors import ConfigError
from rerank.recipe_defaults import CONTRAST_SCALE, POTTS_WEIGHT, resolve_automatic
from rerank.safe_yaml import MOST_BYTES, read_yaml
from rerank.suggestions import did_you_mean

Share = typing.Annotated[float, Field(ge=0, le=1)]
OpenShare = typing.Annotated[float, Field(gt=0, lt=1)]
Positive = typing.Annotated[float, Field(gt=0, allow_inf_nan=False)]
Scales = typing.Annotated[tuple[Positive, ...], Field(min_length=1)]
Smoothing = typing.Annotated[float, Field(gt=0, lt=0.5)]
NonNegative = typing.Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = typing.Annotated[int, Field(ge=1)]
_ABSENT = object()
#: Backbones that rerank itself defines; those of timm are `timm/NAME`.
ARCHITECTURES = ("small", "caffenet", "alexnet", "squeezenet1_0")
Model = typing.TypeVar("Model", bound=BaseModel)


class Settings(BaseModel):
    """Base of all settings: frozen, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _as_file_name(name: str) -> str:
    """The name, if a folder can have it: the work folder is called by it where none is named."""
    if len(name) > 100 or re.fullmatch(r"\w[\w .+-]*", name) is None:
        raise ValueError(
            "a name is of at most 100 letters, digits, spaces and _ . + -, and begins with a letter"
        )
    return name


class DatasetSettings(Settings):
    """Which images; `options` are those of the reader, such as `n_images` of scenes."""

    name: str
    train: str = "train"
    evaluate: str | None = "val"
    options: dict[str, bool | int | float | str | list[int] | list[str] | None] = {}


class FoldSettings(Settings):
    """Folds of the training images; `auto` is contiguous for video, else stratified.

    `sequences` keeps each recording of a video in one fold: with as many folds as recordings, each
    is judged by models that saw the others.

    `n_folds` is automatic: 5 with own maps, else 10.
    """

    n_folds: typing.Annotated[int, Field(ge=2)] = 10
    scheme: Literal["auto", "random", "stratified", "contiguous", "sequences"] = "auto"


def _none_if_auto(value: Any) -> Any:
    return None if value == "auto" else value


#: Of automatic superpixels: chosen on training images of VOC 2012, MSRC-21 and CamVid.
BORDER_PIXELS_PER_SEGMENT, FEWEST_SEGMENTS, MOST_SEGMENTS, LEAST_PIXELS = 4, 500, 1200, 30


class SuperpixelSettings(Settings):
    """SLIC (Achanta et al. 2012).

    `n_segments` is automatic (`auto`, or null): 500, or with a network's map one for four pixels at
    the borders of the network's labels, at most 1200. Thin things have long borders.
    """

    n_segments: typing.Annotated[Count | None, BeforeValidator(_none_if_auto)] = None
    compactness: Positive = 8.0

    def number(self, n_pixels: int, n_border_pixels: int = 0) -> int:
        """How many superpixels an image gets.

        Parameters
        ----------
        n_pixels : int
        n_border_pixels : int
            Those at the borders of a network's labels: `border_pixels`.

        Returns
        -------
        int
            At least 1.
        """
        if self.n_segments is not None:
            return self.n_segments
        wanted = max(n_border_pixels // BORDER_PIXELS_PER_SEGMENT, FEWEST_SEGMENTS)
        # A superpixel of fewer pixels says nothing that they do not say themselves.
        return max(1, min(wanted, MOST_SEGMENTS, n_pixels // LEAST_PIXELS))


class BackboneSettings(Settings):
    """The pretrained network. `weights` is a file; `small` needs none and is trained here.

    `timm/NAME` is any image model of the library timm, such as timm/tf_efficientnet_lite0.

    The `architecture` is automatic: `small` without weights; with them it is what the file's name
    says, `caffenet` for a `.caffemodel`, else `squeezenet1_0`.
    """

    architecture: str = "small"
    weights: str | None = None

    @pydantic.field_validator("architecture")
    @classmethod
    def _known(cls, architecture: str) -> str:
        if architecture not in ARCHITECTURES and not re.fullmatch(r"timm/[\w.]+", architecture):
            raise ValueError(
                f"expected one of {', '.join(ARCHITECTURES)}, or timm/NAME for a model of timm"
            )
        return architecture


class UnarySettings(Settings):
    """Class probabilities of superpixels: a classifier's, a dense network's or the user's own.

    With the `source` `classifier`, `features` are the inputs of the superpixel classifier. They are
    automatic: `deep` where there are weights of a backbone, else `appearance`.
    `image_mean` appends the mean features of the whole image to each superpixel's. That helps
    where images are of many kinds, and can overfit small data sets. `scales` are those that the
    image is resized to for deep features. `class_balance` is the exponent of class weights,
    `n_members` the number of networks that are averaged (`SuperpixelClassifier`).

    With `dense_network`, the network of that section gives them. With `probabilities`, they are
    the mean over each superpixel of network maps: `probabilities` is their folder, with one
    `ID.npy` or `ID.npz` per image, (H, W, C) or (C, H, W); a relative path is looked for in the
    data root, then as given. Maps of training images must come from models that never saw them;
    rerank cannot check that for maps that it did not make.

    `dense_crf` refines the pixel probabilities of `dense_network` and `probabilities` by a fully
    connected CRF before the mean is taken.
    """

    source: Literal["classifier", "dense_network", "probabilities"] = "classifier"
    features: Literal["appearance", "deep", "both"] = "appearance"
    image_mean: bool = False
    scales: Scales = (1.0,)
    hidden: Count = 128
    n_steps: Count = 1500
    weight_decay: NonNegative = 1.0
    class_balance: Share = 0.0
    n_members: Count = 1
    max_per_image: Count = 150
    probabilities: str | None = None
    dense_crf: bool = False


class DenseNetworkSettings(Settings):
    """The dense network of `unary.source` or `auxiliary`: an FCN-8s on the recipe's backbone.

    Images are resized to `size`, (height, width), for it. `loss` is a name such as `ce`,
    `rmi(factor=2)` or `0.7 uoi + 0.3 ce`; others than `ce` start from it, half way through the
    epochs. `crf_layer` puts CRF-Grad with learned kernels on top (Larsson et al. 2017); network
    and layer are then trained together for `crf_epochs`. A backbone without weights must be
    trained too (`train_backbone`); a frozen one runs once per image.
    """

    size: tuple[Count, Count] = (180, 240)
    loss: str = "ce"
    epochs: typing.Annotated[int, Field(ge=2)] = 24
    learning_rate: Positive = 0.05
    crf_layer: bool = False
    crf_epochs: Count = 5
    crf_learning_rate: Positive = 0.01
    batch_size: Count = 8
    train_backbone: bool = False


class AuxiliarySettings(Settings):
    """Other models of superpixels, which only stage 2 uses, through the fusion.

    `features` are the inputs of a second superpixel classifier; null means no such classifier.
    `scales` are those that the image is resized to for deep features; null means those of `unary`.
    The other settings of the classifier are those of `unary`. `dense_network` adds the network of
    that section. `probabilities` are folders with the maps of further networks, as in `unary`.
    """

    features: Literal["appearance", "deep", "both"] | None = None
    scales: Scales | None = None
    dense_network: bool = False
    probabilities: tuple[str, ...] = ()


class CRFSettings(Settings):
    """Contrast-sensitive Potts (`contrast_potts_weights`), chosen on held-out training images.

    With the `parameters` `search`, `potts_weights` and `contrast_scales` are tried in all pairs.
    `prior_exponents` are class biases: the log-probability of class k gains
    -t log(share of k among the training pixels). With `structured_svm`, the Potts weight and a free
    class bias are learned (`StructuredCRFLearner`) for each of `contrast_scales` and `learner_C`.
    `preferred`, a weight and a contrast scale, is used without a class bias unless the best of
    the search is better on 84 % of resamples of the images. `holdout_images` is the most images
    that all this is tried on.
    """

    parameters: Literal["search", "structured_svm"] = "search"
    learner_C: typing.Annotated[tuple[Positive, ...], Field(min_length=1)] = (1.0, 10.0, 100.0)
    potts_weights: typing.Annotated[tuple[NonNegative, ...], Field(min_length=1)] = (
        0.0,
        0.1,
        0.2,
        0.35,
        0.5,
        1.0,
        1.5,
        2.0,
        3.0,
        4.0,
        5.5,
        7.0,
    )
    contrast_scales: typing.Annotated[tuple[NonNegative, ...], Field(min_length=1)] = (1.0, 4.0)
    base: Share = 0.0
    prior_exponents: typing.Annotated[tuple[NonNegative, ...], Field(min_length=1)] = (
        0.0,
        0.25,
        0.5,
        0.75,
    )
    preferred: tuple[NonNegative, NonNegative] | None = None
    inference: Literal["alpha_expansion", "icm", "trws"] = "alpha_expansion"
    holdout_images: Count = 60

    @pydantic.model_validator(mode="after")
    def _preferred_is_tried(self) -> CRFSettings:
        if self.preferred is None:
            return self
        if self.parameters != "search":
            raise ValueError("preferred is of the search; set preferred=null")
        weight, scale = self.preferred
        for name, value in (
            ("potts_weights", weight),
            ("contrast_scales", scale),
            ("prior_exponents", 0.0),
        ):
            if value not in getattr(self, name):
                raise ValueError(
                    f"with preferred={list(self.preferred)} {name} must hold {value:g}; add it, "
                    "or set preferred=null"
                )
        return self


class FusionSettings(Settings):
    """The fused posterior, which joins all signals, and a second CRF on it.

    Superpixel classifier, SegNet, image classifiers and location are joined by one weight per
    signal (`FusedPosterior`), fitted on held-out training images. Proposals are drawn from both
    CRFs.
    """

    enabled: bool = True
    alpha: NonNegative = 1e-3


class SampleSettings(Settings):
    """Samples of what an image's truth may be (`PosteriorSamples`).

    `class_noise` is the scale, in log-probabilities, of the noise that the whole image shares; the
    generator `mixed` makes proposals with it alone. The choice is judged by `n_samples` samples
    more, which also have noise of scale `region_noise` in each of `n_regions` regions.
    """

    class_noise: Positive = 1.0
    region_noise: NonNegative = 0.5
    n_regions: Count = 20
    n_samples: Count = 40


class ProposalSettings(Settings):
    """The proposals; the diversity is chosen on held-out training images.

    `div_mbest` is Hamming diversity by area (Batra et al. 2012), its labelings found by
    `inference`. `pool` takes rows of that and of all other generators, chosen greedily by the
    oracle's gain on at most `pool_images` held-out images (`final_pool_images` for the evaluation
    images, whose pool is chosen on out-of-fold predictions); they are automatic, 20 and 40 with own
    maps, else 60 and 150. The diversity is chosen by the oracle of `diversity_proposals` proposals.
    `mixed`, which is automatic with own maps, chooses no pool: labelings of DivMBest and `samples`
    take turns. It keeps more samples, by which the ranker judges proposals.
    """

    n_proposals: Count = 30
    generator: Literal["pool", "div_mbest", "mixed"] = "pool"
    samples: SampleSettings = SampleSettings()
    diversities: tuple[Positive, ...] = (0.05, 0.1, 0.2, 0.3, 0.4, 0.6)
    inference: Literal["auto", "trws", "alpha_expansion", "icm"] = "auto"
    diversity_proposals: Count = 10
    pool_images: Count = 60
    final_pool_images: Count = 150


class SegNetSettings(Settings):
    """The coarse network of Cogswell et al. 2014, section 3.1, and its two phases of training.

    `enabled` is automatic: false with own maps and no weights of a backbone, since a network that
    learns from a few hundred images alone knows less than the maps. `grid` is also that of the
    location prior, which needs no network.
    """

    enabled: bool = True
    grid: Count = 13
    dropout: typing.Annotated[float, Field(ge=0, lt=1)] = 0.5
    epochs_cross_entropy: Count = 12
    epochs_mixed: Count = 5
    uoi_weight: Share = 0.7
    learning_rate: Positive = 0.05
    batch_size: Count = 16


class ClassifierSettings(Settings):
    """Image and size-threshold classifiers: linear SVMs on features of a whole image.

    These are the mean and the maximum of the superpixels' `features` (`appearance`, `deep`,
    `both`), or of the `backbone`'s last map. They are automatic: `deep` where there are weights of
    a backbone, else `appearance`. So is `C`: 0.01 for `appearance`, else 1. `enabled` is automatic:
    false with own maps and no weights, where they gain nothing beyond chance. Without it there are
    the priors of places and of classes that occur together, and no classifiers.
    """

    enabled: bool = True
    features: Literal["appearance", "deep", "both", "backbone"] = "appearance"
    C: Positive = 1.0
    percentiles: typing.Annotated[
        tuple[typing.Annotated[float, Field(ge=0, le=100)], ...], Field(min_length=1)
    ] = (20.0, 40.0, 60.0, 80.0)

    @pydantic.field_validator("percentiles")
    @classmethod
    def _each_once(cls, percentiles: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(percentiles)) < len(percentiles):
            raise ValueError("each percentile must be named once")
        return percentiles


class FeatureSettings(Settings):
    """Columns of the ranker's table; `edges` compares label borders with an edge detector's.

    `classification` says which columns its group has: `paper` are C - 1 scores of classes and those
    of their sizes (100 columns for VOC), each where a proposal paints that, as in Cogswell et al.
    2014; `crossed` are further products (280). `kl_smoothing` is that of the columns of divergence,
    which the ranker weighs; `rule_smoothings` are tried for the rule of Eq. 17.
    """

    edges: bool = True
    classification: Literal["crossed", "paper"] = "crossed"
    kl_smoothing: Smoothing = 1e-2
    rule_smoothings: typing.Annotated[tuple[Smoothing, ...], Field(min_length=1)] = (
        1e-6,
        1e-5,
        1e-4,
        1e-3,
        1e-2,
        3e-2,
        1e-1,
        3e-1,
    )


class RankingSettings(Settings):
    """The ranker: a structured hinge; `C` is chosen by cross-validation where it is None.

    `groups` are groups of columns: `segnet`, `classification` and `proposal` are those of the
    paper, with columns for each class; `summary` is a compact class-free set for few images. They
    are automatic: `summary` with own maps, else those of the paper.
    `background_penalties` are tried for the rule of Cogswell et al. 2014, Eq. 17, together with
    `features.rule_smoothings`, on training images; the paper has 0.02.
    `compared` are rankers that are fitted beside it for the report: `pairwise` with the best of
    `pairwise_C` on at most `max_pairs` pairs per image, `ridge` with the best of `ridge_alphas`.
    """

    C: Positive | None = None
    candidates: tuple[Positive, ...] = (1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
    loss: Literal["image", "corpus"] = "image"
    groups: tuple[str, ...] = ("segnet", "classification", "proposal")
    compared: tuple[Literal["pairwise", "ridge", "boosting"], ...] = (
        "pairwise",
        "ridge",
        "boosting",
    )
    pairwise_C: typing.Annotated[tuple[Positive, ...], Field(min_length=1)] = (
        1e-6,
        1e-5,
        1e-4,
        1e-3,
    )
    max_pairs: Count = 60
    ridge_alphas: typing.Annotated[tuple[Positive, ...], Field(min_length=1)] = (
        10.0,
        100.0,
        1e3,
        1e4,
    )
    background_penalties: typing.Annotated[tuple[NonNegative, ...], Field(min_length=1)] = (
        0.02,
        0.0,
        0.1,
        0.5,
    )
    tol: Positive = 1e-3
    max_iter: Count = 1000


class GateSettings(Settings):
    """Choices other than the network's own labeling are made only where the ranker is confident.

    The share of images whose IoU falls by more than `tolerance` stays under `level` with
    probability 1 - `delta` (`rerank.ranking.Gate`), shown on the out-of-fold scores of the training
    images. The gate is always calibrated and reported; `enabled` makes predictions pass through it.
    """

    enabled: bool = False
    level: OpenShare = 0.1
    delta: OpenShare = 0.1
    tolerance: typing.Annotated[float, Field(ge=0, lt=1)] = 0.01


class ConformalSetSettings(Settings):
    """The fewest proposals that hold one of IoU `min_iou` with probability 1 - `alpha`."""

    alpha: OpenShare = 0.1
    min_iou: typing.Annotated[float, Field(gt=0, le=1)] = 0.7


class CorpusChoiceSettings(Settings):
    """The choice for all images together, of the highest expected corpus IoU.

    Beliefs about the truth are a softmax of the scores at one of `temperatures`, in units of their
    spread in an image, mixed with the class probabilities of regions by one of `marginal_shares`.
    The pair is chosen on out-of-fold scores of the training images.
    """

    temperatures: typing.Annotated[tuple[Positive, ...], Field(min_length=1)] = (0.1, 0.5)
    marginal_shares: typing.Annotated[tuple[Share, ...], Field(min_length=1)] = (0.0, 0.3)


class ReportSettings(Settings):
    """Which analyses are made, and their sizes; `dense_crf` adds a row to the tables.

    `n_examples` images are listed where the choice was worst or best; the gallery holds all.

    `generators` and `ablation_groups` are automatic: the former is left out with own maps, the
    latter are the groups of the paper that there are.
    """

    n_bootstrap: Count = 1000
    n_examples: Count = 10
    dense_crf: bool = True
    generators: bool = True
    ablation: bool = True
    ablation_groups: tuple[str, ...] = ("segnet", "classification", "proposal")


class Recipe(Settings):
    """Everything that decides a run's results.

    What is called automatic may be left out or `auto`: see `rerank.recipe_defaults`.

    `holdout` is the share of each fold's training images that settings are chosen on. It is
    automatic: 0 with own maps, else 0.15. With 0 settings are chosen on all training images of a
    fold, each as the models of its own fold predict it, and nothing is fitted twice.
    """

    name: typing.Annotated[str, pydantic.AfterValidator(_as_file_name)]
    dataset: DatasetSettings
    random_state: typing.Annotated[int, Field(ge=0)] = 0
    folds: FoldSettings = FoldSettings()
    holdout: typing.Annotated[float, Field(ge=0, lt=0.5)] = 0.15
    superpixels: SuperpixelSettings = SuperpixelSettings()
    backbone: BackboneSettings = BackboneSettings()
    unary: UnarySettings = UnarySettings()
    dense_network: DenseNetworkSettings = DenseNetworkSettings()
    auxiliary: AuxiliarySettings = AuxiliarySettings()
    crf: CRFSettings = CRFSettings()
    fusion: FusionSettings = FusionSettings()
    proposals: ProposalSettings = ProposalSettings()
    segnet: SegNetSettings = SegNetSettings()
    classifiers: ClassifierSettings = ClassifierSettings()
    features: FeatureSettings = FeatureSettings()
    ranking: RankingSettings = RankingSettings()
    gate: GateSettings = GateSettings()
    conformal_set: ConformalSetSettings = ConformalSetSettings()
    corpus_choice: CorpusChoiceSettings = CorpusChoiceSettings()
    report: ReportSettings = ReportSettings()

    @pydantic.model_validator(mode="after")
    def _settings_that_would_do_nothing_are_refused(self) -> Recipe:
        auxiliary, unary = self.auxiliary, self.unary
        for name, none in (
            ("features", "null"),
            ("dense_network", "false"),
            ("probabilities", "[]"),
        ):
            if getattr(auxiliary, name) and not self.fusion.enabled:
                raise ValueError(
                    f"auxiliary.{name} is used by the fusion alone; set "
                    f"fusion.enabled=true or auxiliary.{name}={none}"
                )
        if auxiliary.dense_network and unary.source == "dense_network":
            raise ValueError(
                "unary.source=dense_network is the network that auxiliary.dense_network would "
                "add; set auxiliary.dense_network=false or another unary.source"
            )
        if auxiliary.scales is not None and auxiliary.features not in ("deep", "both"):
            raise ValueError(
                "auxiliary.scales is of deep features alone; set "
                "auxiliary.features=deep or both, or auxiliary.scales=null"
            )
        if self.classifiers.features == "backbone" and self.backbone.architecture == "small":
            raise ValueError(
                "classifiers.features=backbone needs a pretrained backbone.architecture; set "
                "classifiers.features=appearance"
            )
        self._check_deep_features()
        self._check_groups()
        if self.holdout == 0 and unary.source != "probabilities":
            raise ValueError(
                f"unary.source={unary.source} is calibrated on held-out images; set holdout above 0"
            )
        if unary.dense_crf and unary.source == "classifier":
            raise ValueError(
                "unary.dense_crf refines the probabilities of pixels, and a classifier of "
                "superpixels has none; set unary.source=dense_network, or unary.dense_crf=false"
            )
        if unary.source == "probabilities" and unary.probabilities is None:
            raise ValueError(
                "unary.source=probabilities needs the folder of the maps; set unary.probabilities"
            )
        least = 2 + self.fusion.enabled
        if unary.source == "probabilities" and self.proposals.n_proposals < least:
            raise ValueError(
                f"proposals.n_proposals is {self.proposals.n_proposals}; the network "
                f"and MAP always stand among them; set it to {least} or more"
            )
        if self.proposals.generator != "div_mbest" and self.proposals.inference != "auto":
            raise ValueError(
                "proposals.inference is of the generator div_mbest; set "
                "proposals.generator=div_mbest, or proposals.inference=auto"
            )
        return self

    def _check_deep_features(self) -> None:
        asked: list[tuple[str, str | None, str]] = [
            ("auxiliary.features", self.auxiliary.features, "null")
        ]
        if self.unary.source == "classifier":
            asked.append(("unary.features", self.unary.features, "appearance"))
        if self.classifiers.enabled:
            asked.append(("classifiers.features", self.classifiers.features, "appearance"))
        asked = [item for item in asked if item[1] in ("deep", "both", "backbone")]
        if asked and self.backbone.weights is None:
            name, value, other = asked[0]
            raise ValueError(
                f"{name}={value} needs pretrained weights; set backbone.weights=FILE, or "
                f"{name}={other}"
            )

    def _check_groups(self) -> None:
        wanted = [("ranking.groups", self.ranking.groups)]
        if self.report.ablation:
            wanted.append(("report.ablation_groups", self.report.ablation_groups))
        for name, groups in wanted:
            for needs, enabled, of_it in (
                ("segnet.enabled", self.segnet.enabled, ("segnet", "rule")),
                ("classifiers.enabled", self.classifiers.enabled, ("classification",)),
            ):
                there = [group for group in groups if group in of_it]
                if there and not enabled:
                    raise ValueError(
                        f"{name} names {there[0]}, which needs {needs}; set {needs}=true, or "
                        f"other groups"
                    )


class ProposeSettings(Settings):
    """Proposals of network maps without any training, and the choice among them.

    With the `generator` `mixed`, labelings of DivMBest take turns with `samples`. With `div_mbest`,
    DivMBest alone makes them, by `inference`. The choice is judged by more samples, and by the
    proposals' energies at `temperature` times their spread. `potts_weight` is automatic (`auto`, or
    null): 1.5 up to 500 superpixels, and less with more, in inverse proportion.
    """

    superpixels: SuperpixelSettings = SuperpixelSettings()
    dense_crf: bool = False
    potts_weight: typing.Annotated[NonNegative | None, BeforeValidator(_none_if_auto)] = None
    contrast_scale: NonNegative = CONTRAST_SCALE
    base: Share = 0.0
    map_inference: Literal["alpha_expansion", "icm", "trws"] = "alpha_expansion"
    n_proposals: typing.Annotated[int, Field(ge=2)] = 30
    generator: Literal["mixed", "div_mbest"] = "mixed"
    diversity: Positive = 0.3
    inference: Literal["auto", "trws", "alpha_expansion", "icm"] = "auto"
    samples: SampleSettings = SampleSettings()
    temperature: Positive = 1.0

    def smoothness(self, n_segments: int) -> float:
        """The Potts weight for an image of that many superpixels."""
        if self.potts_weight is not None:
            return self.potts_weight
        return POTTS_WEIGHT * FEWEST_SEGMENTS / max(n_segments, FEWEST_SEGMENTS)

    @pydantic.model_validator(mode="after")
    def _settings_that_would_do_nothing_are_refused(self) -> ProposeSettings:
        if self.generator != "div_mbest" and self.inference != "auto":
            raise ValueError(
                "inference is of the generator div_mbest; set generator=div_mbest, or "
                "inference=auto"
            )
        return self


#: Keys of earlier versions and what they are called now.
RENAMED_KEYS = {
    "posterior": "auxiliary",
    "posterior.dense": "auxiliary.dense_network",
    "dense": "dense_network",
    "unary.holdout": "holdout",
    "ranking.background_penalty": "ranking.background_penalties, values to choose from",
}


def recipe_names() -> list[str]:
    """The recipes that the package carries."""
    folder = resources.files("rerank") / "recipes"
    return sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".yaml"))


def load_recipe(recipe: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe that the package carries, or one from a YAML file.

    Parameters
    ----------
    recipe : str or path
        The name of a recipe of the package, or a file: what ends in `.yaml` or holds a slash.
    overrides : sequence of str
        `a.b=value` settings that replace those of the file; the value is read as YAML.

    Returns
    -------
    Recipe

    Raises
    ------
    ConfigError
        If the recipe is absent or not YAML, a key is unknown, or a value is of a wrong type or
        out of range.
    """
    name = str(recipe)
    if isinstance(recipe, str) and not name.endswith((".yaml", ".yml")) and "/" not in name:
        if name not in recipe_names():
            hint = did_you_mean(name, recipe_names(), "the package has")
            raise ConfigError(f"{name}: no such recipe; {hint}; a YAML file may be given too")
        with resources.as_file(resources.files("rerank") / "recipes" / f"{name}.yaml") as path:
            return load_recipe(path, overrides)
    path = Path(recipe)
    if path.is_dir():
        raise ConfigError(f"{path}: a folder; a recipe is a YAML file")
    try:
        if not path.is_file():
            raise ConfigError(f"{path}: no such recipe")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        tree = read_yaml(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None
    except ValueError as error:
        raise ConfigError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
    return build_recipe(tree, str(path), overrides)


def build_recipe(tree: Any, where: str, overrides: Sequence[str] = ()) -> Recipe:
    """Check a tree of plain values and turn it into a `Recipe`.

    Parameters
    ----------
    tree : mapping
    where : str
        Names it in errors.
    overrides : sequence of str
        As in `load_recipe`.

    Returns
    -------
    Recipe

    Raises
    ------
    ConfigError
        As in `load_recipe`.
    """
    tree = _with_overrides(tree, where, overrides)
    _refuse_renamed(tree, where, overrides)
    resolve_automatic(tree)
    return _validate(Recipe, tree, where, overrides)


def build_propose_settings(overrides: Sequence[str] = ()) -> ProposeSettings:
    """The settings of `rerank propose`, some of them replaced by `a.b=value`.

    A key may also have the prefix that it has in recipes, as in `proposals.n_proposals=10`.

    Raises
    ------
    ConfigError
        If a key is unknown, or a value is of a wrong type or out of range.
    """
    short = [override.strip().removeprefix("proposals.") for override in overrides]
    tree = _with_overrides({}, "--set", short)
    return _validate(ProposeSettings, tree, "--set", short)


def _with_overrides(tree: Any, where: str, overrides: Sequence[str]) -> dict[str, Any]:
    if not isinstance(tree, dict):
        raise ConfigError(f"{where}: a recipe is a mapping of settings, got {type(tree).__name__}")
    try:
        found: dict[str, Any] = json.loads(json.dumps(tree, default=str))
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: not settings ({error})") from None
    for override in overrides:
        _apply(found, override)
    return found


def _validate(
    model: type[Model], tree: dict[str, Any], where: str, overrides: Sequence[str]
) -> Model:
    try:
        return model.model_validate_json(json.dumps(tree))
    except pydantic.ValidationError as error:
        # What the user typed is to blame before the file that it was typed for.
        found: dict[str, list[str]] = {}
        for problem in error.errors():
            name = ".".join(str(part) for part in problem["loc"])
            place = _typed(name, overrides) or where
            found.setdefault(place, []).append(_explain(problem, model))
        raise ConfigError(
            "; ".join(f"{place}: {'; '.join(texts)}" for place, texts in found.items())
        ) from None


def _typed(name: str, overrides: Sequence[str]) -> str | None:
    """The last override of a setting, or of what is above or below it; None where there is none."""
    for override in reversed(overrides):
        key = override.partition("=")[0].strip()
        if name and (f"{key}.".startswith(f"{name}.") or f"{name}.".startswith(f"{key}.")):
            return f"--set {override}"
    return None


def dump_recipe(recipe: Recipe) -> str:
    """The whole recipe, defaults included, as YAML."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)


def _refuse_renamed(tree: dict[str, Any], where: str, overrides: Sequence[str]) -> None:
    for old in sorted(RENAMED_KEYS, key=len, reverse=True):
        value: Any = tree
        for key in old.split("."):
            value = value.get(key, _ABSENT) if isinstance(value, dict) else _ABSENT
        if value is not _ABSENT:
            place = _typed(old, overrides) or where
            raise ConfigError(f"{place}: {old} is now called {RENAMED_KEYS[old]}")
    unary = tree.get("unary")
    if isinstance(unary, dict) and unary.get("source") == "dense":
        place = _typed("unary.source", overrides) or where
        raise ConfigError(f"{place}: unary.source: dense is now called dense_network")


def _apply(tree: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    keys = name.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(f"--set {override}: expected KEY.KEY=VALUE, such as ranking.C=0.1")
    try:
        value = read_yaml(text)
    except ValueError:
        raise ConfigError(f"--set {override}: the value is not YAML") from None
    for key in keys[:-1]:
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"--set {override}: {key} is not a group of settings")
    tree[keys[-1]] = value


def _explain(error: Any, model: type[BaseModel]) -> str:
    location = [str(part) for part in error["loc"]]
    name = ".".join(location)
    if error["type"] == "extra_forbidden":
        known = _known_keys(model, location[:-1])
        hint = did_you_mean(location[-1], known, "known keys:")
        return f"{name}: unknown key ({hint})"
    if error["type"] == "missing":
        return f"{name}: missing"
    if not location:
        # Settings that are right one by one and wrong together.
        return str(error["ctx"]["error"])
    value = error.get("input")
    return f"{name}: {error['msg'][0].lower()}{error['msg'][1:]}, got {value!r}"


def _known_keys(model: Any, location: Sequence[str]) -> list[str]:
    for part in location:
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)
