import numpy as np
import pytest
import torch

from rerank.errors import InputError
from rerank.losses import (
    CorpusCounts,
    ExpectedIoULoss,
    ExpectedUoILoss,
    expected_counts,
    expected_iou_loss,
    expected_uoi_loss,
)
from rerank.metrics import confusion_counts, iou_from_counts


def batch(seed=0, soft=True, shape=(2, 4, 3, 5), scale=1.0):
    """Logits and a target with a void pixel; all classes are present."""
    generator = torch.Generator().manual_seed(seed)
    b, c, h, w = shape
    logits = scale * torch.randn(shape, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, c, (b, h, w), generator=generator)
    labels[0, 0, :c] = torch.arange(c)
    labels[-1, -1, -1] = 255
    if not soft:
        return logits.requires_grad_(), labels
    target = torch.softmax(torch.randn(shape, generator=generator, dtype=torch.float64), dim=1)
    target[-1, :, -1, -1] = 0.0
    return logits.requires_grad_(), target


def flat(logits, target):
    """Rows of pixels that are not void: p-hat and p, as the supplement numbers them."""
    c = logits.shape[1]
    z = logits.detach().numpy().transpose(0, 2, 3, 1).reshape(-1, c)
    if target.ndim == 3:
        y = target.numpy().ravel()
        keep = y != 255
        p = np.eye(c)[np.where(keep, y, 0)]
    else:
        p = target.numpy().transpose(0, 2, 3, 1).reshape(-1, c)
        keep = p.sum(axis=1) > 0
    predicted = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    return predicted, p, keep


def slow_sums(logits, target):
    """Eq. 47 and Eq. 60, and their gradients by Eq. 59 and Eq. 67, in loops."""
    predicted, p, keep = flat(logits, target)
    n, c = p.shape
    iou = uoi = 0.0
    d_iou, d_uoi = np.zeros((n, c)), np.zeros((n, c))
    for other in range(c):
        inter = sum(predicted[j, other] * p[j, other] for j in range(n) if keep[j])
        both = sum(predicted[j, other] + p[j, other] for j in range(n) if keep[j])
        union = both - inter
        iou += inter / union
        uoi += union / inter
        for i in range(n):
            for k in range(c):
                if keep[i]:
                    softmax = predicted[i, other] * ((k == other) - predicted[i, k])
                    d_iou[i, k] += (p[i, other] * both - inter) / union**2 * softmax
                    d_uoi[i, k] += (inter - p[i, other] * both) / inter**2 * softmax
    return iou, uoi, d_iou, d_uoi


def slow_57_65(logits, target):
    """The same gradients by Eq. 57 and Eq. 65."""
    predicted, p, keep = flat(logits, target)
    seen = keep[:, None]
    inter = (predicted * p * seen).sum(axis=0)
    union = ((predicted + p - predicted * p) * seen).sum(axis=0)
    d_iou = np.zeros_like(p)
    d_uoi = np.zeros_like(p)
    for k in range(p.shape[1]):
        softmax = predicted * ((np.arange(p.shape[1]) == k) - predicted[:, [k]])
        d_iou[:, k] = ((union * p - inter * (1 - p)) / union**2 * softmax).sum(axis=1)
        d_uoi[:, k] = ((inter * (1 - p) - union * p) / inter**2 * softmax).sum(axis=1)
    return d_iou * seen, d_uoi * seen


def rows(gradient):
    return gradient.numpy().transpose(0, 2, 3, 1).reshape(-1, gradient.shape[1])


