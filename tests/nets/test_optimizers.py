"""The optimizers, against those of torch."""

from __future__ import annotations

import pytest
import torch

from rerank.nets.optimizers import Descent, ParameterGroup


def _parameters() -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((4, 3, 2, 2), (4,), (5, 4))
    return [
        torch.nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64))
        for shape in shapes
    ]


def _loss(parameters: list[torch.nn.Parameter], step: int) -> torch.Tensor:
    return sum(((p - step) ** 4).sum() for p in parameters)  # type: ignore[return-value]


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_steps_are_those_of_torch(kind: str) -> None:
    own, others = _parameters(), _parameters()
    groups = [ParameterGroup((own[0], own[2]), 1.0, 0.1), ParameterGroup((own[1],), 0.5, 0.0)]
    descent = Descent(groups, kind, 0.9)  # type: ignore[arg-type]
    options = [
        {"params": [others[0], others[2]], "weight_decay": 0.1},
        {"params": [others[1]], "weight_decay": 0.0},
    ]
    peer: torch.optim.Optimizer
    if kind == "sgd":
        peer = torch.optim.SGD(options, lr=0.1, momentum=0.9)
    else:
        peer = torch.optim.AdamW(options, lr=0.1, betas=(0.9, 0.999))
    for step in range(6):
        rate = 1e-3 / (1 + step)
        for group, factor in zip(peer.param_groups, (1.0, 0.5)):
            group["lr"] = rate * factor
        peer.zero_grad()
        torch.autograd.backward(_loss(others, step))
        peer.step()
        descent.clear()
        torch.autograd.backward(_loss(own, step))
        descent.step(rate)
        if step == 2:
            # Going on from a state is going on.
            state = {
                k: v if k == "steps" else [t.clone() for t in v]
                for k, v in descent.state_dict().items()
            }
            descent = Descent(groups, kind, 0.9)  # type: ignore[arg-type]
            descent.load_state_dict(state)
    for mine, theirs in zip(own, others):
        assert torch.allclose(mine, theirs, rtol=1e-12, atol=1e-12)


def test_parameters_without_a_gradient_stay() -> None:
    first, second = _parameters()[:2]
    kept = second.detach().clone()
    descent = Descent([ParameterGroup((first, second), 1.0, 0.1)], "adamw", 0.9)
    torch.autograd.backward((first**2).sum())
    descent.step(0.1)
    assert torch.equal(second, kept) and first.grad is not None
