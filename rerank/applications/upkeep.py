"""The state of a work folder: what is done, stale, missing or damaged, and mending it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rerank.applications.runs import open_run
from rerank.engine.graph import Graph, TaskStatus
from rerank.engine.scheduler import Execution, run_graph


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
        "finished": all(row.state == "fresh" for row in found),
        "artefacts": [asdict(row) for row in found],
    }


def verify(work: str | Path) -> list[str]:
    """Read every byte of every artefact; what is wrong, one line each."""
    return open_run(work).verify()


def repair(work: str | Path, execution: Execution) -> list[str]:
    """Find damaged artefacts and compute them again; what was wrong, one line each.

    Parameters
    ----------
    work : path
    execution : Execution

    Returns
    -------
    list of str
        One line for each artefact that was damaged.
    """
    problems = open_run(work).verify(repair=True)
    if problems:
        from rerank.applications.reports import export_report

        graph = open_run(work)
        run_graph(graph, None, execution)
        export_report(graph, graph.store.root / "report")
    return problems


def collect_garbage(work: str | Path) -> tuple[int, int]:
    """Remove what the last recipe does not reach; returns files and bytes."""
    return open_run(work).collect_garbage()


def unfinished(graph: Graph) -> list[str]:
    """Names of the stages that are not computed, or not wholly."""
    return list(dict.fromkeys(row.stage for row in graph.status() if row.state != "fresh"))


def _states(rows: Sequence[TaskStatus]) -> str:
    counts = {
        state: sum(row.state == state for row in rows)
        for state in ("fresh", "stale", "missing", "damaged")
    }
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count)


def _status_line(name: str, state: str, rows: Sequence[TaskStatus]) -> str:
    size = sum(row.bytes for row in rows) / (1 << 20)
    seconds = sum(row.seconds for row in rows)
    return f"{name:<22}{state:<30}{size:>7.1f} MiB{seconds:>8.1f} s"
