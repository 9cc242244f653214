"""The convolutional stages of the backbones, as modules whose layers have names.

Shapes follow the published definitions: CaffeNet is AlexNet (Krizhevsky et al. 2012) with
pooling before normalisation; "alexnet" is torchvision's one-column variant (Krizhevsky 2014);
"squeezenet1_0" is SqueezeNet 1.0 (Iandola et al. 2016); "small" is a few layers that need no
trained weights. They are written out here so that torchvision, which lacks CaffeNet and "small",
is no dependency.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rerank.errors import ConfigError


class ConvReLU(nn.Conv2d):
    """A convolution followed by a rectified linear unit."""

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(super().forward(input))


class ConvNormReLU(nn.Module):
    """A 3x3 convolution, batch normalisation and a rectified linear unit.

    Parameters
    ----------
    in_channels, out_channels : int
    stride : int
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


class Fire(nn.Module):
    """SqueezeNet's module: a 1x1 squeeze, then 1x1 and 3x3 expansions side by side.

    Parameters
    ----------
    in_channels : int
    squeeze : int
        Channels after the squeeze.
    expand : int
        Channels of each expansion; the output has twice as many.
    """

    def __init__(self, in_channels: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = ConvReLU(in_channels, squeeze, 1)
        self.expand1x1 = ConvReLU(squeeze, expand, 1)
        self.expand3x3 = ConvReLU(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.squeeze(x)
        return torch.cat([self.expand1x1(squeezed), self.expand3x3(squeezed)], dim=1)


@dataclass(frozen=True)
class ArchitectureSpec:
    """A backbone without its weights: its layers, depth, native size and kind of input.

    `size_at_13` is the input side whose last map is 13x13; `trainable` says whether the
    backbone is meant to be trained with the head instead of being frozen.
    """

    name: str
    layers: Callable[[], OrderedDict[str, nn.Module]]
    n_channels: int
    size_at_13: int
    skip_layers: tuple[str, ...]
    random_preprocessing: str = "torchvision"
    trainable: bool = False


def _pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, 2, ceil_mode=True)


def _norm() -> nn.LocalResponseNorm:
    return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)


def _caffenet() -> OrderedDict[str, nn.Module]:
    return OrderedDict(
        conv1=ConvReLU(3, 96, 11, stride=4),
        pool1=_pool(),
        norm1=_norm(),
        conv2=ConvReLU(96, 256, 5, padding=2, groups=2),
        pool2=_pool(),
        norm2=_norm(),
        conv3=ConvReLU(256, 384, 3, padding=1),
        conv4=ConvReLU(384, 384, 3, padding=1, groups=2),
        conv5=ConvReLU(384, 256, 3, padding=1, groups=2),
    )


def _alexnet() -> OrderedDict[str, nn.Module]:
    return OrderedDict(
        conv1=ConvReLU(3, 64, 11, stride=4, padding=2),
        pool1=nn.MaxPool2d(3, 2),
        conv2=ConvReLU(64, 192, 5, padding=2),
        pool2=nn.MaxPool2d(3, 2),
        conv3=ConvReLU(192, 384, 3, padding=1),
        conv4=ConvReLU(384, 256, 3, padding=1),
        conv5=ConvReLU(256, 256, 3, padding=1),
    )


def _squeezenet() -> OrderedDict[str, nn.Module]:
    return OrderedDict(
        conv1=ConvReLU(3, 96, 7, stride=2),
        pool1=_pool(),
        fire2=Fire(96, 16, 64),
        fire3=Fire(128, 16, 64),
        fire4=Fire(128, 32, 128),
        pool4=_pool(),
        fire5=Fire(256, 32, 128),
        fire6=Fire(256, 48, 192),
        fire7=Fire(384, 48, 192),
        fire8=Fire(384, 64, 256),
        pool8=_pool(),
        fire9=Fire(512, 64, 256),
    )


def _small() -> OrderedDict[str, nn.Module]:
    return OrderedDict(
        conv1=ConvNormReLU(3, 24, stride=2),
        conv2=ConvNormReLU(24, 48, stride=2),
        conv3=ConvNormReLU(48, 96, stride=2),
        conv4=ConvNormReLU(96, 128, stride=1),
    )


ARCHITECTURES: Mapping[str, ArchitectureSpec] = {
    spec.name: spec
    for spec in (
        ArchitectureSpec("caffenet", _caffenet, 256, 227, ("conv1", "conv2", "conv5")),
        ArchitectureSpec("alexnet", _alexnet, 256, 227, ("conv1", "conv2", "conv5")),
        ArchitectureSpec("squeezenet1_0", _squeezenet, 512, 227, ("fire4", "fire8", "fire9")),
        ArchitectureSpec("small", _small, 128, 104, ("conv1", "conv2", "conv4"), trainable=True),
    )
}


def architecture_spec(name: str) -> ArchitectureSpec:
    """Return the specification of the named architecture.

    Raises
    ------
    ConfigError
        If the name is unknown.
    """
    if name not in ARCHITECTURES:
        raise ConfigError(f"backbone must be one of {', '.join(ARCHITECTURES)}, got {name!r}")
    return ARCHITECTURES[name]
