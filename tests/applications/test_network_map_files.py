"""A folder of images through a network in a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rerank.applications.network_map_files import network_map_files
from rerank.cli import main
from rerank.datasets import find_map, read_map
from rerank.errors import DataError

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")


@pytest.fixture
def network(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for index, name in enumerate("ab"):
        pixels = np.random.default_rng(index).integers(0, 256, (20, 30, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{name}.png")
    torch.manual_seed(0)
    module = torch.nn.Conv2d(3, 5, 3, padding=1, stride=2)
    torch.jit.trace(module, torch.zeros(1, 3, 32, 32)).save(str(tmp_path / "n.pt"))
    return tmp_path / "n.pt"


def test_both_formats_hold_the_same(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["maps", "--network", str(network), "--images", str(tmp_path / "images")]
    npy, h5 = tmp_path / "npy", tmp_path / "h5"
    assert main([*base, "--out", str(npy)]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"2 maps of 5 classes, float16, in {npy}\n"
    assert shown.err.startswith("n.pt: TorchScript")
    assert main([*base, "--out", str(h5), "--format", "h5", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert [path.name for path in h5.iterdir()] == ["maps.h5"]
    for name in "ab":
        values = np.load(npy / f"{name}.npy")
        assert values.shape == (20, 30, 5) and values.dtype == np.float16
        found = read_map(find_map(h5, name), (20, 30))
        np.testing.assert_allclose(found.values, values, atol=1e-3)


@pytest.mark.slow
def test_jobs_do_not_change_the_result(network: Path, tmp_path: Path) -> None:
    for jobs in (1, 2):
        network_map_files(network, tmp_path / "images", tmp_path / str(jobs), jobs=jobs, quiet=True)
    for name in ("a.npy", "b.npy"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_images_are_looked_for_first(network: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such folder of images"):
        network_map_files(network, tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "images" / "a.jpg").write_bytes(b"x")
    with pytest.raises(DataError, match="a.png: a.jpg has the same name"):
        network_map_files(network, tmp_path / "images", tmp_path / "out")
