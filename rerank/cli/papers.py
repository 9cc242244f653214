"""`rerank reproduce` and `plot`: the papers' tables and figures."""

from __future__ import annotations

import argparse
from pathlib import Path

from rerank.cli.options import (
    DONE,
    Commands,
    add_command,
    add_json,
    add_overrides,
    add_quiet,
    count,
    positive,
    show,
    show_files,
)
from rerank.errors import ConfigError


def add(commands: Commands) -> None:
    """Add these commands."""
    table = add_command(
        commands, "reproduce", _reproduce, "a paper's table: its figures beside those measured here"
    )
    table.add_argument("table", metavar="TABLE", help="list names them")
    table.add_argument("--data-root", help="folder of the data set, or the one above it")
    table.add_argument("--dataset", metavar="NAME", help="measure it on another data set")
    table.add_argument(
        "--work",
        default="work/reproduce",
        help="work folder; results are kept there [work/reproduce]",
    )
    table.add_argument(
        "--seeds",
        type=_seeds,
        default=(0, 1, 2),
        metavar="0,1,2",
        help="at least three for the test over seeds [0,1,2]",
    )
    table.add_argument("--full", action="store_true", help="full size, for a GPU")
    table.add_argument("--device", default="", help="[cuda with --full, else cpu]")
    table.add_argument(
        "--jobs", type=positive, default=1, help="threads, or tasks of the pipeline at a time [1]"
    )
    add_overrides(table, "replace a setting of the recipe, for tables that run one")
    add_json(table)
    add_quiet(table)

    plot = add_command(commands, "plot", _plot, "a paper's figure, as PNG")
    plot.add_argument("name", choices=("flips", "discontinuity", "crfgrad-energy"))
    plot.add_argument("--out", required=True, help="file to write, FILE.png")
    plot.add_argument(
        "--labels", help="flips: a mask whose pixel values are the labels [of a drawn scene]"
    )
    plot.add_argument(
        "--work",
        help="crfgrad-energy: work folder of `rerank reproduce larsson-table1` "
        "[Gaussian kernels on drawn scenes]",
    )
    plot.add_argument("--data-root", help="crfgrad-energy: folder of the horses")
    plot.add_argument("--seed", type=count, default=0, help="of the drawing [0]")
    add_json(plot)


def _seeds(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.isdigit() for part in parts):
        raise argparse.ArgumentTypeError(f"expected numbers such as 0,1,2, got {text}")
    return tuple(int(part) for part in parts)


def _reproduce(options: argparse.Namespace) -> int:
    from rerank.experiments import TABLES, Scope, reproduce_table, table_on

    if options.table == "list":
        known = [(name, table.source, table.title) for name, table in TABLES.items()]
        rows = [{"name": name, "source": source, "title": title} for name, source, title in known]
        text = "\n".join(f"{name:<30} {source}: {title}" for name, source, title in known)
        show(options, rows, text)
        return DONE
    if options.data_root is None:
        raise ConfigError("rerank reproduce TABLE needs --data-root, the folder of the data set")
    scope = Scope(
        Path(options.data_root),
        Path(options.work),
        options.full,
        options.device,
        options.jobs,
        options.quiet,
        tuple(options.overrides),
    )
    name = options.table if options.dataset is None else table_on(options.table, options.dataset)
    written = reproduce_table(name, scope, options.seeds)
    paths = [str(path) for path in written.paths]
    text = "\n".join([written.text, "", *paths])
    show(options, {"table": name, "text": written.text, "files": paths}, text)
    return DONE


def _plot(options: argparse.Namespace) -> int:
    from rerank.experiments import draw_plot

    labels, work, data_root = (
        None if path is None else Path(path)
        for path in (options.labels, options.work, options.data_root)
    )
    path = draw_plot(options.name, Path(options.out), labels, work, data_root, options.seed)
    return show_files(options, [path])
