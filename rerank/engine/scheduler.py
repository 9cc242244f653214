"""Computing the missing artefacts of a graph, several tasks at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from rerank.engine.executors import Backend, Call, make_executor
from rerank.engine.folds import FINAL, fold_name
from rerank.engine.graph import Graph, Task
from rerank.engine.manifest import ArtefactRef
from rerank.engine.progress import Progress
from rerank.engine.stage import Stage
from rerank.engine.store import Store
from rerank.errors import ConfigError, DamagedArtefactError, MissingArtefactError


class Execution(NamedTuple):
    """Where tasks run and how many at a time.

    Attributes
    ----------
    jobs : int or None
        Tasks at a time, one core each; None for one per core. A cluster has as many as it has.
    backend : {"loky", "threading", "dask"}
    scheduler : str or None
        Address of the Dask scheduler.
    quiet : bool
        Show no progress.
    keep : bool
        Keep temporary artefacts, so that a run with other settings can read them too.
    """

    jobs: int | None = None
    backend: Backend = "loky"
    scheduler: str | None = None
    quiet: bool = False
    keep: bool = False


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
    if only is None:
        spent = graph.spent()
        wanted = [task for task in wanted if task.ref not in spent]
    if all(store.has(task.ref) for task in wanted):
        _drop(graph, graph.stages, execution)
        return 0
    with store.lease(task.ref for task in graph.tasks):
        store.clear_leavings()
        store.write_sets(graph.trained_on)
        with Progress(0, quiet=execution.quiet) as progress:
            todo = _make_room(graph, wanted, progress)
        _compute_all(graph, todo, fold, execution)
        _drop(graph, graph.stages, execution)
    return len(todo)


def _compute_all(
    graph: Graph, todo: Sequence[Task], fold: str | None, execution: Execution
) -> None:
    """Compute tasks, each as soon as what it reads is there."""
    executor = make_executor(execution.backend, execution.jobs, execution.scheduler)
    tasks = {str(task.ref): task for task in todo}
    by_ref = {task.ref: name for name, task in tasks.items()}
    calls = [
        Call(name, frozenset(by_ref[ref] for ref in task.inputs.values() if ref in by_ref))
        for name, task in tasks.items()
    ]
    if fold is None:
        # The longest way to the end comes first, lest all wait for it there.
        left = _costs_to_the_end(calls, {name: _cost(task) for name, task in tasks.items()})
        calls.sort(key=lambda call: -left[call.name])
    else:
        # Batch jobs start with their own fold, so that they seldom wait for others.
        places = {stage.name: place for place, stage in enumerate(graph.stages)}
        own = {name: task.part.fold == fold for name, task in tasks.items()}
        calls.sort(key=lambda c: (places[tasks[c.name].stage.name], not own[c.name]))
    # The first of those that have not ended stands for what is worked on.
    unended = dict.fromkeys(call.name for call in calls)
    total = sum(_cost(task) for task in todo)
    with Progress(total, quiet=execution.quiet) as progress:
        _show_stage(progress, tasks, unended)
        for name in executor.run(_execute, graph, calls):
            del unended[name]
            ended = tasks[name].stage
            if not any(tasks[other].stage is ended for other in unended):
                read = {stage for stage, _ in ended.inputs_with(graph.recipe)}
                _drop(graph, [s for s in graph.stages if s.name in read], execution)
            progress.advance(_cost(tasks[name]))
            _show_stage(progress, tasks, unended)


def _drop(graph: Graph, stages: Iterable[Stage], execution: Execution) -> None:
    """Remove the temporary artefacts of some stages that nothing needs any more."""
    names = {stage.name for stage in stages if stage.temporary}
    if names and not execution.keep:
        graph.drop_spent(task.ref for task in graph.tasks if task.stage.name in names)


def _show_stage(
    progress: Progress, tasks: Mapping[str, Task], unended: Mapping[str, object]
) -> None:
    name = next(iter(unended), None)
    if name is not None:
        progress.stage(tasks[name].stage.summary)


def _costs_to_the_end(calls: Sequence[Call], costs: Mapping[str, float]) -> dict[str, float]:
    """The cost of the longest way from the start of each call to the end of all, by name."""
    found: dict[str, float] = {}
    after = {call.name: call.after for call in calls}
    longest = dict.fromkeys(costs, 0.0)
    # Calls stand after those that they come after.
    for call in reversed(calls):
        found[call.name] = longest[call.name] + costs[call.name]
        for other in after[call.name]:
            longest[other] = max(longest[other], found[call.name])
    return found


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
    store = graph.store
    with store.lock(task.ref):
        # Another run may have made it while this one waited for the lock.
        if not store.has(task.ref):
            contents = task.contents(graph.recipe)
            with store.create(task.ref, task.header(graph.recipe), contents) as file:
                task.stage.function()(graph.job_of(task), file)


def _execute(graph: Graph, name: str) -> None:
    compute(graph, graph.named(name))


def _cost(task: Task) -> float:
    images = max(1, len(task.part.image_ids)) if task.stage.split else 100
    return task.stage.cost * images
