"""`rerank oracle`, `ablate`, `report` and `draw`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rerank.cli.options import (
    Commands,
    add_command,
    add_execution,
    add_json,
    add_work,
    execution_of,
    show_files,
)


def add(commands: Commands) -> None:
    """Add these commands."""
    for name, summary in (
        ("oracle", "what the proposals make possible, as CSV and PNG"),
        ("ablate", "what each group of features adds, as CSV and PNG"),
        ("report", "everything on one self-contained HTML page"),
    ):
        analysis = add_command(commands, name, _analyse, summary)
        add_work(analysis)
        analysis.add_argument("--out", help="folder for the files [WORK/report]")
        add_json(analysis)
        add_execution(analysis)

    draw = add_command(commands, "draw", _draw, "what every stage made of an image, as PNG files")
    add_work(draw)
    draw.add_argument("image", nargs="?", metavar="ID", help="[the first evaluated image]")
    draw.add_argument("--out", required=True, help="folder for the pictures")
    add_json(draw)


def _analyse(options: argparse.Namespace) -> int:
    from rerank.applications.reports import write_analysis

    written = write_analysis(options.command, options.work, options.out, execution_of(options))
    return show_files(options, written)


def _draw(options: argparse.Namespace) -> int:
    from rerank.applications.stage_pictures import draw_image

    return show_files(options, draw_image(options.work, options.image, Path(options.out)))
