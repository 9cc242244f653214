import cv2
import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from rerank.errors import InputError
from rerank.features import detect_edges, edge_features
from rerank.features.edges import _distance

CLASSES = ("bg", "cow", "dog")


def draw_square(size=24):
    image = np.full((size, size + 6, 3), 40, dtype=np.uint8)
    image[6:18, 8:20] = (40, 40, 200)
    return image


def test_edges_run_around_a_square():
    edges = detect_edges(draw_square())
    assert edges.shape == (24, 30) and edges.dtype == bool
    y, x = np.nonzero(edges)
    # Straight parts of the outline, to a pixel.
    assert np.abs(np.maximum(np.abs(y - 11.5), np.abs(x - 13.5)) - 6).max() <= 1.5
    assert edges[12, 7:9].any() and edges[12, 19:21].any() and edges[5:7, 14].any()
    assert not detect_edges(np.full((9, 8, 3), 7, np.uint8)).any()
    assert not detect_edges(np.zeros((1, 1, 3), np.uint8)).any()


def slow_edges(labels, edge_map, n_classes, cap, radius):
    height, width = labels.shape
    border = np.zeros(labels.shape, bool)
    for y in range(height):
        for x in range(width):
            for v, u in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                if 0 <= v < height and 0 <= u < width and labels[v, u] != labels[y, x]:
                    border[y, x] = True

    def away(marked):
        return (
            np.minimum(distance_transform_edt(~marked), cap)
            if marked.any()
            else np.full(marked.shape, cap)
        )

    def mean(values):
        return values.mean() if values.size else 0.0

    def far(distance):
        return (distance > radius) | (distance >= cap)

    to_edges, to_border = away(edge_map), away(border)
    row = [
        mean(to_edges[border]) / cap,
        mean(far(to_edges[border])),
        mean(to_border[edge_map]) / cap,
        mean(far(to_border[edge_map])),
    ]
    of = [border & (labels == c) for c in range(n_classes)]
    row += [mean(to_edges[at]) / cap for at in of]
    row += [mean(far(to_edges[at])) for at in of]
    row += [
        (far(to_border) & edge_map & (labels == c)).sum() / max(edge_map.sum(), 1)
        for c in range(n_classes)
    ]
    return row


@pytest.mark.parametrize("density", [0.0, 0.02, 0.2])
def test_agrees_with_loops(density):
    rng = np.random.default_rng(4)
    superpixels = np.kron(np.arange(20).reshape(4, 5), np.ones((7, 9), int))
    labelings = rng.integers(0, 2, (4, 20)).astype(np.uint8)
    labelings[0] = 1
    edge_map = rng.random(superpixels.shape) < density
    table = edge_features(labelings, superpixels, edge_map, 3, CLASSES, limit=0.15, radius=2.0)
    cap = 0.15 * np.hypot(28, 45)
    expected = [slow_edges(row[superpixels], edge_map, 3, cap, 2.0) for row in labelings]
    np.testing.assert_allclose(table.values, expected, atol=1e-5)
    assert (table.values >= 0).all() and (table.values <= 1 + 1e-6).all()


def test_the_labeling_that_follows_the_edges_is_best():
    size = 6
    superpixels = np.kron(np.arange(20).reshape(4, 5), np.ones((size, size), int))
    square = np.isin(np.arange(20), [6, 7, 11, 12])
    image = np.where(square[superpixels][:, :, None], [40, 40, 200], [40, 40, 40]).astype(np.uint8)
    labelings = np.stack([square, square | (np.arange(20) == 8), np.zeros(20)]).astype(np.uint8)
    table = edge_features(labelings, superpixels, detect_edges(image), 2, ("bg", "cow"))
    assert (table.values[0, :4] < 0.35).all()
    assert (
        table.column("proposal.chamfer_to_edges")[1] > table.column("proposal.chamfer_to_edges")[0]
    )
    assert table.column("proposal.edges_missed").tolist()[0] == 0
    assert table.column("proposal.edges_missed")[2] == pytest.approx(1)
    assert table.column("proposal.chamfer_to_edges[cow]")[2] == 0


def test_edges_join_the_table(make_case):
    case = make_case()
    edge_map = np.random.default_rng(0).random(case.regions.superpixels.shape) < 0.1
    with_edges = make_case(edge_map=edge_map).table()
    table = case.table()
    new = [c for c in with_edges.columns if c not in set(table.columns)]
    assert len(new) == 4 + 3 * 4 + 4
    np.testing.assert_array_equal(
        with_edges.column("summary.edges_missed"), with_edges.column("proposal.edges_missed")
    )
    np.testing.assert_array_equal(with_edges.drop(new).values, table.values)


def test_bad_inputs_are_refused(make_case):
    with pytest.raises(InputError, match="uint8"):
        detect_edges(np.zeros((3, 3, 3)))
    with pytest.raises(InputError, match="sigma"):
        detect_edges(np.zeros((3, 3, 3), np.uint8), sigma=0)
    with pytest.raises(InputError, match="must be of the size"):
        edge_features(np.zeros((1, 1), int), np.zeros((2, 2), int), np.zeros((2, 3)), 1, ("a",))
    with pytest.raises(InputError, match="cow: edge_map"):
        make_case(edge_map=np.zeros((2, 2), bool)).table()


def test_distances_are_exact_to_the_last_bit():
    """OpenCV's own, on one thread, differ with the place of the array, and features must not."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        for seed in range(10):
            marked = np.random.default_rng(seed).random((213, 320)) < 0.002
            np.testing.assert_array_equal(
                _distance(marked, 1e3), distance_transform_edt(~marked).astype(np.float32)
            )
    finally:
        cv2.setNumThreads(threads)
