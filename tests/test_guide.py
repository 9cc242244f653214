"""The code of the guide's pages runs as it stands, and is as short as they say."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

DOCS = Path(__file__).parents[1] / "docs"
PAGES = ("losses.md", "crf_grad.md")
BLOCKS = [
    (page, index, code)
    for page in PAGES
    for index, code in enumerate(
        re.findall(r"^```python\n(.*?)^```$", (DOCS / page).read_text(), re.M | re.S)
    )
]
N_CLASSES = 3


def surroundings() -> dict[str, Any]:
    """What a reader has: a net, batches of tensors, and samples of arrays."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    colours = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]], np.uint8)
    samples = []
    for _ in range(4):
        labels = np.repeat(np.repeat(rng.integers(0, 3, (3, 4)), 8, 0), 8, 1).astype(np.uint8)
        noise = rng.integers(-30, 31, (24, 32, 3))
        image = np.clip(colours[labels] + noise, 0, 255).astype(np.uint8)
        labels[0, :5] = 255
        samples.append(SimpleNamespace(image=image, labels=labels))
    batches = [
        (
            torch.from_numpy(np.stack([s.image for s in pair])).permute(0, 3, 1, 2).float(),
            torch.from_numpy(np.stack([s.labels for s in pair]).astype(np.int64)),
        )
        for pair in (samples[:2], samples[2:])
    ] * 40
    net = torch.nn.Sequential(torch.nn.BatchNorm2d(3), torch.nn.Conv2d(3, N_CLASSES, 1))
    return {"net": net, "batches": batches, "samples": samples, "n_classes": N_CLASSES}


def accuracy(net: torch.nn.Module, batches: list[tuple[torch.Tensor, torch.Tensor]]) -> float:
    """Share of labelled pixels that the net gets right."""
    net.eval()
    with torch.no_grad():
        images, labels = batches[0]
        known = labels != 255
        return float((net(images).argmax(1) == labels)[known].float().mean())


def test_there_is_code() -> None:
    names = " ".join(code for _, _, code in BLOCKS)
    assert len(BLOCKS) >= 9
    for name in (
        "ExpectedUoILoss",
        "ExpectedIoULoss",
        "NeuroIoULoss",
        "RMILoss",
        "AffinityFieldLoss",
        "CRFGrad",
        "dense_crf",
        "PermutohedralLattice",
    ):
        assert name in names


@pytest.mark.parametrize(
    "page, index, code", BLOCKS, ids=[f"{page}-{index}" for page, index, _ in BLOCKS]
)
def test_code_runs_and_is_short(page: str, index: int, code: str) -> None:
    assert len([line for line in code.splitlines() if line.strip()]) < 20
    given = surroundings()
    before = accuracy(given["net"], given["batches"])
    given["net"].train()
    exec(compile(code, f"{page}, block {index}", "exec"), given)
    if "optimiser" in code:
        # Colours tell the classes, so that even eighty steps show.
        assert accuracy(given["net"], given["batches"]) > max(before, 0.6)
    if "labeling" in given:
        height, width = given["samples"][0].labels.shape
        assert tuple(given["labeling"].shape)[-2:] == (height, width)
    if "energies" in given:
        assert bool((given["energies"][-1] <= given["energies"][0]).all())
    if "probabilities" in code and "history" in given:
        assert given["history"].epochs[-1].surrogate_fit is not None
        assert given["probabilities"].shape == (24, 32, N_CLASSES)


def test_every_table_is_in_the_guide() -> None:
    from rerank.experiments import PLOTS, TABLES

    text = (DOCS / "guide_reproduce.md").read_text()
    for name in (*TABLES, *PLOTS):
        assert name in text, name
