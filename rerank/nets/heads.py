"""Train the SegNet's head on kept activations: one fold costs one small head."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from rerank.errors import InputError
from rerank.nets.activations import torch_threads
from rerank.nets.schedule import Phase, TrainConfig
from rerank.nets.segnet import SegNetHead
from rerank.nets.training import History, Progress, train
from rerank.nets.training_data import CoarseData
from rerank.types import Array, FloatArray

#: Cross-entropy first, then 0.7 UOI + 0.3 CE (Cogswell et al. 2014, section 5).
PAPER_PHASES = (Phase("ce", 15, 0.05), Phase("0.7 uoi + 0.3 ce", 5, 0.02))


@dataclass(frozen=True, eq=False)
class TrainedHead:
    """A trained head and how it came about.

    Attributes
    ----------
    head : SegNetHead
        At the end of the last phase, in evaluation mode.
    phase_heads : tuple of SegNetHead
        At the end of each phase; the last is `head`.
    history : History
    """

    head: SegNetHead
    phase_heads: tuple[SegNetHead, ...]
    history: History


def train_head(
    activations: Array,
    targets: FloatArray,
    weights: FloatArray | None = None,
    *,
    phases: Sequence[Phase | tuple[str | nn.Module, int]] = PAPER_PHASES,
    flipped: Array | None = None,
    start: SegNetHead | None = None,
    dropout: float = 0.5,
    kernel_sizes: Sequence[int] = (1, 3, 3),
    batch_size: int = 16,
    learning_rate: float = 0.05,
    random_state: int = 0,
    n_threads: int | None = 1,
    progress: Callable[[Progress], None] | None = None,
) -> TrainedHead:
    """Train a head on activations that were computed once.

    Parameters
    ----------
    activations : (N, D, gh, gw) float array
        From `backbone_activations`.
    targets : (N, gh, gw, C) float array
        From `soft_target`.
    weights : (N, gh, gw) float array, optional
        From `labelled_share`.
    phases : sequence of Phase or (loss, epochs)
        By default the paper's: cross-entropy, then 0.7 UOI + 0.3 CE. A pair trains at
        `learning_rate` in the first phase and at 0.4 of it later. For continuations from one
        cross-entropy net, train that first and hand it in as `start`.
    flipped : (N, D, gh, gw) float array, optional
        Activations of the mirrored images; samples are then mirrored at random.
    start : SegNetHead, optional
        Head to go on from; it is copied and keeps its `activation_scale`. By default a new
        one, whose scale is one over the activations' root mean square.
    dropout, kernel_sizes
        Of a new head (see `SegNetHead`).
    batch_size, learning_rate : int, float
    random_state : int
        Equal seeds give equal weights, bit for bit, with one thread.
    n_threads : int, optional
        Threads of torch during the call; None leaves torch's setting as it is.
    progress : callable, optional
        Called with a `Progress` after each step.

    Returns
    -------
    TrainedHead

    Raises
    ------
    InputError
        If shapes don't fit, the activations are not finite or all zero.
    ConfigError
        If a setting is out of range or a loss is unknown.
    """
    data = CoarseData(activations, targets, weights, flipped)
    n_channels, n_classes = activations.shape[1], targets.shape[3]
    config = TrainConfig(
        phases=tuple(_as_phase(phase, index, learning_rate) for index, phase in enumerate(phases)),
        batch_size=batch_size,
        random_state=random_state,
    )
    with torch_threads(n_threads):
        if start is None:
            head = SegNetHead(n_channels, n_classes, dropout, kernel_sizes, random_state)
            head.activation_scale.fill_(1.0 / _root_mean_square(activations))
        else:
            if (start.n_channels, start.n_classes) != (n_channels, n_classes):
                raise InputError(
                    f"start takes {start.n_channels} channels and gives {start.n_classes} "
                    f"classes; the data has {n_channels} and {n_classes}"
                )
            head = _copy(start, start.state_dict(), start.drop6.p)
        history = train(head, data, config, progress=progress)
    heads = tuple(_copy(head, state, head.drop6.p) for state in history.phase_states)
    return TrainedHead(heads[-1], heads, history)


def _as_phase(
    phase: Phase | tuple[str | nn.Module, int], index: int, learning_rate: float
) -> Phase:
    if isinstance(phase, Phase):
        return phase
    loss, epochs = phase
    return Phase(loss, epochs, learning_rate if index == 0 else 0.4 * learning_rate)


def _root_mean_square(activations: Array) -> float:
    total = 0.0
    for sample in activations:
        values = np.asarray(sample, np.float64)
        total += float((values * values).sum())
    mean = total / activations.size
    if not np.isfinite(mean) or mean == 0.0:
        raise InputError(
            f"activations must be finite and not all zero; their mean square is {mean}"
        )
    return float(mean**0.5)


def _copy(head: SegNetHead, state: Mapping[str, Tensor], dropout: float) -> SegNetHead:
    copy = SegNetHead(head.n_channels, head.n_classes, dropout, head.kernel_sizes, 0)
    copy.load_state_dict(state)
    return copy.eval()
