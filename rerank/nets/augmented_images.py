"""Training images with labels of pixels, randomly scaled, cropped and mirrored."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import torch
from PIL import Image

from rerank.errors import InputError
from rerank.nets.activation_maps import warp_image
from rerank.nets.training_data import Batch
from rerank.types import VOID, Array, IntArray


class LabelledImage(Protocol):
    """An image (H, W, 3) uint8 and its labels (H, W)."""

    @property
    def image(self) -> Array:
        """RGB, (H, W, 3) uint8."""

    @property
    def labels(self) -> Array:
        """Classes or void, (H, W); or shares of classes, (H, W, C) float."""


class LabelledImages(Protocol):
    """Labelled images by index; read when they are asked for, so that they may lie on disk."""

    def __len__(self) -> int:
        """Number of images."""

    def __getitem__(self, index: int, /) -> LabelledImage:
        """Return one image with its labels."""


class AugmentedImages:
    """Training data of a dense network: images with random scale, crop and mirroring.

    Each time an image is drawn it is resized by a random factor, a random window of `crop` is
    cut from it (padded with the mean colour and void where the image is smaller), and it is
    mirrored with probability one half.

    Parameters
    ----------
    samples : sequence of records with `image` and `labels`
        A `rerank.datasets.Dataset`, for one.
    crop : (int, int), optional
        Height and width of the windows. None takes whole images, which must be of equal size,
        and needs `scale` (1, 1).
    scale : (float, float)
        Least and greatest factor, above 0; drawn evenly on a logarithmic scale.
    flip : bool
    ignore_index : int
        Label of void pixels.

    Raises
    ------
    InputError
        If there is no sample, or a setting is out of range.
    """

    def __init__(
        self,
        samples: LabelledImages,
        crop: tuple[int, int] | None = None,
        scale: tuple[float, float] = (1.0, 1.0),
        flip: bool = True,
        ignore_index: int = VOID,
    ) -> None:
        if len(samples) == 0:
            raise InputError("the training data holds no sample")
        if crop is not None and min(crop) < 1:
            raise InputError(f"crop must be two numbers of at least 1, got {crop}")
        if not 0 < scale[0] <= scale[1] < math.inf:
            raise InputError(f"scale must be two rising numbers above 0, got {scale}")
        if crop is None and tuple(scale) != (1.0, 1.0):
            raise InputError(f"a random scale needs a crop, got scale={scale}")
        self.samples, self.crop, self.scale = samples, crop, scale
        self.flip, self.ignore_index = flip, ignore_index

    def __len__(self) -> int:
        return len(self.samples)

    def batch(self, indices: IntArray, rng: np.random.Generator) -> Batch:
        """Return images and labels, augmented at random.

        Parameters
        ----------
        indices : (B,) integer array
        rng : numpy.random.Generator

        Returns
        -------
        Batch
            Images (B, 3, h, w) float32 in 0..255, and labels (B, h, w) int64 or shares of
            classes (B, C, h, w) float32.

        Raises
        ------
        InputError
            If an image and its labels differ in size, or, without a crop, images do. If shares
            of classes come with a crop.
        """
        images, labels = [], []
        for index in indices:
            sample = self.samples[int(index)]
            if sample.image.shape[:2] != sample.labels.shape[:2]:
                raise InputError(
                    f"sample {int(index)}: the image is {sample.image.shape[:2]}, "
                    f"its labels are {sample.labels.shape}"
                )
            if sample.labels.ndim == 3 and self.crop is not None:
                raise InputError("shares of classes cannot be cropped; give labels")
            image, label = self._augment(sample.image, sample.labels, rng)
            images.append(image)
            labels.append(label)
        sizes = {label.shape for label in labels}
        if len(sizes) > 1:
            raise InputError(
                f"images of one batch must be of equal size without a crop, got {sorted(sizes)}"
            )
        inputs = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float()
        return Batch(
            inputs.contiguous(memory_format=torch.channels_last), as_targets(np.stack(labels)), None
        )

    def _augment(
        self, image: Array, labels: Array, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        low, high = (math.log(limit) for limit in self.scale)
        factor = math.exp(rng.uniform(low, high))
        place = rng.random(2)
        mirrored = self.flip and rng.random() < 0.5
        if self.crop is not None:
            height, width = (max(1, round(side * factor)) for side in labels.shape)
            if (height, width) != labels.shape:
                image = warp_image(image, (height, width))
                labels = np.asarray(
                    Image.fromarray(labels.astype(np.int32)).resize(
                        (width, height), Image.Resampling.NEAREST
                    )
                )
            image, labels = self._window(image, labels, self.crop, place)
        if mirrored:
            image, labels = image[:, ::-1], labels[:, ::-1]
        return image, labels

    def _window(
        self, image: Array, labels: Array, crop: tuple[int, int], place: Array
    ) -> tuple[Array, Array]:
        """Cut a window at a relative place, or pad where the image is smaller than it."""
        window = np.empty((*crop, 3), np.uint8)
        window[:] = image.mean(axis=(0, 1)).round()
        truth = np.full(crop, self.ignore_index, np.int64)
        source, target = [], []
        for size, wanted, share in zip(labels.shape, crop, place):
            start = int(share * (abs(size - wanted) + 1))
            length = min(size, wanted)
            source.append(slice(start, start + length) if size > wanted else slice(0, length))
            target.append(slice(0, length) if size > wanted else slice(start, start + length))
        window[target[0], target[1]] = image[source[0], source[1]]
        truth[target[0], target[1]] = labels[source[0], source[1]]
        return window, truth


def as_targets(labels: Array) -> torch.Tensor:
    """Labels of a batch as losses take them.

    Parameters
    ----------
    labels : (B, h, w) integer or (B, h, w, C) float array
        Classes or void, or shares of classes, which need not sum to 1 exactly.

    Returns
    -------
    (B, h, w) int64 or (B, C, h, w) float32 tensor
    """
    if labels.ndim == 3:
        return torch.from_numpy(np.asarray(labels, np.int64))
    shares = np.asarray(labels, np.float32)
    total = shares.sum(axis=3, keepdims=True)
    shares = np.divide(shares, total, out=np.zeros_like(shares), where=total > 0)
    return torch.from_numpy(shares).permute(0, 3, 1, 2).contiguous()
