import pytest
import torch

from rerank.errors import InputError
from rerank.losses import (
    CorpusCounts,
    ExpectedUoILoss,
    SoftCrossEntropyLoss,
    WeightedSumLoss,
    expected_uoi_loss,
    soft_cross_entropy,
)


def test_it_is_the_weighted_sum_of_its_terms():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, generator=generator, requires_grad=True)
    target = torch.randint(0, 3, (2, 4, 5), generator=generator)
    weights = torch.rand(2, 4, 5, generator=generator)
    loss = WeightedSumLoss([(0.7, ExpectedUoILoss()), (0.3, SoftCrossEntropyLoss())])
    expected = 0.7 * expected_uoi_loss(logits, target, weights=weights) + 0.3 * soft_cross_entropy(
        logits, target, weights=weights
    )
    value = loss(logits, target, weights)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(
        torch.autograd.grad(value, logits)[0], torch.autograd.grad(expected, logits)[0]
    )


def test_state_of_the_terms_travels_with_it():
    loss = WeightedSumLoss([(1.0, ExpectedUoILoss(counts=CorpusCounts(3)))])
    assert "losses.0.counts.unions" in loss.state_dict()


@pytest.mark.parametrize(
    "terms, message",
    [
        ([], "at least one"),
        ([(float("nan"), SoftCrossEntropyLoss())], "must be finite, got nan"),
        ([(1.0, soft_cross_entropy)], "torch.nn.Module, got function"),
    ],
)
def test_unusable_terms_are_named(terms, message):
    with pytest.raises(InputError, match=message):
        WeightedSumLoss(terms)
