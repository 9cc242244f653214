"""Recipes: typed, frozen settings of the whole pipeline, read from YAML.

A recipe states only what differs from the defaults below. An unknown key, a wrong type and a
value out of range are errors that name the file, the key and what was expected.
"""

from __future__ import annotations

import difflib
import json
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pydantic
import yaml
from pydantic import BaseModel, ConfigDict, Field

from rerank.errors import ConfigError

Share = typing.Annotated[float, Field(ge=0, le=1)]
Positive = typing.Annotated[float, Field(gt=0, allow_inf_nan=False)]
Scales = typing.Annotated[tuple[Positive, ...], Field(min_length=1)]
NonNegative = typing.Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = typing.Annotated[int, Field(ge=1)]


class Settings(BaseModel):
    """Base of all settings: frozen, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class DatasetSettings(Settings):
    """Which images; `options` are those of the reader, such as `n_images` of scenes."""

    name: str
    train: str = "train"
    evaluate: str | None = "val"
    options: dict[str, bool | int | float | str | list[int]] = {}


class FoldSettings(Settings):
    """Folds of the training images; `auto` is contiguous for video, else stratified."""

    n_folds: typing.Annotated[int, Field(ge=2)] = 10
    scheme: Literal["auto", "random", "stratified", "contiguous"] = "auto"


class SuperpixelSettings(Settings):
    """SLIC (Achanta et al. 2012)."""

    n_segments: Count = 500
    compactness: Positive = 10.0


class BackboneSettings(Settings):
    """The pretrained network. `weights` is a file; `small` needs none and is trained here."""

    architecture: Literal["small", "caffenet", "alexnet", "squeezenet1_0"] = "squeezenet1_0"
    weights: str | None = None


class UnarySettings(Settings):
    """Class probabilities of superpixels: a classifier's, a dense network's or the user's own.

    `image_mean` appends the mean features of the whole image to each superpixel's, which helps
    where images are of many kinds and lets a small collection be learnt by heart. `scales` are
    those that the image is resized to for deep features. `class_balance` is the exponent of class
    weights, `n_members` the number of networks that are averaged (`SuperpixelClassifier`).

    `probabilities` is the folder of maps when `source` is `probabilities`: one `ID.npy` or
    `ID.npz` an image, (H, W, C) or (C, H, W). Maps of training images must come from models that
    never saw them; rerank cannot check that for maps that it did not make.

    `dense` is the network of the section `dense`. `dense_crf` refines the pixel probabilities of
    `dense` and `probabilities` by a fully connected CRF before they are pooled over superpixels.
    `holdout` is the share of the training images that settings are chosen on.
    """

    source: Literal["classifier", "dense", "probabilities"] = "classifier"
    features: Literal["appearance", "deep", "both"] = "deep"
    image_mean: bool = False
    scales: Scales = (1.0,)
    hidden: Count = 128
    n_steps: Count = 1500
    weight_decay: NonNegative = 1.0
    class_balance: Share = 0.0
    n_members: Count = 1
    max_per_image: Count = 150
    holdout: typing.Annotated[float, Field(gt=0, lt=0.5)] = 0.15
    probabilities: str | None = None
    dense_crf: bool = False


class DenseSettings(Settings):
    """The dense network of `unary.source: dense` or `posterior.dense: true`, an FCN-8s in form on
    the recipe's backbone.

    Images are resized to `size`, (height, width), for it. `loss` is a name such as `ce`,
    `rmi(factor=2)` or `0.7 uoi + 0.3 ce`; others than `ce` start from it, half way through the
    epochs. `crf_layer` puts CRF-Grad with learned kernels on top (Larsson et al. 2017), with which
    the network is then trained as one for `crf_epochs`. A backbone without weights has to be
    trained too, `train_backbone`; a frozen one runs once an image.
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


