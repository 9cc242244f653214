"""CRF-Grad against explicit energies, its gradients, rounding, precision, void."""

from __future__ import annotations

import copy
import itertools
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from rerank.errors import InputError
from rerank.layers import CRFGrad, PermutohedralLattice, project_simplex
from rerank.layers.image_lattice import bilateral_lattice

H, W, L = 3, 4, 3


def inputs(seed: int = 0, batch: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(batch, L, H, W, generator=generator, dtype=torch.float64) * 2
    image = torch.randint(0, 256, (batch, 3, H, W), generator=generator)
    return logits, image.to(torch.uint8)


def layer(seed: int = 0, scale: float = 0.3, **settings_) -> CRFGrad:
    """A float64 layer in evaluation mode with random weights, small in space and wide in colour."""
    arguments = dict(spatial_radius=1, position_std=4.0, colour_std=120.0, **settings_)
    crf = CRFGrad(L, **arguments).double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in crf.named_parameters():
            if name != "unary_weight":
                parameter += scale * torch.randn(parameter.shape, generator=generator,
                                                 dtype=torch.float64)
    return crf


def pair_matrix(crf: CRFGrad, image: torch.Tensor, valid: np.ndarray) -> np.ndarray:
    """The pairwise costs of all pixels and labels (H*W*L, H*W*L), from the weights themselves.

    Pixel pairs are visited one by one, in both orders, and the result is the second derivative of
    the energy: W plus its transpose over two.
    """
    matrix = np.zeros((H * W, L, H * W, L))
    pixels = [(y, x) for y in range(H) for x in range(W)]
    if crf.spatial is not None and crf.spatial.weight is not None:
        weight = crf.spatial.weight.detach().numpy()
        for i, j in itertools.permutations(range(H * W), 2):
            dy, dx = pixels[j][0] - pixels[i][0], pixels[j][1] - pixels[i][1]
            if max(abs(dy), abs(dx)) <= 1:
                matrix[i, :, j, :] += weight[:, :, 1 + dy, 1 + dx]
    if crf.bilateral is not None and crf.bilateral.weight is not None and valid.any():
        weight = crf.bilateral.weight.detach().numpy()
        lattice = bilateral_lattice(image.permute(1, 2, 0).numpy(), valid, 4.0, 120.0, 1)
        normalized = lattice.normalized()
        assert isinstance(normalized, PermutohedralLattice)
        where = np.flatnonzero(valid)
        for k in range(weight.shape[2]):
            unit = np.zeros(weight.shape[2])
            unit[k] = 1
            kernel = normalized.filter(np.eye(len(where)), unit)
            for a, b in itertools.permutations(range(len(where)), 2):
                matrix[where[a], :, where[b], :] += kernel[a, b] * weight[:, :, k]
    void = ~valid.ravel()
    matrix[void] = 0
    matrix[:, :, void] = 0
    flat = matrix.reshape(H * W * L, H * W * L)
    return (flat + flat.T) / 2


def explicit_energy(crf, q, logits, matrix, valid):
    """Eq. 6 with Eq. 3, one image, numpy."""
    z = np.exp(logits) / np.exp(logits).sum(axis=0)
    unary = -crf.unary_weight.item() * np.log(z + crf.eps)
    flat = (q * valid).reshape(L, -1).T.ravel()
    return (unary * q * valid).sum() + flat @ matrix @ flat / 2


def explicit_gradient(crf, q, logits, matrix):
    """Eq. 7."""
    z = np.exp(logits) / np.exp(logits).sum(axis=0)
    unary = -crf.unary_weight.item() * np.log(z + crf.eps)
    pairwise = matrix @ q.reshape(L, -1).T.ravel()
    return unary + pairwise.reshape(H * W, L).T.reshape(L, H, W)


ALL_VALID = np.ones((H, W), bool)


@pytest.mark.parametrize("kinds", [
    dict(), dict(bilateral="none"), dict(spatial="none"), dict(spatial="none", bilateral="none")])
def test_agrees_with_algorithm_1_on_explicit_matrices(kinds):
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


def test_the_step_follows_the_gradient_of_the_energy():
    crf = layer()
    logits, image = inputs()
    q = project_simplex(torch.randn(1, L, H, W, dtype=torch.float64), dim=1).requires_grad_()
    (slope,) = torch.autograd.grad(crf.energy(q, logits, image).sum(), q)
    expected = explicit_gradient(crf, q.detach()[0].numpy(), logits[0].numpy(),
                                 pair_matrix(crf, image[0], ALL_VALID))
    np.testing.assert_allclose(slope[0].numpy(), expected, atol=1e-11)


def test_the_energy_of_a_labeling_is_that_of_its_indicator():
    crf = layer()
    logits, image = inputs(batch=2)
    labels = torch.randint(0, L, (2, H, W), generator=torch.Generator().manual_seed(1))
    indicator = nn.functional.one_hot(labels, L).permute(0, 3, 1, 2).double()
    torch.testing.assert_close(crf.energy(labels, logits, image),
                               crf.energy(indicator, logits, image))
    assert crf.energy(labels, logits, image).dtype == torch.float64


def test_energies_fall_to_a_fixed_point():
    crf = CRFGrad(L, step_size=0.2).eval()
    logits, image = inputs(batch=2)
    energies = crf.trajectory(logits.float(), image, n_steps=60).energies
    assert energies.shape == (61, 2)
    assert (energies.diff(dim=0) <= 1e-9).all()
    assert (energies[-1] - energies[-2]).abs().max() < 1e-3 * (energies[0] - energies[-1]).min()


def test_parameters_have_the_sizes_of_the_paper():
    crf = CRFGrad(5, spatial_radius=4, bilateral_radius=1)
    assert crf.spatial is not None and crf.spatial.weight is not None
    assert crf.bilateral is not None and crf.bilateral.weight is not None
    assert crf.spatial.weight.shape == (5, 5, 9, 9) and crf.spatial.weight.abs().max() == 0
    assert crf.bilateral.weight.shape == (5, 5, 2 ** 6 - 1)
    assert crf.bilateral.weight.diagonal().abs().max() == 0
    assert crf.unary_weight.item() == 0.5 and crf.n_steps == 5 and crf.step_size == 0.5
    fixed = CRFGrad(2, spatial="gaussian", bilateral="gaussian")
    assert [name for name, _ in fixed.named_parameters()] == ["unary_weight"]


def test_the_fixed_gaussian_is_where_the_learned_one_starts():
    logits, image = inputs(batch=2)
    arguments = dict(spatial="none", colour_std=60.0, bilateral_strength=0.7)
    learned = CRFGrad(L, bilateral="learned", **arguments).double().eval()
    fixed = CRFGrad(L, bilateral="gaussian", **arguments).double().eval()
    torch.testing.assert_close(learned(logits, image), fixed(logits, image), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(learned.bilateral.kernel(), fixed.bilateral.kernel(),
                               rtol=1e-6, atol=1e-6)
    # A pixel that differs from all others pays nearly the strength.
    labels = torch.zeros(1, 30, 30, dtype=torch.long)
    flat = torch.full((1, 3, 30, 30), 100)
    equal = torch.zeros(1, L, 30, 30)
    labels[0, 15, 15] = 1
    extra = fixed.energy(labels, equal, flat) - fixed.energy(labels * 0, equal, flat)
    assert 0.6 < extra.item() < 0.75


def test_the_fixed_spatial_gaussian_is_a_learned_kernel_of_its_values():
    logits, _ = inputs(batch=2)
    arguments = dict(bilateral="none", spatial_radius=2)
    fixed = CRFGrad(L, spatial="gaussian", spatial_std=1.5, spatial_strength=0.8,
                    **arguments).double().eval()
    reach = torch.arange(-2, 3, dtype=torch.float64)
    gaussian = torch.exp(-(reach[:, None] ** 2 + reach ** 2) / (2 * 1.5 ** 2))
    gaussian[2, 2] = 0
    gaussian *= 0.8 / gaussian.sum()
    learned = CRFGrad(L, spatial="learned", **arguments).double().eval()
    with torch.no_grad():
        learned.spatial.weight.copy_((1 - torch.eye(L))[:, :, None, None] * gaussian)
    torch.testing.assert_close(fixed.spatial.kernel(), learned.spatial.kernel())
    torch.testing.assert_close(fixed(logits), learned(logits))


def test_untrained_spatial_weights_leave_the_best_label_in_place():
    crf = CRFGrad(L, bilateral="none").eval()
    logits = inputs()[0].float()
    torch.testing.assert_close(crf(logits).argmax(dim=1), logits.argmax(dim=1))


@pytest.mark.parametrize("training", [False, True])
def test_gradcheck(training):
    crf = layer(n_steps=2, leak=0.2)
    crf.train(training)
    logits, image = inputs()
    names = [name for name, _ in crf.named_parameters()]

    def run(scores, *parameters):
        return torch.func.functional_call(crf, dict(zip(names, parameters)), (scores, image))

    parameters = [p.detach().clone().requires_grad_() for p in crf.parameters()]
    assert torch.autograd.gradcheck(run, (logits.requires_grad_(), *parameters), fast_mode=True)


def test_the_leak_is_for_training_only():
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


Q = st.tuples(st.integers(0, 10**6), st.sampled_from([0.3, 3.0]), st.booleans(), st.booleans())


@settings(max_examples=25, deadline=None)
@given(case=Q)
def test_rounding_never_raises_the_energy(case):
    seed, scale, sharp, masked = case
    crf = layer(seed, scale)
    logits, image = inputs(seed, batch=2)
    generator = torch.Generator().manual_seed(seed)
    q = torch.randn(2, L, H, W, generator=generator, dtype=torch.float64)
    q = project_simplex(q * 3, dim=1) if sharp else q.softmax(dim=1)
    valid = torch.rand(2, H, W, generator=generator) < 0.7 if masked else None
    labels = crf.round_labeling(q, logits, image, valid)
    before = crf.energy(q, logits, image, valid)
    after = crf.energy(labels, logits, image, valid)
    assert (after <= before + 1e-9 * (1 + before.abs())).all()
    if valid is not None:
        assert (labels[~valid] == 255).all()


def test_rounding_keeps_labelings_that_no_single_pixel_can_better():
    crf = layer(scale=1.0)
    logits, image = inputs()
    best, least = None, np.inf
    matrix = pair_matrix(crf, image[0], ALL_VALID)
    # A strong unary makes the exhaustive search short: two labels at six pixels, one elsewhere.
    for choice in itertools.product(range(2), repeat=6):
        labels = logits[0].argmax(dim=0).clone()
        order = logits[0].argsort(dim=0, descending=True)
        for i, c in enumerate(choice):
            labels.view(-1)[i] = order.view(L, -1)[c, i]
        indicator = nn.functional.one_hot(labels, L).permute(2, 0, 1).double().numpy()
        energy = explicit_energy(crf, indicator, logits[0].numpy(), matrix, ALL_VALID)
        if energy < least:
            best, least = labels, energy
    assert best is not None
    start = nn.functional.one_hot(best, L).permute(2, 0, 1)[None].double()
    rounded = crf.round_labeling(start, logits, image)
    assert crf.energy(rounded, logits, image).item() <= least + 1e-9


@pytest.mark.parametrize("kinds", [dict(), dict(bilateral="none"), dict(spatial="none"),
                                   dict(spatial="gaussian", bilateral="gaussian")])
def test_rounding_reads_each_pixels_cost_from_all_others(kinds):
    crf = layer(**kinds)
    logits, image = inputs()
    labels = crf.round_labeling(crf(logits, image), logits, image)
    # At the last pixel visited all others hold their final labels: no other label is better.
    energies = []
    for label in range(L):
        changed = labels.clone()
        changed[0, -1, -1] = label
        energies.append(crf.energy(changed, logits, image).item())
    assert labels[0, -1, -1] == int(np.argmin(energies))


def test_images_of_a_batch_do_not_meet():
    crf = layer()
    logits, image = inputs(batch=3)
    together = crf(logits, image)
    for b in range(3):
        torch.testing.assert_close(together[b:b + 1], crf(logits[b:b + 1], image[b:b + 1]))


def test_void_pixels_influence_nothing_and_keep_their_probabilities():
    crf = layer()
    logits, image = inputs()
    valid = torch.ones(1, H, W, dtype=torch.bool)
    valid[0, 1, 1] = valid[0, 0, 3] = False
    q = crf(logits, image, valid)
    torch.testing.assert_close(q[:, :, 1, 1], logits.softmax(dim=1)[:, :, 1, 1])
    other_logits, other_image = logits.clone(), image.clone().float()
    other_logits[:, :, 1, 1] = torch.nan
    other_image[:, :, 1, 1] = torch.inf
    again = crf(other_logits, other_image, valid)
    inside = valid[:, None].expand_as(q)
    torch.testing.assert_close(again[inside], q[inside], rtol=0, atol=0)
    assert torch.isnan(again[:, :, 1, 1]).all()
    matrix = pair_matrix(crf, image[0], valid[0].numpy())
    expected = explicit_energy(crf, q[0].detach().numpy(), logits[0].numpy(), matrix,
                               valid[0].numpy())
    assert crf.energy(q, logits, image, valid).item() == pytest.approx(expected)
    nothing = torch.zeros(1, H, W, dtype=torch.bool)
    torch.testing.assert_close(crf(logits, image, nothing), logits.softmax(dim=1))
    assert crf.energy(q, logits, image, nothing).item() == 0
    assert (crf.round_labeling(q, logits, image, nothing) == 255).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_precisions_and_autocast(dtype):
    crf = layer().float()
    logits, image = inputs()
    expected = layer()(logits, image)
    given_ = logits.to(dtype)
    q = crf(given_, image)
    assert q.dtype == dtype
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(q.double(), layer()(given_.double(), image), rtol=0,
                               atol=tolerance)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = crf(logits.float(), image)
    assert inside.dtype == torch.float32
    torch.testing.assert_close(inside.double(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_logits_stay_on_the_simplex_with_finite_gradients(dtype):
    crf = layer().to(dtype).train()
    logits = torch.tensor([1e4, -1e4, 0.0], dtype=dtype).view(1, 3, 1, 1).repeat(1, 1, H, W)
    logits[:, :, 1] = logits[:, [1, 0, 2], 1]
    logits.requires_grad_()
    image = inputs()[1]
    q = crf(logits, image)
    crf.log_scores(q).sum().backward()
    assert logits.grad is not None and torch.isfinite(logits.grad).all()
    for parameter in crf.parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all()
    q = crf.eval()(logits, image)
    assert (q >= 0).all()
    torch.testing.assert_close(q.sum(dim=1), torch.ones(1, H, W, dtype=dtype))


def test_one_label_one_pixel_and_grey_images():
    assert (CRFGrad(1).eval()(torch.randn(2, 1, 2, 5), torch.zeros(2, 3, 2, 5)) == 1).all()
    single = CRFGrad(2).eval()(torch.tensor([2.0, 0.0]).view(1, 2, 1, 1), torch.zeros(1, 3, 1, 1))
    assert single.flatten().tolist() == pytest.approx([1.0, 0.0])
    grey = CRFGrad(2, n_channels=1).eval()
    assert grey.bilateral is not None and grey.bilateral.weight is not None
    assert grey.bilateral.weight.shape[2] == 15
    assert grey(torch.randn(1, 2, 3, 4), torch.zeros(1, 1, 3, 4)).shape == (1, 2, 3, 4)


def test_log_scores_are_a_smooth_logarithm():
    crf = CRFGrad(3, bilateral="none")
    q = torch.tensor([0.6, 0.25, 0.15], dtype=torch.float64).view(1, 3, 1, 1)
    torch.testing.assert_close(crf.log_scores(q).softmax(dim=1), q)
    line = torch.linspace(-0.5, 0.5, 1001, dtype=torch.float64).requires_grad_()
    scores = crf.log_scores(line, floor=0.1)
    (slope,) = torch.autograd.grad(scores.sum(), line)
    assert (slope > 0).all() and (slope.diff().abs() < 0.2).all()
    assert (slope[line < 0.09] == 10).all()


def test_training_learns_to_mend_what_the_network_gets_wrong():
    # Vertical stripes, of which the scores lose a fifth of the pixels.
    generator = torch.Generator().manual_seed(0)
    labels = (torch.arange(18) // 3 % 2).expand(4, 12, 18)
    noise = torch.rand(4, 12, 18, generator=generator) < 0.2
    logits = nn.functional.one_hot(torch.where(noise, 1 - labels, labels), 2)
    logits = 2.0 * logits.permute(0, 3, 1, 2).float()
    crf = CRFGrad(2, bilateral="none", spatial_radius=2)
    optimiser = torch.optim.SGD(crf.parameters(), lr=0.03, momentum=0.9)
    for _ in range(60):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(crf.log_scores(crf(logits)), labels)
        loss.backward()
        optimiser.step()
    right = (crf.eval()(logits).argmax(dim=1) == labels).float().mean().item()
    assert (logits.argmax(dim=1) == labels).float().mean().item() < 0.82 < 0.95 < right


def test_copies_and_saved_states_give_the_same():
    crf = layer()
    logits, image = inputs()
    expected = crf(logits, image)
    for copied in (copy.deepcopy(crf), pickle.loads(pickle.dumps(crf))):
        torch.testing.assert_close(copied(logits, image), expected)
    fresh = layer(seed=9)
    fresh.load_state_dict(crf.state_dict())
    torch.testing.assert_close(fresh(logits, image), expected)
    assert set(crf.state_dict()) == {"unary_weight", "spatial.weight", "bilateral.weight"}


def test_the_same_image_is_placed_once():
    crf = layer(cache_size=2)
    logits, image = inputs(batch=2)
    for _ in range(3):
        crf(logits, image)
    assert (crf._cache.misses, crf._cache.hits) == (2, 4)


LOGITS, IMAGE = inputs()


@pytest.mark.parametrize("call, message", [
    (lambda: CRFGrad(0), "n_labels must be at least 1"),
    (lambda: CRFGrad(2, n_steps=0), "n_steps must be at least 1"),
    (lambda: CRFGrad(2, spatial="potts"), "spatial must be one of learned, gaussian, none"),
    (lambda: CRFGrad(2, bilateral=None), "bilateral must be one of"),
    (lambda: CRFGrad(2, step_size=0.0), "step_size"),
    (lambda: CRFGrad(2, leak=2.0), "leak"),
    (lambda: CRFGrad(2, spatial_radius=0), "spatial_radius"),
    (lambda: CRFGrad(2, spatial="gaussian", spatial_std=0.0), "spatial_std"),
    (lambda: CRFGrad(2, bilateral_radius=0), "bilateral_radius"),
    (lambda: CRFGrad(2, n_channels=0), "n_channels"),
    (lambda: layer()(LOGITS[:, :2], IMAGE), r"\(B, 3, H, W\).*got \(1, 2, 3, 4\)"),
    (lambda: layer()(LOGITS[0], IMAGE), r"got \(3, 3, 4\)"),
    (lambda: layer()(LOGITS.long(), IMAGE), "floating point"),
    (lambda: layer()(LOGITS), "image is needed"),
    (lambda: layer()(LOGITS, IMAGE[:, :, :2]), r"shape \(1, 3, 3, 4\), got \(1, 3, 2, 4\)"),
    (lambda: layer()(LOGITS, IMAGE[:, :1]), "image must have 3 channels"),
    (lambda: layer()(LOGITS, IMAGE * torch.nan), "image must be finite"),
    (lambda: layer()(LOGITS, IMAGE, torch.ones(1, 4, 3, dtype=torch.bool)),
     r"valid must be bool and of shape \(1, 3, 4\)"),
    (lambda: layer()(LOGITS, IMAGE, torch.ones(1, H, W)), "got torch.float32"),
    (lambda: layer().energy(LOGITS[:, :2], LOGITS, IMAGE), r"q must be.*\(1, 2, 3, 4\)"),
    (lambda: layer().energy(torch.full((1, H, W), 3), LOGITS, IMAGE), "labels must be 0..2"),
    (lambda: layer().round_labeling(LOGITS, LOGITS, IMAGE), "q must be on the simplex"),
    (lambda: layer().round_labeling(LOGITS * torch.nan, LOGITS, IMAGE), "on the simplex"),
    (lambda: layer().trajectory(LOGITS, IMAGE, n_steps=-1), "n_steps"),
    (lambda: layer().log_scores(LOGITS, floor=0.0), "floor"),
])
def test_unusable_arguments_are_named(call, message):
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.gpu
def test_cuda_agrees_with_the_cpu():
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
