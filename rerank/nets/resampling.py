"""Bilinear resampling between maps whose cells lie at known places of one image."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rerank.nets.backbone import LayerGeometry
from rerank.types import FloatArray


def interpolation_matrix(
    n_out: int, out: LayerGeometry, n_in: int, source: LayerGeometry
) -> FloatArray:
    """Return the weights of linear interpolation on one axis, (n_out, n_in) float32.

    Row `i` holds the weights of the two source cells whose centres enclose the centre of output
    cell `i`; beyond the outermost centres the outermost cell alone counts. Rows sum to 1.

    Parameters
    ----------
    n_out : int
        Number of output cells.
    out : LayerGeometry
        Where they lie; pixels themselves are `LayerGeometry(1, 0.5)`.
    n_in : int
        Number of source cells.
    source : LayerGeometry
        Where they lie.

    Returns
    -------
    (n_out, n_in) float32 array
    """
    centres = out.first_centre + out.stride * np.arange(n_out)
    at = np.clip((centres - source.first_centre) / source.stride, 0, n_in - 1)
    first = np.minimum(np.floor(at).astype(int), max(n_in - 2, 0))
    matrix = np.zeros((n_out, n_in), np.float32)
    rows = np.arange(n_out)
    share = at - first
    matrix[rows, first] += 1.0 - share
    matrix[rows, np.minimum(first + 1, n_in - 1)] += share
    return matrix


def resample(
    maps: Tensor, source: LayerGeometry, size: tuple[int, int], out: LayerGeometry
) -> Tensor:
    """Interpolate maps (B, C, h, w) bilinearly at the cells of another map, (B, C, *size).

    As two matrix products: `torch.nn.functional.grid_sample` scatters in its gradient, which on a
    GPU differs from run to run. Computed in float32 (float64 for float64 maps), under autocast too.

    Parameters
    ----------
    maps : (B, C, h, w) tensor
    source : LayerGeometry
        Where the cells of `maps` lie.
    size : (int, int)
        Rows and columns of the result.
    out : LayerGeometry
        Where its cells lie.

    Returns
    -------
    (B, C, *size) tensor
    """
    with torch.autocast(maps.device.type, enabled=False):
        wide = maps if maps.dtype == torch.float64 else maps.float()
        rows, columns = (
            torch.from_numpy(interpolation_matrix(n_out, out, n_in, source)).to(wide)
            for n_out, n_in in zip(size, maps.shape[2:])
        )
        return rows @ wide @ columns.T
