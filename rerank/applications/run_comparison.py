"""Finished runs side by side on one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rerank.applications.runs import open_run
from rerank.engine.graph import Graph
from rerank.engine.scheduler import Execution, run_graph
from rerank.errors import ConfigError, InputError
from rerank.files import write_text
from rerank.reports.run_page import comparison_page
from rerank.reports.side_by_side import ComparedRun, comparison_record
from rerank.stages.oracle import load_curve, population_parts
from rerank.stages.pages import load_population
from rerank.stages.ranking import load_scores

#: The page.
PAGE = "comparison.html"


def write_comparison(works: Sequence[str | Path], out: Path, execution: Execution) -> Path:
    """Write `comparison.html`, computing first what a run lacks.

    The runs are compared on their evaluation images, or, where one has none, on all images,
    cross-fitted; differences are paired over the images that both have.

    Parameters
    ----------
    works : sequence of path
        Work folders of two runs or more.
    out : Path
        Folder for the page.
    execution : Execution

    Returns
    -------
    Path
        The page.

    Raises
    ------
    ConfigError
        If a folder is named twice.
    InputError
        If the runs have other classes, or no image in common.
    """
    places = [Path(work).resolve() for work in works]
    if len(set(places)) < len(places):
        raise ConfigError(f"--compare {' '.join(map(str, works))}: a folder is named twice")
    graphs = [open_run(work) for work in works]
    for graph in graphs:
        run_graph(graph, None, execution)
    both = all(graph.parts[-1].image_ids for graph in graphs)
    name = "evaluation" if both else "cross_fitted"
    first = graphs[0].data.train
    for work, graph in zip(works, graphs):
        if graph.data.train.class_names != first.class_names:
            raise InputError(
                f"{work}: its classes are not those of {works[0]}; only runs of the same classes "
                "can be compared"
            )
    labels = _labels(works)
    runs = [_compared(label, graph, name) for label, graph in zip(labels, graphs)]
    content = comparison_record(runs, first.class_names, first.palette)
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / PAGE, comparison_page(content).decode())
    return out / PAGE


def _compared(label: str, graph: Graph, name: str) -> ComparedRun:
    job = graph.job("pages")
    parts = population_parts(job, name)
    with job.open("oracle") as file:
        curve = load_curve(file, name)
    with job.open("ranking") as file:
        scores = [load_scores(file, part)["svm"] for part in parts]
    return ComparedRun(
        label,
        graph.recipe.name,
        tuple(image_id for part in parts for image_id in job.ids(part)),
        load_population(job, name),
        curve,
        scores,
        _leaves(graph.recipe.model_dump(mode="json")),
        graph.recipe.report.n_bootstrap,
    )


def _labels(works: Sequence[str | Path]) -> list[str]:
    """The last names of the folders' paths, as many as tell all of them apart."""
    parts = [Path(work).resolve().parts for work in works]
    for length in range(1, max(map(len, parts))):
        names = ["/".join(own[-length:]) for own in parts]
        if len(set(names)) == len(names):
            return names
    return [str(Path(work).resolve()) for work in works]


def _leaves(tree: dict[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            found.update(_leaves(value, f"{prefix}{name}."))
        else:
            found[prefix + name] = str(value)
    return found
