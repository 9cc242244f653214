import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank.errors import InputError
from rerank.features import (
    RegionBoundaries,
    RegionGeometry,
    labeling_statistics,
    layout_features,
    pair_features,
    region_geometry,
)
from rerank.features.summary import structure_scalars


def slow_components(labels, edges):
    """Connected components by repeated relabelling."""
    component = np.arange(len(labels))
    changed = True
    while changed:
        changed = False
        for i, j in edges:
            if labels[i] == labels[j] and component[i] != component[j]:
                component[[i, j]] = min(component[i], component[j])
                changed = True
    return component


def make_graph(seed, n=14):
    rng = np.random.default_rng(seed)
    pairs = np.array([(i, j) for i in range(n) for j in range(i + 1, n)])
    edges = pairs[rng.random(len(pairs)) < 0.2]
    return (
        rng.integers(1, 9, n).astype(float),
        rng.random((n, 2)),
        rng.integers(0, 3, n).astype(float),
        edges,
        rng.integers(1, 5, len(edges)) * 1.0,
        rng.random(len(edges)),
        rng.integers(0, 3, (4, n)).astype(np.uint8),
    )


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_statistics_agree_with_loops(seed):
    areas, centroids, frame, edges, length, contrast, labels = make_graph(seed)
    geometry = RegionGeometry(areas, centroids, frame)
    boundaries = RegionBoundaries(edges, length, contrast)
    s = labeling_statistics(labels, 4, geometry, boundaries, small_share=0.1)
    for m, row in enumerate(labels):
        component = slow_components(row, edges)
        same = component[:, None] == component
        np.testing.assert_array_equal(s.component[m][:, None] == s.component[m], same)
        for c in range(4):
            inside = row == c
            assert s.area[m, c] == areas[inside].sum()
            assert s.moment_y[m, c] == pytest.approx((areas * centroids[:, 0])[inside].sum())
            assert s.moment_x[m, c] == pytest.approx((areas * centroids[:, 1])[inside].sum())
            assert s.moment_rr[m, c] == pytest.approx(
                (areas * (centroids**2).sum(axis=1))[inside].sum()
            )
            assert s.border[m, c] == frame[inside].sum()
            sizes = [areas[component == r].sum() for r in np.unique(component[inside])]
            assert s.n_components[m, c] == len(sizes)
            assert s.largest[m, c] == max(sizes, default=0)
            assert s.smallest[m, c] == min(sizes, default=0)
            assert s.n_small[m, c] == sum(size < 0.1 * areas.sum() for size in sizes)
            kept = [inside[i] and inside[j] for i, j in edges]
            cut = [inside[i] != inside[j] for i, j in edges]
            assert s.kept_length[m, c] == length[kept].sum()
            assert s.kept_contrast[m, c] == pytest.approx((length * contrast)[kept].sum())
            assert s.cut_contrast[m, c] == pytest.approx((length * contrast)[cut].sum())
            assert s.perimeter[m, c] == length[cut].sum()
            for d in range(4):
                between = [c != d and {row[i], row[j]} == {c, d} for i, j in edges]
                assert s.pair_boundary[m, c, d] == length[between].sum()


@pytest.fixture
def quarters():
    """Four quarters of a 4 x 8 image: sky above cow and grass, and all of one class."""
    superpixels = np.kron([[0, 1], [2, 3]], np.ones((2, 4), int))
    centroids, frame = region_geometry(superpixels, 4)
    edges = np.array([[0, 1], [0, 2], [1, 3], [2, 3]])
    labels = np.array([[0, 0, 1, 2], [3, 3, 3, 3]], dtype=np.uint8)
    geometry = RegionGeometry(np.full(4, 8.0), centroids, frame)
    boundaries = RegionBoundaries(edges, np.array([2.0, 4.0, 4.0, 2.0]), np.ones(4))
    return labeling_statistics(labels, 4, geometry, boundaries)


CLASSES = ("sky", "cow", "grass", "void-like")


def test_geometry_by_hand():
    centroids, frame = region_geometry(np.array([[0, 0, 1], [0, 0, 1], [0, 0, 1]]), 2)
    np.testing.assert_allclose(centroids, [[0.5, 1 / 3], [0.5, 5 / 6]])
    assert frame.tolist() == [5, 3]
    assert region_geometry(np.zeros((1, 1), int), 1)[0].tolist() == [[0.5, 0.5]]
    with pytest.raises(InputError, match="region 1 has no pixel"):
        region_geometry(np.array([[0, 2]]), 3)
    with pytest.raises(InputError, match="0..1, found 0 to 2"):
        region_geometry(np.array([[0, 2]]), 2)
    with pytest.raises(InputError, match="\\(H, W\\) integers"):
        region_geometry(np.zeros((2, 2)), 1)


def test_layout_by_hand(quarters):
    t = layout_features(quarters, CLASSES, "moo")
    expected = {
        "area[sky]": (0.5, 0),
        "area[cow]": (0.25, 0),
        "area[void-like]": (0, 1),
        "root_area[cow]": (0.5, 0),
        "components[sky]": (np.log(2), 0),
        "small_components[sky]": (0, 0),
        "largest[sky]": (0.5, 0),
        "mean_component[sky]": (0.5, 0),
        "perimeter[sky]": (8 / np.sqrt(32), 0),
        "compactness[sky]": (64 * np.pi / (64 * np.pi + 64), 0),
        "compactness[void-like]": (0, 1),
        "height[sky]": (-0.25, 0),
        "side[sky]": (0, 0),
        "side[cow]": (-0.25, 0),
        "height[cow]": (0.25, 0),
        "spread[cow]": (0, 0),
        "spread[sky]": (0.25, 0),
        "frame[sky]": (0.5, 0),
        "frame[grass]": (0.25, 0),
    }
    for name, column in expected.items():
        np.testing.assert_allclose(t.column(f"proposal.{name}"), column, atol=1e-12)


def test_pairs_by_hand(quarters):
    t = pair_features(quarters, CLASSES)
    assert t.shape == (2, 4 * 6)
    root = np.sqrt(32)
    expected = {
        "both[sky,cow]": 1,
        "both[sky,void-like]": 0,
        "touching[sky,cow]": 4 / root,
        "touching[cow,grass]": 2 / root,
        "above[sky,cow]": 0.5,
        "above[cow,grass]": 0,
        "beside[cow,grass]": 0.5,
        "beside[sky,grass]": 0.25,
    }
    for name, value in expected.items():
        assert t.column(f"proposal.{name}").tolist() == pytest.approx([value, 0])


def test_structure_by_hand(quarters):
    values = structure_scalars(quarters).values
    share = np.array([0.5, 0.25, 0.25])
    disc = 4 * np.pi * np.array([16, 8, 8])
    np.testing.assert_allclose(
        values[0],
        [
            np.log(3),
            np.log(4),
            0,
            -(share * np.log(share)).sum(),
            0.5,
            (share * disc / (disc + np.array([8, 6, 6]) ** 2)).sum(),
        ],
    )
    np.testing.assert_allclose(values[1], [0, np.log(2), 0, 0, 1, 1], atol=1e-12)
