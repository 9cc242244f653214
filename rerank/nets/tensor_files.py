"""Tensors in PyTorch files of strangers, read without running what a file says."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import torch

from rerank.errors import DataError


def load_tensors(path: Path, what: str, remedy: str) -> Any:
    """What `torch.save` wrote, where it is of tensors, numbers, texts and their containers.

    Parameters
    ----------
    path : Path
    what : str
        What the file is, such as "checkpoint", for errors.
    remedy : str

    Returns
    -------
    object

    Raises
    ------
    DataError
        If the file cannot be read, holds anything else, or has the form of torch 0.1, which is
        read by way of other files.
    """
    try:
        if tarfile.is_tarfile(path):
            raise tarfile.TarError("a tar archive of torch 0.1")
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds, depending on how a file is damaged
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: unreadable {what} ({reason}); {remedy}") from error
