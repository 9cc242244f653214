"""Backbones with their filters: read from a file, or drawn from a seed."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from rerank.errors import ConfigError, DataError
from rerank.nets.backbone import Backbone, new_backbone
from rerank.nets.backbone_weights import BackboneWeights, load_backbone_weights
from rerank.nets.timm_backbone import PREFIX, timm_backbone
from rerank.types import RandomState, as_generator


def build_backbone(
    architecture: str,
    weights: BackboneWeights | str | Path | None = None,
    random_state: RandomState = None,
) -> Backbone:
    """Return the convolutional stages of a network, in evaluation mode.

    All architectures but "small" come frozen (no parameter asks for a gradient).

    Parameters
    ----------
    architecture : {"caffenet", "alexnet", "squeezenet1_0", "small"} or "timm/NAME"
        CaffeNet's conv1 to conv5 (96, 256, 384, 384, 256), torchvision's AlexNet
        (64, 192, 384, 256, 256) or SqueezeNet 1.0 (conv1, fire2 to fire9); each gives a 13x13
        map for a 227x227 image. "small" is four layers of 3x3 filters that are meant to be
        trained. "timm/NAME" is a model of timm: see `timm_backbone`.
    weights : BackboneWeights, str or Path, optional
        What to load; a path is read by `load_backbone_weights`, or by timm for its models. None
        draws the filters at random (He et al. 2015, Eq. 10: zero mean, variance 2 / fan-in, no
        bias; timm's own way for its models), with torchvision's standardisation of the input:
        right for "small", which is trained, and for tests of the others.
    random_state : int or numpy.random.Generator, optional
        Of the random filters; without effect when weights are given.

    Returns
    -------
    Backbone

    Raises
    ------
    ConfigError
        If the architecture is unknown, or timm is not installed.
    DataError
        If the weights cannot be read, or are of another architecture.
    """
    if architecture.startswith(PREFIX):
        if isinstance(weights, BackboneWeights):
            raise ConfigError(
                f"{weights.source}: holds weights of {weights.architecture}; {architecture} takes "
                f"the path of a file of timm"
            )
        return timm_backbone(architecture, weights, random_state)
    if isinstance(weights, (str, Path)):
        weights = load_backbone_weights(weights)
    backbone = new_backbone(architecture, weights.preprocessing if weights else None)
    backbone.layers.to_empty(device="cpu")
    if weights is None:
        initialise(backbone, random_state)
    else:
        if weights.architecture != architecture:
            raise DataError(
                f"{weights.source}: holds weights of {weights.architecture}, "
                f"expected {architecture}"
            )
        backbone.layers.load_state_dict(dict(weights.state))
    backbone.requires_grad_(backbone.spec.trainable)
    # Twice as fast as the default layout for these small maps on a CPU.
    backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return backbone.eval()


def empty_backbone(architecture: str) -> Backbone:
    """Return a backbone of which only the shapes count; that of timm has random weights."""
    timm = architecture.startswith(PREFIX)
    return timm_backbone(architecture, None, 0) if timm else new_backbone(architecture)


def initialise(module: nn.Module, random_state: RandomState) -> None:
    """Draw all filters after He et al. 2015, Eq. 10, clear biases and reset norms.

    Equal seeds give equal filters; the global random state of torch is not touched.

    Parameters
    ----------
    module : nn.Module
        Changed in place.
    random_state : int, numpy.random.Generator or None
    """
    generator = torch_generator(random_state)
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            fan_in = layer.weight[0].numel()
            draw_normal(layer.weight, (2.0 / fan_in) ** 0.5, generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.reset_parameters()


def torch_generator(random_state: RandomState) -> torch.Generator:
    """Return a generator of torch seeded from a seed, a generator of numpy, or nothing."""
    seed = int(as_generator(random_state).integers(2**63 - 1))
    return torch.Generator().manual_seed(seed)


def draw_normal(tensor: Tensor, std: float, generator: torch.Generator) -> None:
    """Fill a tensor in place with normal values of zero mean.

    Parameters
    ----------
    tensor : Tensor
    std : float
        Standard deviation.
    generator : torch.Generator
    """
    with torch.no_grad():
        tensor.copy_(torch.randn(tensor.shape, generator=generator) * std)
