from __future__ import annotations

import numpy as np
import pytest
import torch

from rerank.potentials.perceptron import (
    Perceptron,
    PerceptronTraining,
    initial_perceptron,
    loss_gradients,
    train_perceptron,
)
from rerank.potentials.standardised_rows import StandardisedRows


def as_torch(model: Perceptron) -> list[torch.Tensor]:
    return [torch.tensor(a, requires_grad=True) for a in model.weights + model.biases]


def torch_loss(tensors, x, target, mask):
    (*weights,) = tensors[: len(tensors) // 2]
    biases = tensors[len(tensors) // 2 :]
    h = torch.from_numpy(x)
    if len(weights) == 2:
        h = torch.relu(h @ weights[0].T + biases[0]) * torch.from_numpy(mask)
    logits = h @ weights[-1].T + biases[-1]
    return -(torch.from_numpy(target) * torch.log_softmax(logits, dim=1)).sum(dim=1).mean()


@pytest.fixture(params=[0, 6], ids=["linear", "hidden"])
def problem(request):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(11, 4)).astype(np.float32)
    target = rng.random((11, 3)).astype(np.float32)
    mask = (2 * rng.integers(0, 2, (11, request.param))).astype(np.float32)
    return initial_perceptron(4, request.param, target, rng), x, target, mask


def test_gradients_agree_with_autograd(problem):
    model, x, target, mask = problem
    tensors = as_torch(model)
    torch_loss(tensors, x, target, mask).backward()
    for found, tensor in zip(loss_gradients(model, x, target, mask), tensors, strict=True):
        np.testing.assert_allclose(found, tensor.grad.numpy(), rtol=1e-4, atol=1e-6)


def test_training_agrees_with_adamw_of_torch(problem):
    model, x, target, _ = problem
    hidden = model.weights[0].shape[0] if len(model.weights) == 2 else 0
    # a batch of one row makes what is drawn irrelevant
    x, target = x[:1], target[:1]
    found = train_perceptron(
        StandardisedRows(x, np.array([0]), np.zeros(4, np.float32), np.ones(4, np.float32)),
        target,
        hidden=hidden,
        n_steps=30,
        weight_decay=0.3,
        training=PerceptronTraining(dropout=0.0, batch_size=1, learning_rate=0.05),
        rng=np.random.default_rng(5),
    )
    start = initial_perceptron(4, hidden, target, np.random.default_rng(5))
    tensors = as_torch(start)
    n = len(start.weights)
    optimiser = torch.optim.AdamW(
        [{"params": tensors[:n], "weight_decay": 0.3}, {"params": tensors[n:], "weight_decay": 0}]
    )
    for step in range(30):
        rate = (step + 1) / 3 if step < 3 else 0.5 * (1 + np.cos(np.pi * (step - 3) / 27))
        for group in optimiser.param_groups:
            group["lr"] = 0.05 * rate
        optimiser.zero_grad()
        torch_loss(tensors, x, target, np.ones((1, hidden), np.float32)).backward()
        optimiser.step()
    for array, tensor in zip(found.weights + found.biases, tensors, strict=True):
        np.testing.assert_allclose(array, tensor.detach().numpy(), rtol=1e-3, atol=1e-4)


def test_starts_from_the_frequencies():
    target = np.array([[3, 1, 0]], dtype=np.float32)
    model = initial_perceptron(4, 5, target, np.random.default_rng(0))
    np.testing.assert_allclose(np.exp(model.biases[-1]), [0.75, 0.25, 1e-6], rtol=1e-5)
