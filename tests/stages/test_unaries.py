"""Class probabilities of held-out images are where they should be, or the file is named."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from rerank.errors import DamagedArtefactError
from rerank.stages.unaries import read_held_out, write_held_out


def test_a_held_out_image_is_read_or_its_file_named(tmp_path: Path) -> None:
    held, values = ("a", "b"), np.eye(3)
    with h5py.File(tmp_path / "unaries.h5", "w") as file:
        write_held_out(file, held, "a", values)
        assert (read_held_out(file, held, "a") == values).all()
        with pytest.raises(DamagedArtefactError, match=r"unaries.h5: has no holdout/000001"):
            read_held_out(file, held, "b")
