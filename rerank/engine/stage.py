"""What a stage is: a name, the settings and inputs it depends on, and what fills its file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import h5py

from rerank.config import Recipe
from rerank.datasets import Dataset
from rerank.engine.folds import ALL, FINAL, Part, check_no_leak
from rerank.engine.hdf5 import read_arrays, write_arrays
from rerank.engine.store import ArtefactRef, Store, read_header
from rerank.types import Array

#: Which parts of another stage a stage reads: its own; all folds but its own, which its models
#: are fitted on; both; its own and, for `final`, the folds, whose predictions are out of fold; or
#: every part.
Reach = Literal["own", "others", "fit", "out_of_fold", "every"]
#: Stages that a stage reads, and which parts of them.
Inputs = Sequence[tuple[str, Reach]]
#: What a stage reads from outside the store; the digest of the files' bytes is part of its key.
External = Literal["images", "weights", "probabilities"]


@dataclass(frozen=True)
class Stage:
    """One step of the pipeline.

    Attributes
    ----------
    name : str
        Name of its folder in the work folder.
    version : int
        Raised whenever the stage would write something else for the same settings.
    settings : callable
        The settings that its results depend on, as plain values.
    inputs : sequence of (stage name, reach), or callable
        What it reads. A callable is given the recipe.
    run : callable
        Fills the file of one part.
    reads : tuple of str, or callable
        What it reads from outside the store; images and their labels count as one. A callable is
        given the recipe.
    split : bool
        Whether it works part by part, or once for the whole run.
    fits : bool
        Whether it fits a model on the part's training images.
    summary : str
        One line for people.
    cost : float
        Rough seconds an image (of the part), which only weighs the progress bar.
    """

    name: str
    version: int
    settings: Callable[[Recipe], dict[str, Any]]
    inputs: Inputs | Callable[[Recipe], Inputs]
    run: Callable[[Job, h5py.File], None]
    summary: str
    reads: tuple[External, ...] | Callable[[Recipe], tuple[External, ...]] = ()
    split: bool = True
    fits: bool = False
    cost: float = 0.05

    def inputs_with(self, recipe: Recipe) -> Inputs:
        """What it reads of other stages with that recipe."""
        return self.inputs(recipe) if callable(self.inputs) else self.inputs

    def reads_with(self, recipe: Recipe) -> tuple[External, ...]:
        """What it reads from outside the store with that recipe."""
        return self.reads(recipe) if callable(self.reads) else self.reads


@dataclass(frozen=True)
class Classes:
    """What a prediction needs to know of the data set that its models were trained on."""

    class_names: tuple[str, ...]
    palette: Array
    background: int | None

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)


@dataclass(frozen=True)
class Job:
    """One stage's work on one part: what its function may read.

    Attributes
    ----------
    recipe : Recipe
    stage : str
    part : Part
        For a stage that is not split, a part named `all` without images.
    parts : tuple of Part
        All folds, then `final`.
    train, evaluate : Dataset
        Training images and, if any, evaluation images.
    inputs : mapping
        The artefacts that the stage declared, by (stage, part).
    weights : str or None
        The file of backbone weights.
    """

    recipe: Recipe
    stage: str
    part: Part
    parts: tuple[Part, ...]
    train: Dataset
    evaluate: Dataset | None
    store: Store
    inputs: Mapping[tuple[str, str], ArtefactRef]
    weights: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether the part holds the evaluation images: the folds' predictions are its to use."""
        return self.part.name == FINAL

    @property
    def dataset(self) -> Dataset:
        """The data set that this part's images are in."""
        if self.is_final:
            return self.evaluate if self.evaluate is not None else self.train
        return self.train

    @property
    def folds(self) -> tuple[Part, ...]:
        """The parts that hold training images."""
        return tuple(part for part in self.parts if part.name != FINAL)

    @property
    def other_folds(self) -> tuple[Part, ...]:
        """The folds whose images this part's models are fitted on."""
        return tuple(part for part in self.folds if part.name != self.part.name)

    @contextmanager
    def open(self, stage: str, part: str | None = None) -> Iterator[h5py.File]:
        """Open an input of this stage, after checking its images and that none of them leaked."""
        name = self.part.name if part is None else part
        ref = self.inputs[stage, name]
        expected = None
        if name != ALL:
            expected = next(p.image_ids for p in self.parts if p.name == name)
        with self.store.open(ref, image_ids=expected) as file:
            header = read_header(file)
            check_no_leak(header.image_ids, header.trained_on, str(self.store.path(ref)))
            yield file


def write_image(file: h5py.Group, index: int, arrays: Mapping[str, Any]) -> None:
    """Write the arrays of the image at that place in the part's `image_ids`."""
    write_arrays(file.create_group(f"images/{index:06d}"), arrays)


def read_image(file: h5py.Group, index: int, names: Sequence[str] | None = None) -> dict[str, Any]:
    """Read the arrays of one image, all or the named ones."""
    group = file[f"images/{index:06d}"]
    if names is None:
        return read_arrays(group)
    return {name: group[name][()] for name in names}
