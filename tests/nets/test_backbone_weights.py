import json

import numpy as np
import pytest
import torch

from rerank.errors import ConfigError, DataError
from rerank.nets import (
    backbone_activations,
    build_backbone,
    load_backbone_weights,
    preprocessing_by_name,
    save_backbone_weights,
)

TORCHVISION_ALEXNET = {"conv1": 0, "conv2": 3, "conv3": 6, "conv4": 8, "conv5": 10}
TORCHVISION_SQUEEZENET = {
    "conv1": 0,
    "fire2": 3,
    "fire3": 4,
    "fire4": 5,
    "fire5": 7,
    "fire6": 8,
    "fire7": 9,
    "fire8": 10,
    "fire9": 12,
}


def torchvision_arrays(architecture, layers, seed=0):
    """A state dict under torchvision's names, with a classifier that nobody asks for."""
    state = build_backbone(architecture, random_state=seed).layers.state_dict()
    arrays = {}
    for name, value in state.items():
        layer, rest = name.split(".", 1)
        arrays[f"features.{layers[layer]}.{rest}"] = value.numpy()
    arrays["classifier.1.weight"] = np.zeros((5, 2, 1, 1), np.float32)
    return arrays, state


def assert_equal_states(loaded, expected):
    assert set(loaded) == set(expected)
    for name, value in expected.items():
        assert loaded[name].dtype == torch.float32
        assert torch.equal(loaded[name], value)


@pytest.mark.parametrize(
    "architecture, layers",
    [("alexnet", TORCHVISION_ALEXNET), ("squeezenet1_0", TORCHVISION_SQUEEZENET)],
)
def test_npz_with_torchvisions_names(tmp_path, architecture, layers):
    arrays, state = torchvision_arrays(architecture, layers)
    np.savez(tmp_path / "w.npz", **arrays)
    weights = load_backbone_weights(tmp_path / "w.npz")
    assert weights.architecture == architecture
    assert_equal_states(weights.state, state)
    assert weights.preprocessing == preprocessing_by_name("torchvision")
    assert weights.preprocessing_source == "format"


@pytest.mark.parametrize("wrapped", [False, True])
def test_torch_state_dict(tmp_path, wrapped):
    arrays, state = torchvision_arrays("alexnet", TORCHVISION_ALEXNET)
    tensors = {name: torch.from_numpy(value) for name, value in arrays.items()}
    if wrapped:
        tensors = {
            "state_dict": {f"module.{name}": v for name, v in tensors.items()},
            "preprocessing": "caffe",
        }
    torch.save(tensors, tmp_path / "w.pth")
    weights = load_backbone_weights(tmp_path / "w.pth")
    assert weights.architecture == "alexnet"
    assert_equal_states(weights.state, state)
    name, source = ("caffe", "metadata") if wrapped else ("torchvision", "format")
    assert weights.preprocessing == preprocessing_by_name(name)
    assert weights.preprocessing_source == source


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    torch.save({"state_dict": TestExecutable()}, tmp_path / "w.pth")
    with pytest.raises(DataError, match="w.pth: unreadable weights file"):
        load_backbone_weights(tmp_path / "w.pth")


class TestExecutable:
    __test__ = False


@pytest.mark.parametrize("architecture", ["caffenet", "alexnet", "squeezenet1_0", "small"])
def test_saved_weights_come_back_with_their_preprocessing(tmp_path, architecture):
    backbone = build_backbone(architecture, random_state=1)
    first = load_backbone_weights_from(backbone, tmp_path / "first.npz")
    save_backbone_weights(tmp_path / "again.npz", first)
    again = load_backbone_weights(tmp_path / "again.npz")
    assert again.architecture == architecture
    assert_equal_states(again.state, backbone.layers.state_dict())
    assert again.preprocessing == first.preprocessing
    assert again.preprocessing_source == "metadata"
    rebuilt = build_backbone(architecture, tmp_path / "again.npz")
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    assert np.array_equal(
        backbone_activations(backbone, [image], 99), backbone_activations(rebuilt, [image], 99)
    )


def load_backbone_weights_from(backbone, path):
    arrays = {name: value.numpy() for name, value in backbone.layers.state_dict().items()}
    np.savez(path, **arrays)
    return load_backbone_weights(path, "torchvision")


