"""The maps of a module, and the blocks of the page about networks."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from rerank.errors import DataError, InputError
from rerank.nets import module_map, write_network_maps
from rerank.nets.network_input import IMAGENET

PAGE = Path(__file__).parents[2] / "docs" / "networks.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.M | re.S)


def image(height: int = 33, width: int = 46) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 5, 1), nn.Dropout(0.5))


def expected(values: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        batch = torch.from_numpy(IMAGENET.apply(values)).permute(2, 0, 1)[None]
        return module().eval()(batch)[0].softmax(0).permute(1, 2, 0).numpy()


class Wrapped(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.net, self.kind = module(), kind

    def forward(self, batch: Tensor) -> Any:
        scores = self.net(batch)
        kinds = {"out": {"aux": -scores, "out": scores}, "logits": SimpleNamespace(logits=scores)}
        return {**kinds, "tuple": (scores, -scores), "softmax": scores.softmax(1)}[self.kind]


@pytest.mark.parametrize("kind", ["out", "logits", "tuple", "softmax"])
def test_every_kind_of_output(kind: str) -> None:
    found = module_map(Wrapped(kind).eval(), image())
    np.testing.assert_allclose(found.values, expected(image()), atol=1e-5)
    assert found.scores == (kind != "softmax")


def test_padding_to_a_multiple_is_cut_off() -> None:
    seen = []
    net = module().eval()
    net.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape))
    found = module_map(net, image(), multiple_of=32)
    assert seen == [(1, 3, 64, 64)]
    np.testing.assert_allclose(found.values, expected(image()), atol=1e-5)


def test_preprocess_may_give_arrays_or_tensors_of_another_size() -> None:
    net = module().eval()
    as_array = module_map(net, image(), IMAGENET.apply)
    np.testing.assert_allclose(as_array.values, expected(image()), atol=1e-5)
    half = module_map(net, image(), lambda x: IMAGENET.apply(x[::2, ::2]))
    assert half.values.shape == (33, 46, 5) and half.resized


def test_files(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.fromarray(image()).save(tmp_path / "images" / "a.png")
    net = module().train()
    (written,) = write_network_maps(net, tmp_path / "images", tmp_path / "maps")
    assert net.training and written == tmp_path / "maps" / "a.npy"
    values = np.load(written)
    assert values.dtype == np.float16
    np.testing.assert_allclose(values, expected(image()), atol=1e-3)
    with pytest.raises(DataError, match="has the same name"):
        write_network_maps(net, [tmp_path / "a.png", tmp_path / "x" / "a.png"], tmp_path / "maps")
    with pytest.raises(InputError, match="multiple_of"):
        write_network_maps(net, tmp_path / "images", tmp_path / "maps", multiple_of=0)


def test_what_preprocess_must_give() -> None:
    with pytest.raises(InputError, match=r"preprocess must return \(3, h, w\), got \(4, 5\)"):
        module_map(module(), image(), lambda x: np.zeros((4, 5)), where="a")


@pytest.mark.parametrize("code", BLOCKS, ids=[f"block {k}" for k in range(len(BLOCKS))])
def test_blocks_of_the_page_run(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("torchvision", "segmentation_models_pytorch"):
        if package in code and find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    (tmp_path / "images").mkdir()
    Image.fromarray(image(64, 80)).save(tmp_path / "images" / "a.png")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code, names)
    if "written" in names:
        assert np.load(tmp_path / "maps" / "a.npy").shape == (64, 80, 21)
    else:
        assert names["found"].values.shape == (60, 80, 3)
