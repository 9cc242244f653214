"""One function for all MAP solvers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from rerank.crf.expansion import alpha_expansion
from rerank.crf.graph_cut import graph_cut
from rerank.crf.icm import icm
from rerank.crf.inference_result import InferenceResult
from rerank.crf.potts_energy import PottsEnergy
from rerank.crf.trws import trws
from rerank.errors import InputError

#: Name of a method -> the function that does it; its keywords are the method's options.
METHODS: dict[str, Callable[..., InferenceResult]] = {
    "alpha_expansion": alpha_expansion,
    "icm": icm,
    "trws": trws,
    "graph_cut": graph_cut,
}


def map_inference(
    energy: PottsEnergy, method: str = "alpha_expansion", init: Any | None = None, **options: Any
) -> InferenceResult:
    """Find a labeling of low energy, and say how far from the minimum it can be.

    Parameters
    ----------
    energy : PottsEnergy
    method : {"alpha_expansion", "icm", "trws", "graph_cut"}
        ``graph_cut`` is exact and takes two labels; ``trws`` proves its answer by a bound, most
        often tight; ``alpha_expansion`` takes metric tables; ``icm`` is the quickest and weakest.
    init : (n,) int, optional
        A labeling to start from; the answer is never worse.
    **options
        Keywords of the function of that name.

    Returns
    -------
    InferenceResult

    Raises
    ------
    InputError
        If the method or an option is unknown, or the method cannot take this energy.

    Examples
    --------
    >>> import numpy as np
    >>> energy = PottsEnergy(np.array([[0.0, 1.0], [1.0, 0.8], [0.0, 1.0]]),
    ...                      np.array([[0, 1], [1, 2]]), np.array([0.5, 0.5]))
    >>> result = map_inference(energy, method="trws")
    >>> result.labeling, result.energy, result.optimal
    (array([0, 0, 0]), 1.0, True)
    """
    if not isinstance(energy, PottsEnergy):
        raise InputError(f"energy must be a PottsEnergy, got {type(energy).__name__}")
    if method not in METHODS:
        raise InputError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    if options:
        _check_options(method, options)
    return METHODS[method](energy, init, **options)


def _check_options(method: str, options: dict[str, Any]) -> None:
    known = [
        name
        for name, parameter in inspect.signature(METHODS[method]).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    ]
    unknown = sorted(set(options) - set(known))
    if unknown:
        allowed = ", ".join(known) or "none"
        raise InputError(f"method {method!r} has no option {unknown[0]!r}; its options: {allowed}")
