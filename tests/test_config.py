"""Recipes: what is read, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rerank.config import Recipe, build_recipe, dump_recipe, load_recipe
from rerank.errors import ConfigError

TREE = {"name": "x", "dataset": {"name": "scenes"}}


def test_defaults_and_overrides() -> None:
    recipe = build_recipe(TREE, "x", ["ranking.C=1e-2", "crf.potts_weights=[0, 1]"])
    assert recipe.ranking.C == 0.01
    assert recipe.crf.potts_weights == (0.0, 1.0)
    assert recipe.folds.n_folds == 10


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
    with pytest.raises(ConfigError, match="auxiliary.scales is of deep features alone; set post"):
        build_recipe(TREE, "r.yaml", ["auxiliary.features=appearance", "auxiliary.scales=[2.0]"])
    with pytest.raises(
        ConfigError, match="^r.yaml: auxiliary.dense_network .* set fusion.enabled=true"
    ):
        build_recipe(TREE, "r.yaml", ["auxiliary.dense_network=true", "fusion.enabled=false"])
    with pytest.raises(
        ConfigError, match="auxiliary.dense_network would add; set auxiliary.dense_network=false"
    ):
        build_recipe(TREE, "r.yaml", ["auxiliary.dense_network=true", "unary.source=dense_network"])


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
