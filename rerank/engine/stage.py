"""What a stage is: a name, the settings and inputs it depends on, and what fills its file."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import h5py
import numpy as np

from rerank.config import Recipe
from rerank.engine.contents import Contents
from rerank.engine.folds import ALL, FINAL, Part, check_no_leak
from rerank.engine.hdf5 import read_arrays, write_arrays
from rerank.engine.manifest import ArtefactRef
from rerank.engine.sharded_file import ShardedFile
from rerank.engine.store import Store

#: Which files of another stage a stage reads: that of its own fold; those of the other folds, which
#: its models are fitted on; both; its own and, for `final`, all folds, whose predictions are out of
#: fold; or every one.
Reach = Literal["own", "others", "fit", "out_of_fold", "every"]
#: Names of stages that a stage reads, and which of their files.
Inputs = Sequence[tuple[str, Reach]]


class ExternalData(Protocol):
    """What stages read from outside the store, such as images."""

    def digests(self, kind: str, part: Part) -> list[str]:
        """Digests of the contents of one kind that a stage reads for a part.

        Parameters
        ----------
        kind : str
            As in `Stage.reads`.
        part : Part

        Returns
        -------
        list of str
            Hexadecimal digests, in a fixed order.
        """


@dataclass(frozen=True)
class Stage:
    """One step of the pipeline.

    Attributes
    ----------
    name : str
        Name of its folder in the work folder.
    summary : str
        One line for people.
    version : int
        Raised whenever the stage would write something else for the same settings.
    run : str
        The function ``run(job, file)`` that fills the file of one part, as ``module:function``;
        it is imported when the stage runs. `job` is the `Job`: what the function may read.
        `file` is the open HDF5 file, still empty, that becomes the artefact; it gets its header
        when the function returns.
    settings : callable
        The settings that its results depend on, as plain values.
    inputs : sequence of (stage name, reach), or callable
        What it reads of other stages. A callable is given the recipe.
    reads : tuple of str, or callable
        Kinds of `ExternalData` that it reads. A callable is given the recipe.
    split : bool
        Whether it works fold by fold, or once for the whole run.
    sharded : bool
        Whether it treats images one by one, so that each shard of a fold is a task of its own. It
        may read what is of its own images alone.
    temporary : bool
        Whether its files are large and soon made again: they are removed when all that read them
        are there.
    fits : bool
        Whether it fits a model on the part's training images.
    cost : float
        Rough seconds per image, used only to weigh the progress bar.
    contents : callable, optional
        What its file must hold, from the recipe; without it, any arrays.
    """

    name: str
    summary: str
    version: int
    run: str
    settings: Callable[[Recipe], dict[str, Any]] = lambda recipe: {}
    inputs: Inputs | Callable[[Recipe], Inputs] = ()
    reads: tuple[str, ...] | Callable[[Recipe], tuple[str, ...]] = ()
    split: bool = True
    sharded: bool = False
    temporary: bool = False
    fits: bool = False
    cost: float = 0.05
    contents: Callable[[Recipe], Contents] | None = None

    def inputs_with(self, recipe: Recipe) -> Inputs:
        """What it reads of other stages with that recipe."""
        return self.inputs(recipe) if callable(self.inputs) else self.inputs

    def reads_with(self, recipe: Recipe) -> tuple[str, ...]:
        """What it reads from outside the store with that recipe."""
        return self.reads(recipe) if callable(self.reads) else self.reads

    def function(self) -> Callable[[Job, h5py.File], None]:
        """Import the function that `run` names."""
        module, _, name = self.run.partition(":")
        function: Callable[[Job, h5py.File], None] = getattr(importlib.import_module(module), name)
        return function


@dataclass(frozen=True)
class Job:
    """One stage's work on one part: what its function may read.

    Attributes
    ----------
    recipe : Recipe
    stage : str
    part : Part
        A fold or `final`, or a shard of one; `all` for a stage that is not split.
    parts : tuple of Part
        All folds, then `final`, each as a whole.
    data : ExternalData
    store : Store
    inputs : mapping
        The artefacts that the stage declared, by (stage, part).
    contents : mapping
        What the files of each of their stages must hold; None for any arrays.
    shards : mapping
        The shards of each fold that is cut into several, for stages that are `sharded`.
    """

    recipe: Recipe
    stage: str
    part: Part
    parts: tuple[Part, ...]
    data: Any
    store: Store
    inputs: Mapping[tuple[str, str], ArtefactRef]
    contents: Mapping[str, Contents | None]
    shards: Mapping[str, tuple[Part, ...]]

    @property
    def is_final(self) -> bool:
        """Whether the part holds the evaluation images: it may use the predictions of all folds."""
        return self.part.fold == FINAL

    @property
    def folds(self) -> tuple[Part, ...]:
        """The parts that hold training images."""
        return tuple(part for part in self.parts if part.name != FINAL)

    @property
    def other_folds(self) -> tuple[Part, ...]:
        """The folds whose images this part's models are fitted on."""
        return tuple(part for part in self.folds if part.name != self.part.fold)

    def ids(self, part: str) -> tuple[str, ...]:
        """Ids of the images of a fold, `final` or a shard."""
        shards = (shard for found in self.shards.values() for shard in found)
        return next(p.image_ids for p in (*self.parts, *shards) if p.name == part)

    @contextmanager
    def open(self, stage: str, part: str | None = None) -> Iterator[h5py.File]:
        """Open an input of this stage, after checking its images and that none of them leaked.

        Parameters
        ----------
        stage : str
        part : str, optional
            A fold or `final`; the job's own part by default. A shard that reads a stage that is
            not sharded gets the file of its whole fold: there its own images begin at
            `part.first`.

        Yields
        ------
        HDF5 file or ShardedFile
            The latter for a fold in several shards: `read_image` and `read_rows` read both.

        Raises
        ------
        MissingArtefactError, UnreadableArtefactError
            If the artefact is missing, or cannot be read now.
        DamagedArtefactError
            If its bytes are not those that were written, or it holds other images or arrays.
        LeakError
            If its models were trained on its own images.
        """
        files = self._files(stage, part)
        if len(files) > 1:
            opened = ShardedFile(
                [len(self.ids(name)) for name in files],
                [functools.partial(self._open_one, stage, name) for name in files],
            )
            with closing(opened):
                yield opened
        else:
            with self._open_one(stage, files[0]) as file:
                yield file

    def files(self, stage: str, part: str | None = None) -> Iterator[h5py.File]:
        """Open the files of an input one after another: several if it is sharded.

        Parameters
        ----------
        stage, part : str
            As for `open`, which see for what it raises too.

        Yields
        ------
        HDF5 file
            With the part's images in their order.
        """
        for name in self._files(stage, part):
            with self._open_one(stage, name) as file:
                yield file

    def paths(self, stage: str, part: str | None = None) -> list[Path]:
        """Where the files of an input lie: one, or one a shard.

        Parameters
        ----------
        stage, part : str
            As for `open`.

        Returns
        -------
        list of Path
        """
        names = self._files(stage, part)
        return [self.store.path(self.inputs[stage, name]) for name in names]

    def _files(self, stage: str, part: str | None) -> list[str]:
        """Names of the parts, in order, that an input of a part is stored in."""
        name = self.part.name if part is None else part
        if (stage, name) in self.inputs:
            return [name]
        if part is None and (stage, self.part.fold) in self.inputs:
            return [self.part.fold]
        found = [shard.name for shard in self.shards.get(name, ())]
        if not found or (stage, found[0]) not in self.inputs:
            raise KeyError((stage, name))
        return found

    @contextmanager
    def _open_one(self, stage: str, name: str) -> Iterator[h5py.File]:
        ref = self.inputs[stage, name]
        expected = None if name == ALL else self.ids(name)
        header = self.store.header(ref)
        check_no_leak(header.image_ids, header.trained_on, str(self.store.path(ref)))
        with self.store.open(ref, expected, self.contents[stage]) as file:
            yield file


