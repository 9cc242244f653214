"""The graph of stages: the artefacts that a recipe needs, and which of them exist."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from rerank.config import Recipe
from rerank.engine.artefact_file import REMEDY, as_json_has_it
from rerank.engine.contents import Contents
from rerank.engine.folds import ALL, FINAL, Part
from rerank.engine.manifest import ArtefactRef, Header, digest
from rerank.engine.stage import ExternalData, Job, Reach, Stage
from rerank.engine.store import Store
from rerank.errors import (
    ConfigError,
    DamagedArtefactError,
    MissingArtefactError,
    StoreError,
    UnreadableArtefactError,
)

#: `dropped` is a temporary artefact that nothing needs any more.
State = Literal["fresh", "dropped", "stale", "missing", "damaged", "unreadable"]


@dataclass(frozen=True)
class Task:
    """One stage on one part: its artefact, those it reads, and the images its models saw."""

    stage: Stage
    part: Part
    ref: ArtefactRef
    inputs: dict[tuple[str, str], ArtefactRef]
    trained_on: tuple[str, ...]

    def header(self, recipe: Recipe) -> Header:
        """The header that the artefact will get."""
        return Header(
            version=self.stage.version,
            settings=self.stage.settings(recipe),
            image_ids=self.part.image_ids,
            trained_on=self.trained_on,
            inputs=tuple(f"{ref}/{ref.key}" for ref in self.inputs.values()),
            random_state=recipe.random_state,
        )

    def contents(self, recipe: Recipe) -> Contents | None:
        """What the artefact must hold; None where the stage does not say."""
        return self.stage.contents(recipe) if self.stage.contents is not None else None


class Problem(NamedTuple):
    """An artefact that is not whole, and one line that says why and what mends it."""

    task: Task
    verdict: Literal["damaged", "missing", "unreadable"]
    text: str


class Garbage(NamedTuple):
    """What a recipe does not reach: files, and their bytes."""

    paths: list[Path]
    bytes: int


@dataclass(frozen=True)
class TaskStatus:
    """State of one artefact, with its size in bytes and its seconds if it exists."""

    stage: str
    part: str
    state: State
    bytes: int = 0
    seconds: float = 0.0


class Graph:
    """All artefacts of a recipe over a work folder.

    Parameters
    ----------
    recipe : Recipe
    stages : sequence of Stage
        In an order in which each comes after its inputs.
    parts : sequence of Part
        The folds, then `final`.
    data : ExternalData
    store : Store
    """

    def __init__(
        self,
        recipe: Recipe,
        stages: Sequence[Stage],
        parts: Sequence[Part],
        data: ExternalData,
        store: Store,
    ) -> None:
        self.data: Any = data
        self.recipe, self.stages, self.parts = recipe, tuple(stages), tuple(parts)
        self.store = store
        self._shards = {part.name: part.shards(recipe.shard_size) for part in parts}
        self.tasks = self._plan()
        self._by_name = {(task.stage.name, task.part.name): task for task in self.tasks}
        self._by_ref = {str(task.ref): task for task in self.tasks}
        self._contents = {
            stage.name: None if stage.contents is None else stage.contents(recipe)
            for stage in stages
        }

    def task(self, stage: str, part: str = ALL) -> Task:
        """The task of a stage on a part.

        Parameters
        ----------
        stage : str
        part : str
            A fold or `final`, or a shard of one where the stage is cut into several; `all` for a
            stage that is not split.

        Returns
        -------
        Task

        Raises
        ------
        KeyError
            If there is none.
        """
        return self._by_name[stage, part]

    def named(self, ref: str) -> Task:
        """The task whose artefact is called so: ``stage/part``, as a text."""
        return self._by_ref[ref]

    def job(self, stage: str, part: str = ALL) -> Job:
        """The job of a stage on a part, through which finished artefacts are read.

        Parameters
        ----------
        stage, part : str
            As for `task`.

        Returns
        -------
        Job

        Raises
        ------
        KeyError
            If there is none.
        """
        return self.job_of(self.task(stage, part))

    def job_of(self, task: Task) -> Job:
        """What the function of a task's stage is given."""
        return self._job(task.stage.name, task.part, task.inputs)

    def reader(self) -> Job:
        """A job of no stage, through which every artefact is read."""
        inputs = {name: task.ref for name, task in self._by_name.items()}
        return self._job("", self.parts[-1], inputs)

    def _job(self, stage: str, part: Part, inputs: dict[tuple[str, str], ArtefactRef]) -> Job:
        shards = {name: found for name, found in self._shards.items() if len(found) > 1}
        return Job(
            self.recipe,
            stage,
            part,
            self.parts,
            self.data,
            self.store,
            inputs,
            self._contents,
            shards,
        )

    @property
    def trained_on(self) -> set[tuple[str, ...]]:
        """The sets of images that models of its artefacts are fitted on."""
        return {task.trained_on for task in self.tasks}

    def needed_for(self, fold: str | None) -> list[Task]:
        """The tasks that a fold's artefacts depend on, in order; all for None.

        Raises
        ------
        ConfigError
            If there is no such fold.
        """
        if fold is None:
            return self.tasks
        if fold not in {part.name for part in self.parts}:
            raise ConfigError(f"--fold {fold}: expected 0..{len(self.parts) - 2} or final")
        by_ref = {task.ref: task for task in self.tasks}
        stack = [task for task in self.tasks if task.part.fold == fold]
        wanted: set[ArtefactRef] = set()
        while stack:
            task = stack.pop()
            if task.ref not in wanted:
                wanted.add(task.ref)
                stack += [by_ref[ref] for ref in task.inputs.values()]
        return [task for task in self.tasks if task.ref in wanted]

    def status(self) -> list[TaskStatus]:
        """State of every artefact of the recipe, in the order of the stages.

        `stale` is an artefact whose stage and part were computed with other settings or inputs.
        """
        on_disk = {(ref.stage, ref.part) for ref in self.store.artefacts()}
        spent = self.spent()
        found = []
        for task in self.tasks:
            state: State = self.store.state(task.ref)
            size, seconds = 0, 0.0
            if state == "missing" and task.ref in spent:
                state = "dropped"
            if state in ("fresh", "dropped"):
                size, costs = self.store.size(task.ref), self.store.costs(task.ref)
                seconds = 0.0 if costs is None else costs.seconds
            elif state == "missing" and (task.stage.name, task.part.name) in on_disk:
                state = "stale"
            found.append(TaskStatus(task.stage.name, task.part.name, state, size, seconds))
        return found

    def verify(self, finished: bool = False) -> list[Problem]:
        """Read every byte of every artefact of the recipe; what is not whole, in order.

        Parameters
        ----------
        finished : bool
            Whether everything must be there; else only what another artefact was made from.
        """
        found: list[Problem] = []
        there = [task for task in self.tasks if self.store.state(task.ref) != "missing"]
        used = {ref for task in there for ref in task.inputs.values()}
        for task in self.tasks:
            try:
                self._check_origin(task)
                self.store.verify(task.ref, task.contents(self.recipe))
            except MissingArtefactError as error:
                # What is temporary is made again when something needs it.
                if (finished or task.ref in used) and not task.stage.temporary:
                    found.append(Problem(task, "missing", str(error)))
            except DamagedArtefactError as error:
                found.append(Problem(task, "damaged", str(error)))
            except UnreadableArtefactError as error:
                found.append(Problem(task, "unreadable", str(error)))
        return found

    def spent(self) -> set[ArtefactRef]:
        """Temporary artefacts, there or not, that nothing needs: all that read them are there.

        Those of a reader that is temporary itself are spent if the reader is there, or spent.
        """
        found: set[ArtefactRef] = set()
        readers: dict[ArtefactRef, list[ArtefactRef]] = {}
        for task in reversed(self.tasks):
            of_task = readers.get(task.ref, [])
            spent = all(ref in found or self.store.has(ref) for ref in of_task)
            if task.stage.temporary and of_task and spent:
                found.add(task.ref)
            for ref in task.inputs.values():
                readers.setdefault(ref, []).append(task.ref)
        return found

    def drop_spent(self, refs: Iterable[ArtefactRef]) -> int:
        """Remove those artefacts that are spent and that no other run holds; returns the bytes.

        Parameters
        ----------
        refs : iterable of ArtefactRef
            Of temporary stages.
        """
        with self.store.held(but_own=True) as held:
            gone = set(refs) & self.spent() - held
            return sum(self.store.drop(ref) for ref in gone if self.store.size(ref))

    def collect_garbage(self, dry_run: bool = False) -> Garbage:
        """Remove what neither this recipe nor a living run reaches.

        Only what a manifest says is an artefact is removed, what killed runs left behind, and
        temporary artefacts that nothing needs any more.

        Parameters
        ----------
        dry_run : bool
            Only say what would be removed.
        """
        store, paths, freed = self.store, [], 0
        with store.held() as held:
            known = {task.ref for task in self.tasks}
            keep = (known - self.spent()) | held
            for ref in [ref for ref in store.artefacts() if ref not in keep]:
                paths.append(store.path(ref))
                remove = store.drop if ref in known else store.remove
                freed += store.size(ref) if dry_run else remove(ref)
            for ref in [ref for ref in store.dropped() if ref not in known | held]:
                if not dry_run:
                    store.remove(ref)
            for path in (*store.leavings(), *store.spare_sets(self.trained_on)):
                paths.append(path)
                freed += path.stat().st_size
                if not dry_run:
                    path.unlink(missing_ok=True)
        return Garbage(paths, freed)

    def _check_origin(self, task: Task) -> None:
        """Check that an artefact is what the recipe asks for, and made from what is there."""
        found, wanted = self.store.header(task.ref), task.header(self.recipe)
        path = self.store.path(task.ref)
        for name in ("version", "image_ids", "trained_on", "inputs"):
            if getattr(found, name) != getattr(wanted, name):
                raise DamagedArtefactError(f"{path}: its {name} are others; {REMEDY}")
        if dict(found.settings) != as_json_has_it(wanted.settings):
            raise DamagedArtefactError(f"{path}: its settings are others; {REMEDY}")
        for ref, digest_then in zip(task.inputs.values(), found.input_digests):
            if self._digest_now(ref) not in (None, digest_then):
                raise DamagedArtefactError(f"{path}: made from another {ref}; {REMEDY}")

    def _digest_now(self, ref: ArtefactRef) -> str | None:
        try:
            return self.store.manifest(ref).digest
        except StoreError:
            return None

    def _plan(self) -> list[Task]:
        # Sorted, since what works on all images is the same whatever the folds are.
        ids = sorted({image_id for part in self.parts for image_id in part.image_ids})
        whole = (Part(ALL, tuple(ids), ()),)
        tasks: list[Task] = []
        by_name: dict[tuple[str, str], Task] = {}
        # Many tasks have the same: they share one tuple, found by what it is the union of.
        unions: dict[frozenset[int], tuple[str, ...]] = {}
        for stage in self.stages:
            for part in self._parts_of(stage) if stage.split else whole:
                inputs: dict[tuple[str, str], ArtefactRef] = {}
                seen: list[tuple[str, ...]] = [part.train_ids] if stage.fits else []
                for name, reach in stage.inputs_with(self.recipe):
                    for other in self._reach(name, part, reach, by_name):
                        found = by_name[name, other]
                        inputs[name, other] = found.ref
                        if found.part.fold == part.fold:
                            seen.append(found.trained_on)
                ref = ArtefactRef(stage.name, part.name, self._key(stage, part, inputs))
                same = frozenset(map(id, seen))
                if same not in unions:
                    unions[same] = _union(seen)
                task = Task(stage, part, ref, inputs, unions[same])
                tasks.append(task)
                by_name[stage.name, part.name] = task
        return tasks

    def _parts_of(self, stage: Stage) -> list[Part]:
        """What a stage that is split works on one by one."""
        if not stage.sharded:
            return list(self.parts)
        return [shard for part in self.parts for shard in self._shards[part.name]]

    def _key(self, stage: Stage, part: Part, inputs: dict[tuple[str, str], ArtefactRef]) -> str:
        reads = stage.reads_with(self.recipe)
        return digest(
            {
                "stage": stage.name,
                "version": stage.version,
                "settings": stage.settings(self.recipe),
                "ids": list(part.image_ids),
                **({"first": part.first} if part.first else {}),
                "inputs": [f"{ref}/{ref.key}" for ref in inputs.values()],
                "content": [d for kind in reads for d in self.data.digests(kind, part)],
            }
        )

    def _reach(
        self, name: str, part: Part, reach: Reach, known: dict[tuple[str, str], Task]
    ) -> list[str]:
        if (name, ALL) in known:
            return [ALL]
        folds = [p.name for p in self.parts if p.name != FINAL]
        if reach == "own" or (reach == "out_of_fold" and part.fold != FINAL):
            if (name, part.name) in known:
                return [part.name]
            wanted = [part.fold]
        elif reach == "others":
            wanted = [n for n in folds if n != part.fold]
        elif reach == "fit":
            wanted = list(dict.fromkeys([*folds, part.fold]))
        else:
            wanted = [*folds, FINAL]
        shards = {fold: [shard.name for shard in self._shards[fold]] for fold in wanted}
        return [
            other
            for fold in wanted
            for other in ([fold] if (name, fold) in known else shards[fold])
        ]


def _union(ids: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sorted(set().union(*ids)))
