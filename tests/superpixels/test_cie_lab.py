from __future__ import annotations

import numpy as np
import pytest
from skimage.color import rgb2lab

from rerank.superpixels import lab_image
from rerank.superpixels.cie_lab import lab_planes


def test_agrees_with_scikit_image_in_float64():
    values = np.r_[0:256:5, 1, 2, 9, 10, 11].astype(np.uint8)
    image = np.stack(np.meshgrid(values, values, values), axis=-1).reshape(values.size, -1, 3)
    np.testing.assert_allclose(lab_image(image), rgb2lab(image / 255), atol=1e-3)


def test_greys_have_no_colour():
    image = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    lab = lab_image(image)
    assert abs(lab[0, 0, 0]) < 1e-4 and lab[0, 255, 0] == pytest.approx(100, abs=1e-4)
    assert np.all(np.diff(lab[0, :, 0]) > 0)
    assert np.abs(lab[..., 1:]).max() < 0.01


def test_planes_are_the_image_channels_first():
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    lab = lab_image(image[:, ::-1])
    assert lab.shape == (5, 7, 3) and lab.dtype == np.float32 and lab.flags.c_contiguous
    np.testing.assert_array_equal(lab.transpose(2, 0, 1), lab_planes(image)[..., ::-1])
