"""Recipes: what is read, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rerank.config import (
    ProposeSettings,
    Recipe,
    build_propose_settings,
    build_recipe,
    dump_recipe,
    load_recipe,
)
from rerank.errors import ConfigError
from rerank.settings import SuperpixelSettings

TREE = {"name": "x", "dataset": {"name": "scenes"}}


def test_defaults_and_overrides() -> None:
    recipe = build_recipe(TREE, "x", ["ranking.C=1e-2", "crf.potts_weights=[0, 1]"])
    assert recipe.ranking.C == 0.01
    assert recipe.crf.potts_weights == (0.0, 1.0)
    assert recipe.folds.n_folds == 10


OWN = {
    "name": "x",
    "dataset": {"name": "folder"},
    "unary": {"source": "probabilities", "probabilities": "m"},
}


def test_own_maps_need_nothing_more() -> None:
    recipe = build_recipe(OWN, "x")
    assert recipe.backbone.architecture == "small"
    assert recipe.classifiers.features == "appearance" and recipe.classifiers.C == 0.01
    assert not recipe.segnet.enabled and recipe.holdout == 0 and recipe.folds.n_folds == 5
    assert recipe.ranking.groups == ("summary",)
    assert build_recipe(yaml.safe_load(dump_recipe(recipe)), "x") == recipe
    assert load_recipe("own_maps").ranking.groups == ("summary",)
    assert recipe.crf.preferred == (1.5, 4.0) and not recipe.features.edges
    usual = ProposeSettings()
    assert recipe.crf.preferred == (usual.smoothness(500), usual.contrast_scale)


def test_preferred_settings_are_among_those_that_are_tried() -> None:
    assert build_recipe(OWN, "x", ["crf.potts_weights=[0.5, 2]"]).crf.preferred is None
    assert build_recipe(OWN, "x", ["crf.parameters=structured_svm"]).crf.preferred is None
    assert build_recipe(OWN, "x", ["crf.preferred=null"]).crf.preferred is None
    with pytest.raises(ConfigError, match="potts_weights must hold 9; add it, or set preferred"):
        build_recipe(OWN, "x", ["crf.preferred=[9, 4]"])
    with pytest.raises(ConfigError, match="preferred is of the search; set preferred=null"):
        build_recipe(TREE, "x", ["crf.parameters=structured_svm", "crf.preferred=[1.0, 1.0]"])


def test_weights_bring_deep_features() -> None:
    recipe = build_recipe(OWN, "x", ["backbone.weights=squeezenet1_0.npz"])
    assert recipe.backbone.architecture == "squeezenet1_0" and not recipe.segnet.enabled
    assert recipe.classifiers.features == "backbone" and recipe.classifiers.C == 1.0
    assert recipe.auxiliary.features == "deep"
    assert recipe.fusion.colours and recipe.crf.colours == 1.0
    recipe = build_recipe(OWN, "x", ["backbone.weights=efficientnet-lite0-57934424.pth"])
    assert recipe.backbone.architecture == "timm/tf_efficientnet_lite0"
    recipe = build_recipe(TREE, "x", ["backbone.weights=squeezenet1_0.npz"])
    assert recipe.classifiers.features == "deep" and recipe.auxiliary.features is None
    of_head, of_small = recipe.segnet, build_recipe(TREE, "x").segnet
    assert (of_head.epochs_cross_entropy, of_head.learning_rate) == (6, 0.004)
    assert (of_small.epochs_cross_entropy, of_small.learning_rate) == (12, 0.05)
    recipe = build_recipe(TREE, "x", ["backbone.weights=a.caffemodel", "segnet.enabled=auto"])
    assert recipe.backbone.architecture == "caffenet" and recipe.unary.features == "deep"
    assert recipe.ranking.groups == ("segnet", "classification", "proposal")
    assert recipe.holdout == 0.15 and recipe.folds.n_folds == 10
    assert not recipe.fusion.colours and recipe.crf.colours == 0.0


@pytest.mark.parametrize(
    "override, message",
    [
        ("unary.weights=null unary.architecture=alexnet", "are one backbone; set both"),
        (
            "unary.weights=squeezenet1_0.npz unary.features=appearance",
            "unary.weights is of a classifier of deep features; .* unary.weights=null",
        ),
        ("unary.features=deep", "unary.features=deep needs pretrained weights; set backbone.w"),
        ("classifiers.features=both", "classifiers.features=both needs .*features=appearance"),
        ("auxiliary.features=deep", "auxiliary.features=deep needs .*or auxiliary.features=null"),
    ],
)
def test_deep_features_without_weights_are_one_error(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_recipe(TREE, "r.yaml", override.split())


def test_columns_of_what_is_switched_off_are_refused() -> None:
    off = ["segnet.enabled=false"]
    assert build_recipe(TREE, "x", off).ranking.groups == ("classification", "proposal")
    with pytest.raises(ConfigError, match="ranking.groups names segnet, which needs segnet.en"):
        build_recipe(TREE, "x", [*off, "ranking.groups=[summary, segnet]"])
    assert build_recipe(TREE, "x", ["holdout=0"]).holdout == 0


def test_dump_reads_back_as_the_same_recipe() -> None:
    recipe = build_recipe(TREE, "x", ["superpixels.n_segments=77"])
    assert build_recipe(yaml.safe_load(dump_recipe(recipe)), "x") == recipe


@pytest.mark.parametrize(
    "override, message",
    [
        ("superpixels.n_segment=3", "unknown key.*did you mean n_segments"),
        ("superpixels.n_segments=3.5", "superpixels.n_segments: .*integer.*3.5"),
        ("superpixels.n_segments=-1", "greater than or equal to 1"),
        ("colour=1", "colour: unknown key .known keys: name"),
        ("ranking.C=abc", "ranking.C: .*number"),
        ("crf.inference=magic", "'alpha_expansion', 'icm' or 'trws'"),
        ("dataset=3", "dataset: .*object"),
        ("ranking.C", "KEY.KEY=VALUE"),
        ("name.x=1", "not a group"),
        ("auxiliary.features=magic", "auxiliary.features: .*'deep' or 'both'"),
    ],
)
def test_bad_settings_are_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_recipe(TREE, "recipe.yaml", [override])


def test_settings_that_do_not_go_together() -> None:
    with pytest.raises(ConfigError, match="^r.yaml: auxiliary.features .* set fusion.enabled=true"):
        build_recipe(TREE, "r.yaml", ["auxiliary.features=deep", "fusion.enabled=false"])
    with pytest.raises(ConfigError, match="auxiliary.scales is of deep features alone; set aux"):
        build_recipe(TREE, "r.yaml", ["auxiliary.features=appearance", "auxiliary.scales=[2.0]"])
    with pytest.raises(
        ConfigError, match="^r.yaml: auxiliary.dense_network .* set fusion.enabled=true"
    ):
        build_recipe(TREE, "r.yaml", ["auxiliary.dense_network=true", "fusion.enabled=false"])
    with pytest.raises(
        ConfigError, match="auxiliary.dense_network would add; set auxiliary.dense_network=false"
    ):
        build_recipe(TREE, "r.yaml", ["auxiliary.dense_network=true", "unary.source=dense_network"])


@pytest.mark.parametrize(
    "override, message",
    [
        ("posterior.features=deep", "posterior is now called auxiliary"),
        ("posterior.dense=true", "posterior.dense is now called auxiliary.dense_network"),
        ("dense.loss=ce", "dense is now called dense_network"),
        ("unary.holdout=0.2", "unary.holdout is now called holdout"),
        ("unary.source=dense", "unary.source: dense is now called dense_network"),
    ],
)
def test_an_old_key_names_the_new_one(override: str, message: str) -> None:
    # Blamed is what was typed, or the file where it stands there.
    with pytest.raises(ConfigError, match=f"^--set {override}: {message}$"):
        build_recipe(TREE, "r.yaml", [override])
    name, _, value = override.partition("=")
    section, _, key = name.partition(".")
    tree = {**TREE, section: {key: yaml.safe_load(value)}}
    with pytest.raises(ConfigError, match=f"^r.yaml: {message}$"):
        build_recipe(tree, "r.yaml")


@pytest.mark.parametrize(
    "override, message",
    [
        ("unary.dense_crf=true", "unary.dense_crf refines the probabilities of pixels"),
        ("unary.source=probabilities", "set unary.probabilities$"),
        ("proposals.inference=trws", "proposals.inference is of the generator div_mbest"),
    ],
)
def test_what_would_do_nothing_is_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_recipe(TREE, "r.yaml", [override])


def test_numbers_are_read_as_json_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text('{"name": "x", "dataset": {"name": "scenes"}, "ranking": {"C": 1e-05}}')
    assert load_recipe(path).ranking.C == 1e-5


def test_missing_key_is_named() -> None:
    with pytest.raises(ConfigError, match="recipe.yaml: dataset: missing"):
        build_recipe({"name": "x"}, "recipe.yaml")


@pytest.mark.parametrize(
    "text, message", [("a: [1", "not YAML"), ("- 1\n- 2\n", "mapping"), ("", "mapping")]
)
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_recipe(path)
    with pytest.raises(ConfigError, match="no such recipe"):
        load_recipe(tmp_path / "absent.yaml")
    with pytest.raises(ConfigError, match="folder"):
        load_recipe(tmp_path)


def test_recipes_are_frozen() -> None:
    recipe = build_recipe(TREE, "x")
    with pytest.raises(Exception, match="frozen"):
        recipe.name = "y"  # type: ignore[misc]
    assert isinstance(recipe, Recipe)


@pytest.mark.parametrize(
    "size, border, number",
    [
        (375 * 500, 1100, 500),
        (375 * 500, 0, 500),
        (360 * 480, 3600, 900),
        (1024 * 2048, 30_000, 1200),
        (48 * 64, 0, 102),
        (3 * 4, 9, 1),
    ],
)
def test_automatic_superpixels_follow_the_borders_of_the_network(
    size: int, border: int, number: int
) -> None:
    assert SuperpixelSettings().number(size, border) == number
    assert SuperpixelSettings(n_segments=7).number(size, border) == 7


def test_settings_of_propose_may_be_called_as_in_recipes() -> None:
    long = build_propose_settings(["proposals.n_proposals=3", "proposals.samples.n_samples=9"])
    assert long == build_propose_settings(["n_proposals=3", "samples.n_samples=9"])
    assert long.n_proposals == 3 and long.samples.n_samples == 9


def test_smoothness_falls_as_superpixels_grow_in_number() -> None:
    usual = ProposeSettings()
    assert [usual.smoothness(n) for n in (40, 500, 1000)] == [1.5, 1.5, 0.75]
    assert build_propose_settings(["potts_weight=auto"]) == usual
    assert build_propose_settings(["potts_weight=2"]).smoothness(1000) == 2
