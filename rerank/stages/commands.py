"""What the command line does, as functions."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from rerank.config import Recipe, dump_recipe, load_recipe
from rerank.datasets import check_dataset, dataset_names
from rerank.datasets.preparation import prepare_dataset as prepare
from rerank.errors import ConfigError, StoreError
from rerank.parallel import Backend, available_cores
from rerank.reports import TIMINGS, render_timings, to_csv
from rerank.stages.pictures import write_pictures
from rerank.stages.predict import read_run_file, write_run_file
from rerank.stages.report import ablation_files, oracle_files
from rerank.stages.workflow import TaskStatus, Workflow, part_name
from rerank.store import Store


def recipe_names() -> list[str]:
    """The recipes that the package carries."""
    folder = resources.files("pipelines") / "recipes"
    return sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".yaml"))


def find_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe by the name of a built-in one or by its file.

    Raises
    ------
    ConfigError
        If there is no such recipe; the message lists the built-in ones.
    """
    if name.endswith((".yaml", ".yml")) or "/" in name:
        return load_recipe(name, overrides)
    if name not in recipe_names():
        raise ConfigError(
            f"{name}: no such recipe; give a YAML file or one of {', '.join(recipe_names())}"
        )
    with resources.as_file(resources.files("pipelines") / "recipes" / f"{name}.yaml") as path:
        return load_recipe(path, overrides)


def run_recipe(
    name: str,
    data_root: str | None,
    work: str | None,
    fold: str | None = None,
    overrides: Sequence[str] = (),
    jobs: int | None = None,
    backend: Backend = "loky",
    scheduler: str | None = None,
    quiet: bool = False,
) -> Path | None:
    """Run what is left of a recipe; returns the report's page, or None for one fold's part."""
    recipe = find_recipe(name, overrides)
    store = Store(work if work is not None else Path("work") / recipe.name)
    root = None if data_root is None else str(Path(data_root).resolve())
    workflow = Workflow(recipe, store, root)
    write_run_file(workflow)
    part = None if fold is None else part_name(fold)
    workflow.run(part, _jobs(jobs, backend), backend, scheduler, quiet)
    return None if part is not None else export_report(workflow, store.root / "report")


def open_run(work: str) -> Workflow:
    """The workflow that was last run in a work folder."""
    store = Store(work, create=False)
    run = read_run_file(store)
    return Workflow(run["recipe"], store, run["data_root"])


def status_lines(work: str, every_part: bool = False) -> list[str]:
    """The graph of stages as text: state, size and time of each."""
    workflow = open_run(work)
    found = workflow.status()
    lines = [
        f"{workflow.recipe.name} in {work}: {_states(found)}",
        "",
        f"{'stage':<22}{'state':<30}{'size':>11}{'time':>10}  made from",
    ]
    for stage in workflow.stages:
        rows = [row for row in found if row.stage == stage.name]
        read = [name for name, _ in stage.inputs_with(workflow.recipe)]
        if not read:
            read = [name for name in stage.reads_with(workflow.recipe) if name == "images"]
        lines.append(
            _status_line(stage.name, _states(rows), rows) + f"  {', '.join(read) or 'nothing'}"
        )
        if every_part and len(rows) > 1:
            lines += [_status_line(f"  {row.part}", row.state, [row]) for row in rows]
    return lines


def verify(
    work: str,
    repair: bool,
    jobs: int | None = None,
    backend: Backend = "loky",
    scheduler: str | None = None,
    quiet: bool = False,
) -> list[str]:
    """Read every byte of every artefact; with `repair`, compute the damaged ones again."""
    workflow = open_run(work)
    problems = workflow.verify(repair)
    if problems and repair:
        workflow = open_run(work)
        workflow.run(None, _jobs(jobs, backend), backend, scheduler, quiet)
        export_report(workflow, workflow.store.root / "report")
    return problems


def collect_garbage(work: str) -> tuple[int, int]:
    """Remove what the last recipe does not reach; returns files and bytes."""
    return open_run(work).collect_garbage()


