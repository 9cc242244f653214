"""A data set: the ids of one split, and a source that reads an id's image and labels."""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, SupportsIndex

import numpy as np
import numpy.typing as npt

from rerank.datasets.palettes import Palette, voc_palette
from rerank.errors import InputError
from rerank.types import VOID


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
        The class of each pixel, 0..n_classes-1, or 255 for void. All void where the data set has
        no labels.
    """

    image_id: str
    image: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]


class Moment(NamedTuple):
    """When an image of a video was taken.

    Attributes
    ----------
    sequence : str
        The recording.
    seconds : float
        From its start.
    """

    sequence: str
    seconds: float


class Source(Protocol):
    """What reads or draws the images and masks of a data set."""

    @property
    def labelled(self) -> bool:
        """Whether there are masks."""

    def image(self, image_id: str) -> npt.NDArray[np.uint8]:
        """Return the image, (H, W, 3) uint8."""

    def labels(self, image_id: str) -> npt.NDArray[np.uint8]:
        """Return the mask, (H, W) uint8."""

    def sample(self, image_id: str) -> Sample:
        """Return both; they have one size."""

    def image_size(self, image_id: str) -> tuple[int, int]:
        """Return the height and width of the image, without decoding it where it is a file."""

    def content_digest(self, image_id: str) -> str:
        """Return a digest that changes when the image or the mask does."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """The images of one split, each read when it is asked for.

    A data set holds ids and paths and no pixels, so that it is cheap to pickle and to send to a
    worker.

    Attributes
    ----------
    name, split : str
        As given to `open_dataset`.
    ids : tuple of str
        Names of the images, each once, in the order of the split's list.
    class_names : tuple of str
        One name per class; their number is `n_classes`.
    source : Source
        Reads or draws the images and masks.
    background : int or None
        The class of what belongs to no other class (0 for VOC and horses); None where there is
        no such class.
    ordered : bool
        Whether neighbours in `ids` are alike, as in video, so that folds must be contiguous.
    palette : ndarray of shape (256, 3), uint8
        Colour of each label.
    ignore_index : int
        The label of void in what is read; always 255, whatever the files say.
    moments : mapping of id to Moment
        When each image was taken; empty for data sets that are no video.

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
    background: int | None = None
    ordered: bool = False
    palette: Palette = field(default_factory=voc_palette, repr=False)
    ignore_index: int = VOID
    moments: Mapping[str, Moment] = field(default_factory=dict, repr=False)

    @property
    def n_classes(self) -> int:
        """Number of classes, void not counted."""
        return len(self.class_names)

    @property
    def labelled(self) -> bool:
        """Whether there are masks; without them labels are all void."""
        return self.source.labelled

    def sequences(self) -> npt.NDArray[np.int64]:
        """The recording of each image, (N,) int64, 0..S-1; without one each image is its own."""
        names = [self.moments[i].sequence if i in self.moments else i for i in self.ids]
        return np.unique(names, return_inverse=True)[1].astype(np.int64)

    def blocks(self, seconds: float = 5.0) -> npt.NDArray[np.int64]:
        """Images that are alike for being taken within a few seconds of each other.

        Parameters
        ----------
        seconds : float
            Length of a block of a recording, above 0.

        Returns
        -------
        (N,) int64 array
            The block of each image, 0..B-1; each image its own block where there are no moments.
        """
        names = []
        for image_id in self.ids:
            at = self.moments.get(image_id)
            names.append((image_id, -1) if at is None else (at.sequence, int(at.seconds / seconds)))
        numbers = {name: k for k, name in enumerate(dict.fromkeys(names))}
        return np.array([numbers[name] for name in names], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Sample]:
        return (self.source.sample(image_id) for image_id in self.ids)

    def __getitem__(self, key: str | SupportsIndex) -> Sample:
        image_id = key if isinstance(key, str) else self.ids[operator.index(key)]
        return self.source.sample(self._known(image_id))

    def image(self, image_id: str) -> npt.NDArray[np.uint8]:
        """Read one image.

        Parameters
        ----------
        image_id : str
            One of `ids`.

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
        """Read one mask, without comparing its size with the image's, as indexing does.

        Parameters
        ----------
        image_id : str
            One of `ids`.

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

    def image_size(self, image_id: str) -> tuple[int, int]:
        """Height and width of one image, from the header of its file.

        Parameters
        ----------
        image_id : str
            One of `ids`.

        Returns
        -------
        (int, int)

        Raises
        ------
        InputError
            `image_id` is not in the data set.
        DataError
            The file is missing or not an image.
        """
        return self.source.image_size(self._known(image_id))

    def content_digest(self, image_id: str) -> str:
        """Digest the files or settings of one image, for a key that changes with the content.

        Parameters
        ----------
        image_id : str
            One of `ids`.

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
        ids : tuple of str
            Each one of `ids` and given once.

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
