import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank.errors import InputError
from rerank.features import background_mass, coarsen_labelings, segnet_features

CLASSES = ("bg", "cow")


def slow_segnet(p, q, s, floor):
    """Equation by equation, with loops."""
    gh, gw, n_classes = p.shape
    rows = []
    for m in range(len(q)):
        forward = backward = 0.0
        counts = np.zeros((4, n_classes))
        for y in range(gh):
            for x in range(gw):
                for c in range(n_classes):
                    a = (1 - s) * p[y, x, c] + s / n_classes
                    b = (1 - s) * q[m, y, x, c] + s / n_classes
                    forward += a * np.log(a / b)
                    backward += b * np.log(b / a)
                    counts[0, c] += p[y, x, c] * q[m, y, x, c]
                    counts[1, c] += p[y, x, c] + q[m, y, x, c] - p[y, x, c] * q[m, y, x, c]
        for c in range(n_classes):
            counts[2, c] = counts[0, c] / counts[1, c] if counts[1, c] > 0 else 0
            counts[3, c] = counts[1, c] / max(counts[0, c], floor)
        rows.append([forward, backward, *counts.ravel()])
    return np.array(rows)


def test_two_by_two_grid_by_hand():
    p = np.array([[[0.75, 0.25], [1.0, 0.0]], [[0.5, 0.5], [0.0, 1.0]]])
    q = np.array([[[[1.0, 0.0], [1.0, 0.0]], [[0.5, 0.5], [0.0, 1.0]]]])
    table = segnet_features(p, q, smoothing=0.2, classes=CLASSES, image_id="moo")
    # Smoothed p of the first cell: 0.8 * 0.75 + 0.1 = 0.7 and 0.3; q: 0.9 and 0.1.
    assert table.column("segnet.kl_forward")[0] == pytest.approx(
        0.7 * np.log(0.7 / 0.9) + 0.3 * np.log(0.3 / 0.1)
    )
    assert table.column("segnet.kl_backward")[0] == pytest.approx(
        0.9 * np.log(0.9 / 0.7) + 0.1 * np.log(0.1 / 0.3)
    )
    # Cow: I = 0.25 * 0 + 0 + 0.5 * 0.5 + 1 (Eq. 24), U = 0.25 + 0 + 0.75 + 1 (Eq. 28).
    assert table.column("segnet.expected_intersection[cow]")[0] == pytest.approx(1.25)
    assert table.column("segnet.expected_union[cow]")[0] == pytest.approx(2.0)
    assert table.column("segnet.iou[cow]")[0] == pytest.approx(0.625)
    assert table.column("segnet.uoi[cow]")[0] == pytest.approx(1.6)
    # Background: I = 0.75 + 1 + 0.25 + 0, U = 1 + 1 + 0.75 + 0.
    assert table.column("segnet.expected_intersection[bg]")[0] == pytest.approx(2.0)
    assert table.column("segnet.expected_union[bg]")[0] == pytest.approx(2.75)
    assert background_mass(q).tolist() == [2.5]
    assert background_mass(q, 1).tolist() == [1.5]
    assert table.shape == (1, 2 + 4 * 2) and set(table.groups) == {"segnet"}
    assert table.image_ids.tolist() == ["moo"]


def test_absent_classes():
    p = np.zeros((1, 2, 3))
    p[..., 0] = 1.0
    q = np.zeros((2, 1, 2, 3))
    q[0, ..., 0] = 1.0
    q[1, ..., 1] = 1.0
    table = segnet_features(p, q, intersection_floor=0.5)
    assert table.column("segnet.iou[2]").tolist() == [0, 0]
    assert table.column("segnet.uoi[2]").tolist() == [0, 0]
    assert table.column("segnet.iou[0]").tolist() == [1, 0]
    assert table.column("segnet.uoi[0]").tolist() == [1, 4]
    assert table.column("segnet.kl_forward")[0] == pytest.approx(0, abs=1e-12)
    assert table.column("segnet.kl_backward")[0] == pytest.approx(0, abs=1e-12)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([1e-3, 0.01, 0.3]))
def test_agrees_with_loops(seed, smoothing):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(4, 0.3), (2, 3))
    q = rng.dirichlet(np.full(4, 0.2), (5, 2, 3))
    q[0] = np.eye(4)[rng.integers(0, 4, (2, 3))]
    q[1] = p
    table = segnet_features(p, q, smoothing=smoothing)
    np.testing.assert_allclose(
        table.values, slow_segnet(p, q, smoothing, 0.1), rtol=1e-9, atol=1e-9
    )
    assert (table.values[:, :2] >= -1e-12).all()
    intersection = np.einsum("ghc,mghc->mc", p, q)
    union = p.sum(axis=(0, 1)) + q.sum(axis=(1, 2)) - intersection
    np.testing.assert_allclose(np.hstack([intersection, union]), table.values[:, 2:10])


def test_coarse_proposals_are_overlap_times_one_hot():
    rng = np.random.default_rng(3)
    overlap = rng.random((6, 5)) * (rng.random((6, 5)) < 0.6) + 1e-9
    overlap /= overlap.sum(axis=1, keepdims=True)
    labels = rng.integers(0, 3, (4, 5)).astype(np.uint8)
    coarse = coarsen_labelings(labels, overlap, (2, 3), 3)
    expected = np.stack([(overlap @ np.eye(3)[row]).reshape(2, 3, 3) for row in labels])
    np.testing.assert_allclose(coarse, expected, atol=1e-12)
    with pytest.raises(InputError, match="grid of 3 x 3"):
        coarsen_labelings(labels, overlap, (3, 3), 3)
    with pytest.raises(InputError, match="labels must be 0..1"):
        coarsen_labelings(labels, overlap, (2, 3), 2)
    with pytest.raises(InputError, match="must be"):
        coarsen_labelings(labels[:, :4], overlap, (2, 3), 3)


def test_bad_inputs_are_refused():
    p, q = np.full((2, 3, 2), 0.5), np.full((4, 2, 3, 2), 0.5)
    with pytest.raises(InputError, match="moo: segnet_map must be"):
        segnet_features(p, q[:, :1], image_id="moo")
    with pytest.raises(InputError, match="cell of segnet_map"):
        segnet_features(p * 1.5, q)
    with pytest.raises(InputError, match="cell of coarse_proposals"):
        segnet_features(p, np.full_like(q, np.nan))
    with pytest.raises(InputError, match="cell of coarse_proposals"):
        segnet_features(p, q + np.array([1.0, -1.0]))
    for smoothing in (0.0, 1.0, np.nan):
        with pytest.raises(InputError, match="smoothing"):
            segnet_features(p, q, smoothing=smoothing)
    with pytest.raises(InputError, match="intersection_floor"):
        segnet_features(p, q, intersection_floor=0.0)
    with pytest.raises(InputError, match="3 class names for 2"):
        segnet_features(p, q, classes=("a", "b", "c"))
    with pytest.raises(InputError, match="comes twice"):
        segnet_features(p, q, classes=("a", "a"))
    with pytest.raises(InputError, match="no class 2"):
        background_mass(q, 2)
