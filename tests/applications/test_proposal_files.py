"""Folders of network maps to proposals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rerank.applications.proposal_files import propose_files
from rerank.config import build_propose_settings
from rerank.errors import ConfigError, DataError


def test_propose_files_and_their_errors(tmp_path: Path) -> None:
    images, maps = tmp_path / "images", tmp_path / "maps"
    images.mkdir()
    maps.mkdir()
    settings = ["superpixels.n_segments=30", "n_proposals=3"]
    with pytest.raises(DataError, match="no images"):
        propose_files(maps, images, tmp_path / "out", settings, quiet=True)
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(images / "a.png")
    with pytest.raises(DataError, match="no probability maps"):
        propose_files(maps, images, tmp_path / "out", settings, quiet=True)
    np.save(maps / "b.npy", np.full((20, 30, 2), 0.5))
    with pytest.raises(DataError, match=r"2 problems.*\n.*a.png: no prob.*\n.*b.npy: no"):
        propose_files(maps, images, tmp_path / "out", settings, quiet=True)
    (maps / "b.npy").rename(maps / "a.npy")
    assert len(propose_files(maps, images, tmp_path / "out", settings, quiet=True)) == 1
    np.save(maps / "a.npy", np.full((20, 36, 2), 0.5))
    with pytest.raises(DataError, match=r"a.npy: expected \(20, 30, C\).*aspect"):
        propose_files(maps, images, tmp_path / "out", settings, quiet=True)
    bad = np.full((20, 30, 2), 0.5)
    bad[3, 4, 0] = np.nan
    np.save(maps / "a.npy", bad)
    with pytest.raises(Exception, match="a.npy.*(NaN|finite)"):
        propose_files(maps, images, tmp_path / "out", settings, quiet=True)
    (maps / "a.npy").write_bytes(b"nothing")
    with pytest.raises(DataError, match="a.npy: not a NumPy array"):
        propose_files(maps, images, tmp_path / "out", settings, quiet=True)


@pytest.mark.parametrize("name", ["ranking.C", "fusion.enabled", "unary.features", "diversities"])
def test_settings_of_a_run_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"^--set: {name.split('.')[0]}: unknown key"):
        build_propose_settings([f"{name}=1"])