class PosteriorSettings(Settings):
    """What the fusion and the ranker hear and stage 1 does not: other models of the superpixels.

    `features` are those that a second superpixel classifier sees, null for no such classifier.
    `scales` are those that the image is resized to for deep ones, null for those of `unary`; the
    rest is as in `unary`. `dense` adds the network of the section `dense`.
    """

    features: Literal["appearance", "deep", "both"] | None = None
    scales: Scales | None = None
    dense: bool = False


class CRFSettings(Settings):
    """Contrast-sensitive Potts (`contrast_potts_weights`), chosen on held-out training images.

    With the `parameters` `search`, `potts_weights` and `contrast_scales` are tried in all pairs.
    `prior_exponents` are class biases: the log-probability of class k gains
    -t log(share of k among the training pixels). With `structured_svm`, the Potts weight and a free
    class bias are learned (`StructuredCRFLearner`) for each of `contrast_scales` and `learner_C`.
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
    inference: Literal["alpha_expansion", "icm", "trws"] = "alpha_expansion"


class FusionSettings(Settings):
    """A finer posterior from all signals, and a second CRF on it that proposals are drawn from.

    Superpixel classifier, SegNet, image classifiers and location are joined by one weight a
    signal (`FusedPosterior`), fitted on held-out training images.
    """

    enabled: bool = True
    alpha: NonNegative = 1e-3


class ProposalSettings(Settings):
    """The proposals; the diversity is chosen on held-out training images.

    `div_mbest` is Hamming diversity by area (Batra et al. 2012). `pool` takes rows of that and of
    all other generators, chosen greedily by the oracle's gain on the held-out images.
    """

    n_proposals: Count = 30
    generator: Literal["pool", "div_mbest"] = "pool"
    diversities: tuple[Positive, ...] = (0.05, 0.1, 0.2, 0.3, 0.4, 0.6)
    inference: Literal["auto", "trws", "alpha_expansion", "icm"] = "auto"


class SegNetSettings(Settings):
    """The coarse network of Cogswell et al. 2014, section 3.1, and its two phases of training."""

    grid: Count = 13
    dropout: typing.Annotated[float, Field(ge=0, lt=1)] = 0.5
    epochs_cross_entropy: Count = 12
    epochs_mixed: Count = 5
    uoi_weight: Share = 0.7
    learning_rate: Positive = 0.05
    batch_size: Count = 16


class ClassifierSettings(Settings):
    """Image and size-threshold classifiers: linear SVMs on pooled activations.

    Where there is no pretrained backbone they see features made by hand, which want a smaller `C`.
    """

    C: Positive = 1.0
    percentiles: tuple[typing.Annotated[float, Field(ge=0, le=100)], ...] = (20.0, 40.0, 60.0, 80.0)


class FeatureSettings(Settings):
    """Columns of the ranker's table; `edges` compares label borders with an edge detector's."""

    edges: bool = True
    kl_smoothing: typing.Annotated[float, Field(gt=0, lt=0.5)] = 1e-2


class RankingSettings(Settings):
    """The ranker: a structured hinge; `C` is chosen by cross-validation where it is None.

    `groups` are groups of columns: `segnet`, `classification` and `proposal` are those of the
    paper, with columns for each class; `summary` is a compact class-free set for few images.
    `compared` are rankers that are fitted beside it for the report.
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
    background_penalty: float = 0.02
    tol: Positive = 1e-3
    max_iter: Count = 1000


class ReportSettings(Settings):
    """Sizes of the analyses, and which there are; `dense_crf` is a row of its own in the tables."""

    n_bootstrap: Count = 1000
    n_examples: Count = 6
    dense_crf: bool = True
    generators: bool = True
    ablation: bool = True
    ablation_groups: tuple[str, ...] = ("segnet", "classification", "proposal")


