"""Where networks run."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from rerank.errors import ConfigError
from rerank.nets import (
    CoarseData,
    Phase,
    backbone_activations,
    build_backbone,
    new_head,
    torch_device,
    train_head,
)
from rerank.nets.devices import device_of
from rerank.potentials.network_map import refine_map


def test_auto_is_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert torch_device("auto").type == "cuda" and torch_device("cpu").type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert torch_device("auto").type == "cpu"
    with pytest.raises(ConfigError, match="one of cpu, auto, got 'gpu'"):
        torch_device("gpu")


def test_the_device_of_a_module_is_that_of_its_tensors() -> None:
    assert device_of(nn.Linear(1, 1).to("meta")).type == "meta"
    assert device_of(nn.BatchNorm2d(3, affine=False).to("meta")).type == "meta"
    assert device_of(nn.ReLU()).type == "cpu"


def drawn() -> CoarseData:
    rng = np.random.default_rng(0)
    activations = rng.normal(size=(8, 5, 4, 4)).astype(np.float32)
    targets = rng.dirichlet(np.ones(3), (8, 4, 4)).astype(np.float32)
    return CoarseData(activations, targets, np.ones((8, 4, 4), np.float32))


def test_a_head_that_is_given_is_the_one_that_training_makes() -> None:
    data, phases = drawn(), [Phase("ce", 2, 4e-3)]
    one = train_head(data, phases, batch_size=4)
    other = train_head(data, phases, batch_size=4, start=new_head(data))
    for name, array in one.head.to_arrays().items():
        np.testing.assert_array_equal(array, other.head.to_arrays()[name])


@pytest.mark.gpu
def test_a_gpu_gives_what_the_cpu_gives() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    backbone = build_backbone("squeezenet1_0", random_state=0)
    expected = backbone_activations(backbone, [image])
    found = backbone_activations(backbone.cuda(), [image])
    np.testing.assert_allclose(found, expected, atol=1e-2 * np.abs(expected).max())
    maps = rng.dirichlet(np.ones(3), (60, 80))
    for void in (None, rng.random((60, 80)) < 0.1):
        np.testing.assert_allclose(
            refine_map(maps, image, void, "auto"), refine_map(maps, image, void), atol=1e-3
        )
    data = drawn()
    start = new_head(data).cuda()
    head = train_head(data, [Phase("ce", 2, 4e-3)], batch_size=4, start=start).head
    assert device_of(head).type == "cuda"
    assert all(np.isfinite(array).all() for array in head.to_arrays().values())
