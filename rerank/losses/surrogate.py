"""A small network that learns a function from examples, and how well it has learned it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from rerank.errors import InputError
from rerank.losses.pixel_target import check_choice, full_precision

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "silu": nn.SiLU, "relu": nn.ReLU}


class SurrogateNetwork(nn.Module):
    """Fully connected network from n inputs to one value, Nagendar et al. 2018, Eq. 4.

    Parameters
    ----------
    n_inputs : int
    hidden : sequence of int
        Nodes of each hidden layer; four of 100 in the paper (section 4.1).
    activation : str
        S of Eq. 4, which the paper does not name: ``"tanh"``, ``"silu"`` or ``"relu"``.
    random_state : int
        Seed of the first weights, which are drawn without touching torch's global generator.

    Raises
    ------
    InputError
        A size is below 1 or the activation is unknown.
    """

    def __init__(
        self,
        n_inputs: int,
        hidden: Sequence[int] = (100, 100, 100, 100),
        activation: str = "tanh",
        random_state: int = 0,
    ) -> None:
        super().__init__()
        check_choice(activation, "activation", tuple(ACTIVATIONS))
        if n_inputs < 1 or any(size < 1 for size in hidden):
            raise InputError(f"layers must have at least 1 node, got {(n_inputs, *hidden)}")
        generator = torch.Generator().manual_seed(random_state)
        sizes = [n_inputs, *hidden, 1]
        layers: list[nn.Module] = []
        for fan_in, fan_out in itertools.pairwise(sizes):
            layer = nn.utils.skip_init(nn.Linear, fan_in, fan_out)  # type: ignore[no-untyped-call]
            with torch.no_grad():
                layer.weight.normal_(0.0, (1.0 / fan_in) ** 0.5, generator=generator)
                layer.bias.uniform_(-0.1, 0.1, generator=generator)
            layers += [layer, ACTIVATIONS[activation]()]
        self.layers = nn.Sequential(*layers[:-1])
        self.n_inputs = n_inputs

    def forward(self, inputs: Tensor) -> Tensor:
        """Values (...) of inputs (..., n_inputs)."""
        with full_precision(inputs):
            values: Tensor = self.layers(inputs).squeeze(-1)
            return values

    def frozen(self, inputs: Tensor) -> Tensor:
        """The same, with a gradient by the inputs alone and none by the network's weights."""
        fixed = {name: value.detach() for name, value in self.named_parameters()}
        values: Tensor = functional_call(self, fixed, (inputs,))
        return values


@dataclass(frozen=True)
class SurrogateFit:
    """How well a network has learned its examples.

    Attributes
    ----------
    train_error, held_out_error : float
        Mean squared errors (Nagendar et al. 2018, Eq. 3, per example).
    held_out_share : float
        Share of the held-out examples' variance that is explained; 1 is a perfect fit.
    """

    train_error: float
    held_out_error: float
    held_out_share: float


def fit_surrogate(
    network: SurrogateNetwork,
    inputs: Tensor,
    values: Tensor,
    n_steps: int = 2000,
    batch_size: int = 256,
    learning_rate: float = 1e-3,
    held_out: float = 0.2,
    random_state: int = 0,
) -> SurrogateFit:
    """Fit a network to examples by least squares (Nagendar et al. 2018, Eq. 3), in place.

    Parameters
    ----------
    network : SurrogateNetwork
    inputs : (n, n_inputs) tensor
    values : (n,) tensor
    n_steps, batch_size : int
        Steps of Adam, and examples drawn for each; the step falls to 0 along a half cosine.
    learning_rate : float
    held_out : float in (0, 1)
        Share of the examples that is not learned from.
    random_state : int

    Returns
    -------
    SurrogateFit

    Raises
    ------
    InputError
        Shapes do not fit, there are fewer than 2 examples, or one is not finite.
        `held_out` is outside (0, 1) or leaves one side empty; `n_steps` is below 1.
    """
    if inputs.ndim != 2 or inputs.shape[1] != network.n_inputs or len(inputs) < 2:
        raise InputError(
            f"inputs must have shape (n, {network.n_inputs}) with n at least 2, got "
            f"{tuple(inputs.shape)}"
        )
    if values.shape != inputs.shape[:1]:
        raise InputError(
            f"values have shape {tuple(values.shape)} and inputs have shape "
            f"{tuple(inputs.shape)}; values must be ({len(inputs)},)"
        )
    if not bool(torch.isfinite(inputs).all() and torch.isfinite(values).all()):
        raise InputError("inputs and values must be finite")
    n_held_out = round(held_out * len(inputs)) if 0.0 < held_out < 1.0 else 0
    if not 0 < n_held_out < len(inputs):
        raise InputError(
            f"held_out must lie in (0, 1) and leave examples on both sides, got {held_out} of "
            f"{len(inputs)}"
        )
    if n_steps < 1:
        raise InputError(f"n_steps must be at least 1, got {n_steps}")

    generator = torch.Generator().manual_seed(random_state)
    order = torch.randperm(len(inputs), generator=generator).to(inputs.device)
    dtype = next(network.parameters()).dtype
    inputs, values = inputs.detach().to(dtype), values.detach().to(dtype)
    known, unseen = order[n_held_out:], order[:n_held_out]
    optimiser = torch.optim.Adam(network.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, n_steps)
    for _ in range(n_steps):
        drawn = known[torch.randint(len(known), (batch_size,), generator=generator)]
        learn(network, optimiser, inputs[drawn], values[drawn])
        schedule.step()
    with torch.no_grad():
        train = (network(inputs[known]) - values[known]).square().mean()
        unseen_values = values[unseen]
        error = (network(inputs[unseen]) - unseen_values).square().mean()
        variance = (unseen_values - unseen_values.mean()).square().mean()
    share = 1.0 - (error / variance).item() if variance > 0 else float(error == 0)
    return SurrogateFit(train.item(), error.item(), share)


def learn(
    network: SurrogateNetwork, optimiser: torch.optim.Optimizer, inputs: Tensor, values: Tensor
) -> None:
    """Take one step of least squares.

    Parameters
    ----------
    network : SurrogateNetwork
    optimiser : Optimizer
        Of the network's parameters.
    inputs : (n, n_inputs) tensor
    values : (n,) tensor
    """
    optimiser.zero_grad()
    with torch.enable_grad(), full_precision(inputs):
        (network(inputs) - values).square().mean().backward()
    optimiser.step()
