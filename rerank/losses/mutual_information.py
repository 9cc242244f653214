"""A lower bound on the mutual information of regions of two maps, and its gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_BLOCK = 4096


@dataclass(frozen=True, eq=False)
class RegionInformation:
    """Values and gradients for the C channels of one image.

    Attributes
    ----------
    values : (C,) float64 tensor
        I_l of Zhao et al. 2019, Eq. 15, in nats per dimension; 0 where no region is complete.
    gradient : (C, h, w) tensor or None
        Of `values` by the prediction maps, channel by channel.
    n_points : int
        Regions that lie wholly on valid cells.
    """

    values: Tensor
    gradient: Tensor | None
    n_points: int


def region_information(
    prediction: Tensor,
    truth: Tensor,
    valid: Tensor,
    region_size: int,
    xi: float,
    prediction_ridge: float,
    with_gradient: bool,
) -> RegionInformation:
    """Bound the mutual information of R x R regions of two maps from below, by channel.

    Zhao et al. 2019, Eq. 12 to 15. Each R x R region is a point of d = R^2 coordinates; with
    the covariances of the points, M = S_Y - Cov(Y, P) S_P^-1 Cov(Y, P)^T and
    I_l = -1/(2d) log det(M + xi I).

    Parameters
    ----------
    prediction, truth : (C, h, w) tensors
        Regions are held in their dtype; covariances and the d x d algebra are float64.
    valid : (h, w) bool tensor
        Cells that may be part of a region.
    region_size : int
        R.
    xi : float
        Added to the diagonal of M.
    prediction_ridge : float
        Added to the diagonal of S_P, which is singular where a channel is constant.
    with_gradient : bool
        Whether to compute the gradient too.

    Returns
    -------
    RegionInformation

    Notes
    -----
    With A = Cov(Y, P) S_P^-1 and centred points, the gradient of I_l by the points of P is
    A^T (M + xi I)^-1 (Y - A P) / (n d), and its sum over the regions that a cell is part of is
    that by the cell. It comes out of the same windows as the value, so that none are kept.
    """
    channels, height, width = prediction.shape
    rows, columns = height - region_size + 1, width - region_size + 1
    dimensions = region_size**2
    complete = complete_regions(valid, region_size)
    n_points = int(complete.sum())
    maps = torch.stack([prediction, truth], dim=1)
    # Centred as maps, so that taking the regions' own means out later loses no digits.
    maps -= maps.mean(dim=(2, 3), keepdim=True)
    size = 2 * dimensions + 1
    # A last coordinate of 1 makes sums, and constants in the gradient, part of the products.
    points = maps.new_empty(channels, size, rows * columns)
    windows = _windows(maps, region_size)
    points[:, :-1].view(windows.shape).copy_(windows)
    points[:, -1] = 1.0
    if n_points < complete.numel():
        points *= complete
    products = torch.zeros(channels, size, size, dtype=torch.float64, device=points.device)
    # In float64 whatever the points' type: float32 sums would make covariances indefinite.
    for part in points.split(_BLOCK, dim=2):  # type: ignore[no-untyped-call]
        block = part.double()
        products.baddbmm_(block, block.transpose(1, 2), alpha=1.0 / n_points)
    means = products[:, :-1, -1:]
    covariance = products[:, :-1, :-1] - means @ means.transpose(1, 2)

    unit = torch.eye(dimensions, dtype=torch.float64, device=prediction.device)
    of_prediction = covariance[:, :dimensions, :dimensions] + prediction_ridge * unit
    between = covariance[:, :dimensions, dimensions:]
    of_truth = covariance[:, dimensions:, dimensions:]
    factor = _cholesky(of_prediction)
    half = torch.linalg.solve_triangular(factor, between, upper=False)
    posterior_factor = _cholesky(of_truth - half.transpose(1, 2) @ half + xi * unit)
    log_det = 2.0 * posterior_factor.diagonal(dim1=1, dim2=2).log().sum(dim=1)
    values = -log_det / (2.0 * dimensions)
    if not with_gradient:
        return RegionInformation(values, None, n_points)

    regression = torch.cholesky_solve(between, factor).transpose(1, 2)
    towards = torch.cholesky_solve(regression, posterior_factor).transpose(1, 2)
    by_points = torch.cat([-towards @ regression, towards], dim=2) / (n_points * dimensions)
    by_points = torch.cat([by_points, -by_points @ means], dim=2)
    by_window = by_points.to(points.dtype) @ points
    by_window = by_window.reshape(channels, region_size, region_size, rows, columns)
    gradient = torch.zeros_like(prediction)
    for i in range(region_size):
        for j in range(region_size):
            gradient[:, i : i + rows, j : j + columns] += by_window[:, i, j]
    return RegionInformation(values, gradient, n_points)


def complete_regions(valid: Tensor, region_size: int) -> Tensor:
    """Which of the R x R regions of cells lie wholly on valid ones.

    Parameters
    ----------
    valid : (h, w) bool tensor
    region_size : int
        R.

    Returns
    -------
    ((h - R + 1) * (w - R + 1),) bool tensor
        Row by row; empty where no region fits.
    """
    if min(valid.shape) < region_size:
        return valid.new_zeros(0)
    return _windows(valid, region_size).flatten(0, 1).all(dim=0).flatten()


def _windows(maps: Tensor, size: int) -> Tensor:
    """All size x size windows of (..., h, w) maps, as a view (..., size, size, rows, columns)."""
    rows, columns = maps.shape[-2] - size + 1, maps.shape[-1] - size + 1
    return maps.unfold(-2, rows, 1).unfold(-2, columns, 1)


def _cholesky(matrix: Tensor) -> Tensor:
    """Cholesky factors; NaN, as from logits that are NaN, where there is none."""
    factor, info = torch.linalg.cholesky_ex(matrix)
    return torch.where((info > 0)[:, None, None], torch.full_like(factor, math.nan), factor)
