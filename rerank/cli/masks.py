"""`rerank evaluate` and `rerank rank`: masks that are there already."""

from __future__ import annotations

import argparse
from pathlib import Path

from rerank.cli.options import DONE, Commands, add_command, add_quiet, count, positive, void_label


def add(commands: Commands) -> None:
    """Add these commands."""
    judge = add_command(
        commands, "evaluate", _evaluate, "IoU of folders of masks, and gains over the first"
    )
    judge.add_argument(
        "predictions", nargs="+", metavar="PREDICTIONS", help="folder of ID.png or ID_ENDING.png"
    )
    judge.add_argument("--labels", required=True, help="folder of the true masks, ID.png")
    judge.add_argument(
        "--classes",
        metavar="N|FILE",
        help="number of classes, or file of their names [classes.txt, else the highest label + 1]",
    )
    judge.add_argument(
        "--void",
        type=void_label,
        default=255,
        metavar="N|none",
        help="label that is not counted [255]",
    )
    judge.add_argument(
        "--list", dest="only", metavar="FILE", help="images to judge, a name a line [all]"
    )
    judge.add_argument(
        "--common", action="store_true", help="judge the images that all folders have"
    )
    judge.add_argument(
        "--groups",
        metavar="FILE",
        help="lines `name group`; the bootstrap draws whole groups, such as videos",
    )
    judge.add_argument(
        "--bootstrap", type=count, default=2000, metavar="N", help="resamples; 0 for none [2000]"
    )
    judge.add_argument("--seed", type=count, default=0, help="of the bootstrap [0]")
    judge.add_argument("--out", help="folder for folders.csv, classes.csv and images.csv")
    judge.add_argument("--json", action="store_true", help="print JSON")
    judge.add_argument("--jobs", type=positive, default=1, help="images at a time [1]")
    add_quiet(judge)

    rank = add_command(commands, "rank", _rank, "choose among masks of your own, whoever made them")
    rank.add_argument("--masks", required=True, help="folder of ID/NAME.png, any number an image")
    rank.add_argument("--images", required=True, help="folder of the images, by the same names")
    rank.add_argument("--out", required=True, help="folder for the results")
    known = rank.add_mutually_exclusive_group()
    known.add_argument(
        "--labels", help="folder of ID.png, or ID/NAME.png of several annotators: fit a ranker"
    )
    known.add_argument("--model", metavar="FILE", help="a ranker.h5 that was fitted before")
    rank.add_argument(
        "--classes",
        metavar="N|FILE",
        help="number of classes, or file of their names [classes.txt, else the highest value + 1]",
    )
    rank.add_argument(
        "--void",
        type=void_label,
        default=255,
        metavar="N|none",
        help="label that is not counted [255]",
    )
    rank.add_argument(
        "--weights", metavar="FILE", help="lines `name weight` of masks, for the consensus [equal]"
    )
    rank.add_argument(
        "--baseline", metavar="NAME", help="masks that gains are over [the best single ones]"
    )
    rank.add_argument(
        "--list", dest="only", metavar="FILE", help="images to take, a name a line [all]"
    )
    rank.add_argument("--common", action="store_true", help="take the images that all folders have")
    rank.add_argument(
        "--bootstrap", type=count, default=2000, metavar="N", help="resamples; 0 for none [2000]"
    )
    rank.add_argument("--seed", type=count, default=0, help="of folds and bootstrap [0]")
    rank.add_argument("--json", action="store_true", help="print JSON")
    rank.add_argument("--jobs", type=positive, default=1, help="images at a time [1]")
    add_quiet(rank)


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _evaluate(options: argparse.Namespace) -> int:
    from rerank.applications.folder_evaluation import MaskEvaluation, evaluate_folders
    from rerank.reports.mask_comparison import comparison_json, comparison_text

    settings = MaskEvaluation(
        options.classes,
        options.void,
        _path(options.only),
        options.common,
        _path(options.groups),
        options.bootstrap,
        options.seed,
    )
    found = evaluate_folders(
        Path(options.labels),
        [Path(folder) for folder in options.predictions],
        settings,
        _path(options.out),
        options.jobs,
        options.quiet,
    )
    if options.json:
        import json

        print(json.dumps(comparison_json(found), indent=1))
    elif not options.quiet:
        print(comparison_text(found))
    return DONE


def _rank(options: argparse.Namespace) -> int:
    from rerank.applications.mask_ranking import MaskRanking, rank_files
    from rerank.reports.ranked_masks import ranking_json, ranking_text

    settings = MaskRanking(
        labels=_path(options.labels),
        model=_path(options.model),
        classes=options.classes,
        void=options.void,
        weights=_path(options.weights),
        baseline=options.baseline,
        only=_path(options.only),
        common=options.common,
        n_resamples=options.bootstrap,
        random_state=options.seed,
    )
    masks, images, out = Path(options.masks), Path(options.images), Path(options.out)
    found = rank_files(masks, images, out, settings, options.jobs, options.quiet)
    if options.json:
        import json

        print(json.dumps(ranking_json(found), indent=1))
    elif not options.quiet:
        print(ranking_text(found))
        print(f"{out / 'report.html'}: tables and examples")
    return DONE
