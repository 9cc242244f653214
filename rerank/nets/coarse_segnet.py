"""The coarse SegNet of Cogswell et al. 2014: a frozen backbone and three new convolutions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rerank.errors import DataError, InputError
from rerank.nets.activation_maps import images_to_tensor, torch_threads
from rerank.nets.backbone_filters import build_backbone, draw_normal, initialise, torch_generator
from rerank.nets.backbone_weights import BackboneWeights
from rerank.nets.devices import device_of
from rerank.nets.dropout import SeededDropout
from rerank.types import Array, FloatArray, RandomState

#: Parameters of CaffeNet with its three fully connected layers, for the share that SegNet has.
CAFFENET_PARAMETERS = 60_965_224
#: Filters of each of the first two layers of the head.
WIDTH = 128


class SegNetHead(nn.Module):
    """The three layers that the SegNet adds: conv 128, conv 128, conv C.

    Cogswell et al. 2014, section 3.1: dropout before each, rectifiers after all but the last.
    The paper gives no filter sizes. The default, 1x1 and then twice 3x3, came closest to the
    truth in equal time on MSRC-21's val images: after some 12 s of one core expected IoU was
    47.6 (82.8% of cells right), with 3x3 throughout 45.1 (81.9%); with 1x1 throughout, which
    sees no neighbouring cell, 20.5 (68.1%) after 8 s.

    Parameters
    ----------
    n_channels : int
        Depth of the activations, 256 for CaffeNet.
    n_classes : int
        C, at least 1.
    dropout : float
        Share of values dropped before each layer in training.
    kernel_sizes : three odd ints
        Sides of the filters; borders are padded, so that the grid stays.
    random_state : int or numpy.random.Generator, optional
        Of the first filters: He et al. 2015 for the rectified layers, a deviation of 0.01 for
        the last, so that the first predictions are near uniform.
    groups : int
        Of the second layer's filters, as CaffeNet has them; a divisor of 128.
    input_dropout : float, optional
        Before the first layer; that of the others by default.

    Attributes
    ----------
    activation_scale : scalar tensor (buffer)
        The activations are multiplied by it; `train_head` sets it to one over their root mean
        square. It only changes the units of conv6.

    Raises
    ------
    InputError
        If a number is out of range, a filter's side is even, or the groups do not divide 128.
    """

    activation_scale: Tensor

    def __init__(
        self,
        n_channels: int,
        n_classes: int,
        dropout: float = 0.5,
        kernel_sizes: Sequence[int] = (1, 3, 3),
        random_state: RandomState = None,
        groups: int = 1,
        input_dropout: float | None = None,
    ) -> None:
        super().__init__()
        if groups < 1 or WIDTH % groups:
            raise InputError(f"groups must divide {WIDTH}, got {groups}")
        if n_channels < 1 or n_classes < 1:
            raise InputError(
                f"n_channels and n_classes must be at least 1, got {n_channels} and {n_classes}"
            )
        sizes = tuple(int(size) for size in kernel_sizes)
        if len(sizes) != 3 or any(size < 1 or size % 2 == 0 for size in sizes):
            raise InputError(f"kernel_sizes must be three odd numbers, got {kernel_sizes}")
        self.n_channels, self.n_classes, self.kernel_sizes = n_channels, n_classes, sizes
        self.groups = groups
        self.drop6 = SeededDropout(dropout if input_dropout is None else input_dropout)
        self.drop7, self.drop8 = SeededDropout(dropout), SeededDropout(dropout)
        with torch.device("meta"):
            self.conv6 = nn.Conv2d(n_channels, WIDTH, sizes[0], padding=sizes[0] // 2)
            self.conv7 = nn.Conv2d(WIDTH, WIDTH, sizes[1], padding=sizes[1] // 2, groups=groups)
            self.conv8 = nn.Conv2d(WIDTH, n_classes, sizes[2], padding=sizes[2] // 2)
        self.to_empty(device="cpu")
        self.register_buffer("activation_scale", torch.ones(()))
        generator = torch_generator(random_state)
        initialise(self, np.random.default_rng(generator.initial_seed()))
        draw_normal(self.conv8.weight, 0.01, generator)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, activations: Tensor) -> Tensor:
        """Return logits (B, C, gh, gw) for activations (B, D, gh, gw)."""
        if activations.ndim != 4 or activations.shape[1] != self.n_channels:
            raise InputError(
                f"activations must be (B, {self.n_channels}, h, w), got {tuple(activations.shape)}"
            )
        x = F.relu(self._first_layer(self.drop6(activations)))
        x = F.relu(self.conv7(self.drop7(x)))
        logits: Tensor = self.conv8(self.drop8(x))
        return logits

    def _first_layer(self, x: Tensor) -> Tensor:
        weight = self.conv6.weight * self.activation_scale
        if self.kernel_sizes[0] > 1:
            return F.conv2d(x, weight, self.conv6.bias, padding=self.kernel_sizes[0] // 2)
        # One product; torch would take its slow convolution on one thread and few images.
        rows = F.linear(x.permute(0, 2, 3, 1), weight[:, :, 0, 0], self.conv6.bias)
        return rows.permute(0, 3, 1, 2)

    def to_arrays(self) -> dict[str, FloatArray]:
        """Return the parameters and the scale as arrays, to be kept in any store."""
        return {name: tensor.cpu().numpy().copy() for name, tensor in self.state_dict().items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> SegNetHead:
        """Rebuild a head in evaluation mode from what `to_arrays` returned.

        Raises
        ------
        DataError
            If an array is missing or of a wrong shape.
        """
        try:
            shapes = [np.shape(arrays[f"conv{i}.weight"]) for i in (6, 7, 8)]
            sizes = [shape[2] for shape in shapes]
            head = cls(shapes[0][1], shapes[2][0], 0.0, sizes, 0, WIDTH // shapes[1][1])
            head.load_state_dict(
                {
                    name: torch.from_numpy(np.array(value, np.float32))
                    for name, value in arrays.items()
                }
            )
        except (KeyError, IndexError, RuntimeError, InputError) as error:
            raise DataError(f"not the arrays of a SegNet head: {error}") from error
        return head.eval()


class CoarseSegNet(nn.Module):
    """A network that labels an image coarsely: a class distribution per cell of a grid.

    Cogswell et al. 2014, section 3.1: the five convolutional stages of a classification
    network, frozen, then `SegNetHead`. No layer is fully connected.

    Parameters
    ----------
    n_classes : int
        C, background included.
    backbone : {"caffenet", "alexnet", "squeezenet1_0", "small"}
        The paper's is "caffenet". "small" needs no trained weights: its four layers train with
        the head. It is for drawn images, or images unlike photographs.
    weights : BackboneWeights, str or Path, optional
        Of the backbone (see `load_backbone_weights`); None draws them at random.
    grid : (int, int)
        Rows and columns of cells. The input grows with it: 227x227 for 13x13 (104x104 with
        "small"), 435x435 for 26x26.
    dropout : float
        Before each of the three new layers.
    kernel_sizes : three odd ints
        Of the new layers.
    random_state : int or numpy.random.Generator, optional
        Of all that is drawn at random here.

    Attributes
    ----------
    backbone : Backbone
    head : SegNetHead
    input_size : (int, int)
        Height and width of the input.

    Raises
    ------
    ConfigError
        If the backbone is unknown or the grid is empty.
    InputError
        If another number is out of range.
    DataError
        If the weights are unusable.

    Examples
    --------
    >>> net = CoarseSegNet(21, backbone="squeezenet1_0", random_state=0)
    >>> net(torch.zeros(2, 3, 227, 227)).shape
    torch.Size([2, 21, 13, 13])
    """

    def __init__(
        self,
        n_classes: int,
        backbone: str = "caffenet",
        weights: BackboneWeights | str | Path | None = None,
        grid: tuple[int, int] = (13, 13),
        dropout: float = 0.5,
        kernel_sizes: Sequence[int] = (1, 3, 3),
        random_state: RandomState = None,
    ) -> None:
        super().__init__()
        rng = np.random.default_rng(torch_generator(random_state).initial_seed())
        self.backbone = build_backbone(backbone, weights, rng)
        self.head = SegNetHead(self.backbone.n_channels, n_classes, dropout, kernel_sizes, rng)
        self.grid = (int(grid[0]), int(grid[1]))
        self.input_size = self.backbone.input_size(self.grid)
        self.n_classes = n_classes

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, C, gh, gw) for RGB images (B, 3, height, width) in 0..255.

        Raises
        ------
        InputError
            If the images are of another size (`warp_image` brings any image to it).
        """
        if tuple(images.shape[2:]) != self.input_size:
            raise InputError(
                f"a {self.grid[0]}x{self.grid[1]} grid takes images of {self.input_size[0]}x"
                f"{self.input_size[1]}, got {tuple(images.shape[2:])}; warp them first"
            )
        trained = any(p.requires_grad for p in self.backbone.parameters())
        with torch.set_grad_enabled(torch.is_grad_enabled() and trained):
            activations = self.backbone(images)
        return self.forward_activations(activations)

    def forward_activations(self, activations: Tensor) -> Tensor:
        """Return logits (B, C, gh, gw) for the backbone's activations (B, D, gh, gw)."""
        logits: Tensor = self.head(activations)
        return logits

    def predict_proba(
        self, images: Sequence[Array], batch_size: int = 1, n_threads: int | None = 1
    ) -> FloatArray:
        """Return class distributions for RGB images, without dropout.

        Parameters
        ----------
        images : sequence of (H, W, 3) uint8 arrays
            Of any sizes; they are warped to the input size.
        batch_size : int
            With 1 the result for an image does not depend on the others.
        n_threads : int, optional
            Threads of torch during the call; None leaves torch's setting as it is.

        Returns
        -------
        (B, gh, gw, C) float32 array
        """
        batches = (
            images_to_tensor(images[start : start + batch_size], self.input_size)
            for start in range(0, len(images), batch_size)
        )
        return _distributions(self, batches, (*self.grid, self.n_classes), n_threads)


