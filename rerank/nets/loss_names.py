"""Losses by name, as recipes write them: "ce", "rmi(factor=2)", "0.7 uoi + 0.3 ce"."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from rerank.errors import ConfigError, InputError
from rerank.losses import (
    AffinityFieldLoss,
    ExpectedIoULoss,
    ExpectedUoILoss,
    NeuroIoULoss,
    RMILoss,
    SoftCrossEntropyLoss,
    WeightedSumLoss,
)


@dataclass(frozen=True)
class _Named:
    """A loss class, and what its name fixes of its arguments."""

    make: Callable[..., nn.Module]
    fixed: Mapping[str, Any]


_LOSSES: Mapping[str, _Named] = {
    "ce": _Named(SoftCrossEntropyLoss, {}),
    # With all weight on the cross-entropy the regions do not count.
    "bce": _Named(RMILoss, {"cross_entropy_weight": 1.0, "factor": 1, "region_size": 1}),
    "iou": _Named(ExpectedIoULoss, {}),
    "uoi": _Named(ExpectedUoILoss, {}),
    "neuro": _Named(NeuroIoULoss, {}),
    "neuro-hinge": _Named(NeuroIoULoss, {"counts": "hinge"}),
    "rmi": _Named(RMILoss, {}),
    "affinity": _Named(AffinityFieldLoss, {}),
}
_TERM = re.compile(r"\s*(?:([0-9]*\.?[0-9]+)\s*\*?\s*)?([a-z][a-z-]*)\s*(?:\(([^()]*)\))?\s*")


def loss_from_name(name: str, ignore_index: int = 255, random_state: int = 0) -> nn.Module:
    """Return the loss that a name stands for.

    Parameters
    ----------
    name : str
        One of

        - "ce": cross-entropy of the softmax; "bce": of one sigmoid per class;
        - "iou", "uoi": one minus expected intersection over union, and expected union over
          intersection (Cogswell et al. 2014);
        - "neuro", "neuro-hinge": IoU learned by a surrogate that is trained in turns with the
          network (Nagendar et al. 2018), from probabilities or from hinge losses;
        - "rmi": binary cross-entropy and region mutual information (Zhao et al. 2019);
        - "affinity": the affinity field loss (Ke et al. 2018), which is meant to be added to
          cross-entropy;

        each with arguments of its class where wanted, as in "rmi(factor=2)" or
        "neuro(n_inputs=3)"; or a weighted sum such as "0.7 uoi + 0.3 ce".
    ignore_index : int
        Label of void in integer targets.
    random_state : int
        Of the losses that draw anything.

    Returns
    -------
    nn.Module
        To be called with logits, target and, optionally, weights.

    Raises
    ------
    ConfigError
        If a term is not understood, or an argument is unknown or unusable.
    """
    terms = []
    for part in name.lower().split("+"):
        found = _TERM.fullmatch(part)
        if found is None or found.group(2) not in _LOSSES:
            raise ConfigError(
                f"loss must be {', '.join(_LOSSES)} or a sum such as '0.7 uoi + 0.3 ce', "
                f"got {name!r}"
            )
        loss = _make(found.group(2), found.group(3) or "", ignore_index, random_state)
        terms.append((float(found.group(1) or 1), loss))
    if len(terms) == 1 and terms[0][0] == 1:
        return terms[0][1]
    return WeightedSumLoss(terms)


def _make(name: str, arguments: str, ignore_index: int, random_state: int) -> nn.Module:
    named = _LOSSES[name]
    parameters = inspect.signature(named.make).parameters
    known = {key: parameter.default for key, parameter in parameters.items()}
    # The fields of a record of settings are arguments like the others.
    settings = known.pop("settings", None)
    inner = {} if settings is None else vars(settings)
    known |= inner
    given: dict[str, Any] = {"ignore_index": ignore_index, **named.fixed}
    if "random_state" in known:
        given["random_state"] = random_state
    free = [
        key
        for key, default in known.items()
        if key not in given and isinstance(default, (int, float, str))
    ]
    for argument in filter(None, (text.strip() for text in arguments.split(","))):
        key, equals, text = (piece.strip() for piece in argument.partition("="))
        if not equals or key not in free:
            raise ConfigError(
                f"loss {name}({arguments}): expected KEY=VALUE with a KEY among "
                f"{', '.join(free)}, got {argument!r}"
            )
        given[key] = _value(text)
    try:
        if inner:
            own = {key: given.pop(key) for key in inner if key in given}
            given["settings"] = replace(settings, **own)
        return named.make(**given)
    except (InputError, TypeError) as error:
        raise ConfigError(f"loss {name}({arguments}): {error}") from error


def _value(text: str) -> Any:
    """A number where the text is one, and the text itself otherwise."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
