import pytest
import torch

from rerank.errors import InputError
from rerank.losses import SurrogateNetwork, fit_surrogate


def test_equal_seeds_give_equal_fits():
    x = torch.rand(200, 3, generator=torch.Generator().manual_seed(0))
    y = x.prod(dim=1)
    fits = []
    for seed in (0, 0, 1):
        network = SurrogateNetwork(3, hidden=(20,), random_state=seed)
        fits.append(fit_surrogate(network, x, y, n_steps=50, random_state=seed))
    assert fits[0] == fits[1] != fits[2]


def test_frozen_gives_the_same_values_and_no_gradient_to_the_weights():
    network = SurrogateNetwork(2, hidden=(5, 4), activation="silu")
    x = torch.rand(7, 2, requires_grad=True)
    torch.testing.assert_close(network.frozen(x), network(x))
    network.frozen(x).sum().backward()
    assert x.grad.abs().sum() > 0
    assert all(p.grad is None for p in network.parameters())


def test_the_default_network_is_that_of_the_paper():
    shapes = [tuple(p.shape) for p in SurrogateNetwork(6).parameters() if p.ndim == 2]
    assert shapes == [(100, 6), (100, 100), (100, 100), (100, 100), (1, 100)]


@pytest.mark.parametrize(
    "inputs, values, options, message",
    [
        (torch.rand(5, 2), torch.rand(5), {}, r"\(n, 3\).*got \(5, 2\)"),
        (torch.rand(5, 3), torch.rand(4), {}, r"values have shape \(4,\)"),
        (torch.rand(5, 3) / 0, torch.rand(5), {}, "must be finite"),
        (torch.rand(5, 3), torch.rand(5), {"held_out": 1.0}, "got 1.0 of 5"),
        (torch.rand(5, 3), torch.rand(5), {"held_out": 0.01}, "got 0.01 of 5"),
        (torch.rand(5, 3), torch.rand(5), {"n_steps": 0}, "n_steps must be at least 1, got 0"),
    ],
)
def test_unusable_examples_are_named(inputs, values, options, message):
    with pytest.raises(InputError, match=message):
        fit_surrogate(SurrogateNetwork(3), inputs, values, **options)


def test_unusable_networks_are_named():
    with pytest.raises(InputError, match="tanh, silu, relu; got 'sin'"):
        SurrogateNetwork(3, activation="sin")
    with pytest.raises(InputError, match=r"got \(3, 0\)"):
        SurrogateNetwork(3, hidden=(0,))
