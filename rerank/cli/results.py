"""`rerank oracle`, `ablate`, `report`, `draw` and `export`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rerank.cli.options import (
    DONE,
    WORK_HELP,
    Commands,
    add_command,
    add_execution,
    add_json,
    add_quiet,
    add_work,
    execution_of,
    find_work,
    show,
    show_files,
)
from rerank.errors import ConfigError


def add(commands: Commands) -> None:
    """Add these commands."""
    for name, summary in (
        ("oracle", "what the proposals make possible, as CSV and PNG"),
        ("ablate", "what each group of features adds, as CSV and PNG"),
    ):
        analysis = add_command(commands, name, _analyse, summary)
        add_work(analysis)
        analysis.add_argument("--out", help="folder for the files [WORK/report]")
        add_json(analysis)
        add_execution(analysis)

    report = add_command(commands, "report", _report, "everything on one self-contained HTML page")
    of_run = report.add_mutually_exclusive_group(required=True)
    of_run.add_argument("--work", type=find_work, metavar="DIR|NAME", help=WORK_HELP)
    of_run.add_argument(
        "--compare",
        nargs="+",
        type=find_work,
        metavar="WORK",
        help="work folders of finished runs: one page with their numbers side by side",
    )
    report.add_argument("--out", help="folder for the files [WORK/report, or comparison]")
    report.add_argument(
        "--single-file",
        action="store_true",
        help="keep all images within the page, however many they are",
    )
    add_json(report)
    add_execution(report)

    draw = add_command(commands, "draw", _draw, "what every stage made of an image, as PNG files")
    add_work(draw)
    draw.add_argument("image", nargs="?", metavar="ID", help="[the first evaluated image]")
    draw.add_argument("--out", required=True, help="folder for the pictures")
    add_json(draw)

    export = add_command(
        commands, "export", _export, "the segmentations of a run as PNG, NPZ and COCO's JSON"
    )
    add_work(export)
    export.add_argument("--out", required=True, help="folder for the files")
    export.add_argument(
        "--rule",
        choices=("choice", "gated", "joint", "map", "network", "oracle"),
        default="choice",
        help="whose labelings [choice: what predictions give]",
    )
    export.add_argument(
        "--images",
        choices=("evaluation", "all"),
        help="[the evaluation images; all, cross-fitted, where there are none]",
    )
    export.add_argument(
        "--kinds",
        nargs="+",
        choices=("segmentations", "overlays", "probabilities", "panoptic", "rle", "images"),
        default=("segmentations", "overlays"),
        help="what is written [segmentations overlays]",
    )
    add_json(export)
    add_quiet(export)


def _analyse(options: argparse.Namespace) -> int:
    from rerank.applications.reports import write_analysis

    written = write_analysis(options.command, options.work, options.out, execution_of(options))
    return show_files(options, written)


def _report(options: argparse.Namespace) -> int:
    if options.compare is None:
        from rerank.applications.reports import write_report

        page = write_report(
            options.work, options.out, execution_of(options), single_file=options.single_file
        )
        return show_files(options, [page])
    if options.single_file:
        raise ConfigError("--single-file goes with --work: a comparison holds no images")
    if len(options.compare) < 2:
        raise ConfigError("--compare takes two work folders or more")
    from rerank.applications.run_comparison import write_comparison

    out = Path(options.out or "comparison")
    return show_files(options, [write_comparison(options.compare, out, execution_of(options))])


def _draw(options: argparse.Namespace) -> int:
    from rerank.applications.stage_pictures import draw_image

    return show_files(options, draw_image(options.work, options.image, Path(options.out)))


def _export(options: argparse.Namespace) -> int:
    from rerank.applications.export_files import Export, export_run

    found = export_run(
        options.work,
        Path(options.out),
        Export(options.rule, options.images, tuple(options.kinds)),
        options.quiet,
    )
    files = ", ".join(found["written"])
    show(options, found, f"{found['images']} images in {found['out']}: {files}")
    return DONE
