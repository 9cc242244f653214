"""Fixtures that all tests share."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import h5py
import matplotlib
import numpy as np
import pytest
import torch

from rerank.applications.reports import export_report
from rerank.applications.runs import write_run_file
from rerank.config import Recipe, build_recipe
from rerank.engine.graph import Graph
from rerank.engine.scheduler import run_graph
from rerank.engine.store import Store
from rerank.stages.pipeline import open_pipeline

matplotlib.use("Agg")
torch.set_num_threads(1)


def name_torchvision_operators() -> torch.library.Library | None:
    """Let torchvision be imported where PyTorch cannot load its compiled operators.

    So it is with PyPI's wheels for Linux, which are built for CUDA, beside PyTorch's CPU build. The
    networks of the tests use none of these operators; the import, also by timm, asks for the names
    of two. They last as long as what is returned.
    """
    try:
        import_module("torchvision")
    except ImportError:
        return None  # the tests that need it are skipped
    except RuntimeError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        named = torch.library.Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            named.define(f"{operator}(Tensor dets, Tensor scores, float threshold) -> Tensor")
        return named
    return None


_TORCHVISION = name_torchvision_operators()


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


#: A run that is small enough to be made anew by a test.
TINY: dict[str, Any] = {
    "name": "tiny",
    "dataset": {"name": "scenes", "options": {"n_images": 12, "size": [64, 48]}},
    "folds": {"n_folds": 3},
    "superpixels": {"n_segments": 40},
    "backbone": {"architecture": "small"},
    "classifiers": {"features": "appearance"},
    "unary": {"features": "appearance", "n_steps": 20, "hidden": 8, "max_per_image": 20},
    "auxiliary": {"features": "appearance"},
    "crf": {"potts_weights": [0.5, 1.0]},
    "proposals": {"n_proposals": 5, "diversities": [0.1, 0.3]},
    "segnet": {"grid": 5, "epochs_cross_entropy": 1, "epochs_mixed": 1},
    "ranking": {"candidates": [0.01, 0.1]},
    "report": {"n_bootstrap": 20, "n_examples": 2},
}


def _tiny_recipe(*overrides: str) -> Recipe:
    """The tiny recipe with some settings replaced."""
    return build_recipe(TINY, "tiny", overrides)


def contents(work: Path) -> dict[str, np.ndarray]:
    """Every data set of every artefact of a work folder."""
    found: dict[str, np.ndarray] = {}

    def visit(prefix: str, file: h5py.File) -> None:
        def keep(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                found[f"{prefix}:{name}"] = item[()]

        file.visititems(keep)

    for path in sorted(work.glob("*/*/*.h5")):
        with h5py.File(path, "r") as file:
            visit(str(path.relative_to(work)), file)
    return found


def _assert_equal_contents(left: Path, right: Path) -> None:
    """Two work folders hold the same data sets, byte for byte."""
    one, two = contents(left), contents(right)
    assert list(one) == list(two)
    different = [
        name
        for name in one
        if np.asarray(one[name]).tobytes() != np.asarray(two[name]).tobytes()
        and one[name].dtype != object
    ]
    assert different == []
    for name in one:
        if one[name].dtype == object:
            assert one[name].tolist() == two[name].tolist(), name


def _make_graph(work: Path, overrides: Sequence[str] = ()) -> Graph:
    """The tiny recipe over a work folder."""
    return open_pipeline(_tiny_recipe(*overrides), Store(work))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder with a finished tiny run; tests read it and change nothing."""
    work = tmp_path_factory.mktemp("finished") / "work"
    graph = _make_graph(work)
    run_graph(graph)
    write_run_file(graph, None, finished=True)
    export_report(graph, work / "report")
    return work


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A finished work folder that the test may spoil."""
    return Path(shutil.copytree(finished, tmp_path / "work"))


@pytest.fixture
def tiny_recipe() -> Callable[..., Recipe]:
    """The tiny recipe with some settings replaced."""
    return _tiny_recipe


@pytest.fixture
def make_graph() -> Callable[..., Graph]:
    """The tiny recipe over a work folder, with some settings replaced."""
    return _make_graph


@pytest.fixture
def assert_equal_contents() -> Callable[[Path, Path], None]:
    """Fails where two work folders do not hold the same data sets, byte for byte."""
    return _assert_equal_contents
