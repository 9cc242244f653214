"""CRF-Grad against explicit energies, its gradients, its parameters, training and copies."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from rerank.layers import BilateralTerm, CRFGrad, SpatialTerm, project_simplex

H, W, L = 3, 4, 3
ALL_VALID = np.ones((H, W), bool)


@pytest.mark.parametrize(
    "kinds",
    [dict(), dict(bilateral="none"), dict(spatial="none"), dict(spatial="none", bilateral="none")],
)
def test_agrees_with_algorithm_1_on_explicit_matrices(
    kinds, inputs, layer, pair_matrix, explicit_energy, explicit_gradient
):
    crf = layer(**kinds)
    logits, image = inputs()
    matrix = pair_matrix(crf, image[0], ALL_VALID)
    q = torch.softmax(logits[0], dim=0).numpy()
    expected = [q]
    for _ in range(crf.n_steps):
        moved = q - crf.step_size * explicit_gradient(crf, q, logits[0].numpy(), matrix)
        q = project_simplex(torch.from_numpy(moved), dim=0).numpy()
        expected.append(q)
    np.testing.assert_allclose(crf(logits, image)[0].detach().numpy(), q, atol=1e-11)
    trajectory = crf.trajectory(logits, image)
    np.testing.assert_allclose(trajectory.q[:, 0].numpy(), expected, atol=1e-11)
    energies = [explicit_energy(crf, q, logits[0].numpy(), matrix, ALL_VALID) for q in expected]
    np.testing.assert_allclose(trajectory.energies[:, 0].numpy(), energies, rtol=1e-11)


def test_the_step_follows_the_gradient_of_the_energy(inputs, layer, pair_matrix, explicit_gradient):
    crf = layer()
    logits, image = inputs()
    q = project_simplex(torch.randn(1, L, H, W, dtype=torch.float64), dim=1).requires_grad_()
    (slope,) = torch.autograd.grad(crf.energy(q, logits, image).sum(), q)
    expected = explicit_gradient(
        crf, q.detach()[0].numpy(), logits[0].numpy(), pair_matrix(crf, image[0], ALL_VALID)
    )
    np.testing.assert_allclose(slope[0].numpy(), expected, atol=1e-11)


def test_the_energy_of_a_labeling_is_that_of_its_indicator(inputs, layer):
    crf = layer()
    logits, image = inputs(batch=2)
    labels = torch.randint(0, L, (2, H, W), generator=torch.Generator().manual_seed(1))
    indicator = nn.functional.one_hot(labels, L).permute(0, 3, 1, 2).double()
    torch.testing.assert_close(
        crf.energy(labels, logits, image), crf.energy(indicator, logits, image)
    )
    assert crf.energy(labels, logits, image).dtype == torch.float64


def test_energies_fall_to_a_fixed_point(inputs):
    crf = CRFGrad(L, step_size=0.2).eval()
    logits, image = inputs(batch=2)
    energies = crf.trajectory(logits.float(), image, n_steps=60).energies
    assert energies.shape == (61, 2)
    assert (energies.diff(dim=0) <= 1e-9).all()
    assert (energies[-1] - energies[-2]).abs().max() < 1e-3 * (energies[0] - energies[-1]).min()


def test_parameters_have_the_sizes_of_the_paper():
    crf = CRFGrad(5, spatial=SpatialTerm(radius=4), bilateral=BilateralTerm(radius=1))
    assert crf.spatial is not None and crf.spatial.weight is not None
    assert crf.bilateral is not None and crf.bilateral.weight is not None
    assert crf.spatial.weight.shape == (5, 5, 9, 9) and crf.spatial.weight.abs().max() == 0
    assert crf.bilateral.weight.shape == (5, 5, 2**6 - 1)
    assert crf.bilateral.weight.diagonal().abs().max() == 0
    assert crf.unary_weight.item() == 0.5 and crf.n_steps == 5 and crf.step_size == 0.5
    fixed = CRFGrad(2, spatial="gaussian", bilateral="gaussian")
    assert [name for name, _ in fixed.named_parameters()] == ["unary_weight"]


def test_the_fixed_gaussian_is_where_the_learned_one_starts(inputs):
    logits, image = inputs(batch=2)
    learned, fixed = (
        CRFGrad(L, spatial="none", bilateral=BilateralTerm(kind, colour_std=60.0, strength=0.7))
        .double()
        .eval()
        for kind in ("learned", "gaussian")
    )
    torch.testing.assert_close(learned(logits, image), fixed(logits, image), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(
        learned.bilateral.kernel(), fixed.bilateral.kernel(), rtol=1e-6, atol=1e-6
    )
    # A pixel that differs from all others pays nearly the strength.
    labels = torch.zeros(1, 30, 30, dtype=torch.long)
    flat = torch.full((1, 3, 30, 30), 100)
    equal = torch.zeros(1, L, 30, 30)
    labels[0, 15, 15] = 1
    extra = fixed.energy(labels, equal, flat) - fixed.energy(labels * 0, equal, flat)
    assert 0.6 < extra.item() < 0.75


def test_the_fixed_spatial_gaussian_is_a_learned_kernel_of_its_values(inputs):
    logits, _ = inputs(batch=2)
    fixed, learned = (
        CRFGrad(L, spatial=term, bilateral="none").double().eval()
        for term in (SpatialTerm("gaussian", 2, std=1.5, strength=0.8), SpatialTerm("learned", 2))
    )
    reach = torch.arange(-2, 3, dtype=torch.float64)
    gaussian = torch.exp(-(reach[:, None] ** 2 + reach**2) / (2 * 1.5**2))
    gaussian[2, 2] = 0
    gaussian *= 0.8 / gaussian.sum()
    with torch.no_grad():
        learned.spatial.weight.copy_((1 - torch.eye(L))[:, :, None, None] * gaussian)
    torch.testing.assert_close(fixed.spatial.kernel(), learned.spatial.kernel())
    torch.testing.assert_close(fixed(logits), learned(logits))


def test_untrained_spatial_weights_leave_the_best_label_in_place(inputs):
    crf = CRFGrad(L, bilateral="none").eval()
    logits = inputs()[0].float()
    torch.testing.assert_close(crf(logits).argmax(dim=1), logits.argmax(dim=1))


@pytest.mark.parametrize("training", [False, True])
def test_gradcheck(training, inputs, layer):
    crf = layer(n_steps=2, leak=0.2)
    crf.train(training)
    logits, image = inputs()
    names = [name for name, _ in crf.named_parameters()]

    def run(scores, *parameters):
        return torch.func.functional_call(crf, dict(zip(names, parameters)), (scores, image))

    parameters = [p.detach().clone().requires_grad_() for p in crf.parameters()]
    assert torch.autograd.gradcheck(run, (logits.requires_grad_(), *parameters), fast_mode=True)


def test_the_leak_is_for_training_only(inputs, layer):
    crf = layer(leak=0.2)
    logits, image = inputs()
    sharp = logits * 10
    assert crf(sharp, image).min() == 0
    crf.train()
    leaky = crf(sharp, image)
    assert leaky.min() < 0
    grads = torch.autograd.grad(leaky[:, 0].sum(), list(crf.parameters()))
    assert all(grad.abs().max() > 0 for grad in grads)
    without = CRFGrad(L, leak=0.0).train()(sharp.float(), image)
    assert without.min() >= 0


def test_images_of_a_batch_do_not_meet(inputs, layer):
    crf = layer()
    logits, image = inputs(batch=3)
    together = crf(logits, image)
    for b in range(3):
        torch.testing.assert_close(together[b : b + 1], crf(logits[b : b + 1], image[b : b + 1]))


def test_training_learns_to_mend_what_the_network_gets_wrong():
    # Vertical stripes, of which the scores lose a fifth of the pixels.
    generator = torch.Generator().manual_seed(0)
    labels = (torch.arange(18) // 3 % 2).expand(4, 12, 18)
    noise = torch.rand(4, 12, 18, generator=generator) < 0.2
    logits = nn.functional.one_hot(torch.where(noise, 1 - labels, labels), 2)
    logits = 2.0 * logits.permute(0, 3, 1, 2).float()
    crf = CRFGrad(2, spatial=SpatialTerm(radius=2), bilateral="none")
    optimiser = torch.optim.SGD(crf.parameters(), lr=0.03, momentum=0.9)
    for _ in range(60):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(crf.log_scores(crf(logits)), labels)
        loss.backward()
        optimiser.step()
    right = (crf.eval()(logits).argmax(dim=1) == labels).float().mean().item()
    assert (logits.argmax(dim=1) == labels).float().mean().item() < 0.82 < 0.95 < right


def test_copies_and_saved_states_give_the_same(inputs, layer):
    crf = layer()
    logits, image = inputs()
    expected = crf(logits, image)
    for copied in (copy.deepcopy(crf), pickle.loads(pickle.dumps(crf))):
        torch.testing.assert_close(copied(logits, image), expected)
    fresh = layer(seed=9)
    fresh.load_state_dict(crf.state_dict())
    torch.testing.assert_close(fresh(logits, image), expected)
    assert set(crf.state_dict()) == {"unary_weight", "spatial.weight", "bilateral.weight"}


def test_the_same_image_is_placed_once(inputs, layer):
    crf = layer(cache_size=2)
    logits, image = inputs(batch=2)
    for _ in range(3):
        crf(logits, image)
    assert (crf._cache.misses, crf._cache.hits) == (2, 4)


@pytest.mark.gpu
def test_cuda_agrees_with_the_cpu(inputs, layer):
    crf = layer().train()
    logits, image = inputs(batch=2)
    on_gpu = copy.deepcopy(crf).cuda()
    expected, ours = crf(logits, image), on_gpu(logits.cuda(), image.cuda())
    torch.testing.assert_close(ours.cpu(), expected)
    expected.square().sum().backward()
    ours.square().sum().backward()
    for left, right in zip(crf.parameters(), on_gpu.parameters()):
        assert left.grad is not None and right.grad is not None
        torch.testing.assert_close(left.grad, right.grad.cpu())
