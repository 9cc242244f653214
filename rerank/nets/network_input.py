"""What a network of others sees of an image, and how its output comes back to the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from rerank.datasets.map_values import NetworkMap, fit_values, resize_map
from rerank.errors import ConfigError
from rerank.types import Array, FloatArray

#: Grey around an image that does not fill the network's input.
PADDING = 128
#: Sides of images for a network that takes any size are made multiples of this.
STRIDE = 32
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class PixelScaling:
    """(pixel * scale - mean) / std, for pixels of 0..255."""

    scale: float
    mean: Triple
    std: Triple

    def apply(self, pixels: Array) -> FloatArray:
        """Scale (h, w, 3) uint8 pixels; float32."""
        factor = np.float32(self.scale) / np.array(self.std, np.float32)
        offset = np.array(self.mean, np.float32) / np.array(self.std, np.float32)
        return np.asarray(pixels.astype(np.float32) * factor - offset, np.float32)


#: Of torchvision's and most other PyTorch networks.
IMAGENET = PixelScaling(1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
#: -1..1, as TensorFlow's networks take it.
SYMMETRIC = PixelScaling(1 / 255, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class NetworkSettings:
    """How a network in a file is used; what is None is read from the file, or its kind's default.

    Attributes
    ----------
    size : (int, int) or None
        Height and width of the input. By default the network's, and for one that takes any size
        that of each image.
    mean, std : (float, float, float) or None
        In the order of the network's channels, after `scale`.
    scale : float or None
        What pixels of 0..255 are multiplied by.
    channels : {"rgb", "bgr"}
    fit : {"letterbox", "stretch"}
        Keep the aspect and pad right and below with grey, or stretch the image to the input.
    output : str or None
        Name or index of the output that holds the classes.
    """

    size: tuple[int, int] | None = None
    mean: Triple | None = None
    std: Triple | None = None
    scale: float | None = None
    channels: str = "rgb"
    fit: str = "letterbox"
    output: str | None = None

    def __post_init__(self) -> None:
        if self.channels not in ("rgb", "bgr"):
            raise ConfigError(f"channels: expected rgb or bgr, got {self.channels}")
        if self.fit not in ("letterbox", "stretch"):
            raise ConfigError(f"fit: expected letterbox or stretch, got {self.fit}")
        if self.size is not None and min(self.size) < 1:
            raise ConfigError(f"size: expected sides of 1 or more, got {self.size}")
        if self.std is not None and min(self.std) <= 0:
            raise ConfigError(f"std: expected numbers above 0, got {self.std}")

    def scaling(self, usual: PixelScaling | None) -> PixelScaling | None:
        """The scaling of pixels.

        Parameters
        ----------
        usual : PixelScaling or None
            Of the network where nothing is set; None for a network that takes bytes.

        Returns
        -------
        PixelScaling or None
            None where pixels stay bytes.
        """
        if self.mean is None and self.std is None and self.scale is None:
            return usual
        known = usual or PixelScaling(1.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        return PixelScaling(
            known.scale if self.scale is None else self.scale,
            known.mean if self.mean is None else self.mean,
            known.std if self.std is None else self.std,
        )


@dataclass(frozen=True, eq=False)
class Canvas:
    """An image laid into the input of a network.

    Attributes
    ----------
    pixels : (h, w, 3) uint8 array
    used : (int, int)
        Height and width of the image within it, from the upper left corner.
    """

    pixels: Array
    used: tuple[int, int]


def lay_out(image: Array, size: tuple[int, int] | None, fit: str = "letterbox") -> Canvas:
    """Resize an image into a network's input, bilinear and antialiased.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
    size : (int, int) or None
        Height and width of the input. None for a network that takes any size: the image keeps its
        own, and its sides are padded or stretched to multiples of 32.
    fit : {"letterbox", "stretch"}

    Returns
    -------
    Canvas
    """
    height, width = image.shape[:2]
    if size is None:
        size = (-(-height // STRIDE) * STRIDE, -(-width // STRIDE) * STRIDE)
        scale = 1.0
    else:
        scale = min(size[0] / height, size[1] / width)
    if fit == "stretch":
        used = size
    else:
        used = (max(1, round(height * scale)), max(1, round(width * scale)))
    pixels = np.full((*size, 3), PADDING, np.uint8)
    seen = image
    if used != (height, width):
        picture = Image.fromarray(np.ascontiguousarray(image))
        seen = np.asarray(picture.resize((used[1], used[0]), Image.Resampling.BILINEAR))
    pixels[: used[0], : used[1]] = seen
    return Canvas(pixels, used)


def map_of_output(
    output: Array, canvas: Canvas, size: tuple[int, int], where: str = ""
) -> NetworkMap:
    """Bring a network's output for a canvas back to the image.

    Parameters
    ----------
    output : (h, w, C) array
        Scores or probabilities for the whole canvas, at any size.
    canvas : Canvas
    size : (int, int)
        Height and width of the image.
    where : str
        Names the image in errors.

    Returns
    -------
    NetworkMap

    Raises
    ------
    InputError
        If the output is neither of scores nor of probabilities.
    """
    whole = canvas.pixels.shape[:2]
    height, width = canvas.used
    if (height, width) != whole:
        values = np.ascontiguousarray(output, dtype=np.float32)
        output = resize_map(values, whole)[:height, :width]
    return fit_values(output, size, where)
