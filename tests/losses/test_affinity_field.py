import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank.errors import InputError
from rerank.losses import AffinityFieldLoss, affinity_field_loss


def bernoulli_divergence(q, p):
    return sum(a * math.log(a / b) for a, b in ((q, p), (1 - q, 1 - p)))


def by_loops(logits, target, weights, distance, margin, edge_weight, region_weight):
    """Every ordered pair of neighbours and every class, one at a time."""
    batch, n_classes, height, width = logits.shape
    p = torch.softmax(logits, dim=1).tolist()
    sums, masses = [0.0, 0.0], [0.0, 0.0]
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                for dy in (-distance, 0, distance):
                    for dx in (-distance, 0, distance):
                        v, u = y + dy, x + dx
                        if (dy, dx) == (0, 0) or not (0 <= v < height and 0 <= u < width):
                            continue
                        i, j = int(target[b, y, x]), int(target[b, v, u])
                        if 255 in (i, j):
                            continue
                        mass = float(weights[b, y, x] * weights[b, v, u])
                        for c in range(n_classes):
                            found = bernoulli_divergence(p[b][c][v][u], p[b][c][y][x])
                            edge = (i == c) != (j == c)
                            sums[edge] += mass * (max(0.0, margin - found) if edge else found)
                            masses[edge] += mass
    shares = [s / m if m else 0.0 for s, m in zip(sums, masses)]
    return region_weight * shares[0] + edge_weight * shares[1]


def draw(seed=0, shape=(2, 3, 5, 4), scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(shape, generator=generator, dtype=torch.float64)
    target = torch.randint(0, shape[1], (shape[0], *shape[2:]), generator=generator)
    target[0, 0, :2] = 255
    weights = torch.rand(target.shape, generator=generator, dtype=torch.float64)
    return logits, target, weights


@settings(max_examples=12, deadline=None)
@given(
    st.integers(0, 99),
    st.sampled_from([0.3, 1.0, 4.0]),
    st.integers(1, 3),
    st.floats(0.0, 4.0),
    st.integers(1, 4),
)
def test_agrees_with_loops(seed, scale, distance, margin, n_classes):
    logits, target, weights = draw(seed, (2, n_classes, 5, 4), scale)
    found = affinity_field_loss(
        logits,
        target,
        weights=weights,
        distance=distance,
        margin=margin,
        edge_weight=0.7,
        region_weight=1.3,
    )
    if n_classes == 1:
        assert found == 0
        return
    expected = by_loops(logits, target, weights, distance, margin, 0.7, 1.3)
    assert found.item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("distance", [1, 2])
def test_gradient(distance):
    logits, target, weights = draw()
    assert torch.autograd.gradcheck(
        lambda z: affinity_field_loss(z, target, weights=weights, distance=distance),
        logits.requires_grad_(),
    )


def test_margin_on_every_edge_and_none_inside():
    """A uniform prediction pays the margin; a certain and right one, or a certain flat one..."""
    target = torch.tensor([[[0, 0, 1, 1], [0, 0, 1, 1]]])
    right = 20.0 * torch.nn.functional.one_hot(target, 2).permute(0, 3, 1, 2).double()
    assert affinity_field_loss(0 * right, target, margin=2.5).item() == 2.5
    assert affinity_field_loss(right, target).item() == pytest.approx(0.0, abs=1e-6)
    flat = torch.zeros_like(right)
    flat[:, 0] = 20.0
    assert affinity_field_loss(flat, target, margin=2.5, region_weight=9.0).item() == 2.5
    # Predicting the classes the other way round has the same affinities.
    assert affinity_field_loss(right.flip(1), target).item() == pytest.approx(0.0, abs=1e-6)


def test_certain_predictions_keep_their_precision():
    """The divergence of two certain pixels of different classes is their margin in logits."""
    logits = torch.tensor([[[[40.0, -40.0]], [[-40.0, 40.0]]]], dtype=torch.float64)
    target = torch.zeros(1, 1, 2, dtype=torch.long)
    assert affinity_field_loss(logits, target).item() == pytest.approx(80.0, rel=1e-12)


def test_a_pixel_alone_has_no_neighbour():
    logits = torch.randn(2, 3, 1, 1, requires_grad=True)
    loss = affinity_field_loss(logits, torch.zeros(2, 1, 1, dtype=torch.long))
    loss.backward()
    assert loss == 0 and not logits.grad.any()


def test_module_passes_its_settings_on():
    logits, target, weights = draw()
    module = AffinityFieldLoss(255, 2, 1.5, 2.0, 0.5)
    expected = affinity_field_loss(logits, target, 255, weights, 2, 1.5, 2.0, 0.5)
    assert module(logits, target, weights) == expected
    assert "margin=1.5" in repr(module)


@pytest.mark.parametrize(
    "changed",
    [{"distance": 0}, {"margin": -1.0}, {"edge_weight": math.inf}, {"region_weight": -0.1}],
)
def test_unusable_settings(changed):
    with pytest.raises(InputError, match=next(iter(changed))):
        AffinityFieldLoss(**changed)
