import numpy as np

from rerank.features import RegionBoundaries, RegionGeometry, boundary_features, labeling_statistics

EDGES = np.array([[0, 1], [1, 2], [2, 3]])
LENGTH = np.array([2.0, 4.0, 2.0])
CLASSES = ("bg", "cow")


def table_of(labels, contrast):
    geometry = RegionGeometry(np.full(4, 4.0), np.full((4, 2), 0.5), np.ones(4))
    boundaries = RegionBoundaries(EDGES, LENGTH, contrast)
    statistics = labeling_statistics(np.array(labels), 2, geometry, boundaries)
    return boundary_features(statistics, boundaries, CLASSES)


def test_borders_by_hand():
    contrast = np.array([1.0, 5.0, 3.0])
    unit = (2 + 20 + 6) / 8
    table = table_of([[0, 0, 1, 1], [0, 1, 1, 1], [0, 0, 0, 0]], contrast)
    expected = {
        "border_length": [4 / 8, 2 / 8, 0],
        "border_contrast": [5, 1, 0],
        "contrast_recall": [20 / 28, 2 / 28, 0],
        "contrast_missed": [8 / 4, 26 / 4, 28 / 4],
        "inner_contrast": [8 / 4, 26 / 6, 28 / 8],
        "border_contrast[cow]": [5, 1, 0],
        "inner_contrast[bg]": [1, 0, 28 / 8],
        "inner_contrast[cow]": [3, 26 / 6, 0],
        "inner_missed[cow]": [6 / 4, 26 / 4, 0],
    }
    scaled = set(expected) - {"border_length", "contrast_recall"}
    for name, column in expected.items():
        column = np.array(column) / (unit if name in scaled else 1)
        np.testing.assert_allclose(table.column(f"proposal.{name}"), column, atol=1e-12)


def test_contrast_has_no_unit():
    contrast = np.array([1.0, 5.0, 3.0])
    labels = [[0, 0, 1, 1]]
    np.testing.assert_allclose(
        table_of(labels, contrast).values, table_of(labels, contrast * 17).values
    )


def test_an_image_of_one_colour():
    table = table_of([[0, 0, 1, 1]], np.zeros(3))
    assert table.column("proposal.border_length").tolist() == [0.5]
    assert table.column("proposal.contrast_recall").tolist() == [0]
    assert (table.values[:, 1:] == 0).all()
