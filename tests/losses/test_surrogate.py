import pytest
import torch

from rerank.errors import InputError
from rerank.losses import SurrogateNetwork, fit_surrogate


def test_a_discontinuous_function_and_its_derivative_are_learned():
    """Section 4.2 of Nagendar et al. 2018: f(x) = 2 - x below 1, x + 0.1 from 1 on."""
    x = torch.linspace(0, 2, 2001).unsqueeze(1)
    f = torch.where(x < 1, 2 - x, x + 0.1).squeeze(1)
    network = SurrogateNetwork(1, hidden=(100,), activation="relu")
    fit = fit_surrogate(network, x, f, n_steps=2500, learning_rate=1e-2)
    assert fit.held_out_share > 0.99
    leaf = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(network(leaf).sum(), leaf)
    away = ((x - 1).abs() > 0.1).squeeze(1)
    assert (network(x) - f)[away].abs().max() < 0.03
    expected = torch.where(x < 1, -1.0, 1.0)
    assert (slope - expected)[away].abs().mean() < 0.1
    assert (torch.sign(slope) == expected)[away].all()
    # At the jump itself, says the paper, the approximate derivative lies between the two.
    assert -1.05 < slope[1000] < 1.05


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


@pytest.mark.parametrize("inputs, values, options, message", [
    (torch.rand(5, 2), torch.rand(5), {}, r"\(n, 3\).*got \(5, 2\)"),
    (torch.rand(5, 3), torch.rand(4), {}, r"values have shape \(4,\)"),
    (torch.rand(5, 3) / 0, torch.rand(5), {}, "must be finite"),
    (torch.rand(5, 3), torch.rand(5), {"held_out": 1.0}, "got 1.0 of 5"),
    (torch.rand(5, 3), torch.rand(5), {"held_out": 0.01}, "got 0.01 of 5"),
    (torch.rand(5, 3), torch.rand(5), {"n_steps": 0}, "n_steps must be at least 1, got 0"),
])
def test_unusable_examples_are_named(inputs, values, options, message):
    with pytest.raises(InputError, match=message):
        fit_surrogate(SurrogateNetwork(3), inputs, values, **options)


def test_unusable_networks_are_named():
    with pytest.raises(InputError, match="tanh, silu, relu; got 'sin'"):
        SurrogateNetwork(3, activation="sin")
    with pytest.raises(InputError, match=r"got \(3, 0\)"):
        SurrogateNetwork(3, hidden=(0,))
