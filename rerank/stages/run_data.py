"""What a run reads from outside the store: images, backbone weights, network maps."""

from __future__ import annotations

import functools
import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from rerank.config import Recipe
from rerank.datasets import Dataset, open_dataset
from rerank.engine.folds import FINAL, Part
from rerank.errors import DataError
from rerank.nets import weights_search
from rerank.types import FloatArray


class Maps(Protocol):
    """The user's network maps, class probabilities of pixels, by image id."""

    def read(self, image_id: str) -> FloatArray:
        """The map of an image, (H, W, C) or (C, H, W)."""

    def where(self, image_id: str) -> str:
        """What errors call it."""

    def digest(self, image_id: str) -> str:
        """A digest that changes when the map does."""


@dataclass(frozen=True)
class RunData:
    """The images of a recipe and what else its stages read.

    Attributes
    ----------
    train, evaluate : Dataset
        Training images and, if any, evaluation images.
    weights : str or None
        The file of backbone weights.
    maps : Maps or None
        The network maps of all images, where the unaries are made from them.
    auxiliary_maps : tuple of Maps
        Those of further networks, which only stage 2 uses.
    """

    train: Dataset
    evaluate: Dataset | None = None
    weights: str | None = None
    maps: Maps | None = None
    auxiliary_maps: tuple[Maps, ...] = ()
    _image_digests: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return self.train.n_classes

    def of(self, part: Part) -> Dataset:
        """The data set that a part's images are in."""
        if part.name == FINAL and self.evaluate is not None:
            return self.evaluate
        return self.train

    def digests(self, kind: str, part: Part) -> list[str]:
        """Digests of the contents that a stage reads for a part.

        Parameters
        ----------
        kind : {"images", "weights", "maps", "auxiliary_maps"}
            Images and their labels count as one.
        part : Part

        Returns
        -------
        list of str
            Hexadecimal digests, in a fixed order.
        """
        if kind == "images":
            self._digest_images()
            return [self._image_digests[image_id] for image_id in part.image_ids]
        if kind == "weights":
            return [] if self.weights is None else [_file_digest(self.weights)]
        assert self.maps is not None or kind != "maps"
        read = self.auxiliary_maps if kind == "auxiliary_maps" else (self.maps,)
        ids = sorted({*part.image_ids, *part.train_ids})
        return [maps.digest(i) for maps in read if maps is not None for i in ids]

    def _digest_images(self) -> None:
        if self._image_digests:
            return
        for dataset in (self.train, self.evaluate):
            if dataset is not None:
                with ThreadPoolExecutor(4) as pool:
                    found = zip(dataset.ids, pool.map(dataset.content_digest, dataset.ids))
                    self._image_digests.update(found)


@dataclass(frozen=True)
class MapFolder:
    """Network maps as files: `ID.npy`, or `ID.npz` with one array."""

    folder: Path

    def read(self, image_id: str) -> FloatArray:
        """The map of an image."""
        from rerank.datasets.network_maps import read_network_map

        return read_network_map(self._path(image_id))

    def where(self, image_id: str) -> str:
        """Its file."""
        return str(self._path(image_id))

    def digest(self, image_id: str) -> str:
        """Of the bytes of its file."""
        return _file_digest(str(self._path(image_id)))

    def _path(self, image_id: str) -> Path:
        from rerank.datasets.network_maps import network_map_path

        return network_map_path(self.folder, image_id)


def open_data(recipe: Recipe, data_root: str | None = None) -> RunData:
    """Open what the run of a recipe reads from outside the store.

    Parameters
    ----------
    recipe : Recipe
    data_root : str, optional
        Folder of the images, for data sets that are read from disk.

    Returns
    -------
    RunData

    Raises
    ------
    DataError
        If the images or the backbone's weights are missing or unreadable.
    """
    chosen = recipe.dataset
    train = open_dataset(chosen.name, data_root, chosen.train, **chosen.options)
    evaluate = (
        None
        if chosen.evaluate is None
        else open_dataset(chosen.name, data_root, chosen.evaluate, **chosen.options)
    )
    folder = recipe.unary.probabilities if recipe.unary.source == "probabilities" else None
    maps = None if folder is None else _map_folder(folder, data_root)
    others = tuple(_map_folder(other, data_root) for other in recipe.auxiliary.probabilities)
    return RunData(train, evaluate, find_weights(recipe, data_root), maps, others)


def _map_folder(folder: str, data_root: str | None) -> MapFolder:
    """The folder as given, or else in the data root."""
    path = Path(folder)
    if not path.is_dir() and data_root is not None and (Path(data_root) / path).is_dir():
        path = Path(data_root) / path
    return MapFolder(path)


def find_weights(recipe: Recipe, data_root: str | None) -> str | None:
    """The file of backbone weights of a recipe: see `rerank.nets.weights_search`.

    Parameters
    ----------
    recipe : Recipe
    data_root : str or None

    Returns
    -------
    str or None
        None where the recipe names no file.

    Raises
    ------
    DataError
        If the recipe names a file that is nowhere; the message lists where it was looked for.
    """
    if recipe.backbone.weights is None:
        return None
    root = None if data_root is None else Path(data_root)
    remedy = "give its path with --set backbone.weights=FILE"
    return str(weights_search.find_weights([recipe.backbone.weights], root, remedy))


@functools.cache
def _file_digest(path: str) -> str:
    digest = hashlib.blake2b()
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    return digest.hexdigest()
