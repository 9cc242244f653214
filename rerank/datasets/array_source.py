"""A data set of arrays in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rerank.datasets.dataset import Dataset, Sample
from rerank.errors import InputError
from rerank.types import VOID, Array
from rerank.validation import check_label_range


@dataclass(frozen=True, eq=False)
class ArraySource:
    """Images and their labels by id: (H, W, 3) and (H, W) uint8 arrays."""

    images: Mapping[str, npt.NDArray[np.uint8]]
    masks: Mapping[str, npt.NDArray[np.uint8]]

    @property
    def labelled(self) -> bool:
        """Always: labels are given."""
        return True

    def image(self, image_id: str) -> npt.NDArray[np.uint8]:
        """The picture, (H, W, 3) uint8."""
        return self.images[image_id]

    def labels(self, image_id: str) -> npt.NDArray[np.uint8]:
        """The mask, (H, W) uint8."""
        return self.masks[image_id]

    def sample(self, image_id: str) -> Sample:
        """Both."""
        return Sample(image_id, self.images[image_id], self.masks[image_id])

    def image_size(self, image_id: str) -> tuple[int, int]:
        """Height and width of the picture."""
        height, width, _ = self.images[image_id].shape
        return height, width

    def content_digest(self, image_id: str) -> str:
        """Of the bytes of both."""
        digest = hashlib.blake2b(digest_size=20)
        for array in (self.images[image_id], self.masks[image_id]):
            digest.update(repr(array.shape).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def array_dataset(
    images: Sequence[Array],
    labels: Sequence[Array],
    class_names: Sequence[str],
    background: int | None = None,
    ordered: bool = False,
) -> Dataset:
    """A `Dataset` of arrays, with the ids `000000`, `000001`, ...

    Parameters
    ----------
    images : sequence of (H, W, 3) uint8 arrays
    labels : sequence of (H, W) int arrays
        Classes 0..C-1, and 255 for void.
    class_names : sequence of C str
    background : int, optional
        The class that is what is left over.
    ordered : bool
        Whether neighbours are alike, as in video.

    Returns
    -------
    Dataset
        Its split is `train`.

    Raises
    ------
    InputError
        If there are not as many labels as images, or shapes, dtypes or labels are wrong.
    """
    if len(images) != len(labels):
        raise InputError(f"there are {len(images)} images and {len(labels)} label maps")
    ids = tuple(f"{index:06d}" for index in range(len(images)))
    pictures, masks = {}, {}
    for image_id, image, mask in zip(ids, images, labels):
        where = f"image {int(image_id)}"
        picture, values = np.asarray(image), np.asarray(mask)
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise InputError(
                f"{where}: expected (H, W, 3) uint8, got {picture.shape} {picture.dtype}"
            )
        if values.shape != picture.shape[:2]:
            raise InputError(f"{where}: is {picture.shape[:2]}, and its labels {values.shape}")
        check_label_range(values, len(class_names), VOID, where)
        pictures[image_id], masks[image_id] = picture, values.astype(np.uint8)
    return Dataset(
        "arrays",
        "train",
        ids,
        tuple(class_names),
        ArraySource(pictures, masks),
        background,
        ordered,
    )
