"""The training data that the training loop draws its batches from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from rerank.errors import InputError
from rerank.types import Array, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class KeptInputs:
    """Images with the activations of a frozen backbone, which a `DenseFCN` then need not compute.

    Attributes
    ----------
    images : (B, 3, H, W) tensor
        RGB in 0..255.
    activations : tuple of (B, D_l, h_l, w_l) tensors
        Of the network's skip layers, in its order.
    """

    images: Tensor
    activations: tuple[Tensor, ...]

    def to(self, device: str | torch.device, non_blocking: bool = False) -> KeptInputs:
        """Return the same on a device.

        Parameters
        ----------
        device : str or torch.device
        non_blocking : bool
            As in `torch.Tensor.to`.

        Returns
        -------
        KeptInputs
        """
        return KeptInputs(
            self.images.to(device, non_blocking=non_blocking),
            tuple(a.to(device, non_blocking=non_blocking) for a in self.activations),
        )


@dataclass(frozen=True, eq=False)
class Batch:
    """Inputs (B, ...), targets (B, H, W) or (B, C, H, W), and weights (B, H, W) or None."""

    inputs: Tensor | KeptInputs
    targets: Tensor
    weights: Tensor | None


class TrainingData(Protocol):
    """Samples by index; all chance comes from the generator that is handed in."""

    def __len__(self) -> int:
        """Number of samples in an epoch."""

    def batch(self, indices: IntArray, rng: np.random.Generator) -> Batch:
        """Return some samples, augmented at random.

        Parameters
        ----------
        indices : (B,) integer array
        rng : numpy.random.Generator

        Returns
        -------
        Batch
        """


class CoarseData:
    """Inputs and soft targets of a coarse grid, held as arrays.

    Parameters
    ----------
    inputs : (N, D, gh, gw) float array or (N, H, W, 3) uint8 array
        Kept activations, or warped RGB images.
    targets : (N, gh, gw, C) float array
        From `soft_target`.
    weights : (N, gh, gw) float array, optional
        From `labelled_share`.
    flipped : array like `inputs`, optional
        The inputs of the mirrored images; with them each sample is mirrored with probability
        one half. Images are mirrored by the class itself, if `flip` is set.
    flip : bool
        Mirror images at random.

    Raises
    ------
    InputError
        If there is no sample, shapes don't fit, or `flip` is set for activations, whose mirror
        image is not known.
    """

    def __init__(
        self,
        inputs: Array,
        targets: FloatArray,
        weights: FloatArray | None = None,
        flipped: Array | None = None,
        flip: bool = False,
    ) -> None:
        n = len(inputs)
        if n == 0 or inputs.ndim != 4:
            raise InputError(
                f"inputs must be (N, D, h, w) activations or (N, H, W, 3) images, "
                f"N at least 1, got {inputs.shape}"
            )
        self.are_images = inputs.dtype == np.uint8
        if targets.ndim != 4 or len(targets) != n:
            raise InputError(f"targets must be ({n}, h, w, C), got {targets.shape}")
        if not self.are_images and targets.shape[1:3] != inputs.shape[2:]:
            raise InputError(
                f"targets have a grid of {targets.shape[1:3]}, the activations of "
                f"{inputs.shape[2:]}"
            )
        if weights is not None and weights.shape != targets.shape[:3]:
            raise InputError(f"weights must be {targets.shape[:3]}, got {weights.shape}")
        if flipped is not None and flipped.shape != inputs.shape:
            raise InputError(f"flipped must be {inputs.shape}, got {flipped.shape}")
        if flip and not self.are_images:
            raise InputError(
                "activations cannot be mirrored; give those of mirrored images as `flipped`"
            )
        self.inputs, self.targets, self.weights = inputs, targets, weights
        self.flipped, self.flip = flipped, flip

    def __len__(self) -> int:
        return len(self.inputs)

    def batch(self, indices: IntArray, rng: np.random.Generator) -> Batch:
        """Return some samples, mirrored at random (see `TrainingData.batch`).

        Parameters
        ----------
        indices : (B,) integer array
        rng : numpy.random.Generator

        Returns
        -------
        Batch
        """
        inputs = np.asarray(self.inputs[indices])
        targets = np.asarray(self.targets[indices], np.float32)
        weights = None
        if self.weights is not None:
            weights = np.asarray(self.weights[indices], np.float32)
        if self.flip or self.flipped is not None:
            mirrored = rng.random(len(indices)) < 0.5
            if self.flipped is not None:
                inputs[mirrored] = self.flipped[indices[mirrored]]
            else:
                inputs[mirrored] = inputs[mirrored, :, ::-1]
            targets[mirrored] = targets[mirrored, :, ::-1]
            if weights is not None:
                weights[mirrored] = weights[mirrored, :, ::-1]
        x = torch.from_numpy(inputs)
        if self.are_images:
            x = x.permute(0, 3, 1, 2)
        return Batch(
            x.float().contiguous(memory_format=torch.channels_last),
            torch.from_numpy(targets).permute(0, 3, 1, 2),
            None if weights is None else torch.from_numpy(weights),
        )
