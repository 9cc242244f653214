"""Where networks run: on the CPU, or on a GPU where there is one."""

from __future__ import annotations

import torch
from torch import nn

from rerank.errors import ConfigError

DEVICES = ("cpu", "auto")


def torch_device(name: str) -> torch.device:
    """The device that a setting stands for.

    Parameters
    ----------
    name : {"cpu", "auto"}
        "auto" is the first CUDA device where torch can use one, and else the CPU.

    Returns
    -------
    torch.device

    Raises
    ------
    ConfigError
        If the name is neither.

    Examples
    --------
    >>> torch_device("cpu")
    device(type='cpu')
    """
    if name not in DEVICES:
        raise ConfigError(f"device must be one of {', '.join(DEVICES)}, got {name!r}")
    on_gpu = name == "auto" and torch.cuda.is_available()
    return torch.device("cuda" if on_gpu else "cpu")


def device_of(module: nn.Module) -> torch.device:
    """The device that a module's parameters, or else buffers, are on; the CPU without any.

    Examples
    --------
    >>> device_of(nn.Linear(2, 1))
    device(type='cpu')
    """
    for tensor in (*module.parameters(), *module.buffers()):
        return tensor.device
    return torch.device("cpu")
