"""What a run reads from outside the store: images, backbone weights, network maps."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from rerank.config import Recipe
from rerank.datasets import Dataset, open_dataset
from rerank.datasets.map_files import MapFile, find_map, map_digest, read_values
from rerank.datasets.map_values import NetworkMap, fit_map
from rerank.datasets.network_maps import MapCheck, MapsFound, check_maps
from rerank.engine.folds import FINAL, Part
from rerank.errors import DataError
from rerank.nets import weights_search
from rerank.types import Array


class Maps(Protocol):
    """The user's network maps, class probabilities of pixels, by image id."""

    def read(self, image_id: str) -> Array:
        """The map of an image, as it was given."""

    def where(self, image_id: str) -> str:
        """What errors call it."""

    def digest(self, image_id: str) -> str:
        """A digest that changes when the map does."""


class WeightFiles(NamedTuple):
    """Files of weights that a recipe's models need, None where they need none.

    Attributes
    ----------
    backbone : str or None
        Of `Recipe.backbone`.
    unary : str or None
        Of `Recipe.unary_backbone`, often the same.
    """

    backbone: str | None = None
    unary: str | None = None

    @classmethod
    def find(cls, recipe: Recipe, data_root: str | None = None) -> WeightFiles:
        """The files that a recipe names: see `rerank.nets.weights_search`.

        Parameters
        ----------
        recipe : Recipe
        data_root : str, optional

        Returns
        -------
        WeightFiles

        Raises
        ------
        DataError
            If a file is nowhere; the message lists where it was looked for.
        """
        own = recipe.unary.weights
        found = _find(recipe.backbone.weights, "backbone.weights", data_root)
        return cls(found, found if own is None else _find(own, "unary.weights", data_root))

    def check(self) -> None:
        """Refuse files that are gone, with a `DataError`."""
        for file in self:
            if file is not None and not Path(file).is_file():
                raise DataError(f"{file}: the backbone's weights are gone; put the file back")


NO_WEIGHTS = WeightFiles()


def map_of(maps: Maps, image_id: str, image: Array, n_classes: int) -> NetworkMap:
    """The network map of an image as class probabilities of its pixels.

    Parameters
    ----------
    maps : Maps
    image_id : str
    image : (H, W, 3) uint8 array
    n_classes : int
        What its number of classes must be.

    Returns
    -------
    NetworkMap

    Raises
    ------
    InputError
        If the map does not fit the image or the classes.
    """
    return fit_map(maps.read(image_id), image.shape[:2], n_classes, maps.where(image_id))


@dataclass(frozen=True)
class RunData:
    """The images of a recipe and what else its stages read.

    Attributes
    ----------
    train, evaluate : Dataset
        Training images and, if any, evaluation images.
    weights : WeightFiles
    maps : Maps or None
        The network maps of all images, where the unaries are made from them.
    auxiliary_maps : tuple of Maps
        Those of further networks, which only stage 2 uses.
    """

    train: Dataset
    evaluate: Dataset | None = None
    weights: WeightFiles = NO_WEIGHTS
    maps: Maps | None = None
    auxiliary_maps: tuple[Maps, ...] = ()
    _image_digests: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return self.train.n_classes

    def check_maps(self) -> list[str]:
        """Check all network maps in files before anything is computed from them.

        Returns
        -------
        list of str
            What is done with the maps, as sentences that are shown once.

        Raises
        ------
        DataError
            If there are problems: it lists them.
        """
        if not isinstance(self.maps, MapFolder):
            return []
        datasets = [d for d in (self.train, self.evaluate) if d is not None]
        for maps in self.auxiliary_maps:
            if isinstance(maps, MapFolder):
                maps.check(datasets, self.n_classes)
        return self.maps.check(datasets, self.n_classes).notes()

    def map_of(self, image_id: str, image: Array) -> NetworkMap:
        """The network map of an image as class probabilities of its pixels.

        Parameters
        ----------
        image_id : str
        image : (H, W, 3) uint8 array

        Returns
        -------
        NetworkMap

        Raises
        ------
        InputError
            If the map does not fit the image or the classes.
        """
        assert self.maps is not None
        return map_of(self.maps, image_id, image, self.n_classes)

    def of(self, part: Part) -> Dataset:
        """The data set that a part's images are in."""
        if part.fold == FINAL and self.evaluate is not None:
            return self.evaluate
        return self.train

    def digests(self, kind: str, part: Part) -> list[str]:
        """Digests of the contents that a stage reads for a part.

        Parameters
        ----------
        kind : {"images", "weights", "unary_weights", "maps", "auxiliary_maps"}
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
        if kind in ("weights", "unary_weights"):
            file = self.weights.backbone if kind == "weights" else self.weights.unary
            return [] if file is None else [_file_digest(file)]
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
    """Network maps as files, of all kinds that `rerank.datasets.map_files` reads."""

    folder: Path

    def read(self, image_id: str) -> Array:
        """The map of an image, as it is in the file."""
        return read_values(find_map(self.folder, image_id))

    def where(self, image_id: str) -> str:
        """Its file."""
        return str(find_map(self.folder, image_id))

    def digest(self, image_id: str) -> str:
        """Of the bytes of its file or data set."""
        return _map_digest(find_map(self.folder, image_id))

    def check(self, datasets: Sequence[Dataset], n_classes: int | None = None) -> MapsFound:
        """Check the maps of all images by their headers, and list all problems at once.

        Parameters
        ----------
        datasets : sequence of Dataset
        n_classes : int, optional
            What the number of classes must be; that of most maps by default.

        Returns
        -------
        MapsFound

        Raises
        ------
        DataError
            If the folder or a map is missing, or a map does not fit its image or the classes.
        """
        if not self.folder.exists():
            raise DataError(
                f"{self.folder}: no folder of network maps; put ID.npy of each image there, or "
                "name another folder with --set unary.probabilities=DIR"
            )
        pairs, problems = [], []
        for dataset in datasets:
            for image_id in dataset.ids:
                try:
                    source = find_map(self.folder, image_id)
                    pairs.append(MapCheck(source, dataset.image_size(image_id)))
                except DataError as error:
                    problems.append(str(error))
        return check_maps(pairs, n_classes, problems)


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
    return RunData(train, evaluate, WeightFiles.find(recipe, data_root), maps, others)


def _map_folder(folder: str, data_root: str | None) -> MapFolder:
    """The folder in the data root, where there is one, or else as given."""
    given = Path(folder)
    beside = given if data_root is None else Path(data_root) / given
    return MapFolder(given if given.exists() and not beside.exists() else beside)


def _find(name: str | None, setting: str, data_root: str | None) -> str | None:
    if name is None:
        return None
    root = None if data_root is None else Path(data_root)
    remedy = f"give its path with --set {setting}=FILE"
    return str(weights_search.find_weights([name], root, remedy))


@functools.cache
def _map_digest(source: MapFile) -> str:
    return map_digest(source)


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
