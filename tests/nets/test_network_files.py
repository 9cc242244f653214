"""Networks in files: what they see, and that their maps are those of the published script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from rerank.datasets.image_files import read_image
from rerank.errors import ConfigError, DataError, InputError
from rerank.nets import NetworkSettings, network_map, open_network
from rerank.nets.network_input import IMAGENET, lay_out

SHARED = Path(__file__).parents[3] / "shared"
if not SHARED.is_dir():
    SHARED = Path(__file__).parents[4] / "shared"
N_CLASSES = 4
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")


def picture(height: int = 40, width: int = 56) -> np.ndarray:
    values = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC))


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, stride=2), nn.ReLU(), nn.Conv2d(8, 4, 1))


class Labels(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = network()

    def forward(self, image: Tensor) -> Tensor:
        return self.net(image).argmax(1)


def script(module: nn.Module, path: Path) -> Path:
    torch.jit.trace(module.eval(), torch.zeros(1, 3, 32, 32)).save(str(path))
    return path


def direct(image: np.ndarray) -> np.ndarray:
    """Class probabilities of an image of sides that need no padding, in plain torch."""
    batch = torch.from_numpy(IMAGENET.apply(image)).permute(2, 0, 1)[None]
    with torch.no_grad():
        scores = nn.functional.interpolate(network()(batch), image.shape[:2], mode="bilinear")
    return scores[0].softmax(0).permute(1, 2, 0).numpy()


def test_torchscript_is_the_module(tmp_path: Path) -> None:
    opened = open_network(script(network(), tmp_path / "n.pt"))
    image = picture(32, 64)
    found = network_map(opened, image, NetworkSettings())
    np.testing.assert_allclose(found.values, direct(image), atol=1e-5)
    assert found.scores and opened.size is None


@pytest.mark.parametrize("fit", ["letterbox", "stretch"])
@pytest.mark.parametrize("size", [None, (32, 32), (64, 96)])
def test_maps_have_their_images_size(
    fit: str, size: tuple[int, int] | None, tmp_path: Path
) -> None:
    opened = open_network(script(network(), tmp_path / "n.pt"))
    found = network_map(opened, picture(), NetworkSettings(size=size, fit=fit))
    assert found.values.shape == (40, 56, N_CLASSES)
    np.testing.assert_allclose(found.values.sum(2), 1, atol=1e-5)


def test_an_image_is_laid_into_the_input() -> None:
    image = picture(40, 56)
    canvas = lay_out(image, (28, 28))
    assert canvas.used == (20, 28) and (canvas.pixels[20:] == 128).all()
    kept = lay_out(image, None)
    assert kept.pixels.shape == (64, 64, 3) and kept.used == (40, 56)
    np.testing.assert_array_equal(kept.pixels[:40, :56], image)
    stretched = lay_out(image, (28, 28), "stretch")
    assert stretched.used == (28, 28) and not (stretched.pixels[20:] == 128).all()


def test_padding_is_cut_off(tmp_path: Path) -> None:
    """A network that tells grey padding from the rest says nothing of it in the map."""

    class Grey(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            grey = (image - 128).abs().sum(1) < 1
            return 20 * torch.stack([grey, ~grey], 1).float() - 10

    image = np.full((20, 40, 3), 200, np.uint8)
    settings = NetworkSettings(size=(64, 64), mean=(0, 0, 0), std=(1, 1, 1), scale=1.0)
    opened = open_network(script(Grey(), tmp_path / "n.pt"))
    found = network_map(opened, image, settings)
    assert found.values[..., 1].min() > 0.99
    flipped = NetworkSettings(mean=(1.0, 2.0, 3.0)).scaling(IMAGENET)
    assert flipped is not None and flipped.std == IMAGENET.std and flipped.mean == (1.0, 2.0, 3.0)


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="n.bin: unknown kind of network"):
        open_network(tmp_path / "n.bin")
    with pytest.raises(DataError, match="n.pt: no such file"):
        open_network(tmp_path / "n.pt")
    torch.save(network().state_dict(), tmp_path / "state.pt")
    with pytest.raises(DataError, match="not TorchScript.*torch.jit.trace.*write_network_maps"):
        open_network(tmp_path / "state.pt")
    labels = open_network(script(Labels(), tmp_path / "labels.pt"))
    with pytest.raises(DataError, match="got 0 .1, 32, 32.; give the network without its argmax"):
        network_map(labels, picture(), NetworkSettings())
    with pytest.raises(ConfigError, match="--output: .*has no output 3; it has 0"):
        wanted = open_network(tmp_path / "labels.pt", "3")
        network_map(wanted, picture(), NetworkSettings())
    odd = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4))
    flat = open_network(script(odd, tmp_path / "flat.pt"))
    with pytest.raises(InputError, match="fails on an input .1, 3, 64, 64.*--size"):
        network_map(flat, picture(), NetworkSettings())


@pytest.mark.parametrize(
    "changed", [{"channels": "gbr"}, {"fit": "crop"}, {"size": (0, 4)}, {"std": (1.0, 0.0, 1.0)}]
)
def test_settings_are_checked(changed: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(changed))):
        NetworkSettings(**changed)


def onnx_file(path: Path, *, argmax: bool = False, last: bool = False, fixed: bool = True) -> Path:
    """A convolution to four classes, with channels first or last."""
    onnx = pytest.importorskip("onnx", reason="builds the ONNX file")
    pytest.importorskip("onnxruntime", reason="extra onnx")
    helper, proto = onnx.helper, onnx.TensorProto
    weights = np.random.default_rng(0).normal(size=(4, 3, 1, 1)).astype(np.float32)
    sides: list[Any] = [32, 48] if fixed else ["h", "w"]
    shape = [1, *sides, 3] if last else [1, 3, *sides]
    nodes, at = [], "image"
    if last:
        nodes.append(helper.make_node("Transpose", [at], ["planes"], perm=[0, 3, 1, 2]))
        at = "planes"
    nodes.append(helper.make_node("Conv", [at, "weights"], ["scores"]))
    result, kind, rest = "scores", proto.FLOAT, [1, 4, *sides]
    if last:
        nodes.append(helper.make_node("Transpose", ["scores"], ["back"], perm=[0, 2, 3, 1]))
        result, rest = "back", [1, *sides, 4]
    if argmax:
        nodes.append(helper.make_node("ArgMax", [result], ["labels"], axis=1, keepdims=0))
        result, kind, rest = "labels", proto.INT64, [1, *sides]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", proto.FLOAT, shape)],
        [helper.make_tensor_value_info(result, kind, rest)],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return path


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("fixed", [False, True])
def test_onnx_is_its_convolution(last: bool, fixed: bool, tmp_path: Path) -> None:
    opened = open_network(onnx_file(tmp_path / "n.onnx", last=last, fixed=fixed))
    assert opened.size == ((32, 48) if fixed else None)
    image = picture(32, 64 if not fixed else 48)
    weights = np.random.default_rng(0).normal(size=(4, 3, 1, 1)).astype(np.float32)[..., 0, 0]
    scores = IMAGENET.apply(image) @ weights.T
    expected = np.exp(scores) / np.exp(scores).sum(2, keepdims=True)
    found = network_map(opened, image, NetworkSettings())
    np.testing.assert_allclose(found.values, expected, atol=1e-5)
    if fixed:
        with pytest.raises(ConfigError, match="--size: this network's input is 32x48"):
            network_map(opened, image, NetworkSettings(size=(64, 64)))


def test_onnx_that_cannot_be_used(tmp_path: Path) -> None:
    path = onnx_file(tmp_path / "n.onnx", argmax=True)
    with pytest.raises(DataError, match="labels .*int64.; export the network without its argmax"):
        open_network(path)
    with pytest.raises(ConfigError, match="has no output x; it has labels"):
        open_network(path, "x")
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="n.onnx: not readable by ONNX Runtime"):
        open_network(path)


@pytest.mark.parametrize("suffix, module", [("onnx", "onnxruntime"), ("tflite", "ai_edge_litert")])
def test_a_missing_extra_is_one_line(
    suffix: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, f"{module}.interpreter", None)
    (tmp_path / f"n.{suffix}").write_bytes(b"x")
    with pytest.raises(ConfigError, match=rf'pip install "rerank\[{suffix}\]"$'):
        open_network(tmp_path / f"n.{suffix}")


def reference(path: Path, image: np.ndarray) -> np.ndarray:
    """What the script beside the published networks writes for an image."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("write_maps", path.parent / "write_maps.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: np.ndarray = module.Network(path).probabilities(Image.fromarray(image))
    return found


