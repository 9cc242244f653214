"""The state of a training in a file: written whole or not at all, read without running code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rerank.errors import DataError
from rerank.files import replace_file
from rerank.nets.tensor_files import load_tensors


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Settings of a training as text, its place, and the states of model, optimizer and loss."""

    signature: str
    run: dict[str, Any]
    model: dict[str, Tensor]
    optimizer: dict[str, Any]
    loss: dict[str, Tensor]


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint to a file, whole or not at all.

    Parameters
    ----------
    path : Path
        In a folder that exists.
    checkpoint : Checkpoint
    """
    with replace_file(path) as temporary, open(temporary, "wb") as stream:
        torch.save(dict(vars(checkpoint)), stream)


def load_checkpoint(path: Path, signature: str) -> Checkpoint:
    """Read a checkpoint that `save_checkpoint` wrote.

    Parameters
    ----------
    path : Path
    signature : str
        Settings of the training that goes on, as text.

    Returns
    -------
    Checkpoint

    Raises
    ------
    DataError
        If the file is unreadable, or belongs to a training with another signature.
    """
    remedy = "delete it to start anew"
    try:
        checkpoint = Checkpoint(**load_tensors(path, "checkpoint", remedy))
    except TypeError as error:
        raise DataError(f"{path}: unreadable checkpoint (not of rerank); {remedy}") from error
    if checkpoint.signature != signature:
        raise DataError(
            f"{path}: is of another training; delete it or choose another file; it is of "
            f"{checkpoint.signature!r:.2000}, and this one of {signature!r}"
        )
    return checkpoint
