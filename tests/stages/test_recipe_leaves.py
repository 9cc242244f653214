"""Every leaf of a recipe changes the key of some artefact, or is refused.

A leaf that changes no key would be accepted and ignored: a run with it would find the artefacts of
a run without it. Each leaf gets a second valid value, in a context in which it matters. The page
has the whole recipe in its key, so it counts only for what steers the page.
"""

from __future__ import annotations

import contextlib
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, Union

import numpy as np
import pytest
from PIL import Image
from pydantic import BaseModel

from rerank.config import Recipe, build_recipe
from rerank.engine.store import Store
from rerank.errors import ConfigError
from rerank.nets import build_backbone
from rerank.stages.pipeline import open_pipeline

BASE: dict[str, Any] = {
    "name": "leaves",
    "dataset": {"name": "scenes", "options": {"n_images": 8, "size": [64, 48]}},
    "folds": {"n_folds": 2},
    "backbone": {"architecture": "small"},
    "classifiers": {"features": "appearance"},
    "unary": {"features": "appearance"},
}

#: Written in overrides where a file or folder of the fixture `files` stands.
Overrides = tuple[str, ...]

PRETRAINED: Overrides = ("backbone.architecture=squeezenet1_0", "backbone.weights={weights}")
OWN_BACKBONE: Overrides = ("unary.architecture=squeezenet1_0", "unary.weights={other_weights}")
NETWORK: Overrides = ("unary.source=dense_network", "dense_network.train_backbone=true")
AUXILIARY_NETWORK: Overrides = ("auxiliary.dense_network=true", "dense_network.train_backbone=true")
MAPS: Overrides = ("unary.source=probabilities", "unary.probabilities={maps}")
LEARNED_CRF: Overrides = ("crf.parameters=structured_svm",)
DIV_MBEST: Overrides = ("proposals.generator=div_mbest",)
MIXED: Overrides = ("proposals.generator=mixed",)
AUXILIARY_CLASSIFIER: Overrides = ("auxiliary.features=appearance",)

#: A reader that, like `scenes`, needs no options: the fixture makes its folder.
FOLDER: Overrides = ("dataset={name: folder}", "folds.n_folds=3")

#: Contexts in which a leaf or a group matters, where the base is not one; the leaf must act in
#: each. The longest name that fits counts.
CONTEXTS: dict[str, tuple[Overrides, ...]] = {
    "dataset.name": (FOLDER,),
    "backbone.weights": (PRETRAINED,),
    "unary.source": ((), (*PRETRAINED, "unary.probabilities={maps}")),
    "unary.features": ((), PRETRAINED),
    "unary.architecture": ((*PRETRAINED, "unary.features=deep", *OWN_BACKBONE),),
    "unary.weights": ((*PRETRAINED, "unary.features=deep", *OWN_BACKBONE),),
    "unary.scales": ((*PRETRAINED, "unary.features=deep"),),
    "unary.image_mean": ((), AUXILIARY_CLASSIFIER),
    "unary.probabilities": (MAPS,),
    "unary.dense_crf": (MAPS, NETWORK, AUXILIARY_NETWORK),
    "dense_network": (NETWORK, AUXILIARY_NETWORK),
    "dense_network.crf_epochs": (
        (*NETWORK, "dense_network.crf_layer=true"),
        (*AUXILIARY_NETWORK, "dense_network.crf_layer=true"),
    ),
    "dense_network.crf_learning_rate": (
        (*NETWORK, "dense_network.crf_layer=true"),
        (*AUXILIARY_NETWORK, "dense_network.crf_layer=true"),
    ),
    "dense_network.train_backbone": (
        ("unary.source=dense_network", *PRETRAINED),
        ("auxiliary.dense_network=true", *PRETRAINED),
    ),
    "auxiliary.features": ((), PRETRAINED),
    "auxiliary.scales": ((*PRETRAINED, "auxiliary.features=deep"),),
    "holdout": ((), MAPS),
    "segnet": ((), (*MAPS, "segnet.enabled=true")),
    "classifiers.enabled": ((), MAPS),
    "auxiliary.dense_network": (("dense_network.train_backbone=true",),),
    "crf.learner_C": (LEARNED_CRF,),
    "crf.contrast_scales": ((), LEARNED_CRF),
    "proposals.inference": (DIV_MBEST,),
    "proposals.samples": (MIXED,),
    "proposals.n_proposals": ((), DIV_MBEST),
    "proposals.diversities": ((), DIV_MBEST),
    "proposals.diversity_proposals": ((), DIV_MBEST),
    "classifiers.features": ((), PRETRAINED),
}