class Recipe(Settings):
    """Everything that decides a run's results."""

    name: str
    dataset: DatasetSettings
    random_state: typing.Annotated[int, Field(ge=0)] = 0
    folds: FoldSettings = FoldSettings()
    superpixels: SuperpixelSettings = SuperpixelSettings()
    backbone: BackboneSettings = BackboneSettings()
    unary: UnarySettings = UnarySettings()
    dense: DenseSettings = DenseSettings()
    posterior: PosteriorSettings = PosteriorSettings()
    crf: CRFSettings = CRFSettings()
    fusion: FusionSettings = FusionSettings()
    proposals: ProposalSettings = ProposalSettings()
    segnet: SegNetSettings = SegNetSettings()
    classifiers: ClassifierSettings = ClassifierSettings()
    features: FeatureSettings = FeatureSettings()
    ranking: RankingSettings = RankingSettings()
    report: ReportSettings = ReportSettings()

    @pydantic.model_validator(mode="after")
    def _posterior_is_heard(self) -> Recipe:
        for name, none in (("features", "null"), ("dense", "false")):
            if getattr(self.posterior, name) and not self.fusion.enabled:
                raise ValueError(
                    f"posterior.{name} is heard through the fusion alone; set "
                    f"fusion.enabled=true or posterior.{name}={none}"
                )
        if self.posterior.dense and self.unary.source == "dense":
            raise ValueError(
                "unary.source=dense is the network that posterior.dense would add; "
                "set posterior.dense=false or another unary.source"
            )
        if self.posterior.scales is not None and self.posterior.features not in ("deep", "both"):
            raise ValueError(
                "posterior.scales is of deep features alone; set "
                "posterior.features=deep or both, or posterior.scales=null"
            )
        return self


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe from a YAML file.

    Parameters
    ----------
    path : path
        The file.
    overrides : sequence of str
        `a.b=value` settings that replace those of the file; the value is read as YAML.

    Raises
    ------
    ConfigError
        If the file is absent or not YAML, a key is unknown, or a value is of a wrong type or
        out of range.
    """
    path = Path(path)
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such recipe") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: a folder; a recipe is a YAML file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
    return build_recipe(tree, str(path), overrides)


def build_recipe(tree: Any, where: str, overrides: Sequence[str] = ()) -> Recipe:
    """Check a tree of plain values and turn it into a `Recipe`; `where` names it in errors."""
    if not isinstance(tree, dict):
        raise ConfigError(f"{where}: a recipe is a mapping of settings, got {type(tree).__name__}")
    tree = json.loads(json.dumps(tree, default=str))
    for override in overrides:
        _apply(tree, override)
    try:
        return Recipe.model_validate_json(json.dumps(tree))
    except pydantic.ValidationError as error:
        raise ConfigError(f"{where}: " + "; ".join(_explain(e) for e in error.errors())) from None


def dump_recipe(recipe: Recipe) -> str:
    """The whole recipe, defaults included, as YAML."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)


def _apply(tree: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    keys = name.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(f"--set {override}: expected KEY.KEY=VALUE, such as ranking.C=0.1")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"--set {override}: the value is not YAML") from None
    if isinstance(value, str) and _as_number(value) is not None:
        value = _as_number(value)
    for key in keys[:-1]:
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"--set {override}: {key} is not a group of settings")
    tree[keys[-1]] = value


def _as_number(text: str) -> float | None:
    # YAML 1.1 reads 1e-3 as a string, which no user expects.
    try:
        return float(text)
    except ValueError:
        return None


def _explain(error: Any) -> str:
    location = [str(part) for part in error["loc"]]
    name = ".".join(location)
    if error["type"] == "extra_forbidden":
        known = _known_keys(location[:-1])
        close = difflib.get_close_matches(location[-1], known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known keys: {', '.join(known)}"
        return f"{name}: unknown key ({hint})"
    if error["type"] == "missing":
        return f"{name}: missing"
    if not location:
        # Settings that are right one by one and wrong together.
        return str(error["ctx"]["error"])
    value = error.get("input")
    return f"{name}: {error['msg'][0].lower()}{error['msg'][1:]}, got {value!r}"


def _known_keys(location: Sequence[str]) -> list[str]:
    model: Any = Recipe
    for part in location:
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)
