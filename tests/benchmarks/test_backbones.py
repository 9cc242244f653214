"""The comparison of backbones: results are kept, and a second run reads them."""

import importlib.util
import sys
from pathlib import Path

import numpy as np

from rerank.datasets import open_dataset
from rerank.nets import build_backbone

PATH = Path(__file__).parents[2] / "benchmarks" / "backbones.py"


def test_backbones_are_compared(tmp_path: Path, monkeypatch, capsys) -> None:
    spec = importlib.util.spec_from_file_location("backbones_benchmark", PATH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for seed in range(2):
        state = build_backbone("squeezenet1_0", random_state=seed).layers.state_dict()
        arrays = {name: values.numpy() for name, values in state.items()}
        np.savez(tmp_path / f"w{seed}_caffe.npz", **arrays)
    monkeypatch.setattr(
        module,
        "open_dataset",
        lambda name, root, split: open_dataset(name, None, split, n_images=4, size=(48, 64)),
    )
    weights = [f"squeezenet1_0={tmp_path / f'w{seed}_caffe.npz'}" for seed in range(2)]
    settings = ["--set", "superpixels.n_segments=20", "--set", "unary.n_steps=20"]
    monkeypatch.setattr(
        sys,
        "argv",
        [str(PATH), "scenes", "x", *weights, "--seeds", "2", "--work", str(tmp_path), *settings],
    )
    module.main()
    first = capsys.readouterr().out
    assert "4 images to learn from, 4 judged" in first and first.count("s an image") == 2
    assert len(list(tmp_path.glob("*.h5"))) == 4
    monkeypatch.setattr(module, "describe", None)
    module.main()
    assert capsys.readouterr().out == first
