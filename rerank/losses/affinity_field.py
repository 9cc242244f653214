"""The affinity field loss: neighbours within a class should agree, those across an edge not."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from rerank.errors import InputError
from rerank.losses.pixel_target import full_precision, prepare_target

_DIRECTIONS = ((0, 1), (1, -1), (1, 0), (1, 1))


def affinity_field_loss(
    logits: Tensor,
    target: Tensor,
    ignore_index: int = 255,
    weights: Tensor | None = None,
    distance: int = 1,
    margin: float = 3.0,
    edge_weight: float = 1.0,
    region_weight: float = 1.0,
) -> Tensor:
    """Divergence of neighbours' predictions: small within a class, a margin across its edges.

    Ke et al. 2018, section 3.2, in its simple form of one fixed window (the adversarial choice
    of windows is left out), as Zhao et al. 2019 compare with it in Table 4. For each class c,
    pixel i and pixel j of its eight neighbours, with p the class's softmax probability and D the
    divergence of Bernoulli distributions, D(p_j(c) || p_i(c)) if i and j are both of the class or
    both not of it, max(0, margin - D(p_j(c) || p_i(c))) if one of them is and the other is not.
    It is meant to be added to a pixel-wise loss: alone, it does not penalise a uniform prediction
    where no class has an edge.

    Parameters
    ----------
    logits, target, ignore_index, weights
        As in `soft_cross_entropy`. A pair counts by the product of its pixels' weights; one with
        a void pixel does not. A distribution is taken at its largest class.
    distance : int
        Of the eight neighbours, in rows and columns; 1 is the window of 3 x 3.
    margin : float
        In nats, at least 0.
    edge_weight, region_weight : float
        Of the two kinds of pairs. Each kind is averaged over its own pairs and classes, since
        pairs across edges are few.

    Returns
    -------
    scalar tensor, float32 or float64
        A class that is absent from an image has no edge there, and its pairs count as pairs of
        one region. 0 where there is no pair (one pixel, all void).

    Raises
    ------
    InputError
        Shapes, labels, distributions or weights that do not fit (see `prepare_target`).
        `distance` is below 1, or `margin` or a weight negative or not finite.

    Notes
    -----
    Both pixels of a pair get a gradient, as in the published code.

    Examples
    --------
    >>> import torch
    >>> target = torch.tensor([[[0, 0, 1, 1]]])
    >>> sharp = torch.tensor([[[[9.0, 9.0, -9.0, -9.0]], [[-9.0, -9.0, 9.0, 9.0]]]])
    >>> affinity_field_loss(sharp, target).item()
    0.0
    >>> affinity_field_loss(0 * sharp, target).item()     # the margin on every edge
    3.0
    """
    _check_settings(distance, margin, edge_weight, region_weight)
    ready = prepare_target(logits, target, ignore_index, weights)
    with full_precision(logits):
        labels = ready.labels
        if labels is None:
            assert ready.distribution is not None
            labels = ready.distribution.argmax(dim=1)
        log_p = torch.log_softmax(ready.logits, dim=1)
        odds = _log_odds(ready.logits, log_p)
        p = log_p.exp()
        edges = regions = ready.logits[:0].sum()
        edge_mass = region_mass = ready.weights.sum() * 0.0
        for down, right in _DIRECTIONS:
            places = _shifted(distance * down, distance * right, labels.shape[1:])
            if places is None:
                continue
            here, there = places
            pair = ready.weights[here] * ready.weights[there]
            # Both orders of a pair at once: D(q || p) + D(p || q).
            both = ((p[here] - p[there]) * (odds[here] - odds[there])).sum(dim=1)
            regions = regions + (both * pair).sum()
            region_mass = region_mass + 2.0 * logits.shape[1] * pair.sum()
            index, row, column = torch.nonzero(
                (labels[here] != labels[there]) & (pair > 0), as_tuple=True
            )
            ends = (
                (row, column + max(0, -distance * right)),
                (row + distance * down, column + max(0, distance * right)),
            )
            mass = pair[index, row, column]
            # Of the classes only the two that meet at an edge have it.
            for own in (labels[(index, *ends[0])], labels[(index, *ends[1])]):
                first, second = (
                    (log_p[(index, own, *end)], odds[(index, own, *end)]) for end in ends
                )
                for found in (_divergence(*first, *second), _divergence(*second, *first)):
                    edges = edges + ((margin - found).clamp(min=0.0) * mass).sum()
                    regions = regions - (found * mass).sum()
            edge_mass = edge_mass + 4.0 * mass.sum()
            region_mass = region_mass - 4.0 * mass.sum()
        return edge_weight * edges / _safe(edge_mass) + region_weight * regions / _safe(region_mass)


class AffinityFieldLoss(nn.Module):
    """`affinity_field_loss` as a module.

    Parameters
    ----------
    ignore_index, distance, margin, edge_weight, region_weight
        As in `affinity_field_loss`.
    """

    def __init__(
        self,
        ignore_index: int = 255,
        distance: int = 1,
        margin: float = 3.0,
        edge_weight: float = 1.0,
        region_weight: float = 1.0,
    ) -> None:
        super().__init__()
        _check_settings(distance, margin, edge_weight, region_weight)
        self.ignore_index = ignore_index
        self.distance = distance
        self.margin = margin
        self.edge_weight = edge_weight
        self.region_weight = region_weight

    def forward(self, logits: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
        return affinity_field_loss(
            logits,
            target,
            self.ignore_index,
            weights,
            self.distance,
            self.margin,
            self.edge_weight,
            self.region_weight,
        )

    def extra_repr(self) -> str:
        return (
            f"ignore_index={self.ignore_index}, distance={self.distance}, "
            f"margin={self.margin}, edge_weight={self.edge_weight}, "
            f"region_weight={self.region_weight}"
        )


def _log_odds(logits: Tensor, log_p: Tensor) -> Tensor:
    """log(p / (1 - p)) of each class, exact also where p is nearly 1.

    The winner's comes from the logits of the others; for the others 1 - p is at least a half.
    """
    if logits.shape[1] == 1:
        # One class leaves no rest: all pixels are alike.
        return torch.zeros_like(log_p)
    winner = logits.argmax(dim=1, keepdim=True)
    is_winner = torch.zeros_like(logits, dtype=torch.bool).scatter_(1, winner, True)
    rest = torch.logsumexp(logits.masked_fill(is_winner, -math.inf), dim=1, keepdim=True)
    loser = log_p - torch.log1p(-log_p.masked_fill(is_winner, -1.0).exp())
    return torch.where(is_winner, logits - rest, loser)


def _divergence(log_p: Tensor, p_odds: Tensor, log_q: Tensor, q_odds: Tensor) -> Tensor:
    """D(q || p) of Bernoulli distributions, from log(p) and log(p / (1 - p))."""
    log_p_rest, log_q_rest = log_p - p_odds, log_q - q_odds
    return log_q.exp() * (log_q - log_p) + log_q_rest.exp() * (log_q_rest - log_p_rest)


def _shifted(down: int, right: int, size: tuple[int, ...]) -> tuple[Any, Any] | None:
    """Index of the pixels that have a neighbour `down` and `right` of them, and of that."""
    height, width = size
    if down >= height or abs(right) >= width:
        return None
    rows = slice(0, height - down), slice(down, height)
    columns = (
        slice(max(0, -right), width - max(0, right)),
        slice(max(0, right), width + min(0, right)),
    )
    return (..., rows[0], columns[0]), (..., rows[1], columns[1])


def _safe(mass: Tensor) -> Tensor:
    return torch.where(mass > 0, mass, torch.ones_like(mass))


def _check_settings(distance: int, margin: float, edge_weight: float, region_weight: float) -> None:
    if distance < 1:
        raise InputError(f"distance must be at least 1, got {distance}")
    for name, value in (
        ("margin", margin),
        ("edge_weight", edge_weight),
        ("region_weight", region_weight),
    ):
        if not (value >= 0 and math.isfinite(value)):
            raise InputError(f"{name} must be at least 0 and finite, got {value}")
