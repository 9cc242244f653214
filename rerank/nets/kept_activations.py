"""Training data whose activations of a frozen backbone are computed once and kept."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image

from rerank.errors import InputError
from rerank.nets.activation_maps import images_to_tensor, torch_threads, warp_image
from rerank.nets.augmented_images import LabelledImages, as_targets
from rerank.nets.dense_fcn import DenseFCN
from rerank.nets.devices import device_of
from rerank.nets.training_data import Batch, KeptInputs
from rerank.types import Array, FloatArray, IntArray


class KeptActivations:
    """Training data of a `DenseFCN` whose backbone is frozen (see `TrainingData`).

    An epoch then costs what is trained and no more. The images come as they are and mirrored, at
    one size; random scales would need the backbone again. Activations are kept in float16: some
    4 MB an image of 240x180 pixels with SqueezeNet, mirrored included.

    Parameters
    ----------
    net : DenseFCN
        Whose backbone to run.
    samples : sequence of records with `image` and `labels`
        A `rerank.datasets.Dataset`, for one.
    size : (int, int)
        Height and width that images and labels are resized to, labels to the nearest. Shares of
        classes, (h, w, C) float, must have that size.
    flip : bool
        Draw each image mirrored with probability one half.
    n_threads : int, optional
        Threads of torch while the activations are computed.
    progress : callable, optional
        Called with the number of images done.

    Raises
    ------
    InputError
        If there is no sample, an image and its labels differ in size, or the backbone trains.
    """

    def __init__(
        self,
        net: DenseFCN,
        samples: LabelledImages,
        size: tuple[int, int],
        flip: bool = True,
        n_threads: int | None = 1,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        if len(samples) == 0:
            raise InputError("the training data holds no sample")
        if net.backbone_trains:
            raise InputError(
                "activations can be kept of a frozen backbone alone; make the net "
                "with train_backbone=False"
            )
        self.flip = flip
        self._rows: IntArray = np.arange(len(samples))
        self.images = np.empty((len(samples), *size, 3), np.uint8)
        self._kept: tuple[tuple[FloatArray, ...], ...] = ()
        for index in range(len(samples)):
            sample = samples[index]
            if sample.image.shape[:2] != sample.labels.shape[:2]:
                raise InputError(
                    f"sample {index}: the image is {sample.image.shape[:2]}, its "
                    f"labels are {sample.labels.shape}"
                )
            self.images[index] = warp_image(sample.image, size)
            labels = (
                sample.labels if sample.labels.ndim == 3 else resize_labels(sample.labels, size)
            )
            if labels.shape[:2] != tuple(size):
                raise InputError(f"sample {index}: shares of classes must be {size[0]}x{size[1]}")
            if index == 0:
                self.labels: Array = np.empty((len(samples), *labels.shape), labels.dtype)
            self.labels[index] = labels
            images = images_to_tensor([self.images[index]], size).to(device_of(net))
            views = [images, images.flip(3)] if flip else [images]
            with torch_threads(n_threads), torch.inference_mode():
                found = [net.skip_activations(view) for view in views]
            if not self._kept:
                self._kept = tuple(
                    tuple(np.empty((len(samples), *layer.shape[1:]), np.float16) for layer in view)
                    for view in found
                )
            for arrays, view in zip(self._kept, found):
                for array, layer in zip(arrays, view):
                    array[index] = layer[0].cpu().numpy()
            if progress is not None:
                progress(index + 1)

    def __len__(self) -> int:
        return len(self._rows)

    def subset(self, indices: IntArray) -> KeptActivations:
        """Return training data of some of the images, by index; what is kept is shared.

        Raises
        ------
        InputError
            If there is no index, or one is out of range.
        """
        rows = np.asarray(indices)
        if rows.size == 0 or rows.min() < 0 or rows.max() >= len(self):
            raise InputError(f"indices must be among 0..{len(self) - 1} and not empty")
        some = copy.copy(self)
        some._rows = self._rows[rows]
        return some

    def batch(self, indices: IntArray, rng: np.random.Generator) -> Batch:
        """Return images with their activations, and labels; some of them mirrored.

        Parameters
        ----------
        indices : (B,) integer array
        rng : numpy.random.Generator

        Returns
        -------
        Batch
            `KeptInputs`, and labels (B, h, w) int64 or shares of classes (B, C, h, w) float32.
        """
        mirrored = rng.random(len(indices)) < 0.5
        if not self.flip:
            mirrored[:] = False
        return self._take(indices, mirrored)

    def inputs(self, index: int) -> KeptInputs:
        """Return one image as it is, as a batch of its own."""
        found = self._take(np.array([index]), np.zeros(1, bool)).inputs
        assert isinstance(found, KeptInputs)
        return found

    def _take(self, indices: IntArray, mirrored: Array) -> Batch:
        indices = self._rows[indices]
        images, labels = self.images[indices], self.labels[indices]
        images[mirrored] = images[mirrored, :, ::-1]
        labels[mirrored] = labels[mirrored, :, ::-1]
        activations = []
        for layer in range(len(self._kept[0])):
            values = self._kept[0][layer][indices]
            if mirrored.any():
                values[mirrored] = self._kept[1][layer][indices[mirrored]]
            activations.append(
                torch.from_numpy(values).float().contiguous(memory_format=torch.channels_last)
            )
        pictures = torch.from_numpy(images).permute(0, 3, 1, 2).float()
        return Batch(KeptInputs(pictures, tuple(activations)), as_targets(labels), None)


def resize_labels(labels: Array, size: tuple[int, int]) -> IntArray:
    """Resize labels by taking the nearest pixel's.

    Parameters
    ----------
    labels : (H, W) integer array
    size : (int, int)
        Height and width of the result.

    Returns
    -------
    size int64 array
    """
    if labels.shape == tuple(size):
        return np.asarray(labels, np.int64)
    picture = Image.fromarray(np.asarray(labels, np.int32))
    nearest = picture.resize((size[1], size[0]), Image.Resampling.NEAREST)
    return np.asarray(nearest, np.int64)
