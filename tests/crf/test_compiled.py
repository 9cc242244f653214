"""A user who waits for a compiler is told so, once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from rerank.applications.proposal_files import propose_files
from rerank.crf import compiled


def test_the_first_use_says_that_it_compiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("images", "maps"):
        (tmp_path / name).mkdir()
    Image.fromarray(np.zeros((16, 20, 3), np.uint8)).save(tmp_path / "images" / "a.png")
    np.save(tmp_path / "maps" / "a.npy", np.full((16, 20, 2), 0.5, np.float32))

    def told(cache: Path) -> bool:
        kernel = SimpleNamespace(stats=SimpleNamespace(cache_path=str(cache)))
        monkeypatch.setattr(compiled, "_violation", kernel)
        settings = ["superpixels.n_segments=10", "n_proposals=2"]
        propose_files(tmp_path / "maps", tmp_path / "images", tmp_path / "out", settings)
        return compiled.COMPILES in capsys.readouterr().err

    cache = tmp_path / "cache"
    assert told(cache)
    cache.mkdir()
    (cache / "expansion._violation-86.py311.nbi").touch()
    assert not told(cache)


def test_the_kernel_is_cached_where_it_is_looked_for() -> None:
    assert "rerank" in compiled._violation.stats.cache_path
