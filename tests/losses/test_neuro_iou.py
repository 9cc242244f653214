import copy

import numpy as np
import pytest
import torch

from rerank.errors import InputError
from rerank.losses import (
    NeuroIoULoss,
    SurrogateNetwork,
    SurrogateSettings,
    fit_surrogate,
    neuro_iou_loss,
    surrogate_counts,
)
from rerank.losses.surrogate_counts import draw_examples
from rerank.metrics import confusion_counts, image_iou, intersection_union


def draw(seed=0, shape=(2, 4, 6, 7), scale=1.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(shape, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, shape[1], (shape[0],) + shape[2:], generator=generator)
    labels[0, 0] = 255
    labels[1][labels[1] == 3] = 2
    return logits.to(dtype).requires_grad_(), labels


def slow_counts(logits, labels, counts, scale):
    """Eq. 2 and section 3.3 in loops over pixels."""
    b, c, h, w = logits.shape
    z = logits.detach().numpy()
    sums, sizes = np.zeros((b, c, 3)), np.zeros((b, c, 3))
    for n in range(b):
        for i in range(h):
            for j in range(w):
                y = int(labels[n, i, j])
                if y == 255:
                    continue
                v = z[n, :, i, j]
                p = np.exp(v) / np.exp(v).sum()
                k = int(v.argmax())
                hinge = max(0.0, 1 + max(v[m] for m in range(c) if m != y) - v[y])
                if k == y:
                    sizes[n, k, 0] += 1
                    sums[n, k, 0] += p[k] if counts == "probability" else 1 - hinge
                else:
                    sizes[n, k, 1] += 1
                    sizes[n, y, 2] += 1
                    sums[n, k, 1] += p[k] if counts == "probability" else hinge
                    sums[n, y, 2] += 1 - p[y] if counts == "probability" else hinge
    unions = sizes.sum(axis=2)
    pixels = (labels != 255).sum(dim=(1, 2)).numpy()
    divisors = unions if scale == "union" else np.broadcast_to(pixels[:, None], unions.shape)
    soft = sums / np.where(unions > 0, divisors, 1)[:, :, None]
    means = np.divide(sums, sizes, out=np.zeros_like(sums), where=sizes > 0)
    if counts == "hinge":
        soft, means = np.log1p(soft), np.log1p(means)
    return soft, means, sizes


@pytest.mark.parametrize("counts", ["probability", "hinge"])
@pytest.mark.parametrize("scale", ["union", "image"])
def test_counts_agree_with_a_loop_over_pixels(counts, scale):
    logits, labels = draw()
    found = surrogate_counts(logits, labels, counts=counts, scale=scale)
    soft, means, sizes = slow_counts(logits, labels, counts, scale)
    np.testing.assert_allclose(found.soft.detach().numpy(), soft, rtol=1e-12)
    np.testing.assert_allclose(found.means.numpy(), means, rtol=1e-12)
    np.testing.assert_array_equal(found.present.numpy(), sizes.sum(axis=2) > 0)
    inputs, losses = found.examples(6)
    assert inputs.shape == (int(found.present.sum()), 6) and losses.shape == inputs.shape[:1]
    assert found.examples(3)[0].shape[1] == 3


def test_iou_losses_are_those_of_the_metrics():
    logits, labels = draw(1)
    found = surrogate_counts(logits, labels)
    prediction = logits.argmax(dim=1).numpy()
    counts = [confusion_counts(y.numpy(), p, 4) for y, p in zip(labels, prediction)]
    both = intersection_union(np.stack(counts))
    np.testing.assert_array_equal(found.present.numpy(), both.unions > 0)
    mean = torch.where(found.present, 1 - found.iou_losses, 0.0).sum(1) / found.present.sum(1)
    np.testing.assert_allclose(mean.numpy(), image_iou(both), rtol=1e-12)


@pytest.mark.parametrize("counts", ["probability", "hinge"])
@pytest.mark.parametrize("scale", ["union", "image"])
def test_the_size_of_an_image_does_not_matter(counts, scale):
    logits, labels = draw(2)
    small = surrogate_counts(logits, labels, counts=counts, scale=scale)
    doubled = surrogate_counts(
        logits.repeat_interleave(2, 2).repeat_interleave(3, 3),
        labels.repeat_interleave(2, 1).repeat_interleave(3, 2),
        counts=counts,
        scale=scale,
    )
    torch.testing.assert_close(small.soft, doubled.soft)
    torch.testing.assert_close(small.means, doubled.means)


@pytest.mark.parametrize("counts", ["probability", "hinge"])
def test_one_hot_distributions_give_what_labels_give(counts):
    logits, labels = draw(3)
    soft = (labels.unsqueeze(1) == torch.arange(4)[None, :, None, None]).double()
    by_labels = surrogate_counts(logits, labels, counts=counts)
    by_soft = surrogate_counts(logits, soft, counts=counts)
    torch.testing.assert_close(by_labels.soft, by_soft.soft)
    torch.testing.assert_close(by_labels.iou_losses, by_soft.iou_losses)


@pytest.mark.parametrize("counts", ["probability", "hinge"])
@pytest.mark.parametrize("n_inputs", [3, 6])
def test_gradcheck_and_the_chain_of_equation_5(counts, n_inputs):
    logits, labels = draw(4, (2, 3, 3, 4))
    surrogate = SurrogateNetwork(n_inputs, hidden=(7, 5)).double()

    def loss(z):
        return neuro_iou_loss(z, labels, surrogate, counts=counts)

    (gradient,) = torch.autograd.grad(loss(logits), logits)
    found = surrogate_counts(logits, labels, counts=counts)
    inputs, _ = found.examples(n_inputs)
    leaf = inputs.detach().requires_grad_()
    (by_inputs,) = torch.autograd.grad(surrogate(leaf).mean(), leaf)
    (expected,) = torch.autograd.grad((found.soft[found.present] * by_inputs[:, :3]).sum(), logits)
    torch.testing.assert_close(gradient, expected)
    if n_inputs == 3:
        assert torch.autograd.gradcheck(loss, (logits,))


@pytest.mark.slow
def test_a_surrogate_fitted_on_drawn_counts_pushes_every_kind_of_pixel_the_right_way():
    generator = torch.Generator().manual_seed(0)
    inputs, losses = draw_examples(6000, 6, "probability", "union", generator)
    surrogate = SurrogateNetwork(6)
    fit = fit_surrogate(surrogate, inputs, losses, n_steps=600)
    assert fit.held_out_share > 0.97
    assert fit.held_out_error < 0.003
    logits, labels = draw(5, (3, 4, 20, 30), dtype=torch.float32)
    (gradient,) = torch.autograd.grad(neuro_iou_loss(logits, labels, surrogate), logits)
    seen = labels != 255
    prediction = logits.argmax(dim=1)
    own = gradient.gather(1, labels.masked_fill(~seen, 0).unsqueeze(1)).squeeze(1)
    chosen = gradient.gather(1, prediction.unsqueeze(1)).squeeze(1)
    hits, misses = seen & (prediction == labels), seen & (prediction != labels)
    assert (own[hits] < 0).all()
    assert (own[misses] < 0).all() and (chosen[misses] > 0).all()


def train(loss, logits, labels, n_steps, learning_rate=0.3):
    optimiser = torch.optim.Adam([logits], lr=learning_rate)
    for _ in range(n_steps):
        optimiser.zero_grad()
        loss(logits, labels).backward()
        optimiser.step()


@pytest.mark.slow
def test_the_loss_raises_iou_and_its_surrogate_says_how_well_it_fits():
    logits, labels = draw(6, (4, 4, 12, 15), scale=2.0, dtype=torch.float32)
    loss = NeuroIoULoss(settings=SurrogateSettings(first_steps=300, memory=1024))
    assert np.isnan(loss.held_out_error) and np.isnan(loss.held_out_share)
    before = surrogate_counts(logits, labels)
    train(loss, logits, labels, 30)
    after = surrogate_counts(logits, labels)
    start, end = (c.iou_losses[c.present].mean().item() for c in (before, after))
    assert start > 0.7 and end < 0.3
    assert loss.held_out_error < 0.05
    assert loss.held_out_share > 0.5
    with torch.no_grad():
        assert loss(logits, labels).item() == pytest.approx(end, abs=0.1)


def test_training_that_goes_on_from_a_state_goes_on_exactly():
    logits, labels = draw(7, dtype=torch.float32)
    loss = NeuroIoULoss(
        settings=SurrogateSettings(first_steps=20, batch_size=32, memory=128), random_state=3
    )
    train(loss, logits, labels, 3)
    fresh = NeuroIoULoss(settings=SurrogateSettings(first_steps=20, batch_size=32, memory=128))
    fresh.load_state_dict(copy.deepcopy(loss.state_dict()))
    copied = logits.detach().clone().requires_grad_()
    train(loss, logits, labels, 3)
    train(fresh, copied, labels, 3)
    torch.testing.assert_close(logits, copied, rtol=0, atol=0)
    for name, value in loss.surrogate.state_dict().items():
        torch.testing.assert_close(value, fresh.surrogate.state_dict()[name], rtol=0, atol=0)
    assert fresh.held_out_error == loss.held_out_error


def test_the_state_of_a_loss_can_be_saved(tmp_path):
    logits, labels = draw(7, dtype=torch.float32)
    loss = NeuroIoULoss(settings=SurrogateSettings(first_steps=2, batch_size=8, memory=64))
    train(loss, logits, labels, 1)
    torch.save(loss.state_dict(), tmp_path / "loss.pt")
    fresh = NeuroIoULoss(settings=SurrogateSettings(first_steps=2, batch_size=8, memory=64))
    fresh.load_state_dict(torch.load(tmp_path / "loss.pt", weights_only=True))
    torch.testing.assert_close(fresh.remembered, loss.remembered)


def test_equal_seeds_give_equal_losses_whatever_the_global_generator_does():
    logits, labels = draw(8, dtype=torch.float32)
    values = []
    for seed, random_state in ((1, 0), (2, 0), (3, 1)):
        torch.manual_seed(seed)
        loss = NeuroIoULoss(settings=SurrogateSettings(first_steps=5), random_state=random_state)
        values.append(loss(logits, labels).item())
    assert values[0] == values[1] != values[2]


def test_nothing_is_learned_in_eval_mode_or_without_gradients():
    logits, labels = draw(9, dtype=torch.float32)
    loss = NeuroIoULoss(settings=SurrogateSettings(first_steps=5))
    state = copy.deepcopy(loss.surrogate.state_dict())
    with torch.no_grad():
        loss(logits, labels)
    loss.eval()
    loss(logits, labels).backward()
    assert logits.grad is not None
    for name, value in loss.surrogate.state_dict().items():
        torch.testing.assert_close(value, state[name], rtol=0, atol=0)
    assert all(p.grad is None for p in loss.parameters())


def test_an_optimiser_that_is_given_the_surrogate_leaves_it_alone():
    logits, labels = draw(10, dtype=torch.float32)
    loss = NeuroIoULoss(settings=SurrogateSettings(first_steps=5))
    optimiser = torch.optim.SGD([logits, *loss.parameters()], lr=1.0, weight_decay=0.1)
    loss(logits, labels).backward()
    weights = loss.surrogate.layers[0].weight.clone()
    optimiser.step()
    torch.testing.assert_close(loss.surrogate.layers[0].weight, weights, rtol=0, atol=0)


def test_a_class_in_neither_truth_nor_prediction_is_left_out():
    logits, labels = draw(11)
    logits.data[:, 3] = -20
    labels[labels == 3] = 0
    found = surrogate_counts(logits, labels)
    assert not found.present[:, 3].any() and found.present[:, :3].all()


def test_errors_name_what_came():
    logits, labels = draw(0)
    with pytest.raises(InputError, match="3 or 6 inputs, got 4"):
        NeuroIoULoss(n_inputs=4)
    with pytest.raises(InputError, match="3 or 6 inputs, got 1"):
        neuro_iou_loss(logits, labels, SurrogateNetwork(1))
    with pytest.raises(InputError, match="probability, hinge; got 'soft'"):
        NeuroIoULoss(counts="soft")
    with pytest.raises(InputError, match="union, image; got 'pixels'"):
        surrogate_counts(logits, labels, scale="pixels")
    with pytest.raises(InputError, match="memory must be at least 1, got 0"):
        NeuroIoULoss(settings=SurrogateSettings(memory=0))
