"""A data set: the ids of one split, and the way from an id to an image and its labels."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Optional, Protocol, SupportsIndex, Union

import numpy as np
import numpy.typing as npt
from PIL import Image

from rerank.datasets.finding import file_error
from rerank.datasets.palettes import Palette, voc_palette
from rerank.datasets.reading import read_image, read_index_mask
from rerank.errors import InputError
from rerank.types import VOID, Array
from rerank.validation import check_label_range


@dataclass(frozen=True, eq=False)
class Sample:
    """One image and its labels.

    Attributes
    ----------
    image_id : str
        Name of the image within its data set.
    image : ndarray of shape (H, W, 3), uint8
        Red, green and blue.
    labels : ndarray of shape (H, W), uint8
        A class 0..n_classes-1 a pixel, or 255 for void. All void where the data set has no
        labels.
    """

    image_id: str
    image: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]


class Source(Protocol):
    """Where a data set's pictures come from: files, or a program that draws them."""

    @property
    def labelled(self) -> bool:
        """Whether there are masks."""

    def image(self, image_id: str) -> npt.NDArray[np.uint8]:
        """Return the picture, (H, W, 3) uint8."""

    def labels(self, image_id: str) -> npt.NDArray[np.uint8]:
        """Return the mask, (H, W) uint8."""

    def sample(self, image_id: str) -> Sample:
        """Return both, checked to be of one size."""

    def content_digest(self, image_id: str) -> str:
        """Return a digest that changes when the picture or the mask does."""


@dataclass(frozen=True)
class FilePair:
    """The files of one image. `labels` is None where there is no mask to read."""

    image: str
    labels: Optional[str] = None


