"""Backbones of timm: the maps are timm's, and cells lie where an impulse says."""

import numpy as np
import pytest
import torch

from rerank.config import build_recipe
from rerank.errors import ConfigError, DataError, InputError
from rerank.nets import (
    CoarseSegNet,
    DenseFCN,
    DenseNetworkSettings,
    build_backbone,
    multi_layer_activations,
)

timm = pytest.importorskip("timm", reason="extra timm is not installed")

NAME = "timm/efficientnet_lite0"


@pytest.fixture(scope="module")
def backbone():
    return build_backbone(NAME, None, 0)


def test_maps_are_those_of_timm(backbone):
    images = torch.randint(0, 256, (2, 3, 64, 96), generator=torch.Generator().manual_seed(0))
    model = timm.create_model("efficientnet_lite0", features_only=True).eval()
    state = backbone.model.state_dict()
    model.load_state_dict({name: state[name] for name in model.state_dict()})
    with torch.no_grad():
        mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
        std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
        expected = model((images / 255 - mean) / std)
        found = backbone.activations(images, backbone.layer_names)
        last = backbone(images)
    for maps, values, depth in zip(expected, found.values(), backbone.depths(backbone.layer_names)):
        torch.testing.assert_close(values, maps, rtol=1e-4, atol=1e-4)
        assert values.shape[1] == depth
    torch.testing.assert_close(last, found["stage5"])
    assert backbone.output_size((64, 96), "stage3") == tuple(found["stage3"].shape[2:])
    assert not any(p.requires_grad for p in backbone.parameters())


@pytest.mark.parametrize("name", ["timm/efficientnet_lite0", "timm/tf_efficientnet_lite0"])
def test_cells_lie_where_the_gradient_says(name):
    """The centre of what a cell sees: with equal positive filters its gradient is symmetric."""
    backbone = build_backbone(name, None, 0)
    for module in backbone.model.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.constant_(module.weight, 1 / module.weight[0].numel())
        elif isinstance(module, torch.nn.ReLU6):
            module.max_val = 1e9
    image = torch.full((1, 3, 224, 224), 200.0, requires_grad=True)
    for layer in ("stage2", "stage3"):
        place = backbone.geometry(layer)
        maps = backbone.activations(image, [layer])[layer]
        cell = maps.shape[2] // 2
        (gradient,) = torch.autograd.grad(maps[0, :, cell, cell].sum(), image)
        weight = gradient.abs().sum(dim=(0, 1, 3))
        centre = float((weight * (torch.arange(224) + 0.5)).sum() / weight.sum())
        assert centre == pytest.approx(place.first_centre + place.stride * cell, abs=0.1)


def test_files_are_read(tmp_path, backbone):
    state = backbone.model.state_dict()
    torch.save(state, tmp_path / "own.pth")
    # efficientnet_pytorch has the same layers in the same order, under other names.
    names = ["_conv_stem.weight", *(f"_{k}" for k in range(1, len(state)))]
    torch.save(dict(zip(names, state.values())), tmp_path / "other.pth")
    image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    size = backbone.suitable_size((70, 90))
    assert size == (64, 96)
    expected = multi_layer_activations(backbone, image, ("stage3", "stage5"), size=size)
    for file in ("own.pth", "other.pth"):
        read = build_backbone(NAME, tmp_path / file, 7)
        found = multi_layer_activations(read, image, ("stage3", "stage5"), size=size)
        for ours, theirs in zip(found, expected):
            np.testing.assert_array_equal(ours.values, theirs.values)
    assert expected[0].values.shape == (40, 8, 12)
    assert backbone.input_size((13, 13)) == (416, 416)


def test_unusable_files_and_names(tmp_path, backbone):
    state = backbone.model.state_dict()
    lost = {k: v for k, v in state.items() if k != "conv_stem.weight"}
    torch.save(lost, tmp_path / "lost.pth")
    torch.save({**state, "bn1.weight": torch.full((32,), np.nan)}, tmp_path / "nan.pth")
    torch.save({"_conv_stem.weight": torch.zeros(1)}, tmp_path / "few.pth")
    (tmp_path / "text.pth").write_text("no weights")
    for file, message in (
        ("lost.pth", "does not hold weights of timm's efficientnet_lite0.*conv_stem"),
        ("nan.pth", "bn1.weight holds values that are not finite"),
        ("few.pth", "shapes are not those"),
        ("text.pth", "unreadable weights file"),
        ("there.pth", "no such weights file"),
        ("a.npz", "no such weights file"),
    ):
        with pytest.raises(DataError, match=message):
            build_backbone(NAME, tmp_path / file)
    (tmp_path / "a.npz").write_bytes(b"")
    with pytest.raises(DataError, match="expected weights of timm as"):
        build_backbone(NAME, tmp_path / "a.npz")
    with pytest.raises(ConfigError, match="no model efficientnet_lite.*did you mean"):
        build_backbone("timm/efficientnet_lite")
    with pytest.raises(InputError, match="layers of timm/efficientnet_lite0 must be among stage1"):
        backbone.geometry("conv1")


def test_the_seed_decides_random_weights_and_nothing_else():
    before = torch.random.get_rng_state()
    first, again, other = (build_backbone(NAME, None, seed).model.conv_stem for seed in (1, 1, 2))
    assert torch.equal(first.weight, again.weight) and not torch.equal(first.weight, other.weight)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_recipes_name_them():
    tree = {"name": "a", "dataset": {"name": "scenes"}}
    settings = ["backbone.weights=w.pth", "backbone.architecture=timm/resnet18"]
    assert build_recipe(tree, "a", settings).backbone.architecture == "timm/resnet18"
    for wrong in ("resnet18", "timm/", "timm/../x"):
        with pytest.raises(ConfigError, match="or timm/NAME for a model of timm"):
            build_recipe(tree, "a", [f"backbone.architecture={wrong}"])


def test_networks_are_built_on_them():
    images = torch.randint(0, 256, (2, 3, 64, 96), generator=torch.Generator().manual_seed(1))
    dense = DenseFCN(3, NAME, random_state=0).eval()
    assert not dense.backbone_trains and dense(images).shape == (2, 3, 64, 96)
    coarse = CoarseSegNet(3, NAME, grid=(3, 3), random_state=0).eval()
    assert coarse.input_size == (96, 96)
    assert coarse(torch.zeros(1, 3, 96, 96)).shape == (1, 3, 3, 3)
    settings = DenseNetworkSettings(architecture=NAME, size=(64, 96))
    assert settings.architecture == NAME
