"""What dense networks of a table learn from and are judged on, with labels brought to size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from rerank.datasets import Dataset, open_dataset
from rerank.errors import DataError
from rerank.experiments.table_definition import Scope
from rerank.nets import soft_target
from rerank.nets.activation_maps import warp_image
from rerank.nets.kept_activations import resize_labels
from rerank.types import Array, FloatArray, IntArray


@dataclass(frozen=True)
class DenseNetworkSetting:
    """What all rows of a table of dense networks share.

    Attributes
    ----------
    dataset : str
        Trained on its split `train`, measured on `val`.
    size, full_size : (int, int)
        Height and width that images are brought to; at full size those of the random windows.
    batch_size : int
    full_factor : float
        Factor on the epochs at full size.
    full_scales : (float, float)
        Least and greatest random scale of the windows at full size.
    architecture : str
    train_backbone : bool
        Train the backbone at the small size too.
    backbone_factor : float
        Factor on its learning rate, where it is trained.
    by_sequences : bool
        Judge each recording of `train` and `val` by a network that learned from the others.
    void_class : bool
        Learn void as a class of its own, which is never predicted; void is else left out.
    soft_labels : bool
        At the small size, learn the shares of classes in each cell instead of the nearest label.
    options : mapping
        Of the data set.
    """

    dataset: str
    size: tuple[int, int]
    full_size: tuple[int, int]
    batch_size: int = 8
    full_factor: float = 3.0
    full_scales: tuple[float, float] = (0.5, 2.0)
    architecture: str = "squeezenet1_0"
    train_backbone: bool = False
    backbone_factor: float = 0.1
    by_sequences: bool = False
    void_class: bool = False
    soft_labels: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


class Round(NamedTuple):
    """Images that one network learns from, and those that it is judged on."""

    learn: Dataset
    judge: Dataset


def rounds_of(scope: Scope, setting: DenseNetworkSetting) -> tuple[Round, ...]:
    """One round of `train` and `val`, or one for each recording.

    Parameters
    ----------
    scope : Scope
    setting : DenseNetworkSetting

    Returns
    -------
    tuple of Round

    Raises
    ------
    DataError
        If the data set is not where it should be, or has no recordings where they are asked for.
    """
    if not setting.by_sequences:
        train, val = (
            open_dataset(setting.dataset, scope.data_root, split, **setting.options)
            for split in ("train", "val")
        )
        return (Round(train, val),)
    both = open_dataset(setting.dataset, scope.data_root, "trainval", **setting.options)
    sequences = both.sequences()
    if not both.moments or sequences.max() == 0:
        raise DataError(f"{setting.dataset}: is not known to hold two recordings or more")
    return tuple(
        Round(*(both.subset(_some(both, chosen)) for chosen in (sequences != k, sequences == k)))
        for k in range(int(sequences.max()) + 1)
    )


def _some(dataset: Dataset, chosen: Array) -> tuple[str, ...]:
    return tuple(image_id for image_id, one in zip(dataset.ids, chosen) if one)


class _Prepared(NamedTuple):
    image: Array
    labels: Array


class PreparedSamples:
    """Images of a data set with labels as the network learns them (see `LabelledImages`).

    Parameters
    ----------
    dataset : Dataset
    size : (int, int) or None
        Height and width that images and labels are brought to; None leaves them as they are.
    void_class : bool
        Void becomes the class behind the last.
    soft_labels : bool
        Labels are shares of classes, (h, w, C) float16, where they are brought to size.
    """

    def __init__(
        self,
        dataset: Dataset,
        size: tuple[int, int] | None,
        void_class: bool = False,
        soft_labels: bool = False,
    ) -> None:
        self.dataset, self.size = dataset, size
        self.void_class, self.soft_labels = void_class, soft_labels

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> _Prepared:
        sample = self.dataset[index]
        n_classes, ignored = self.dataset.n_classes, self.dataset.ignore_index
        labels: Array = sample.labels
        if self.void_class:
            labels = np.where(labels == ignored, n_classes, labels).astype(np.uint8)
            n_classes += 1
        if self.size is None:
            return _Prepared(sample.image, labels)
        image = warp_image(sample.image, self.size)
        if self.soft_labels:
            shares = soft_target(labels, self.size, n_classes, ignored)
            return _Prepared(image, shares.astype(np.float16))
        return _Prepared(image, resize_labels(labels, self.size).astype(np.uint8))


def log_odds(dataset: Dataset) -> FloatArray:
    """Log-odds of each class among the labelled pixels, (C,) float64; 1e-6 stands for none.

    Parameters
    ----------
    dataset : Dataset
    """
    pixels: IntArray = np.zeros(dataset.n_classes, dtype=np.int64)
    for image_id in dataset.ids:
        labels = dataset.labels(image_id)
        kept = labels[labels != dataset.ignore_index]
        pixels += np.bincount(kept, minlength=dataset.n_classes)
    share = np.clip(pixels / max(int(pixels.sum()), 1), 1e-6, 1 - 1e-6)
    found: FloatArray = np.log(share) - np.log1p(-share)
    return found