#: Second values, in YAML, that the type does not tell; those of a literal are all others.
VALUES: dict[str, tuple[str, ...]] = {
    "name": ("other",),
    "dataset.name": ("scenes",),
    "dataset.train": ("test",),
    "dataset.evaluate": ("null", "test"),
    "dataset.options": ("{n_images: 8, size: [64, 40]}",),
    "backbone.architecture": ("caffenet", "alexnet", "squeezenet1_0", "timm/resnet18"),
    "backbone.weights": ("{other_weights}", "null"),
    "unary.architecture": ("caffenet", "alexnet", "timm/resnet18"),
    "unary.weights": ("{weights}",),
    "unary.probabilities": ("{other_maps}", "null"),
    "dense_network.loss": ("rmi(factor=2)", "0.7 uoi + 0.3 ce"),
    "auxiliary.scales": ("[0.5]",),
    "auxiliary.probabilities": ("[{maps}]", "[{maps}, {other_maps}]"),
    "shard_size": ("2",),
    "superpixels.n_segments": ("77",),
    "crf.preferred": ("[1.5, 4.0]",),
    "ranking.C": ("0.5",),
    "ranking.groups": ("[summary]", "[proposal, segnet]"),
    "ranking.compared": ("[]", "[ridge]"),
    "report.ablation_groups": ("[proposal]",),
}

#: Values that are another name of what holds already, and why.
SAME: dict[tuple[str, str], str] = {
    ("folds.scheme", "stratified"): "that is what `auto` means for images that are no video"
}

#: Leaves that steer the page alone: they change its key, and no other.
PAGE = {"name", "device", "report.n_bootstrap", "report.n_examples"}


class Leaf(NamedTuple):
    name: str
    annotation: Any
    default: Any


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[Leaf]:
    """All settings that hold no settings themselves."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from leaves(field.annotation, f"{prefix}{name}.")
        else:
            yield Leaf(prefix + name, field.annotation, field.default)


LEAVES = list(leaves(Recipe))


def literals(annotation: Any) -> list[Any]:
    """The values of a literal, or of an optional one; none for other types."""
    if typing.get_origin(annotation) is Literal:
        return list(typing.get_args(annotation))
    if typing.get_origin(annotation) in (Union, types.UnionType):
        return [v for a in typing.get_args(annotation) for v in (literals(a) or [None])]
    return []


def written(value: Any) -> str:
    """The value as YAML."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(written, value))}]"
    return str(value)


