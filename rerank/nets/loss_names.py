"""Losses by name, as recipes write them: "ce", "uoi", "0.7 uoi + 0.3 ce"."""

from __future__ import annotations

import re
from typing import Callable, Mapping

from torch import nn

from rerank.errors import ConfigError
from rerank.losses import (
    ExpectedIoULoss,
    ExpectedUoILoss,
    SoftCrossEntropyLoss,
    WeightedSumLoss,
)

_LOSSES: Mapping[str, Callable[[int], nn.Module]] = {
    "ce": lambda ignore_index: SoftCrossEntropyLoss(ignore_index),
    "uoi": lambda ignore_index: ExpectedUoILoss(ignore_index),
    "iou": lambda ignore_index: ExpectedIoULoss(ignore_index),
}
_TERM = re.compile(r"\s*(?:([0-9]*\.?[0-9]+)\s*\*?\s*)?([a-z]+)\s*")


def loss_from_name(name: str, ignore_index: int = 255) -> nn.Module:
    """Return the loss that a name stands for.

    Parameters
    ----------
    name : str
        "ce" (cross-entropy), "uoi" or "iou" (expected union over intersection, and one minus
        expected intersection over union), or a weighted sum of them such as
        "0.7 uoi + 0.3 ce" (Cogswell et al. 2014, section 5).
    ignore_index : int
        Label of void in integer targets.

    Returns
    -------
    nn.Module
        To be called with logits, target and, optionally, weights.

    Raises
    ------
    ConfigError
        If a term is not understood.
    """
    terms = []
    for part in name.lower().split("+"):
        found = _TERM.fullmatch(part)
        if found is None or found.group(2) not in _LOSSES:
            raise ConfigError(
                f"loss must be {', '.join(_LOSSES)} or a sum such as '0.7 uoi + 0.3 ce', "
                f"got {name!r}"
            )
        terms.append((float(found.group(1) or 1), _LOSSES[found.group(2)](ignore_index)))
    if len(terms) == 1 and terms[0][0] == 1:
        return terms[0][1]
    return WeightedSumLoss(terms)
