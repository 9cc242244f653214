"""The class of all backbones: it preprocesses images, and knows its layers and their geometry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rerank.errors import ConfigError, InputError
from rerank.nets.architectures import ArchitectureSpec, ConvNormReLU, Fire, architecture_spec
from rerank.nets.preprocessing import Preprocessing, preprocessing_by_name


@dataclass(frozen=True)
class LayerGeometry:
    """Where the cells of a layer's map lie in the image.

    Attributes
    ----------
    stride : int
        Distance between neighbouring cells, in input pixels.
    first_centre : float
        Centre of cell 0's receptive field on either axis, in input pixels, where pixel `j`
        covers `[j, j + 1)`.
    """

    stride: int
    first_centre: float


class Backbone(nn.Module):
    """The convolutional stages of a network, without its classifier.

    The input is a batch of RGB images (B, 3, H, W) with values in 0..255, of any dtype; the
    preprocessing that the weights ask for happens inside, so that it cannot be forgotten.

    Parameters
    ----------
    spec : ArchitectureSpec
    preprocessing : Preprocessing
        What the weights ask for.

    Attributes
    ----------
    architecture : str
    preprocessing : Preprocessing
    layer_names : tuple of str
        Layers whose outputs (after the rectifier) can be asked for, first to last.
    n_channels : int
        Depth D of the last layer's output.
    """

    def __init__(self, spec: ArchitectureSpec, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.architecture = spec.name
        self.spec = spec
        self.preprocessing = preprocessing
        with torch.device("meta"):
            self.layers = nn.Sequential(spec.layers())
        self.layer_names = tuple(name for name, _ in self.layers.named_children())
        self.n_channels = spec.n_channels
        mean = torch.tensor(preprocessing.mean).view(1, 3, 1, 1)
        std = torch.tensor(preprocessing.std).view(1, 3, 1, 1)
        self.register_buffer("input_mean", mean, persistent=False)
        self.register_buffer("input_std", std, persistent=False)

    def preprocess(self, images: Tensor) -> Tensor:
        """Turn RGB in 0..255, (B, 3, H, W), into the network's input of the same shape."""
        if images.ndim != 4 or images.shape[1] != 3:
            raise InputError(f"images must be (B, 3, H, W), got {tuple(images.shape)}")
        mean, std = self.get_buffer("input_mean"), self.get_buffer("input_std")
        x = images.to(mean.dtype)
        if self.preprocessing.channel_order == "BGR":
            x = x.flip(1)
        return (x * self.preprocessing.scale - mean) / std

    def forward(self, images: Tensor) -> Tensor:
        """Return the last layer's output, (B, D, h, w)."""
        x = self.preprocess(images)
        self._check_size(images)
        maps: Tensor = self.layers(x)
        return maps

    def activations(self, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Return the outputs of the named layers.

        Parameters
        ----------
        images : (B, 3, H, W) tensor
            RGB in 0..255.
        layers : sequence of str
            Names from `layer_names`.

        Returns
        -------
        dict of str to (B, D_l, h_l, w_l) tensor
            In the order of `layers`.

        Raises
        ------
        InputError
            If a layer is unknown, or the images are smaller than the layers need.
        """
        wanted = self._check_layers(layers)
        x = self.preprocess(images)
        self._check_size(images, max(wanted, key=self.layer_names.index))
        found: dict[str, Tensor] = {}
        for name, layer in self.layers.named_children():
            x = layer(x)
            if name in wanted:
                found[name] = x
            if len(found) == len(wanted):
                break
        return {name: found[name] for name in layers}

    def geometry(self, layer: str | None = None) -> LayerGeometry:
        """Return stride and first centre of a layer's cells (default: of the last layer)."""
        (name,) = self._check_layers([layer or self.layer_names[-1]])
        stride, centre = 1, 0.5
        for step in self._spatial_steps(name):
            centre += stride * ((step.kernel - 1) / 2 - step.padding)
            stride *= step.stride
        return LayerGeometry(stride, centre)

    def output_size(self, size: tuple[int, int], layer: str | None = None) -> tuple[int, int]:
        """Return height and width of a layer's map for an input of the given size.

        Parameters
        ----------
        size : (int, int)
            Height and width of the input.
        layer : str, optional
            By default the last.

        Returns
        -------
        (int, int)
            Zero where the input is too small.
        """
        (name,) = self._check_layers([layer or self.layer_names[-1]])
        height, width = size
        for step in self._spatial_steps(name):
            height, width = step.output(height), step.output(width)
        return height, width

    def depths(self, layers: Sequence[str]) -> tuple[int, ...]:
        """Return the number of channels of the named layers' outputs."""
        self._check_layers(layers)
        depth, found = 3, {}
        for name, layer in self.layers.named_children():
            if isinstance(layer, nn.Conv2d):
                depth = layer.out_channels
            elif isinstance(layer, ConvNormReLU):
                depth = layer.conv.out_channels
            elif isinstance(layer, Fire):
                depth = 2 * layer.expand1x1.out_channels
            found[name] = depth
        return tuple(found[name] for name in layers)

    def input_size(self, grid: tuple[int, int] = (13, 13)) -> tuple[int, int]:
        """Return the input height and width whose last map is exactly `grid`.

        227x227 for 13x13 with the ImageNet architectures, and one stride more per cell.

        Raises
        ------
        ConfigError
            If a side of the grid is below 1.
        """
        if len(grid) != 2 or min(grid) < 1:
            raise ConfigError(f"grid must be two numbers of at least 1, got {grid}")
        stride = self.geometry().stride
        height, width = (self.spec.size_at_13 + stride * (cells - 13) for cells in grid)
        return height, width

    def suitable_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the height and width near `size` that an image should be resized to.

        It is no smaller than what gives one cell of the last layer.
        """
        least = self.input_size((1, 1))
        return max(least[0], size[0]), max(least[1], size[1])

    def _spatial_steps(self, last: str) -> Iterable[_Step]:
        for name, layer in self.layers.named_children():
            if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
                yield _Step.of(layer)
            elif isinstance(layer, ConvNormReLU):
                yield _Step.of(layer.conv)
            if name == last:
                return

    def _check_layers(self, layers: Sequence[str]) -> set[str]:
        unknown = [name for name in layers if name not in self.layer_names]
        if unknown or not layers:
            raise InputError(
                f"layers of {self.architecture} must be among {', '.join(self.layer_names)}; "
                f"got {', '.join(unknown) or 'none'}"
            )
        return set(layers)

    def _check_size(self, images: Tensor, layer: str | None = None) -> None:
        height, width = images.shape[2:]
        if min(self.output_size((height, width), layer)) < 1:
            raise InputError(
                f"images of {height}x{width} are too small for layer "
                f"{layer or self.layer_names[-1]} of {self.architecture}"
            )


@dataclass(frozen=True)
class _Step:
    kernel: int
    stride: int
    padding: int
    ceil: bool

    @classmethod
    def of(cls, layer: nn.Module) -> _Step:
        def first(value: object) -> int:
            return int(value[0] if isinstance(value, tuple) else value)  # type: ignore

        return cls(
            first(layer.kernel_size),
            first(layer.stride),
            first(layer.padding),
            bool(getattr(layer, "ceil_mode", False)),
        )

    def output(self, size: int) -> int:
        extent = size + 2 * self.padding - self.kernel
        if extent < 0:
            return 0
        return (-(-extent // self.stride) if self.ceil else extent // self.stride) + 1


def new_backbone(architecture: str, preprocessing: Preprocessing | None = None) -> Backbone:
    """Return a backbone whose filters have shapes but no values yet (see `build_backbone`).

    Parameters
    ----------
    architecture : str
    preprocessing : Preprocessing, optional
        By default that of the architecture's random filters.

    Returns
    -------
    Backbone

    Raises
    ------
    ConfigError
        If the architecture is unknown.
    """
    spec = architecture_spec(architecture)
    return Backbone(spec, preprocessing or preprocessing_by_name(spec.random_preprocessing))