@pytest.mark.shared
@pytest.mark.filterwarnings("ignore:Warning. Enabling .experimental:UserWarning")
@pytest.mark.parametrize("name", ["257_mv_gpu", "mnv2_dm05_pascal_quant", "mnv2_pascal_quant"])
def test_published_networks_give_the_maps_of_their_script(name: str) -> None:
    pytest.importorskip("ai_edge_litert", reason="extra tflite")
    path = SHARED / "networks" / f"deeplabv3_{name}.tflite"
    images = sorted((SHARED / "datasets" / "voc2012").rglob("JPEGImages/2007_0000*.jpg"))[:2]
    if not path.is_file() or not images:
        pytest.skip("needs the shared networks and images")
    opened = open_network(path)
    assert ("within" in opened.about) == ("quant" in name)
    for picture_path in images:
        image = read_image(picture_path)
        found = network_map(opened, image, NetworkSettings())
        np.testing.assert_allclose(found.values, reference(path, image), atol=1e-4)


@pytest.mark.shared
def test_tflite_that_cannot_be_used(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="extra tflite")
    (tmp_path / "n.tflite").write_bytes(b"nothing")
    with pytest.raises(DataError, match="n.tflite: LiteRT cannot read it"):
        open_network(tmp_path / "n.tflite")
    path = SHARED / "networks" / "deeplabv3_mnv2_dm05_pascal_quant.tflite"
    if not path.is_file():
        pytest.skip("needs the shared networks")
    with pytest.raises(DataError, match=r"got ArgMax \(1, 513, 513\)"):
        open_network(path, "ArgMax")
