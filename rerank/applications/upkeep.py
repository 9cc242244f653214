"""The state of a work folder: what is done, stale, missing or damaged, and mending it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from rerank.applications.runs import (
    damaged_run_files,
    mend_run_files,
    open_run,
    open_run_of,
    read_run_file,
)
from rerank.engine.folds import ALL
from rerank.engine.graph import Garbage, Graph, Problem, TaskStatus
from rerank.engine.manifest import ArtefactRef
from rerank.engine.scheduler import Execution, run_graph
from rerank.engine.store import Store, check_marker, write_marker
from rerank.errors import DamagedArtefactError
from rerank.stages.index import INDEX

#: Times that `repair` looks for what is damaged.
_MOST_ROUNDS = 3
#: States of what needs no more work.
DONE = ("fresh", "dropped")


def status_lines(work: str | Path, every_fold: bool = False) -> list[str]:
    """The graph of stages as text: state, size and time of each.

    Parameters
    ----------
    work : path
    every_fold : bool
        A line for every fold of a stage.

    Returns
    -------
    list of str
    """
    graph = open_run(work)
    found = graph.status()
    lines = [
        f"{graph.recipe.name} in {work}: {_states(found)}",
        "",
        f"{'stage':<22}{'state':<30}{'size':>11}{'time':>10}  made from",
    ]
    for stage in graph.stages:
        rows = [row for row in found if row.stage == stage.name]
        read = [name for name, _ in stage.inputs_with(graph.recipe)]
        if not read:
            read = [name for name in stage.reads_with(graph.recipe) if name == "images"]
        line = _status_line(stage.name, _states(rows), rows)
        lines.append(f"{line}  {', '.join(read) or 'nothing'}")
        if every_fold and len(rows) > 1:
            lines += [_status_line(f"  {row.part}", row.state, [row]) for row in rows]
    return lines


def status_json(work: str | Path) -> dict[str, Any]:
    """The graph of stages as plain values: state, bytes and seconds of every artefact."""
    graph = open_run(work)
    found = graph.status()
    return {
        "recipe": graph.recipe.name,
        "work": str(work),
        "finished": all(row.state in DONE for row in found),
        "artefacts": [asdict(row) for row in found],
    }


class Checked(NamedTuple):
    """What `verify` and `repair` found, one line each.

    Attributes
    ----------
    mended : list of str
        What was wrong and is not any more.
    left : list of str
        What is wrong.
    """

    mended: list[str]
    left: list[str]


def verify(work: str | Path) -> list[str]:
    """Read every byte of every artefact; what is wrong, one line each.

    Parameters
    ----------
    work : path

    Raises
    ------
    StoreError
        If the folder is no work folder, or its run file is gone.
    """
    store = Store(work, create=False, any_marker=True)
    files = [*_wrong_marker(store), *damaged_run_files(store)]
    # The index comes first: with it missing, it is counted again when the run is opened.
    files += _lost_index(store)
    return [*files, *_wrong_sets(open_run_of(store)), *map(_text, _problems(store))]


def repair(work: str | Path, execution: Execution) -> Checked:
    """Find what is damaged, move it to the quarantine, and compute it again.

    Parameters
    ----------
    work : path
    execution : Execution

    Returns
    -------
    Checked

    Raises
    ------
    StoreError
        If the folder is no work folder, or its run file is gone.
    """
    store = Store(work, create=False, any_marker=True)
    mended = _wrong_marker(store)
    if mended:
        write_marker(store.root)
    if problems := damaged_run_files(store):
        mended += problems
        mend_run_files(store)
    mended += _lost_index(store)
    store.clear_leavings()
    mended += _wrong_sets(graph := open_run_of(store))
    store.write_sets(graph.trained_on)
    # What is computed anew on another machine may differ, and then what was made from it follows.
    for _ in range(_MOST_ROUNDS):
        lost = [p for p in _problems(store) if p.verdict != "unreadable"]
        if not lost:
            break
        mended += map(_text, lost)
        for problem in lost:
            if problem.verdict == "damaged":
                store.set_aside(problem.task.ref)
        run_graph(open_run_of(store), None, execution, {problem.task.ref for problem in lost})
    left = [*map(_text, _problems(store))]
    if mended and not left and not unfinished(graph := open_run_of(store)):
        from rerank.applications.reports import export_report

        export_report(graph, store.root / "report")
    return Checked(mended, left)


def collect_garbage(work: str | Path, dry_run: bool = False) -> Garbage:
    """Remove what neither the last recipe nor a living run reaches.

    Parameters
    ----------
    work : path
    dry_run : bool
        Only say what would be removed.

    Returns
    -------
    Garbage
    """
    return open_run(work).collect_garbage(dry_run)


def unfinished(graph: Graph) -> list[str]:
    """Names of the stages that are not computed, or not wholly."""
    return list(dict.fromkeys(row.stage for row in graph.status() if row.state not in DONE))


def _states(rows: Sequence[TaskStatus]) -> str:
    counts = {
        state: sum(row.state == state for row in rows)
        for state in ("fresh", "dropped", "stale", "missing", "damaged", "unreadable")
    }
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count)


def _status_line(name: str, state: str, rows: Sequence[TaskStatus]) -> str:
    size = sum(row.bytes for row in rows) / (1 << 20)
    seconds = sum(row.seconds for row in rows)
    return f"{name:<22}{state:<30}{size:>7.1f} MiB{seconds:>8.1f} s"


def _wrong_marker(store: Store) -> list[str]:
    try:
        check_marker(store.root)
    except DamagedArtefactError as error:
        return [str(error)]
    return []


def _lost_index(store: Store) -> list[str]:
    found = read_run_file(store)
    key = found.artefacts.get(f"{INDEX.name}/{ALL}")
    if not found.finished or key is None:
        return []
    ref = ArtefactRef(INDEX.name, ALL, key)
    lost = store.state(ref) == "missing"
    return [f"{store.path(ref)}: missing; it is computed with the next command"] if lost else []


def _wrong_sets(graph: Graph) -> list[str]:
    """What is wrong with the lists of training images that artefacts name; one line each."""
    store = graph.store
    there = {task.trained_on for task in graph.tasks if store.size(task.ref)}
    return [
        f"{path}: damaged or missing, and names training images; `rerank verify --repair` mends it"
        for path in store.wrong_sets(there)
    ]


def _problems(store: Store) -> list[Problem]:
    return open_run_of(store).verify(read_run_file(store).finished)


def _text(problem: Problem) -> str:
    return problem.text