def write_image(file: h5py.Group, index: int, arrays: Mapping[str, Any]) -> None:
    """Write the arrays of one image.

    Parameters
    ----------
    file : HDF5 group
    index : int
        Its place in the part's `image_ids`.
    arrays : mapping of str to array
    """
    write_arrays(file.create_group(f"images/{index:06d}"), arrays)


def read_image(
    file: h5py.Group | ShardedFile, index: int, names: Sequence[str] | None = None
) -> dict[str, Any]:
    """Read the arrays of one image: the inverse of `write_image`.

    Parameters
    ----------
    file : HDF5 group or ShardedFile
    index : int
        Its place in the part's `image_ids`.
    names : sequence of str, optional
        All arrays by default.

    Returns
    -------
    dict of arrays
    """
    if isinstance(file, ShardedFile):
        file, index = file.place(index)
    group = file[f"images/{index:06d}"]
    if names is None:
        return read_arrays(group)
    return {name: group[name][()] for name in names}


def read_rows(file: h5py.Group | ShardedFile, name: str) -> Any:
    """Read an array that has a row for each image of the part.

    Parameters
    ----------
    file : HDF5 group or ShardedFile
    name : str

    Returns
    -------
    (N, ...) array
    """
    if isinstance(file, ShardedFile):
        return np.concatenate([opened[name][()] for opened in file.files()])
    return file[name][()]
