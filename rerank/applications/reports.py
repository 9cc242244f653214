"""Writing the report and the analyses of a run to a folder."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from rerank.applications.runs import open_run
from rerank.config import dump_recipe
from rerank.engine.graph import Graph
from rerank.engine.scheduler import Execution, run_graph
from rerank.errors import ConfigError, DamagedArtefactError, StoreError
from rerank.files import replace_file
from rerank.reports import to_csv
from rerank.reports.run_page import (
    IMAGES,
    MOST_INLINE,
    NUMBERS,
    PAGE,
    THUMBNAIL,
    VIEW,
    ShownImage,
    linked_names,
    linked_view,
    render_run_page,
)

#: Names of the files of a report.
_FILE_NAME = re.compile(r"[a-z0-9_]+\.(csv|png|json)")


def write_analysis(
    kind: str, work: str | Path, out: str | Path | None, execution: Execution
) -> list[Path]:
    """Write the files of an analysis, computing first what they lack.

    Parameters
    ----------
    kind : {"oracle", "ablate"}
    work : path
    out : path or None
        Folder for the files; `report` in the work folder by default.
    execution : Execution

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    ConfigError
        If the recipe leaves the ablation out.
    """
    from rerank.stages.pages import ablation_files, oracle_files

    graph = open_run(work)
    run_graph(graph, None, execution)
    folder = graph.store.root / "report" if out is None else Path(out)
    job = graph.job("pages")
    files = oracle_files(job) if kind == "oracle" else ablation_files(job)
    if not files:
        raise ConfigError(
            "the recipe leaves the ablation out; run it with --set report.ablation=true"
        )
    return [_write(folder / name, content) for name, content in files.items()]


def write_report(
    work: str | Path, out: str | Path | None, execution: Execution, single_file: bool = False
) -> Path:
    """Write the report of a run, computing first what it lacks.

    Parameters
    ----------
    work : path
    out : path or None
        Folder for the files; `report` in the work folder by default.
    execution : Execution
    single_file : bool
        Keep all images within the page, whatever it weighs then.

    Returns
    -------
    Path
        The page.
    """
    graph = open_run(work)
    run_graph(graph, None, execution)
    folder = graph.store.root / "report" if out is None else Path(out)
    return export_report(graph, folder, sys.maxsize if single_file else MOST_INLINE)


def export_report(graph: Graph, folder: Path, most_inline: int = MOST_INLINE) -> Path:
    """Write the finished report and its timings to a folder; returns the page.

    Parameters
    ----------
    graph : Graph
        Of a finished run.
    folder : Path
    most_inline : int
        Bytes of pictures that the page itself holds at most. Where there are more, they are
        written to the folder `report_images` beside it.

    Returns
    -------
    Path
        The page.
    """
    if folder == graph.store.root / "report" and folder.is_symlink():
        raise StoreError(f"{folder}: a link; remove it, or choose --out FOLDER")
    rows = timing_rows(graph)
    task = graph.task("pages")
    with graph.store.open(task.ref, contents=task.contents(graph.recipe)) as file:
        contents = {name: bytes(file["files"][name][()]) for name in file["files"]}
        images = _shown_images(file["images"], folder, most_inline)
    strange = [name for name in contents if not _FILE_NAME.fullmatch(name)]
    if strange:
        raise DamagedArtefactError(
            f"{graph.store.path(graph.task('pages').ref)}: holds files that no report has "
            f"({strange[0]!r:.60}); `rerank verify --repair` recomputes it"
        )
    contents["timings.csv"] = to_csv(rows).encode()
    contents["recipe.yaml"] = dump_recipe(graph.recipe).encode()
    with numbers_of_report(graph):
        numbers = json.loads(contents.pop(NUMBERS))
        contents[PAGE] = render_run_page(numbers, images, rows).encode()
    for name, content in contents.items():
        _write(folder / name, content)
    return folder / PAGE


@contextmanager
def numbers_of_report(graph: Graph) -> Iterator[None]:
    """Turn what wrong JSON of the stage `pages` can raise into an error that names its file."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        why = " ".join(str(error).split())
        raise DamagedArtefactError(
            f"{graph.store.path(graph.task('pages').ref)}: {NUMBERS} is not what its stage writes "
            f"({type(error).__name__}: {why:.100}); `rerank verify --repair` recomputes it"
        ) from error


def _shown_images(images: h5py.Group, folder: Path, most_inline: int) -> list[ShownImage] | None:
    """What the page holds of each image; None where it is written beside the page instead."""
    groups = list(images.values())
    weight = sum(group[name].size for group in groups for name in (THUMBNAIL, VIEW))
    kept = set()
    if weight > most_inline:
        for index, group in enumerate(groups):
            thumbnail, view = linked_names(index)
            _write(folder / thumbnail, bytes(group[THUMBNAIL][()]))
            _write(folder / view, linked_view(index, bytes(group[VIEW][()])))
            kept |= {folder / thumbnail, folder / view}
    # Views that an earlier page left must not be taken for those of this one.
    for path in (folder / IMAGES).glob("[0-9][0-9][0-9][0-9][0-9][0-9].*"):
        if path not in kept:
            path.unlink()
    if kept:
        return None
    if (folder / IMAGES).is_dir() and not any((folder / IMAGES).iterdir()):
        (folder / IMAGES).rmdir()
    return [ShownImage(bytes(g[THUMBNAIL][()]), bytes(g[VIEW][()])) for g in groups]


def timing_rows(graph: Graph) -> list[dict[str, Any]]:
    """Seconds, processor seconds, size and peak memory of each stage, from its artefacts."""
    rows = []
    for stage in graph.stages:
        tasks = [task for task in graph.tasks if task.stage.name == stage.name]
        headers = [h for task in tasks if (h := graph.store.costs(task.ref)) is not None]
        size = sum(graph.store.size(task.ref) for task in tasks)
        rows.append(
            {
                "stage": stage.name,
                "files": len(tasks),
                "seconds": round(sum(h.seconds for h in headers), 2),
                "cpu_seconds": round(sum(h.cpu_seconds for h in headers), 2),
                "mib": round(size / (1 << 20), 2),
                "peak_mib": round(max((h.peak_mib for h in headers), default=0.0), 1),
            }
        )
    return rows


def _write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Never through a link: the work folder may be somebody else's.
    if path.is_symlink() or not path.exists() or path.read_bytes() != content:
        with replace_file(path) as temporary:
            temporary.write_bytes(content)
    return path
