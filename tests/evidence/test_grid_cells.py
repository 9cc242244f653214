import numpy as np
import pytest

from rerank.errors import InputError
from rerank.evidence import cells_to_regions


def test_cells_to_regions_weighs_by_overlap():
    overlap = np.array([[0.5, 0.5, 0.0], [0.0, 0.25, 0.75]])
    carried = cells_to_regions(np.array([[1.0, 0.0], [0.0, 1.0]]), overlap)
    np.testing.assert_allclose(carried, [[1, 0], [2 / 3, 1 / 3], [0, 1]])
    with pytest.raises(InputError, match="region 2 overlaps no cell"):
        cells_to_regions(np.ones((2, 1)), overlap * [1, 1, 0])
    with pytest.raises(InputError, match="must be"):
        cells_to_regions(np.ones((3, 1)), overlap)