def head_probabilities(
    head: SegNetHead, activations: Array, batch_size: int = 1, n_threads: int | None = 1
) -> FloatArray:
    """Return class distributions for kept activations, without dropout.

    Parameters
    ----------
    head : SegNetHead
    activations : (N, D, gh, gw) float array
        From `backbone_activations`.
    batch_size : int
        With 1 the result for an image does not depend on the others.
    n_threads : int, optional
        Threads of torch during the call; None leaves torch's setting as it is.

    Returns
    -------
    (N, gh, gw, C) float32 array
    """
    batches = (
        torch.from_numpy(np.asarray(activations[start : start + batch_size], np.float32))
        for start in range(0, len(activations), batch_size)
    )
    return _distributions(head, batches, (*np.shape(activations)[2:], head.n_classes), n_threads)


def _distributions(
    model: nn.Module, batches: Iterable[Tensor], shape: tuple[int, ...], n_threads: int | None
) -> FloatArray:
    """Class distributions (N, *shape) of all batches; `shape` is that of one image's."""
    maps = [np.zeros((0, *shape), np.float32)]
    training = model.training
    model.eval()
    with torch_threads(n_threads), torch.inference_mode():
        for batch in batches:
            logits = model(batch.to(device_of(model)))
            maps.append(torch.softmax(logits, dim=1).permute(0, 2, 3, 1).cpu().numpy())
    model.train(training)
    return np.concatenate(maps)
