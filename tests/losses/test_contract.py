"""What every loss promises, over all of them."""

import copy

import pytest
import torch

from rerank.errors import InputError
from rerank.losses import (
    AffinityFieldLoss,
    CorpusCounts,
    ExpectedIoULoss,
    ExpectedUoILoss,
    NeuroIoULoss,
    RMILoss,
    RMISettings,
    SoftCrossEntropyLoss,
    SurrogateSettings,
    WeightedSumLoss,
)

N_CLASSES = 4
FAST = SurrogateSettings(first_steps=40, steps=1, batch_size=64, memory=512)
LOSSES = {
    "cross_entropy": SoftCrossEntropyLoss,
    "iou": ExpectedIoULoss,
    "uoi": ExpectedUoILoss,
    "iou_corpus": lambda: ExpectedIoULoss(counts=CorpusCounts(N_CLASSES)),
    "rmi": lambda: RMILoss(factor=2, region_size=2),
    "rmi_softmax_max": lambda: RMILoss(
        factor=2, settings=RMISettings("maximum", cross_entropy="softmax", dtype=torch.float32)
    ),
    "neuro": lambda: NeuroIoULoss(settings=FAST),
    "neuro_hinge": lambda: NeuroIoULoss(n_inputs=3, counts="hinge", scale="image", settings=FAST),
    "affinity": lambda: WeightedSumLoss(
        [(1.0, SoftCrossEntropyLoss()), (0.5, AffinityFieldLoss(margin=2.0))]
    ),
    "mix": lambda: WeightedSumLoss([(0.7, ExpectedUoILoss()), (0.3, SoftCrossEntropyLoss())]),
}
every_loss = pytest.mark.parametrize("make", LOSSES.values(), ids=LOSSES.keys())


def draw(shape=(2, N_CLASSES, 13, 9), dtype=torch.float32, scale=1.0, soft=False, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = (scale * torch.randn(shape, generator=generator, dtype=torch.float64)).to(dtype)
    if soft:
        target = torch.softmax(torch.randn(shape, generator=generator), dim=1)
        target[:, :, :1] = 0.0
    else:
        target = torch.randint(0, shape[1], (shape[0],) + shape[2:], generator=generator)
        target[:, :1] = 255
    return logits.requires_grad_(), target


def value_and_gradient(loss, logits, target):
    value = loss(logits, target)
    assert value.ndim == 0
    (gradient,) = torch.autograd.grad(value, logits)
    assert torch.isfinite(value) and torch.isfinite(gradient).all()
    return value.detach(), gradient


@every_loss
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_every_precision_gives_about_the_value_of_float64(make, soft, dtype):
    logits, target = draw(dtype=dtype, soft=soft)
    value, gradient = value_and_gradient(make(), logits, target)
    exact, _ = value_and_gradient(make(), logits.detach().double().requires_grad_(), target)
    assert value.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert gradient.dtype == dtype
    assert value.item() == pytest.approx(exact.item(), rel=2e-5)


@every_loss
def test_autocast_does_not_narrow_the_loss(make):
    logits, target = draw()
    outside, _ = value_and_gradient(make(), logits, target)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside, _ = value_and_gradient(make(), logits, target)
        narrow = torch.nn.functional.conv2d(logits, torch.eye(N_CLASSES)[..., None, None])
        assert narrow.dtype == torch.bfloat16
        value_and_gradient(make(), narrow, target)
    assert inside.dtype == torch.float32
    assert inside.item() == outside.item()


@every_loss
@pytest.mark.parametrize("scale", [1e4, -1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("soft", [False, True])
def test_extreme_logits_stay_finite(make, scale, dtype, soft):
    logits, target = draw(dtype=dtype, soft=soft)
    extreme = (scale * logits.detach().sign()).requires_grad_()
    value_and_gradient(make(), extreme, target)
    value_and_gradient(make(), torch.full_like(logits, scale).requires_grad_(), target)


@every_loss
@pytest.mark.parametrize("soft", [False, True])
def test_all_void_is_zero_with_a_zero_gradient(make, soft):
    logits, target = draw(soft=soft)
    target = torch.zeros_like(target) if soft else torch.full_like(target, 255)
    value, gradient = value_and_gradient(make(), logits, target)
    assert value == 0 and not gradient.any()


@every_loss
def test_what_is_predicted_on_void_does_not_matter(make):
    logits, target = draw()
    target[:, 6:, 5:] = 255
    value, gradient = value_and_gradient(make(), logits, target)
    other = logits.detach().clone()
    other.permute(0, 2, 3, 1)[target == 255] = 7.0
    changed, _ = value_and_gradient(make(), other.requires_grad_(), target)
    assert changed.item() == pytest.approx(value.item(), rel=1e-6)
    assert not gradient.permute(0, 2, 3, 1)[target == 255].any()


@every_loss
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1), (3, 11)])
def test_small_and_non_square_images(make, size):
    logits, target = draw((2, N_CLASSES) + size)
    target[:] = torch.arange(target.numel()).view_as(target) % N_CLASSES
    value_and_gradient(make(), logits, target)


