"""Training of the SegNet's head alone, on activations of the frozen backbone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from rerank.errors import InputError
from rerank.nets.activation_maps import torch_threads
from rerank.nets.coarse_segnet import SegNetHead
from rerank.nets.devices import device_of
from rerank.nets.schedule import Phase, TrainConfig
from rerank.nets.training import History, Progress, train
from rerank.nets.training_data import CoarseData
from rerank.types import Array

#: Cross-entropy first, then 0.7 UOI + 0.3 CE (Cogswell et al. 2014, section 5).
PAPER_PHASES = (Phase("ce", 6, 4e-3), Phase("0.7 uoi + 0.3 ce", 3, 1.6e-3))
#: Of the second layer of a new head.
_GROUPS = 4


@dataclass(frozen=True, eq=False)
class TrainedHead:
    """A trained head and the record of its training.

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
    data: CoarseData,
    phases: Sequence[Phase] = PAPER_PHASES,
    *,
    start: SegNetHead | None = None,
    dropout: float = 0.5,
    kernel_sizes: Sequence[int] = (1, 3, 3),
    batch_size: int = 8,
    random_state: int = 0,
    progress: Callable[[Progress], None] | None = None,
) -> TrainedHead:
    """Train a head on activations that were computed once, with AdamW, in one thread of torch.

    Parameters
    ----------
    data : CoarseData
        Activations from `backbone_activations`, targets from `soft_target` and, where images
        have void pixels, weights from `labelled_share`.
    phases : sequence of Phase
        By default the paper's: cross-entropy, then 0.7 UOI + 0.3 CE. For several continuations
        of one cross-entropy net, train that first and hand it in as `start`.
    start : SegNetHead, optional
        Head to go on from; it is copied and keeps its `activation_scale` and its device. By
        default one of `new_head`.
    dropout, kernel_sizes
        Of a new head (see `SegNetHead`).
    batch_size : int
        Images of a step, at most.
    random_state : int
        Equal seeds give equal weights, bit for bit.
    progress : callable, optional
        Called with a `Progress` after each step.

    Returns
    -------
    TrainedHead

    Raises
    ------
    InputError
        If `start` is of other channels or classes than the data.
    InputError
        If the activations are not finite or all zero.
    ConfigError
        If a setting is out of range or a loss is unknown.
    """
    n_channels, n_classes = data.inputs.shape[1], data.targets.shape[3]
    config = TrainConfig(
        tuple(phases),
        batch_size=batch_size,
        weight_decay=1e-2,
        optimizer="adamw",
        random_state=random_state,
    )
    with torch_threads(1):
        if start is None:
            head = new_head(data, dropout, kernel_sizes, random_state)
        else:
            if (start.n_channels, start.n_classes) != (n_channels, n_classes):
                raise InputError(
                    f"start takes {start.n_channels} channels and gives {start.n_classes} "
                    f"classes; the data has {n_channels} and {n_classes}"
                )
            head = _copy(start, start.state_dict())
        history = train(head, data, config, device=device_of(head), progress=progress)
    heads = tuple(_copy(head, state) for state in history.phase_states)
    return TrainedHead(heads[-1], heads, history)


def new_head(
    data: CoarseData,
    dropout: float = 0.5,
    kernel_sizes: Sequence[int] = (1, 3, 3),
    random_state: int = 0,
) -> SegNetHead:
    """A head for some activations, not trained yet.

    Its second layer has four groups of filters, which take a quarter of the products and are no
    worse (`docs/results/speed.md`). Before the first layer, whose inputs are not trained, half of
    `dropout` is dropped.

    Parameters
    ----------
    data : CoarseData
        Gives the numbers of channels and classes, and the scale of the activations: the head's
        is one over their root mean square.
    dropout, kernel_sizes, random_state
        As in `SegNetHead`.

    Returns
    -------
    SegNetHead

    Raises
    ------
    InputError
        If a number is out of range, or the activations are not finite or all zero.
    """
    n_channels, n_classes = data.inputs.shape[1], data.targets.shape[3]
    head = SegNetHead(
        n_channels, n_classes, dropout, kernel_sizes, random_state, _GROUPS, dropout / 2
    )
    head.activation_scale.fill_(1.0 / _root_mean_square(data.inputs))
    return head


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


def _copy(head: SegNetHead, state: Mapping[str, Tensor]) -> SegNetHead:
    shape = (head.n_channels, head.n_classes, head.drop7.p, head.kernel_sizes, 0)
    copy = SegNetHead(*shape, head.groups, head.drop6.p)
    copy.load_state_dict(state)
    return copy.to(device_of(head)).eval()
