"""Fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import matplotlib
import pytest
import torch

matplotlib.use("Agg")
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_root() -> Path:
    """The folder with the image collections, `$RERANK_SHARED` or `shared` beside the checkout."""
    default = Path(__file__).resolve().parents[2] / "shared"
    root = Path(os.environ.get("RERANK_SHARED", default))
    if not (root / "datasets").is_dir():
        pytest.skip(f"no image collections at {root} (set RERANK_SHARED)")
    return root


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not torch.cuda.is_available():
        skip = pytest.mark.skip(reason="no CUDA device")
        for item in items:
            if "gpu" in item.keywords:
                item.add_marker(skip)
