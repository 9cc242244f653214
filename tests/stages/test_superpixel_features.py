"""What superpixel classifiers see."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from rerank.config import Recipe, build_recipe
from rerank.engine.store import Store
from rerank.nets import build_backbone
from rerank.stages.pipeline import open_pipeline
from rerank.stages.run_data import WeightFiles
from rerank.stages.superpixel_features import (
    make_descriptor,
    shares_features,
    unary_descriptor,
    whole_image_descriptor,
)

POSITIONS = 8


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    state = build_backbone("squeezenet1_0", random_state=0).layers.state_dict()
    path = tmp_path_factory.mktemp("weights") / "net.npz"
    np.savez(path, **{name: value.numpy() for name, value in state.items()})
    return str(path)


def recipe_with(weights: str, *overrides: str) -> Recipe:
    tree = {
        "name": "r",
        "dataset": {"name": "scenes"},
        "backbone": {"weights": weights, "architecture": "squeezenet1_0"},
        "auxiliary": {"features": "deep"},
    }
    return build_recipe(tree, "r", overrides)


def test_every_scale_adds_its_columns(weights: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (80, 96, 3), dtype=np.uint8)
    superpixels = np.repeat(np.arange(6).reshape(2, 3), 32, axis=1).repeat(40, axis=0)
    rows = {
        scales: make_descriptor(recipe_with(weights), weights, "deep", scales)(image, superpixels)
        for scales in ((1.0,), (0.5,), (1.0, 0.5))
    }
    depth = rows[1.0,].shape[1] - POSITIONS
    assert rows[1.0, 0.5].shape == (6, 2 * depth + POSITIONS)
    assert_array_equal(rows[1.0, 0.5][:, : depth + POSITIONS], rows[1.0,])
    assert_array_equal(rows[1.0, 0.5][:, depth + POSITIONS :], rows[0.5,][:, :depth])
    assert not np.array_equal(rows[0.5,], rows[1.0,])


@pytest.mark.parametrize("shape", [(1, 1), (17, 1), (20, 60)])
def test_small_images_are_enlarged(weights: str, shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 90, dtype=np.uint8)
    describe = make_descriptor(recipe_with(weights), weights, "deep", (0.5, 1.0))
    found = describe(image, np.zeros(shape, dtype=np.int64))
    assert len(found) == 1 and np.isfinite(found).all()


def test_the_auxiliary_classifier_has_scales_of_its_own(weights: str, tmp_path: Path) -> None:
    keys = [
        {
            stage: open_pipeline(recipe, Store(tmp_path)).task(stage, "final").ref.key
            for stage in ("superpixel_features", "auxiliary_features")
        }
        for recipe in (
            recipe_with(weights),
            recipe_with(weights, "auxiliary.scales=[1.0]"),
            recipe_with(weights, "auxiliary.scales=[2.0]"),
        )
    ]
    assert keys[0] == keys[1]
    assert keys[2]["superpixel_features"] == keys[0]["superpixel_features"]
    assert keys[2]["auxiliary_features"] != keys[0]["auxiliary_features"]


def test_stage_1_can_have_a_backbone_of_its_own(weights: str, tmp_path: Path) -> None:
    state = build_backbone("squeezenet1_0", random_state=1).layers.state_dict()
    other = tmp_path / "squeezenet1_0_other.npz"
    np.savez(other, **{name: value.numpy() for name, value in state.items()})
    recipe = recipe_with(weights, f"unary.weights={other}")
    assert recipe.unary_backbone.architecture == "squeezenet1_0"
    assert recipe_with(weights).unary_backbone == recipe_with(weights).backbone
    graph = open_pipeline(recipe, Store(tmp_path / "work"))
    files = graph.data.weights
    assert files == WeightFiles(weights, str(other))
    image = np.random.default_rng(0).integers(0, 256, (80, 96, 3), dtype=np.uint8)
    superpixels = np.repeat(np.arange(6).reshape(2, 3), 32, axis=1).repeat(40, axis=0)
    stage_2, stage_1 = (
        make_descriptor(recipe, file, "deep", (1.0,))(image, superpixels) for file in files
    )
    own = unary_descriptor(recipe, files.unary)
    whole = whole_image_descriptor(recipe, files.backbone)
    assert own is not None and whole is not None and not shares_features(recipe)
    assert_array_equal(own(image, superpixels), stage_1)
    assert_array_equal(whole(image, superpixels), stage_2)
    assert not np.array_equal(stage_1, stage_2)
