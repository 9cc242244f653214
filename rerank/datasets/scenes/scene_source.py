"""The embedded data set: scenes that the program draws, as many as asked for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from rerank.datasets.dataset import Dataset, Sample
from rerank.datasets.file_pairs import Listing
from rerank.datasets.image_files import PathLike
from rerank.datasets.palettes import palette_of
from rerank.datasets.scenes.composition import draw_scene
from rerank.datasets.scenes.objects import SceneClass
from rerank.errors import InputError

#: Raised whenever the drawing changes, so that nothing computed from older pictures is reused.
DRAWING_VERSION = 1

#: Number of images of each split where none is given, and the split's part of the seed.
SPLITS = MappingProxyType({"train": (80, 0), "val": (40, 1), "test": (40, 2)})

COLOURS = {
    SceneClass.BACKGROUND: (0, 0, 0),
    SceneClass.GRASS: (96, 160, 48),
    SceneClass.WATER: (48, 112, 192),
    SceneClass.ROAD: (144, 144, 144),
    SceneClass.TREE: (0, 96, 48),
    SceneClass.BUSH: (160, 208, 112),
    SceneClass.HOUSE: (176, 48, 48),
    SceneClass.WALL: (224, 160, 112),
    SceneClass.CAR: (240, 208, 32),
    SceneClass.BOAT: (240, 112, 16),
    SceneClass.COW: (112, 64, 144),
    SceneClass.DOG: (224, 128, 208),
}


@dataclass(frozen=True)
class SceneSource:
    """Draws an image of an id whenever it is asked for.

    Attributes
    ----------
    split : str
    height, width : int
    seed : int
    """

    split: str
    height: int
    width: int
    seed: int
    labelled: bool = True

    def sample(self, image_id: str) -> Sample:
        """Draw the scene of an id, the same at every call."""
        index = int(image_id.rpartition("_")[2])
        rng = np.random.default_rng([self.seed, SPLITS[self.split][1], index])
        image, labels = draw_scene(self.height, self.width, rng)
        return Sample(image_id, image, labels)

    def image(self, image_id: str) -> npt.NDArray[np.uint8]:
        """Draw the scene and return the picture."""
        return self.sample(image_id).image

    def labels(self, image_id: str) -> npt.NDArray[np.uint8]:
        """Draw the scene and return its labels."""
        return self.sample(image_id).labels

    def content_digest(self, image_id: str) -> str:
        """Digest the parameters of the drawing."""
        made_of = ("scenes", DRAWING_VERSION, self.height, self.width, self.seed, image_id)
        return hashlib.blake2b(repr(made_of).encode(), digest_size=20).hexdigest()


def list_scenes(
    root: PathLike | None = None,
    split: str = "train",
    *,
    n_images: int | None = None,
    size: tuple[int, int] = (120, 160),
    seed: int = 0,
) -> Listing:
    """List drawn scenes.

    There are a background, three grounds and eight things. The things come in pairs that share
    their surfaces and colours (see `scene_objects`), and colours of all classes overlap, so that
    neither a colour look-up nor a small window settles a class. The splits are drawn from
    different seeds, and image i of a split is the same however many images are asked for.

    Parameters
    ----------
    root : None
        Scenes are in no folder; a given root is not used.
    split : "train", "val" or "test"
    n_images : int, at least 1, optional
        80 for train and 40 for the others where it is not given.
    size : (int, int), each 32 or more
        Height and width in pixels.
    seed : int, 0 or more
        Another seed gives other scenes.

    Returns
    -------
    Listing

    Raises
    ------
    InputError
        The split is unknown, or a parameter is out of range.
    """
    if split not in SPLITS:
        raise InputError(f"scenes have the splits {', '.join(SPLITS)}, not '{split}'")
    count = SPLITS[split][0] if n_images is None else n_images
    if count < 1:
        raise InputError(f"n_images must be at least 1, got {count}")
    if len(size) != 2 or min(size) < 32:
        raise InputError(f"size must be (height, width) of at least 32 pixels, got {size}")
    if seed < 0:
        raise InputError(f"seed must be 0 or more, got {seed}")
    source = SceneSource(split, int(size[0]), int(size[1]), int(seed))
    dataset = Dataset(
        name="scenes",
        split=split,
        ids=tuple(f"{split}_{index:04d}" for index in range(count)),
        class_names=tuple(member.name.lower() for member in SceneClass),
        source=source,
        background=int(SceneClass.BACKGROUND),
        palette=palette_of(list(COLOURS.values())),
    )
    return Listing(dataset)


def scenes_splits(root: PathLike | None = None, **_options: object) -> tuple[str, ...]:
    """Return the splits of the scenes."""
    return tuple(SPLITS)
