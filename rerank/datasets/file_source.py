"""Images and masks in files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from rerank.datasets.dataset import Sample
from rerank.datasets.image_files import image_orientation, image_size, read_image, read_index_mask
from rerank.datasets.problems import file_error, unreadable_error
from rerank.errors import InputError
from rerank.types import VOID, Array
from rerank.validation import check_label_range


@dataclass(frozen=True)
class FilePair:
    """The files of one image. `labels` is None where there is no mask to read."""

    image: str
    labels: str | None = None


@dataclass(frozen=True)
class FileSource:
    """Images and masks in files, read when they are asked for.

    Attributes
    ----------
    pairs : mapping of str to FilePair
        The files of each image id.
    n_classes : int
        Labels in the files are 0..n_classes-1.
    void_value : int or None
        The value in the files that means void; it becomes 255.
    decode : callable
        Takes a mask's path and returns its values, (H, W) integers. It is a function of a module,
        so that the source can be pickled.
    image_takes_mask_size : bool
        Whether an image of another size than its mask is resampled to the mask's size, where the
        aspect ratios agree to within 2 %. In all other cases two sizes are an error.
    labelled : bool
        False where there are no masks; the labels are then all void.
    """

    pairs: Mapping[str, FilePair]
    n_classes: int
    void_value: int | None = VOID
    decode: Callable[[str], Array] = read_index_mask
    image_takes_mask_size: bool = False
    labelled: bool = True

    def image(self, image_id: str) -> npt.NDArray[np.uint8]:
        """Read the image, and its mask where the mask gives the size."""
        if self.image_takes_mask_size and self.labelled:
            return self.sample(image_id).image
        return read_image(self.pairs[image_id].image)

    def labels(self, image_id: str) -> npt.NDArray[np.uint8]:
        """Read the mask, check its range, and turn its void value into 255."""
        if not self.labelled:
            return np.full(self.image(image_id).shape[:2], VOID, dtype=np.uint8)
        pair = self.pairs[image_id]
        if pair.labels is None:
            raise file_error(
                pair.image,
                "the image has no mask",
                f"add one of the same name or take '{image_id}' off the list",
            )
        values = self.decode(pair.labels)
        try:
            check_label_range(values, self.n_classes, self.void_value)
        except InputError as error:
            remedy = "correct the mask, or the number of classes"
            if np.isin(values, (0, 255)).all():
                remedy += "; if 255 is the foreground, save 1 in its place"
            raise file_error(pair.labels, str(error), remedy) from error
        labels = values.astype(np.uint8)
        if self.void_value is not None and self.void_value != VOID:
            labels[values == self.void_value] = VOID
        return labels

    def sample(self, image_id: str) -> Sample:
        """Read both files and check that their sizes are equal."""
        pair = self.pairs[image_id]
        image = read_image(pair.image)
        if not self.labelled:
            void = np.full(image.shape[:2], VOID, dtype=np.uint8)
            return Sample(image_id, image, void)
        labels = self.labels(image_id)
        if image.shape[:2] != labels.shape:
            if not (self.image_takes_mask_size and _same_shape(image.shape[:2], labels.shape)):
                upright = image_orientation(pair.image) == 1
                raise file_error(
                    pair.labels or image_id,
                    f"the mask is {labels.shape[1]}x{labels.shape[0]} (width x height) and its "
                    f"image {pair.image} is {image.shape[1]}x{image.shape[0]}"
                    + ("" if upright else " as its EXIF data turn it"),
                    "make them the same size"
                    + ("" if upright else ", and save the image without an orientation"),
                )
            size = (labels.shape[1], labels.shape[0])
            picture = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)
            image = np.array(picture)
        return Sample(image_id, image, labels)

    def image_size(self, image_id: str) -> tuple[int, int]:
        """Height and width of the image, or of its mask where that gives the size."""
        pair = self.pairs[image_id]
        by_mask = self.image_takes_mask_size and self.labelled and pair.labels is not None
        if by_mask:
            height, width = self.labels(image_id).shape
            return height, width
        return image_size(pair.image)

    def content_digest(self, image_id: str) -> str:
        """Digest the bytes of both files and the way in which the mask is read."""
        pair = self.pairs[image_id]
        digest = hashlib.blake2b(digest_size=20)
        reading = (
            self.n_classes,
            self.void_value,
            self.decode.__name__,
            self.image_takes_mask_size,
            self.labelled,
        )
        digest.update(repr(reading).encode())
        for path in (pair.image, pair.labels if self.labelled else None):
            content = b"" if path is None else _read_bytes(path)
            digest.update(len(content).to_bytes(8, "little"))
            digest.update(content)
        return digest.hexdigest()


def _same_shape(left: tuple[int, ...], right: tuple[int, ...]) -> bool:
    """Whether two sizes have one aspect ratio, to within 2 %."""
    scale = (left[0] / right[0], left[1] / right[1])
    return abs(scale[0] / scale[1] - 1.0) <= 0.02


def _read_bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        remedy = "put it there or take its id off the list"
        raise unreadable_error(path, "file", error, remedy) from error