def test_order_of_the_sources_of_preprocessing(tmp_path):
    arrays, _ = torchvision_arrays("squeezenet1_0", TORCHVISION_SQUEEZENET)
    caffe, torchvision = preprocessing_by_name("caffe"), preprocessing_by_name("torchvision")
    np.savez(tmp_path / "net_caffe.npz", **arrays)
    named = load_backbone_weights(tmp_path / "net_caffe.npz")
    assert (named.preprocessing, named.preprocessing_source) == (caffe, "file name")
    record = np.array(
        json.dumps({"channel_order": "RGB", "scale": 2, "mean": [1, 2, 3], "std": [1, 1, 1]})
    )
    np.savez(tmp_path / "own_caffe.npz", preprocessing=record, **arrays)
    own = load_backbone_weights(tmp_path / "own_caffe.npz")
    assert own.preprocessing.scale == 2.0 and own.preprocessing_source == "metadata"
    asked = load_backbone_weights(tmp_path / "own_caffe.npz", "torchvision")
    assert (asked.preprocessing, asked.preprocessing_source) == (torchvision, "argument")
    with pytest.raises(ConfigError, match="tf"):
        load_backbone_weights(tmp_path / "own_caffe.npz", "tf")


def test_a_wrong_shape_names_file_and_layer(tmp_path):
    arrays, _ = torchvision_arrays("squeezenet1_0", TORCHVISION_SQUEEZENET)
    arrays["features.7.expand3x3.weight"] = np.zeros((128, 32, 1, 1), np.float32)
    np.savez(tmp_path / "w.npz", **arrays)
    with pytest.raises(
        DataError,
        match=r"w\.npz: layer fire5\.expand3x3\.weight "
        r"\(features\.7\.expand3x3\.weight in the file\).*"
        r"\(128, 32, 3, 3\), got \(128, 32, 1, 1\)",
    ):
        load_backbone_weights(tmp_path / "w.npz")


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda a: a.pop("features.6.bias"), r"conv3\.bias .* is missing"),
        (
            lambda a: a.update({"features.6.bias": np.full(384, np.nan)}),
            r"conv3\.bias .*not finite",
        ),
        (lambda a: a.update({"features.6.bias": np.full(384, "x")}), r"conv3\.bias .*numbers"),
        (lambda a: a.update({"preprocessing": np.array("{}")}), "expected the keys"),
        (lambda a: a.clear(), "no known architecture"),
    ],
)
def test_unusable_content(tmp_path, change, message):
    arrays, _ = torchvision_arrays("alexnet", TORCHVISION_ALEXNET)
    change(arrays)
    np.savez(tmp_path / "w.npz", **arrays)
    with pytest.raises(DataError, match=r"w\.npz: .*" + message):
        load_backbone_weights(tmp_path / "w.npz")


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("w.npz", b"PK nonsense", "unreadable"),
        ("w.npz", b"", "unreadable"),
        ("w.pth", b"nonsense", "unreadable"),
        ("w.caffemodel", b"\xff\xff", "not a readable caffemodel"),
        ("w.h5", b"", "expected weights as .npz"),
    ],
)
def test_unreadable_files(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name}: .*{message}"):
        load_backbone_weights(tmp_path / name)


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match="none.npz: no such weights file"):
        load_backbone_weights(tmp_path / "none.npz")


def test_only_npz_is_written(tmp_path):
    weights = load_backbone_weights_from(build_backbone("small"), tmp_path / "w.npz")
    with pytest.raises(ConfigError, match="npz"):
        save_backbone_weights(tmp_path / "w.pth", weights)


@pytest.mark.shared
def test_the_trained_squeezenet_knows_bgr_from_rgb(shared_root):
    """Its first filters are not symmetric in the channels, so a swap changes the maps."""
    path = shared_root / "weights" / "squeezenet1_0_imagenet_caffe.npz"
    weights = load_backbone_weights(path)
    assert weights.architecture == "squeezenet1_0"
    assert weights.preprocessing == preprocessing_by_name("caffe")
    backbone = build_backbone("squeezenet1_0", weights)
    image = np.zeros((227, 227, 3), np.uint8)
    image[..., 0] = 200
    red = backbone_activations(backbone, [image])
    blue = backbone_activations(backbone, [image[..., ::-1].copy()])
    assert red.shape == (1, 512, 13, 13)
    assert np.abs(red - blue).max() > 1.0
