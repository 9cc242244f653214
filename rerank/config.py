"""Recipes: typed, frozen settings of the whole pipeline, read from YAML.

A recipe states only what differs from the defaults of its sections (`rerank.settings`). An unknown
key, a wrong type and a value out of range are errors that name the file, the key and what was
expected.
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
from pydantic import BaseModel, Field

from rerank.errors import ConfigError
from rerank.recipe_defaults import CONTRAST_SCALE, POTTS_WEIGHT, resolve_automatic
from rerank.safe_yaml import MOST_BYTES, read_yaml
from rerank.settings import (
    AUTO_IS_NONE,
    FEWEST_SEGMENTS,
    AuxiliarySettings,
    BackboneSettings,
    ClassifierSettings,
    ConformalSetSettings,
    CorpusChoiceSettings,
    CRFSettings,
    DatasetSettings,
    DenseNetworkSettings,
    FeatureSettings,
    FoldSettings,
    FusionSettings,
    GateSettings,
    NonNegative,
    Positive,
    ProposalSettings,
    RankingSettings,
    ReportSettings,
    SampleSettings,
    SegNetSettings,
    Settings,
    Share,
    SuperpixelSettings,
    UnarySettings,
)
from rerank.suggestions import did_you_mean

_ABSENT = object()
Model = typing.TypeVar("Model", bound=BaseModel)


def _as_file_name(name: str) -> str:
    """The name, if a folder can have it: the work folder is called by it where none is named."""
    if len(name) > 100 or re.fullmatch(r"\w[\w .+-]*", name) is None:
        raise ValueError(
            "a name is of at most 100 letters, digits, spaces and _ . + -, and begins with a letter"
        )
    return name


class Recipe(Settings):
    """Everything that decides a run's results.

    What is called automatic may be left out or `auto`: see `rerank.recipe_defaults`.

    `holdout` is the share of each fold's training images that settings are chosen on. It is
    automatic: 0 with own maps, else 0.15. With 0 settings are chosen on all training images of a
    fold, each as the models of its own fold predict it, and nothing is fitted twice; a fold then
    needs the models of all others, and probabilities of models keep their temperature of 1.

    `shard_size` is the most images of a task and of its file, in stages that treat images one by
    one. It changes no result.

    `device` is where networks run: `cpu`, or with `auto` a GPU where there is one. It changes
    results in their last digits, and no artefact is made anew for it.

    `training_memory` is the most memory, in MiB, of what one model is fitted on: rows of
    superpixels, images of the SegNet, of the fusion and of image classifiers, proposals of the
    rankers and of the sets. Where there is more, a random share of it is used.
    """

    name: typing.Annotated[str, pydantic.AfterValidator(_as_file_name)]
    dataset: DatasetSettings
    random_state: typing.Annotated[int, Field(ge=0)] = 0
    folds: FoldSettings = FoldSettings()
    device: Literal["cpu", "auto"] = "cpu"
    training_memory: typing.Annotated[int, Field(ge=1)] = 1024
    shard_size: typing.Annotated[int, Field(ge=1)] = 64
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
        self._check_unary_backbone()
        self._check_deep_features()
        self._check_groups()
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

    @property
    def unary_backbone(self) -> BackboneSettings:
        """The backbone whose features the classifier of stage 1 sees."""
        own = self.unary
        if own.weights is None or own.architecture is None:
            return self.backbone
        return BackboneSettings(architecture=own.architecture, weights=own.weights)

    def _check_unary_backbone(self) -> None:
        own = self.unary
        if (own.weights is None) != (own.architecture is None):
            raise ValueError(
                "unary.architecture and unary.weights are one backbone; set both, or both to null"
            )
        deep = own.source == "classifier" and own.features in ("deep", "both")
        if own.weights is not None and not deep:
            raise ValueError(
                "unary.weights is of a classifier of deep features; set unary.source=classifier "
                "and unary.features=deep, or unary.weights=null and unary.architecture=null"
            )

    def _check_deep_features(self) -> None:
        asked: list[tuple[str, str | None, str]] = [
            ("auxiliary.features", self.auxiliary.features, "null")
        ]
        if self.unary.source == "classifier" and self.unary.weights is None:
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
    null): 1.5 up to 500 superpixels, and less with more, in inverse proportion. `colours` is the
    weight of `colour_evidence` beside the map's log-probabilities.
    """

    superpixels: SuperpixelSettings = SuperpixelSettings()
    dense_crf: bool = False
    colours: NonNegative = 1.0
    potts_weight: typing.Annotated[NonNegative | None, AUTO_IS_NONE] = None
    contrast_scale: NonNegative = CONTRAST_SCALE
    base: Share = 0.0
    map_inference: Literal["alpha_expansion", "icm", "trws"] = "alpha_expansion"
    n_proposals: typing.Annotated[int, Field(ge=2)] = 30
    generator: Literal["mixed", "div_mbest"] = "mixed"
    diversity: Positive = 0.3
    inference: Literal["auto", "trws", "alpha_expansion", "icm"] = "auto"
    samples: SampleSettings = SampleSettings()
    temperature: Positive = 0.3

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