@every_loss
def test_an_absent_class(make):
    logits, target = draw()
    target[target == 2] = 1
    value_and_gradient(make(), logits, target)


@every_loss
def test_one_class_alone_in_the_target(make):
    logits, target = draw()
    target[target != 255] = 3
    value_and_gradient(make(), logits, target)


@pytest.mark.parametrize("make", [LOSSES[k] for k in LOSSES if k != "iou_corpus"])
def test_logits_of_one_class(make):
    logits, target = draw((2, 1, 9, 5))
    value_and_gradient(make(), logits, target)


@pytest.mark.slow
@every_loss
def test_training_on_it_finds_the_labels(make):
    """A few steps on free logits put the argmax right on every labelled pixel."""
    _, target = draw((1, N_CLASSES, 8, 12), seed=3)
    target[:, 1:, :] = (torch.arange(12) // 3).expand(1, 7, 12)
    logits = torch.zeros(1, N_CLASSES, 8, 12, requires_grad=True)
    loss = make()
    optimiser = torch.optim.Adam([logits], lr=0.3)
    for _ in range(400):
        optimiser.zero_grad()
        loss(logits, target).backward()
        optimiser.step()
    right = (logits.argmax(dim=1) == target)[target != 255]
    assert right.float().mean() > 0.95


@every_loss
@pytest.mark.parametrize(
    "change, message",
    [
        (lambda z, t: (z[0], t), r"floating \(B, C, H, W\) tensor, got shape \(4, 13, 9\)"),
        (lambda z, t: (z.long(), t), "of torch.int64"),
        (lambda z, t: (z, t[:, :5]), r"\(2, 4, 13, 9\) and target has shape \(2, 5, 9\)"),
        (lambda z, t: (z, t.float()), r"\(2, 13, 9\) of torch.float32; expected integer labels"),
        (lambda z, t: (z, torch.full_like(t, 4)), r"0\.\.3 for logits of 4 classes.*found 4"),
        (lambda z, t: (z, torch.full_like(t, -1)), "found -1"),
        (lambda z, t: (z, torch.full_like(z, 0.5)), "found a sum of 2"),
        (lambda z, t: (z, torch.full_like(z, float("nan"))), "found a sum of nan"),
        (
            lambda z, t: (z, torch.tensor([-0.5, 0.5, 0.5, 0.5]).view(1, 4, 1, 1).expand_as(z)),
            "found a value of -0.5",
        ),
    ],
)
def test_unusable_inputs_are_named(make, change, message):
    logits, target = change(*draw())
    with pytest.raises(InputError, match=message):
        make()(logits, target)


@every_loss
@pytest.mark.parametrize(
    "weights, message",
    [
        (torch.ones(2, 9, 13), r"weights have shape \(2, 9, 13\).*must be \(2, 13, 9\)"),
        (-torch.ones(2, 13, 9), "finite and at least 0"),
        (torch.full((2, 13, 9), float("inf")), "finite and at least 0"),
    ],
)
def test_unusable_weights_are_named(make, weights, message):
    logits, target = draw()
    with pytest.raises(InputError, match=message):
        make()(logits, target, weights)


@pytest.mark.gpu
@every_loss
@pytest.mark.parametrize("soft", [False, True])
def test_a_gpu_gives_what_the_cpu_gives(make, soft):
    logits, target = draw(dtype=torch.float64, soft=soft)
    value, gradient = value_and_gradient(make(), logits, target)
    there = logits.detach().cuda().requires_grad_()
    with torch.autocast("cuda", dtype=torch.bfloat16):
        gpu_value, gpu_gradient = value_and_gradient(make().cuda(), there, target.cuda())
    torch.testing.assert_close(gpu_value.cpu(), value, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(gpu_gradient.cpu(), gradient, rtol=1e-3, atol=1e-6)


@every_loss
def test_a_copy_of_a_loss_is_a_loss_of_its_own(make):
    logits, target = draw()
    loss = make()
    loss(logits, target)
    copied = copy.deepcopy(loss)
    assert copied(logits, target).item() == loss(logits, target).item()


@every_loss
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("what", [float("nan"), float("inf"), -float("inf"), 3e38])
def test_pixels_that_do_not_count_may_hold_any_logits(make, soft, what):
    # Padding, a map's own void and the logarithm of 0 stand there; 0 * NaN would be NaN.
    logits, target = draw(soft=soft)
    weights = torch.ones(target.shape[:1] + target.shape[-2:])
    weights[:, -1] = 0.0

    def found(given):
        value = make()(given, target, weights)
        return value.detach(), torch.autograd.grad(value, given)[0]

    value, gradient = found(logits)
    hostile = logits.detach().clone()
    hostile[:, :, [0, -1]] = what
    hostile[0, 0, 0, 0] = 0.0
    other, other_gradient = found(hostile.requires_grad_())
    torch.testing.assert_close(other, value)
    torch.testing.assert_close(other_gradient, gradient)
    assert not other_gradient[:, :, [0, -1]].any()