def write_analysis(
    kind: str,
    work: str,
    out: str | None,
    jobs: int | None = None,
    backend: Backend = "loky",
    scheduler: str | None = None,
    quiet: bool = False,
) -> list[Path]:
    """Write the files of `oracle`, `ablate` or `report`, computing first what they lack."""
    workflow = open_run(work)
    workflow.run(None, _jobs(jobs, backend), backend, scheduler, quiet)
    folder = workflow.store.root / "report" if out is None else Path(out)
    if kind == "report":
        return [export_report(workflow, folder)]
    job = workflow.job("pages")
    files = oracle_files(job) if kind == "oracle" else ablation_files(job)
    if not files:
        raise ConfigError(
            "the recipe leaves the ablation out; run it with --set report.ablation=true"
        )
    return [_write(folder / name, content) for name, content in files.items()]


def export_report(workflow: Workflow, folder: Path) -> Path:
    """Write the finished report and its timings to a folder; returns the page."""
    rows = timing_rows(workflow)
    with workflow.store.open(workflow.task("pages").ref) as file:
        contents = {name: bytes(file["files"][name][()]) for name in file["files"]}
    contents["timings.csv"] = to_csv(rows).encode()
    contents["recipe.yaml"] = dump_recipe(workflow.recipe).encode()
    contents["report.html"] = contents["report.html"].replace(
        TIMINGS.encode(), render_timings(rows).encode()
    )
    for name, content in contents.items():
        _write(folder / name, content)
    return folder / "report.html"


def timing_rows(workflow: Workflow) -> list[dict[str, Any]]:
    """Seconds, processor seconds, size and peak memory of each stage, from its artefacts."""
    rows = []
    for stage in workflow.stages:
        tasks = [task for task in workflow.tasks if task.stage.name == stage.name]
        headers = [workflow.store.header(task.ref) for task in tasks]
        size = sum(workflow.store.path(task.ref).stat().st_size for task in tasks)
        rows.append(
            {
                "stage": stage.name,
                "parts": len(tasks),
                "seconds": round(sum(h.seconds for h in headers), 2),
                "cpu_seconds": round(sum(h.cpu_seconds for h in headers), 2),
                "mib": round(size / (1 << 20), 2),
                "peak_mib": round(max(h.peak_mib for h in headers), 1),
            }
        )
    return rows


def draw_image(work: str, image_id: str | None, out: Path) -> list[Path]:
    """Write what every stage made of one image as PNG files."""
    workflow = open_run(work)
    missing = [row.stage for row in workflow.status() if row.state != "fresh"]
    if missing:
        raise StoreError(f"{work}: {missing[0]} is not computed; finish the run with `rerank run`")
    return write_pictures(workflow, image_id, out)


def dataset_lines() -> list[str]:
    """The data sets and the recipes that there are, one line each."""
    return [
        f"{name:<16}{'recipe and reader' if name in recipe_names() else 'reader'}"
        for name in dataset_names()
    ]


def check_lines(name: str, root: str | None) -> tuple[list[str], str]:
    """What is wrong with a data set's files, a line each, and a summary."""
    problems = [str(finding) for finding in check_dataset(name, root)]
    summary = (
        f"{name}: {len(problems)} problems found."
        if problems
        else f"{name}: every file is in order."
    )
    return problems, summary


def prepare_dataset(
    name: str, root: str | None, archives: Sequence[str], download: bool = False
) -> list[str]:
    """Arrange downloaded files of a data set under `root`; returns what was done, a line each."""
    return prepare(name, "data" if root is None else root, archives, download=download)


def _jobs(jobs: int | None, backend: Backend) -> int:
    if jobs is not None:
        return jobs
    # A cluster has as many workers as it has; this machine's cores say nothing about it.
    return -1 if backend == "dask" else available_cores()


def _write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_bytes() != content:
        path.write_bytes(content)
    return path


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