@dataclass(frozen=True)
class FileSource:
    """Pictures and masks in files, read when they are asked for.

    Attributes
    ----------
    pairs : mapping of image id to `FilePair`
    n_classes : int
        Labels in the files are 0..n_classes-1.
    void_value : int or None
        The value in the files that means void; it becomes 255.
    decode : function of a path
        Reads a mask's file; a function of a module, so that the source can be pickled.
    image_takes_mask_size : bool
        Whether the picture is resampled to its mask's size, where the two differ in size and
        agree in shape to within 2 %. Otherwise another size is an error.
    labelled : bool
        False where masks are not asked for; the labels are then all void.
    """

    pairs: Mapping[str, FilePair]
    n_classes: int
    void_value: Optional[int] = VOID
    decode: Callable[[str], Array] = read_index_mask
    image_takes_mask_size: bool = False
    labelled: bool = True

    def image(self, image_id: str) -> npt.NDArray[np.uint8]:
        """Read the picture alone (and its mask where that gives the size)."""
        if self.image_takes_mask_size and self.labelled:
            return self.sample(image_id).image
        return read_image(self.pairs[image_id].image)

    def labels(self, image_id: str) -> npt.NDArray[np.uint8]:
        """Read the mask alone, check its range, and turn its void value into 255."""
        if not self.labelled:
            return np.full(self.image(image_id).shape[:2], VOID, dtype=np.uint8)
        pair = self.pairs[image_id]
        if pair.labels is None:
            raise file_error(
                pair.image, "the image has no mask",
                f"add one of the same name or take '{image_id}' off the list"
            )
        values = self.decode(pair.labels)
        try:
            check_label_range(values, self.n_classes, self.void_value)
        except InputError as error:
            raise file_error(
                pair.labels, str(error), "correct the mask, or the number of classes"
            ) from error
        labels = values.astype(np.uint8)
        if self.void_value is not None and self.void_value != VOID:
            labels[values == self.void_value] = VOID
        return labels

    def sample(self, image_id: str) -> Sample:
        """Read both files and check that they are of one size."""
        pair = self.pairs[image_id]
        image = read_image(pair.image)
        if not self.labelled:
            void = np.full(image.shape[:2], VOID, dtype=np.uint8)
            return Sample(image_id, image, void)
        labels = self.labels(image_id)
        if image.shape[:2] != labels.shape:
            if not (self.image_takes_mask_size and _same_shape(image.shape[:2], labels.shape)):
                raise file_error(
                    pair.labels or image_id,
                    f"the mask is {labels.shape[1]}x{labels.shape[0]} (width x height) and its "
                    f"image {pair.image} is {image.shape[1]}x{image.shape[0]}",
                    "make them the same size"
                )
            size = (labels.shape[1], labels.shape[0])
            picture = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)
            image = np.array(picture)
        return Sample(image_id, image, labels)

    def content_digest(self, image_id: str) -> str:
        """Digest the bytes of both files and the way in which the mask is read."""
        pair = self.pairs[image_id]
        digest = hashlib.blake2b(digest_size=20)
        reading = (self.n_classes, self.void_value, self.decode.__name__,
                   self.image_takes_mask_size, self.labelled)
        digest.update(repr(reading).encode())
        for path in (pair.image, pair.labels if self.labelled else None):
            content = b"" if path is None else _read_bytes(path)
            digest.update(len(content).to_bytes(8, "little"))
            digest.update(content)
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Dataset:
    """The images of one split, read when they are asked for.

    It holds ids and paths and no pixels, so that it is cheap to pickle and to send to a worker.

    Attributes
    ----------
    name, split : str
        As given to `open_dataset`.
    ids : tuple of str
        Names of the images, each once, in the order of the split's list.
    class_names : tuple of str
        One name a class; its length is `n_classes`.
    source : Source
        Where pictures and masks come from.
    background : int or None
        The class that is what is left over (0 for VOC and horses), None where no class is.
    ordered : bool
        Whether neighbours in `ids` are alike, as in video, so that folds must be contiguous.
    palette : ndarray of shape (256, 3), uint8
        Colour of each label.
    ignore_index : int
        The label of void in what is read; always 255, whatever the files say.

    Examples
    --------
    >>> from rerank.datasets import open_dataset
    >>> scenes = open_dataset("scenes", split="val", n_images=3)
    >>> len(scenes), scenes[0].image.dtype, scenes[0].image.shape == scenes[0].labels.shape + (3,)
    (3, dtype('uint8'), True)
    """

    name: str
    split: str
    ids: tuple[str, ...]
    class_names: tuple[str, ...]
    source: Source
    background: Optional[int] = None
    ordered: bool = False
    palette: Palette = field(default_factory=voc_palette, repr=False)
    ignore_index: int = VOID

    @property
    def n_classes(self) -> int:
        """Number of classes, void not counted."""
        return len(self.class_names)

    @property
    def labelled(self) -> bool:
        """Whether there are masks; without them labels are all void."""
        return self.source.labelled

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Sample]:
        return (self.source.sample(image_id) for image_id in self.ids)

    def __getitem__(self, key: Union[str, SupportsIndex]) -> Sample:
        image_id = key if isinstance(key, str) else self.ids[operator.index(key)]
        return self.source.sample(self._known(image_id))

    def image(self, image_id: str) -> npt.NDArray[np.uint8]:
        """Read one picture.

        Parameters
        ----------
        image_id : str, one of `ids`

        Returns
        -------
        ndarray of shape (H, W, 3), uint8

        Raises
        ------
        InputError
            `image_id` is not in the data set.
        DataError
            The file is missing or damaged.
        """
        return self.source.image(self._known(image_id))

    def labels(self, image_id: str) -> npt.NDArray[np.uint8]:
        """Read one mask; its size is not compared with the picture's, as indexing does.

        Parameters
        ----------
        image_id : str, one of `ids`

        Returns
        -------
        ndarray of shape (H, W), uint8
            Classes 0..n_classes-1, and 255 for void.

        Raises
        ------
        InputError
            `image_id` is not in the data set.
        DataError
            The mask is missing or damaged, or holds a label out of range.
        """
        return self.source.labels(self._known(image_id))

    def content_digest(self, image_id: str) -> str:
        """Digest what one image is made of, for a key that must change when the content does.

        Parameters
        ----------
        image_id : str, one of `ids`

        Returns
        -------
        str
            40 hexadecimal digits of BLAKE2b over the bytes of both files and the way in which
            they are read, or over the parameters of the program that draws the image.

        Raises
        ------
        InputError
            `image_id` is not in the data set.
        DataError
            A file is missing or cannot be read.
        """
        return self.source.content_digest(self._known(image_id))

    def subset(self, ids: tuple[str, ...]) -> Dataset:
        """Return the same data set with only these ids, in this order.

        Parameters
        ----------
        ids : sequence of str, each one of `ids` and given once

        Returns
        -------
        Dataset

        Raises
        ------
        InputError
            An id is unknown or given twice.
        """
        chosen = tuple(ids)
        for image_id in chosen:
            self._known(image_id)
        if len(set(chosen)) != len(chosen):
            raise InputError(f"{self.name}/{self.split}: an id is given twice to subset")
        return dataclasses.replace(self, ids=chosen)

    @functools.cached_property
    def _id_set(self) -> frozenset[str]:
        return frozenset(self.ids)

    def _known(self, image_id: str) -> str:
        if image_id not in self._id_set:
            raise InputError(self._unknown(image_id))
        return image_id

    def _unknown(self, image_id: str) -> str:
        some = ", ".join(self.ids[:3])
        return (
            f"{self.name}/{self.split}: no image '{image_id}' among its {len(self.ids)} "
            f"(the first are {some})"
        )


def _same_shape(left: tuple[int, ...], right: tuple[int, ...]) -> bool:
    """Whether two sizes have one aspect ratio, to within 2 %."""
    scale = (left[0] / right[0], left[1] / right[1])
    return abs(scale[0] / scale[1] - 1.0) <= 0.02


def _read_bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise file_error(
            path, f"the file cannot be read ({error.strerror or error})",
            "put it there or take its id off the list"
        ) from error
