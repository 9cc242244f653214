"""Computing the missing artefacts of a graph, several tasks at a time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from rerank.config import Recipe
from rerank.engine.folds import FINAL, fold_name
from rerank.engine.graph import Graph, Task
from rerank.engine.manifest import ArtefactRef
from rerank.engine.parallel import Backend, available_cores, cluster, run_tasks
from rerank.engine.progress import Progress
from rerank.engine.stage import Job
from rerank.engine.store import Store
from rerank.errors import ConfigError, DamagedArtefactError, MissingArtefactError


class Execution(NamedTuple):
    """Where tasks run and how many at a time.

    Attributes
    ----------
    jobs : int or None
        Tasks at a time, one core each; None for one per core, or all workers of a cluster.
    backend : {"loky", "threading", "dask"}
    scheduler : str or None
        Address of the Dask scheduler.
    quiet : bool
        Show no progress.
    """

    jobs: int | None = None
    backend: Backend = "loky"
    scheduler: str | None = None
    quiet: bool = False

    @property
    def n_jobs(self) -> int:
        """Tasks at a time; -1 for all workers of a cluster."""
        if self.jobs is not None:
            return self.jobs
        # A cluster has as many workers as it has; this machine's cores say nothing about it.
        return -1 if self.backend == "dask" else available_cores()


ONE_AFTER_ANOTHER = Execution(jobs=1, quiet=True)


def run_graph(
    graph: Graph,
    fold: str | None = None,
    execution: Execution = ONE_AFTER_ANOTHER,
    only: Collection[ArtefactRef] | None = None,
) -> int:
    """Compute the missing artefacts of a graph.

    A damaged one counts as missing: it is moved to the quarantine. So is one that is found damaged
    because it is read for another.

    Parameters
    ----------
    graph : Graph
    fold : str, optional
        Compute only what this fold (`fold-00`, ..., `final`) needs, for batch jobs. The stages
        that need every fold are left to a run without it.
    execution : Execution
    only : collection of ArtefactRef, optional
        Compute these alone; what they read must be there.

    Returns
    -------
    int
        Number of artefacts that were computed.

    Raises
    ------
    UnreadableArtefactError
        If an artefact cannot be read now.
    """
    store = graph.store
    wanted = [task for task in graph.needed_for(fold) if only is None or task.ref in only]
    if all(store.has(task.ref) for task in wanted):
        return 0
    with store.lease(task.ref for task in graph.tasks):
        store.clear_leavings()
        with Progress(0, quiet=execution.quiet) as progress:
            todo = _make_room(graph, wanted, progress)
        with (
            Progress(sum(_cost(task) for task in todo), quiet=execution.quiet) as progress,
            cluster(execution.backend, execution.scheduler),
        ):
            for stage in graph.stages:
                waiting = [task for task in todo if task.stage.name == stage.name]
                if not waiting:
                    continue
                # Batch jobs start with their own fold, so that they seldom wait for others; else
                # the longest task comes first, lest all wait for it in the end.
                first = FINAL if fold is None else fold
                waiting.sort(key=lambda task: task.part.name != first)
                progress.stage(stage.summary)
                arguments = [(graph.job_of(task), task, graph.recipe) for task in waiting]
                costs = {task.part.name: _cost(task) for task in waiting}
                for done in run_tasks(_execute, arguments, execution.n_jobs, execution.backend):
                    progress.advance(costs[done])
    return len(todo)


def _make_room(graph: Graph, wanted: Sequence[Task], progress: Progress) -> list[Task]:
    """The tasks to compute, in order, after what is damaged of them has been set aside."""
    store, by_ref = graph.store, {task.ref: task for task in graph.tasks}
    todo = {task.ref for task in wanted if not store.has(task.ref)}
    stack = list(todo)
    while stack:
        ref = stack.pop()
        if problem := set_aside_if_damaged(store, ref):
            progress.note(
                f"{problem.rpartition(';')[0]}; it is in the quarantine, and computed anew"
            )
        for other in by_ref[ref].inputs.values():
            if other not in todo and not _is_whole(store, other):
                todo.add(other)
                stack.append(other)
    return [task for task in graph.tasks if task.ref in todo]


def set_aside_if_damaged(store: Store, ref: ArtefactRef) -> str:
    """Move an artefact to the quarantine if it is damaged; returns what is wrong, else nothing.

    Parameters
    ----------
    store : Store
    ref : ArtefactRef

    Returns
    -------
    str
    """
    if _is_whole(store, ref) or store.state(ref) == "missing":
        return ""
    with store.lock(ref):
        try:
            store.check(ref, anew=True)
        except MissingArtefactError:
            return ""
        except DamagedArtefactError as error:
            store.set_aside(ref)
            return str(error)
    return ""


def _is_whole(store: Store, ref: ArtefactRef) -> bool:
    try:
        store.check(ref)
    except (MissingArtefactError, DamagedArtefactError):
        return False
    return True


def part_name(fold: str) -> str:
    """Name of the part that `--fold` asks for: a number from 0, or `final`.

    Raises
    ------
    ConfigError
        If it is neither.
    """
    if fold == FINAL:
        return FINAL
    if not fold.isdigit():
        raise ConfigError(f"--fold {fold}: expected a number from 0, or final")
    return fold_name(int(fold))


def compute(graph: Graph, task: Task) -> None:
    """Compute one task's artefact, unless it is there; what it reads must be.

    Parameters
    ----------
    graph : Graph
    task : Task
        One of the graph's.
    """
    _execute(graph.job_of(task), task, graph.recipe)


def _execute(job: Job, task: Task, recipe: Recipe) -> str:
    with job.store.lock(task.ref):
        # Another run may have made it while this one waited for the lock.
        if not job.store.has(task.ref):
            contents = task.contents(recipe)
            with job.store.create(task.ref, task.header(recipe), contents) as file:
                task.stage.function()(job, file)
    return task.part.name


def _cost(task: Task) -> float:
    images = max(1, len(task.part.image_ids)) if task.stage.split else 100
    return task.stage.cost * images
