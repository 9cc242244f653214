"""The drawn scenes as a data set."""

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
from rerank.datasets.scenes.scene_classes import COLOURS, SceneClass
from rerank.errors import InputError

#: Raised whenever the drawing changes, so that no result of older images is reused.
DRAWING_VERSION = 1

#: Default number of images of each split, and the split's number in the seed.
SPLITS = MappingProxyType({"train": (80, 0), "val": (40, 1), "test": (40, 2)})


@dataclass(frozen=True)
class SceneSource:
    """Draws the image of an id whenever it is asked for.

    Attributes
    ----------
    split : str
        "train", "val" or "test".
    height, width : int
        Size of the images in pixels.
    seed : int
        0 or more.
    labelled : bool
        Scenes always have labels.
    """

    split: str
    height: int
    width: int
    seed: int
    labelled: bool = True

    def sample(self, image_id: str) -> Sample:
        """Draw the scene of an id; every call draws the same."""
        index = int(image_id.rpartition("_")[2])
        rng = np.random.default_rng([self.seed, SPLITS[self.split][1], index])
        image, labels = draw_scene(self.height, self.width, rng)
        return Sample(image_id, image, labels)

    def image(self, image_id: str) -> npt.NDArray[np.uint8]:
        """Draw the scene and return its image."""
        return self.sample(image_id).image

    def labels(self, image_id: str) -> npt.NDArray[np.uint8]:
        """Draw the scene and return its labels."""
        return self.sample(image_id).labels

    def image_size(self, image_id: str) -> tuple[int, int]:
        """The size that all scenes have."""
        return self.height, self.width

    def content_digest(self, image_id: str) -> str:
        """Digest the settings of the drawing."""
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

    The classes are a background, three grounds and eight things. The things come in pairs with the
    same surfaces and colours (see `objects.py`), and the colours of all classes overlap, so that
    neither the colour of a pixel nor a small window determines the class. The splits are drawn
    from different seeds. Image i of a split does not depend on the number of images.

    Parameters
    ----------
    root : None
        Scenes are in no folder; `root` is not used.
    split : "train", "val" or "test"
    n_images : int, at least 1, optional
        By default 80 for train and 40 for the others.
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
    """Return the splits of the scenes.

    Parameters
    ----------
    root : path, optional
        Not used: the scenes are drawn.
    **_options
        Not used: every setting of the scenes has the same splits.

    Returns
    -------
    tuple of str
    """
    return tuple(SPLITS)
