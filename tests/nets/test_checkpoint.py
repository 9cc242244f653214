from __future__ import annotations

import pytest
import torch

from rerank.errors import DataError
from rerank.nets.checkpoint import Checkpoint, load_checkpoint, save_checkpoint


def test_a_write_that_fails_leaves_the_old_checkpoint(tmp_path):
    file = tmp_path / "net.ckpt"
    kept = Checkpoint("a", {"phase": 0}, {"w": torch.ones(2)}, {}, {})
    save_checkpoint(file, kept)
    with pytest.raises((AttributeError, TypeError)):
        save_checkpoint(file, Checkpoint("a", {"phase": lambda: 0}, {}, {}, {}))
    found = load_checkpoint(file, "a")
    assert found.run == kept.run and torch.equal(found.model["w"], kept.model["w"])
    assert [path.name for path in tmp_path.iterdir()] == ["net.ckpt"]
    with pytest.raises(DataError, match="is of another training"):
        load_checkpoint(file, "b")