@pytest.mark.parametrize("soft", [True, False])
@pytest.mark.parametrize("scale", [0.2, 1.0, 8.0])
def test_values_and_gradients_are_the_closed_forms(soft, scale):
    logits, target = batch(1, soft, scale=scale)
    iou, uoi, d_iou, d_uoi = slow_sums(logits, target)

    loss = expected_iou_loss(logits, target, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.item() == pytest.approx(4 - iou, rel=1e-12)
    np.testing.assert_allclose(rows(gradient), -d_iou, rtol=1e-9, atol=1e-14)

    loss = expected_uoi_loss(logits, target, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.item() == pytest.approx(uoi, rel=1e-12)
    np.testing.assert_allclose(rows(gradient), d_uoi, rtol=1e-9, atol=1e-14)

    by_57, by_65 = slow_57_65(logits, target)
    np.testing.assert_allclose(by_57, d_iou, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(by_65, d_uoi, rtol=1e-9, atol=1e-13)


def test_the_printed_steps_would_drop_the_coupling_of_classes():
    """Eq. 52 to 55 read literally are not the gradient; the docstring says so."""
    logits, target = batch(2)
    predicted, p, keep = flat(logits, target)
    _, _, d_iou, _ = slow_sums(logits, target)
    inter = (predicted * p * keep[:, None]).sum(axis=0)
    union = ((predicted + p - predicted * p) * keep[:, None]).sum(axis=0)
    literal = (union * p - inter * (1 - p)) / union**2 * predicted * (1 - predicted)
    assert np.abs(literal * keep[:, None] - d_iou).max() > 0.1 * np.abs(d_iou).max()


@pytest.mark.parametrize("loss", [expected_iou_loss, expected_uoi_loss])
@pytest.mark.parametrize("soft", [True, False])
@pytest.mark.parametrize("options", [{}, {"reduction": "sum"}, {"leak": 0.1}, {"weights": True}])
def test_gradcheck(loss, soft, options):
    logits, target = batch(3, soft, shape=(1, 3, 2, 3))
    options = dict(options)
    if options.pop("weights", False):
        options["weights"] = torch.rand(1, 2, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda z: loss(z, target, **options), (logits,))


def test_reductions_agree():
    logits, target = batch(4)
    for loss in (expected_iou_loss, expected_uoi_loss):
        each = loss(logits, target, reduction="none")
        assert each.shape == (4,)
        assert loss(logits, target, reduction="sum").item() == pytest.approx(each.sum().item())
        assert loss(logits, target).item() == pytest.approx(each.mean().item())


def test_certain_logits_give_the_measured_iou():
    _, labels = batch(5, soft=False)
    prediction = torch.randint(0, 4, labels.shape, generator=torch.Generator().manual_seed(1))
    logits = 50.0 * torch.nn.functional.one_hot(prediction, 4).permute(0, 3, 1, 2).double()
    counts = confusion_counts(labels.numpy(), prediction.numpy(), 4)
    measured = iou_from_counts(counts)
    loss = expected_iou_loss(logits, labels, reduction="none")
    np.testing.assert_allclose(1 - loss.numpy(), measured.per_class, atol=1e-12)
    inverse = expected_uoi_loss(logits, labels, reduction="none")
    np.testing.assert_allclose(1 / inverse.numpy(), measured.per_class, atol=1e-12)


def test_mean_uoi_is_never_below_one_over_the_mean_iou():
    """The bound of section 3.2 in its per-class form: 1/x is convex."""
    for seed in range(5):
        logits, target = batch(seed)
        iou = 1 - expected_iou_loss(logits, target)
        assert expected_uoi_loss(logits, target) >= 1 / iou


def test_an_absent_class_is_skipped_or_counts_as_zero():
    logits, labels = batch(6, soft=False)
    labels[labels == 2] = 1
    each = expected_iou_loss(logits, labels, reduction="none")
    assert each[2] == 0
    assert expected_iou_loss(logits, labels).item() == pytest.approx(each.sum().item() / 3)
    zero = expected_iou_loss(logits, labels, absent="zero")
    assert zero.item() == pytest.approx((each.sum().item() + 1) / 4)
    uoi = expected_uoi_loss(logits, labels, reduction="none")
    assert uoi[2] == 0
    assert expected_uoi_loss(logits, labels).item() == pytest.approx(uoi.sum().item() / 3)
    for loss in (expected_iou_loss, expected_uoi_loss):
        (gradient,) = torch.autograd.grad(loss(logits, labels), logits)
        assert gradient[:, 2].sum() > 0


def test_a_leak_keeps_uoi_bounded_and_its_gradient_alive():
    logits = torch.tensor([[[[-1e4, 1e4]], [[1e4, -1e4]]]], dtype=torch.float64)
    target = torch.tensor([[[0, 1]]])
    leaked = expected_uoi_loss(logits, target, leak=0.02)
    assert leaked.item() == pytest.approx(1.99 / 0.01 - 0.0, rel=0.01)
    assert expected_uoi_loss(logits, target).isfinite()


def test_weights_scale_a_pixels_part():
    logits, labels = batch(7, soft=False)
    weights = torch.ones(labels.shape, dtype=torch.float64)
    weights[:, :, 0] = 0.0
    masked = labels.clone()
    masked[:, :, 0] = 255
    for loss in (expected_iou_loss, expected_uoi_loss):
        by_weight = loss(logits, labels, weights=weights)
        assert by_weight.item() == pytest.approx(loss(logits, masked).item())
        assert loss(logits, labels, weights=3 * weights).item() == pytest.approx(by_weight.item())


def test_counts_over_the_corpus_give_the_corpus_value():
    logits, target = batch(8, shape=(6, 4, 3, 5))
    for loss in (expected_iou_loss, expected_uoi_loss):
        counts = CorpusCounts(4)
        for start in range(0, 6, 2):
            value = loss(logits[start : start + 2], target[start : start + 2], counts=counts)
        assert value.item() == pytest.approx(loss(logits, target).item(), rel=1e-12)
        counts.reset()
        again = loss(logits[:2], target[:2], counts=counts)
        assert again.item() == pytest.approx(loss(logits[:2], target[:2]).item(), rel=1e-12)


def test_the_gradient_through_corpus_counts_is_that_of_the_corpus_at_the_batch():
    logits, target = batch(9, shape=(6, 4, 3, 5))
    (whole,) = torch.autograd.grad(expected_iou_loss(logits, target), logits)
    for rescale, factor in ((False, 1.0), (True, 3.0)):
        counts = CorpusCounts(4, rescale=rescale)
        for start in (0, 2):
            expected_iou_loss(logits[start : start + 2], target[start : start + 2], counts=counts)
        value = expected_iou_loss(logits[4:], target[4:], counts=counts)
        (last,) = torch.autograd.grad(value, logits)
        assert not last[:4].any()
        torch.testing.assert_close(last[4:], factor * whole[4:])


def test_a_class_absent_from_the_batch_but_not_from_the_corpus_counts():
    logits, labels = batch(10, soft=False)
    without = labels.masked_fill(labels == 2, 1)
    counts = CorpusCounts(4)
    expected_uoi_loss(logits, labels, counts=counts)
    each = expected_uoi_loss(logits, without, counts=counts, reduction="none")
    assert each[2] > 1


def test_decay_forgets_and_eval_mode_only_reads():
    logits, target = batch(11)
    module = ExpectedIoULoss(counts=CorpusCounts(4, decay=0.5))
    module(logits, target)
    first = expected_counts(logits, target)
    torch.testing.assert_close(module.counts.unions, first.unions)
    module(logits, target)
    torch.testing.assert_close(module.counts.unions, 1.5 * first.unions)
    module.eval()
    module(logits, target)
    torch.testing.assert_close(module.counts.unions, 1.5 * first.unions)
    assert {"counts.intersections", "counts.n_batches"} <= set(module.state_dict())
    fresh = ExpectedIoULoss(counts=CorpusCounts(4, decay=0.5))
    fresh.load_state_dict(module.state_dict())
    assert fresh(logits, target).item() == module.train()(logits, target).item()


def test_errors_name_what_came():
    logits, target = batch(0)
    with pytest.raises(InputError, match="absent must be one of skip, zero; got 'drop'"):
        expected_iou_loss(logits, target, absent="drop")
    with pytest.raises(InputError, match="reduction must be one of mean, sum, none; got 'max'"):
        ExpectedUoILoss(reduction="max")
    with pytest.raises(InputError, match=r"leak must lie in \[0, 1\), got 1.0"):
        expected_uoi_loss(logits, target, leak=1.0)
    with pytest.raises(InputError, match="counts of 3 classes cannot take a batch of 4"):
        expected_iou_loss(logits, target, counts=CorpusCounts(3))
    with pytest.raises(InputError, match=r"decay must lie in \(0, 1\], got 0"):
        CorpusCounts(3, decay=0)
    with pytest.raises(InputError, match="n_classes must be at least 1, got 0"):
        CorpusCounts(0)
