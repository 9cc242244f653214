import math

import pytest
import torch
from torch.nn import functional as F

from rerank.errors import InputError
from rerank.losses import SoftCrossEntropyLoss, soft_cross_entropy


def draw(seed=0, shape=(2, 3, 4, 5)):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(0, shape[1], (shape[0],) + shape[2:], generator=generator)
    labels[0, 0, 0] = 255
    soft = torch.softmax(torch.randn(shape, generator=generator, dtype=torch.float64), dim=1)
    return logits, labels, soft


def slow(logits, target, weights):
    total = mass = 0.0
    b, _c, h, w = logits.shape
    for n in range(b):
        for i in range(h):
            for j in range(w):
                z = logits[n, :, i, j].tolist()
                norm = math.log(sum(math.exp(v) for v in z))
                p = target[n, :, i, j].tolist()
                if sum(p) > 0:
                    total -= weights[n, i, j].item() * sum(q * (v - norm) for q, v in zip(p, z))
                    mass += weights[n, i, j].item()
    return total, mass


def test_soft_targets_agree_with_a_loop():
    logits, _, soft = draw(1)
    soft[1, :, 2, 2] = 0.0
    weights = torch.rand(2, 4, 5, dtype=torch.float64)
    total, mass = slow(logits.detach(), soft, weights)
    value = soft_cross_entropy(logits, soft, weights=weights)
    assert value.item() == pytest.approx(total / mass, rel=1e-12)
    summed = soft_cross_entropy(logits, soft, weights=weights, reduction="sum")
    assert summed.item() == pytest.approx(total, rel=1e-12)


def test_labels_give_torchs_cross_entropy():
    logits, labels, _ = draw(2)
    ours = soft_cross_entropy(logits, labels)
    theirs = F.cross_entropy(logits, labels, ignore_index=255)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(
        torch.autograd.grad(ours, logits)[0], torch.autograd.grad(theirs, logits)[0]
    )
    each = soft_cross_entropy(logits, labels.to(torch.uint8), reduction="none")
    assert each.shape == (2, 4, 5) and each[0, 0, 0] == 0


def test_one_hot_targets_give_what_labels_give():
    logits, labels, _ = draw(3)
    one_hot = F.one_hot(labels.masked_fill(labels == 255, 0), 3).permute(0, 3, 1, 2).double()
    one_hot = one_hot * (labels != 255).unsqueeze(1)
    torch.testing.assert_close(
        soft_cross_entropy(logits, one_hot), soft_cross_entropy(logits, labels)
    )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_gradcheck(reduction):
    logits, labels, soft = draw(4, (1, 3, 2, 3))
    for target in (labels, soft):
        assert torch.autograd.gradcheck(
            lambda z: soft_cross_entropy(z, target, reduction=reduction), (logits,)
        )


def test_the_module_and_the_function_agree():
    logits, labels, _ = draw(5)
    labels[labels == 255] = 9
    module = SoftCrossEntropyLoss(ignore_index=9, reduction="sum")
    expected = soft_cross_entropy(logits, labels, ignore_index=9, reduction="sum")
    assert module(logits, labels).item() == expected.item()
    with pytest.raises(InputError, match="reduction must be one of"):
        SoftCrossEntropyLoss(reduction="average")