def other_number(value: Any) -> Any:
    """Another value of the type that is valid wherever a leaf of the recipe is bounded."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value / 2 if value else 0.25
    if isinstance(value, tuple) and value:
        return (other_number(value[0]), *value[1:])
    raise AssertionError(f"no second value of {value!r}; add one to VALUES")


def second_values(leaf: Leaf, base: Recipe) -> list[str]:
    if leaf.name in VALUES:
        return list(VALUES[leaf.name])
    value: Any = base
    for part in leaf.name.split("."):
        value = getattr(value, part)
    if known := [v for v in literals(leaf.annotation) if v != value]:
        return [written(v) for v in known if (leaf.name, v) not in SAME]
    return [written(other_number(value))]


def contexts(leaf: str) -> tuple[Overrides, ...]:
    group = leaf.rpartition(".")[0]
    return CONTEXTS.get(leaf, CONTEXTS.get(group, ((),)))


class Keys:
    """Keys of all artefacts by stage, of recipes that are given by overrides of the base."""

    def __init__(self, store: Store, files: dict[str, str], data: Path) -> None:
        self._store, self._files, self._data = store, files, data
        self._known: dict[Overrides, dict[str, tuple[str, ...]]] = {}

    def recipe(self, overrides: Overrides) -> Recipe:
        filled = []
        for override in overrides:
            for name, path in self._files.items():
                override = override.replace("{" + name + "}", path)
            filled.append(override)
        return build_recipe(BASE, "leaves", filled)

    def of(self, overrides: Overrides) -> dict[str, tuple[str, ...]]:
        if overrides not in self._known:
            graph = open_pipeline(self.recipe(overrides), self._store, str(self._data))
            found: dict[str, tuple[str, ...]] = {}
            for task in graph.tasks:
                found[task.stage.name] = (*found.get(task.stage.name, ()), task.ref.key)
            self._known[overrides] = found
        return self._known[overrides]

    def changed(self, context: Overrides, override: str) -> set[str]:
        """The stages whose keys an override changes in a context."""
        before, after = self.of(context), self.of((*context, override))
        return {stage for stage in before if before[stage] != after[stage]}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    root = tmp_path_factory.mktemp("leaves")
    files = {name: str(root / name) for name in ("maps", "other_maps")}
    for index, name in enumerate(("weights", "other_weights")):
        state = build_backbone("squeezenet1_0", random_state=index).layers.state_dict()
        files[name] = str(root / f"{name}.npz")
        np.savez(files[name], **{key: value.numpy() for key, value in state.items()})
    plain = open_pipeline(build_recipe(BASE, "leaves"), Store(root / "work"))
    ids = [image_id for part in plain.parts for image_id in part.image_ids]
    for index, name in enumerate(("maps", "other_maps")):
        Path(files[name]).mkdir()
        for image_id in ids:
            np.save(Path(files[name]) / f"{image_id}.npy", np.full((2, 3, 4), 0.25 + index / 4))
    for name, lines in (("train", ids[:4]), ("val", ids[4:6])):
        (root / f"{name}.txt").write_text("\n".join(lines))
    for kind, channels in (("images", (3,)), ("labels", ())):
        (root / kind).mkdir()
        for index, image_id in enumerate(ids[:6]):
            pixels = np.full((24, 32, *channels), index % 3, np.uint8)
            Image.fromarray(pixels).save(root / kind / f"{image_id}.png")
    return Keys(Store(root / "work"), files, root)


@pytest.mark.parametrize("leaf", LEAVES, ids=[leaf.name for leaf in LEAVES])
def test_it_changes_a_key_or_is_refused(keys: Keys, leaf: Leaf) -> None:
    for context in contexts(leaf.name):
        for value in second_values(leaf, keys.recipe(context)):
            where = f"{leaf.name}={value} in the context {context}"
            try:
                changed = keys.changed(context, f"{leaf.name}={value}")
            except ConfigError:
                continue
            if leaf.name in PAGE:
                assert changed == {"pages"}, where
            else:
                assert changed - {"index", "pages"}, f"{where} is accepted and ignored"


def test_each_leaf_acts_for_some_value(keys: Keys) -> None:
    """No leaf is refused whatever its value is."""
    refused = []
    for leaf in LEAVES:
        acted = False
        for context in contexts(leaf.name):
            for value in second_values(leaf, keys.recipe(context)):
                with contextlib.suppress(ConfigError):
                    acted = acted or bool(keys.changed(context, f"{leaf.name}={value}"))
        if not acted:
            refused.append(leaf.name)
    assert refused == []


def test_the_tables_name_leaves() -> None:
    known = {leaf.name for leaf in LEAVES}
    groups = {name.rpartition(".")[0] for name in known}
    assert set(CONTEXTS) <= known | groups
    assert {*VALUES, *PAGE, *(name for name, _ in SAME)} <= known


def test_contexts_are_recipes(keys: Keys) -> None:
    for context in {c for found in CONTEXTS.values() for c in found}:
        keys.of(context)


@pytest.mark.parametrize("leaf, value", list(SAME))
def test_other_names_of_the_same_change_nothing_else(keys: Keys, leaf: str, value: str) -> None:
    assert keys.changed((), f"{leaf}={value}") == {"pages"}
