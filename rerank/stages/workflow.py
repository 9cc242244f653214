"""The graph of stages: the artefacts that a recipe needs, which are there, making the rest."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rerank.config import Recipe
from rerank.datasets import Dataset, open_dataset
from rerank.errors import ConfigError, DataError
from rerank.folds import ALL, FINAL, Part, assign_folds, fold_name, make_parts
from rerank.nets import weights_search
from rerank.parallel import Backend, cluster, run_tasks
from rerank.stages import index as index_stage
from rerank.stages.base import Job, Stage
from rerank.stages.progress import Progress
from rerank.store import ArtefactRef, Header, Store, digest
from rerank.types import Array

State = Literal["fresh", "stale", "missing", "damaged"]


@dataclass(frozen=True)
class Task:
    """One stage on one part: its artefact, those it reads, and the images its models saw."""

    stage: Stage
    part: Part
    ref: ArtefactRef
    inputs: dict[tuple[str, str], ArtefactRef]
    trained_on: tuple[str, ...]


@dataclass(frozen=True)
class TaskStatus:
    """State of one artefact, and what it cost if it is there."""

    stage: str
    part: str
    state: State
    bytes: int = 0
    seconds: float = 0.0


class Workflow:
    """A recipe over a work folder.

    Parameters
    ----------
    recipe : Recipe
    store : Store
    data_root : path, optional
        Folder of the images, for data sets that are read from disk.
    stages : sequence of Stage, optional
        In an order in which each comes after its inputs; the whole pipeline by default.

    Raises
    ------
    DataError
        If the images or the backbone's weights are missing or unreadable.
    LeakError
        If the training and the evaluation split share an image.
    """

    def __init__(
        self,
        recipe: Recipe,
        store: Store,
        data_root: str | None = None,
        stages: Sequence[Stage] | None = None,
    ) -> None:
        from rerank.stages import PIPELINE

        self.recipe, self.store, self.data_root = recipe, store, data_root
        self.stages = tuple(PIPELINE if stages is None else stages)
        chosen = recipe.dataset
        self.train = open_dataset(chosen.name, data_root, chosen.train, **chosen.options)
        self.evaluate = (
            None
            if chosen.evaluate is None
            else open_dataset(chosen.name, data_root, chosen.evaluate, **chosen.options)
        )
        self.weights = find_weights(recipe, data_root)
        self._digests = _content_digests(self.train)
        if self.evaluate is not None:
            self._digests.update(_content_digests(self.evaluate))
        self.index = self._make_index()
        self.parts = self._make_parts()
        self.tasks = self._plan()

    def run(
        self,
        fold: str | None = None,
        jobs: int = 1,
        backend: Backend = "loky",
        scheduler: str | None = None,
        quiet: bool = False,
    ) -> int:
        """Compute what is missing; returns the number of artefacts computed.

        Parameters
        ----------
        fold : str, optional
            Compute only what this part (`fold-00`, ..., `final`) needs, for batch jobs. The stages
            that need every fold are left to a run without it.
        jobs : int
            Tasks at a time, one core each.
        backend : {"loky", "threading", "dask"}
        scheduler : str, optional
            Address of the Dask scheduler.
        quiet : bool
            Show no progress.
        """
        for path in self.store.temporaries():
            path.unlink(missing_ok=True)
        wanted = self._reachable(fold)
        todo = [task for task in wanted if not self.store.has(task.ref)]
        with (
            Progress(sum(_cost(task) for task in todo), quiet=quiet) as progress,
            cluster(backend, scheduler),
        ):
            for stage in self.stages:
                waiting = [task for task in todo if task.stage.name == stage.name]
                # Batch jobs start with their own part, so that they seldom wait for others; else
                # the longest task comes first, lest all wait for it in the end.
                first = FINAL if fold is None else fold
                waiting.sort(key=lambda task: task.part.name != first)
                progress.stage(stage.summary)
                arguments = [(self._job(task), _Header(task, self.recipe)) for task in waiting]
                costs = {task.part.name: _cost(task) for task in waiting}
                for done in run_tasks(_execute, arguments, jobs, backend):
                    progress.advance(costs[done])
        return len(todo)

    def status(self) -> list[TaskStatus]:
        """State of every artefact of the recipe, in the order of the stages.

        `stale` is an artefact whose stage and part were computed with other settings or inputs.
        """
        on_disk = {(ref.stage, ref.part) for ref in self.store.artefacts()}
        found = []
        for task in self.tasks:
            state: Any = self.store.state(task.ref)
            if state == "fresh":
                header = self.store.header(task.ref)
                size = self.store.path(task.ref).stat().st_size
                found.append(
                    TaskStatus(task.stage.name, task.part.name, state, size, header.seconds)
                )
            else:
                if state == "missing" and (task.stage.name, task.part.name) in on_disk:
                    state = "stale"
                found.append(TaskStatus(task.stage.name, task.part.name, state))
        return found

    def verify(self, repair: bool = False) -> list[str]:
        """Read every byte of every artefact of the recipe; returns what is wrong, one line each.

        With `repair`, damaged files are removed, so that the next run computes them.
        """
        problems = []
        for task in [self.index_task, *self.tasks]:
            if not self.store.path(task.ref).exists():
                continue
            problem = self.store.verify(task.ref)
            if problem is not None:
                problems.append(problem)
                if repair:
                    self.store.remove(task.ref)
        return problems

    def collect_garbage(self) -> tuple[int, int]:
        """Remove what this recipe does not reach; returns the number of files and bytes."""
        keep = {task.ref for task in self.tasks} | {self.index_task.ref}
        files = freed = 0
        for ref in list(self.store.artefacts()):
            if ref not in keep:
                freed += self.store.remove(ref)
                files += 1
        for path in self.store.temporaries():
            freed += path.stat().st_size
            path.unlink()
            files += 1
        return files, freed

    def job(self, stage: str, part: str = ALL) -> Job:
        """The job of that name, through which finished artefacts are read."""
        task = self.task(stage, part)
        return self._job(task)

    def task(self, stage: str, part: str = ALL) -> Task:
        """The task of that stage and part."""
        for task in self.tasks:
            if task.stage.name == stage and task.part.name == part:
                return task
        raise KeyError(f"{stage}/{part}")

    def _make_index(self) -> dict[str, Array]:
        ids = self.train.ids + (self.evaluate.ids if self.evaluate is not None else ())
        settings = {
            "dataset": self.recipe.dataset.model_dump(mode="json"),
            "content": [self._digests[i] for i in ids],
            "ids": list(ids),
        }
        ref = ArtefactRef("index", ALL, digest(["index", index_stage.STAGE.version, settings]))
        self.index_task = Task(index_stage.STAGE, Part(ALL, (), ()), ref, {}, ())
        if not self.store.has(ref):
            job = Job(
                self.recipe,
                "index",
                self.index_task.part,
                (),
                self.train,
                self.evaluate,
                self.store,
                {},
            )
            _execute(job, _Header(self.index_task, self.recipe))
        with self.store.open(ref) as file:
            return {"class_pixels": file["class_pixels"][()]}

    def _make_parts(self) -> tuple[Part, ...]:
        chosen = self.recipe.folds
        scheme = chosen.scheme
        if scheme == "auto":
            scheme = "contiguous" if self.train.ordered else "stratified"
        pixels = self.index["class_pixels"][: len(self.train)]
        if chosen.n_folds > len(self.train):
            raise ConfigError(
                f"folds.n_folds is {chosen.n_folds}, but {self.recipe.dataset.name}/"
                f"{self.recipe.dataset.train} has {len(self.train)} images"
            )
        folds = assign_folds(
            len(self.train),
            chosen.n_folds,
            scheme,
            self.recipe.random_state,
            strata=_rarest_class(pixels, self.train.background),
        )
        evaluate = self.evaluate.ids if self.evaluate is not None else ()
        return make_parts(self.train.ids, folds, evaluate)

    def _plan(self) -> list[Task]:
        tasks: list[Task] = []
        by_name: dict[tuple[str, str], Task] = {}
        seen_ids = {part.name: part for part in self.parts}
        for stage in self.stages:
            parts = self.parts if stage.split else (Part(ALL, (), ()),)
            for part in parts:
                inputs: dict[tuple[str, str], ArtefactRef] = {}
                trained: set[str] = set()
                for name, reach in stage.inputs_with(self.recipe):
                    for other in self._reach(name, part, reach, by_name):
                        inputs[name, other] = by_name[name, other].ref
                        if other == part.name:
                            trained.update(by_name[name, other].trained_on)
                if stage.fits and stage.split:
                    trained.update(seen_ids[part.name].train_ids)
                key = digest(
                    {
                        "stage": stage.name,
                        "version": stage.version,
                        "settings": stage.settings(self.recipe),
                        "ids": list(part.image_ids),
                        "inputs": [f"{ref}/{ref.key}" for ref in inputs.values()],
                        "content": self._content(stage, part),
                    }
                )
                task = Task(
                    stage,
                    part,
                    ArtefactRef(stage.name, part.name, key),
                    inputs,
                    tuple(sorted(trained)),
                )
                tasks.append(task)
                by_name[stage.name, part.name] = task
        return tasks

    def _content(self, stage: Stage, part: Part) -> list[str]:
        """Digests of the files that a stage reads from outside the store."""
        found = []
        reads = stage.reads_with(self.recipe)
        if "images" in reads:
            found += [self._digests[i] for i in part.image_ids]
        if "weights" in reads and self.weights is not None:
            found.append(_file_digest(self.weights))
        if "probabilities" in reads and self.recipe.unary.probabilities is not None:
            from rerank.stages.unaries import probability_map_path

            found += [
                _file_digest(str(probability_map_path(self.recipe.unary.probabilities, i)))
                for i in sorted({*part.image_ids, *part.train_ids})
            ]
        return found

    def _reach(
        self, name: str, part: Part, reach: str, known: dict[tuple[str, str], Task]
    ) -> list[str]:
        if (name, ALL) in known:
            return [ALL]
        folds = [p.name for p in self.parts if p.name != FINAL]
        if reach == "own" or (reach == "out_of_fold" and part.name != FINAL):
            return [part.name]
        if reach == "others":
            return [n for n in folds if n != part.name]
        if reach == "fit":
            return list(dict.fromkeys([*folds, part.name]))
        return [*folds, FINAL]

    def _reachable(self, fold: str | None) -> list[Task]:
        if fold is None:
            return self.tasks
        if fold not in {part.name for part in self.parts}:
            raise ConfigError(f"--fold {fold}: expected 0..{len(self.parts) - 2} or final")
        by_ref = {task.ref: task for task in self.tasks}
        stack = [task for task in self.tasks if task.part.name == fold]
        wanted: set[ArtefactRef] = set()
        while stack:
            task = stack.pop()
            if task.ref not in wanted:
                wanted.add(task.ref)
                stack += [by_ref[ref] for ref in task.inputs.values()]
        return [task for task in self.tasks if task.ref in wanted]

    def _job(self, task: Task) -> Job:
        return Job(
            self.recipe,
            task.stage.name,
            task.part,
            self.parts,
            self.train,
            self.evaluate,
            self.store,
            task.inputs,
            self.weights,
        )


def part_name(fold: str) -> str:
    """Name of the part that `--fold` asks for: a number from 0, or `final`."""
    if fold == FINAL:
        return FINAL
    if not fold.isdigit():
        raise ConfigError(f"--fold {fold}: expected a number from 0, or final")
    return fold_name(int(fold))


def find_weights(recipe: Recipe, data_root: str | None) -> str | None:
    """The file of backbone weights: as given, or in or near the data root, or in `weights` there.

    Raises
    ------
    DataError
        If the recipe names a file that is nowhere; the message lists where it was looked for.
    """
    name = recipe.backbone.weights
    if name is None:
        return None
    root = None if data_root is None else Path(data_root)
    return str(
        weights_search.find_weights([name], root, "give its path with --set backbone.weights=FILE")
    )


@dataclass(frozen=True)
class _Header:
    task: Task
    recipe: Recipe


def _execute(job: Job, about: _Header) -> str:
    task = about.task
    header = Header(
        version=task.stage.version,
        settings=task.stage.settings(about.recipe),
        image_ids=task.part.image_ids,
        trained_on=task.trained_on,
        inputs=tuple(f"{ref}/{ref.key}" for ref in task.inputs.values()),
        random_state=about.recipe.random_state,
    )
    with job.store.lock(task.ref):
        # Another run may have made it while this one waited for the lock.
        if not job.store.has(task.ref):
            with job.store.create(task.ref, header) as file:
                task.stage.run(job, file)
    return task.part.name


def _cost(task: Task) -> float:
    images = max(1, len(task.part.image_ids)) if task.stage.split else 100
    return task.stage.cost * images


def _content_digests(dataset: Dataset) -> dict[str, str]:
    with ThreadPoolExecutor(4) as pool:
        return dict(zip(dataset.ids, pool.map(dataset.content_digest, dataset.ids)))


@functools.cache
def _file_digest(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return (
                hashlib.file_digest(file, "blake2b").hexdigest()
                if hasattr(hashlib, "file_digest")
                else hashlib.blake2b(file.read()).hexdigest()
            )
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def _rarest_class(pixels: Array, background: int | None) -> Array:
    """The class of each image that the fewest images hold: spreads rare classes over the folds."""
    present = pixels > 0
    if background is not None:
        present[:, background] = False
    count = np.where(present, present.sum(0, keepdims=True), np.iinfo(np.int64).max)
    return np.where(present.any(1), count.argmin(1), -1)
