import numpy as np
import pytest
import torch
from torch.nn import functional as F

from rerank.nets.backbone import LayerGeometry
from rerank.nets.resampling import interpolation_matrix, resample

PIXELS = LayerGeometry(1, 0.5)


def test_even_cells_agree_with_interpolate():
    maps = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)).double()
    result = resample(maps, LayerGeometry(6, 3.0), (24, 30), PIXELS)
    expected = F.interpolate(maps, size=(24, 30), mode="bilinear", align_corners=False)
    np.testing.assert_allclose(result, expected, atol=1e-6)


def test_a_ramp_stays_a_ramp_between_the_outermost_centres():
    source = LayerGeometry(16, 17.5)
    ramp = 17.5 + 16.0 * torch.arange(5.0)
    result = resample(ramp.view(1, 1, 5, 1), source, (100, 3), PIXELS)[0, 0, :, 1]
    expected = np.clip(np.arange(100) + 0.5, 17.5, 81.5)
    np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_rows_sum_to_one_and_one_cell_suffices():
    matrix = interpolation_matrix(9, PIXELS, 1, LayerGeometry(4, 3.0))
    assert matrix.shape == (9, 1) and (matrix == 1).all()
    matrix = interpolation_matrix(40, LayerGeometry(2, 1.5), 11, LayerGeometry(8, 5.5))
    np.testing.assert_allclose(matrix.sum(1), 1.0, rtol=1e-6)
    assert ((matrix > 0).sum(1) <= 2).all()


def test_gradient():
    maps = torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x: resample(x, LayerGeometry(4, 2.0), (7, 9), LayerGeometry(2, 1.0)), maps
    )


def test_full_precision_under_autocast():
    maps = torch.randn(1, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    expected = resample(maps, LayerGeometry(4, 2.0), (12, 12), PIXELS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(resample(maps, LayerGeometry(4, 2.0), (12, 12), PIXELS), expected)
        half = resample(maps.bfloat16(), LayerGeometry(4, 2.0), (12, 12), PIXELS)
    assert half.dtype == torch.float32
    assert half.numpy() == pytest.approx(expected.numpy(), abs=0.05)
