"""`rerank oracle`, `ablate`, `report` and `draw`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rerank.cli.options import DONE, Commands, add_command, add_execution, add_work, execution_of


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
        add_execution(analysis)

    draw = add_command(commands, "draw", _draw, "what every stage made of an image, as PNG files")
    add_work(draw)
    draw.add_argument("image", nargs="?", metavar="ID", help="[the first evaluated image]")
    draw.add_argument("--out", required=True, help="folder for the pictures")


def _analyse(options: argparse.Namespace) -> int:
    from rerank.applications.reports import write_analysis

    for path in write_analysis(options.command, options.work, options.out, execution_of(options)):
        print(path)
    return DONE


def _draw(options: argparse.Namespace) -> int:
    from rerank.applications.stage_pictures import draw_image

    for path in draw_image(options.work, options.image, Path(options.out)):
        print(path)
    return DONE
