"""The sections of a recipe: every setting with its type, range and default.

Values are not converted: a number in quotes is an error.
"""

from __future__ import annotations

import re
import typing
from typing import Any, Literal

import pydantic
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Share = typing.Annotated[float, Field(ge=0, le=1)]
OpenShare = typing.Annotated[float, Field(gt=0, lt=1)]
Positive = typing.Annotated[float, Field(gt=0, allow_inf_nan=False)]
Scales = typing.Annotated[tuple[Positive, ...], Field(min_length=1)]
Smoothing = typing.Annotated[float, Field(gt=0, lt=0.5)]
NonNegative = typing.Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = typing.Annotated[int, Field(ge=1)]
#: Backbones that rerank itself defines; those of timm are `timm/NAME`.
ARCHITECTURES = ("small", "caffenet", "alexnet", "squeezenet1_0")


def _none_if_auto(value: Any) -> Any:
    return None if value == "auto" else value


#: Of settings that are None where they follow from something else: `auto` means that too.
AUTO_IS_NONE = BeforeValidator(_none_if_auto)


class Settings(BaseModel):
    """Base of all settings: frozen, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


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


#: Of automatic superpixels: chosen on training images of VOC 2012, MSRC-21 and CamVid.
BORDER_PIXELS_PER_SEGMENT, FEWEST_SEGMENTS, MOST_SEGMENTS, LEAST_PIXELS = 4, 500, 1200, 30


class SuperpixelSettings(Settings):
    """SLIC (Achanta et al. 2012).

    `n_segments` is automatic (`auto`, or null): 500, or with a network's map one for four pixels at
    the borders of the network's labels, at most 1200. Thin things have long borders.
    """

    n_segments: typing.Annotated[Count | None, AUTO_IS_NONE] = None
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


def _known_architecture(architecture: str) -> str:
    if architecture not in ARCHITECTURES and not re.fullmatch(r"timm/[\w.]+", architecture):
        raise ValueError(
            f"expected one of {', '.join(ARCHITECTURES)}, or timm/NAME for a model of timm"
        )
    return architecture


Architecture = typing.Annotated[str, pydantic.AfterValidator(_known_architecture)]


class BackboneSettings(Settings):
    """The pretrained network. `weights` is a file; `small` needs none and is trained here.

    `timm/NAME` is any image model of the library timm, such as timm/tf_efficientnet_lite0.

    The `architecture` is automatic: `small` without weights; with them it is what the file's name
    says: `caffenet` for a `.caffemodel`, alexnet, efficientnet_lite0, else `squeezenet1_0`.
    """

    architecture: Architecture = "small"
    weights: str | None = None


class UnarySettings(Settings):
    """Class probabilities of superpixels: a classifier's, a dense network's or the user's own.

    With the `source` `classifier`, `features` are the inputs of the superpixel classifier. They are
    automatic: `deep` where there are weights of a backbone, else `appearance`.
    `image_mean` appends the mean features of the whole image to each superpixel's. That helps
    where images are of many kinds, and can overfit small data sets. `scales` are those that the
    image is resized to for deep features. `class_balance` is the exponent of class weights,
    `n_members` the number of networks that are averaged (`SuperpixelClassifier`). `weights` is the
    file of a backbone of the classifier's own, and `architecture` which one it is, automatically
    what the file's name says; null means those of `backbone`, which stage 2 uses in any case.

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
    architecture: Architecture | None = None
    weights: str | None = None
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
    They are automatic: `deep` with own maps and weights of a backbone, else null.
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
    that all this is tried on. `colours` is the weight of `colour_evidence` beside the unaries; it
    is automatic, 1 with own maps.
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
    colours: NonNegative = 0.0
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
    CRFs. With `colours`, which is automatic (true with own maps), `colour_evidence` is a signal.
    """

    enabled: bool = True
    alpha: NonNegative = 1e-3
    colours: bool = False


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
    location prior, which needs no network. Epochs, `learning_rate` and `batch_size` are automatic:
    on the maps of a pretrained backbone a head is trained with AdamW, 6 and 3 epochs at 0.004 and 8
    images a step; `small` is trained as a whole, by gradient descent with momentum.
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
    `both`), or of the `backbone`'s last map. They are automatic: where there are weights of a
    backbone `deep`, or with own maps `backbone`, else `appearance`. So is `C`: 0.01 for
    `appearance`, else 1. `enabled` is automatic: false with own maps and no weights, where they
    gain nothing beyond chance. Without it there are
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
