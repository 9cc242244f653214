"""`rerank propose`, `fit`, `predict` and `dense-crf`: your own network, or the models of a run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rerank.cli.options import (
    DONE,
    WORK_HELP,
    Commands,
    add_command,
    add_json,
    add_overrides,
    add_quiet,
    count,
    find_work,
    positive,
    show,
    void_label,
)
from rerank.errors import ConfigError, DataError

#: The label that is not counted by default.
VOID = 255
#: What stands beside each segmentation of `propose` and `predict`.
_BESIDE = "ID_overlay.png, ID_disagreement.png, ID_scores.csv, ID_proposals/, and scores.csv"


def add(commands: Commands) -> None:
    """Add these commands."""
    propose = add_command(
        commands, "propose", _propose, "proposals from your own model's probability maps"
    )
    _add_maps(propose)
    propose.add_argument("--labels", help="folder of masks, by the same names, to judge the choice")
    propose.add_argument(
        "--void", type=void_label, default=VOID, metavar="N|none", help="label not counted [255]"
    )
    propose.add_argument("--json", action="store_true", help="print JSON")
    propose.add_argument("--jobs", type=positive, default=1, help="images at a time [1]")
    add_overrides(propose, "replace a setting, such as diversity=0.5 or superpixels.n_segments=800")
    add_quiet(propose)

    _add_fit(commands)
    predict = add_command(
        commands, "predict", _predict, "segment new images with fitted models or a finished run"
    )
    models = predict.add_mutually_exclusive_group(required=True)
    models.add_argument("--model", help="file that `rerank fit` wrote")
    models.add_argument("--work", type=find_work, metavar="DIR|NAME", help=WORK_HELP)
    predict.add_argument("images", nargs="+", metavar="IMAGE", help="image, or folder of images")
    predict.add_argument("--out", required=True, help="folder for the results")
    predict.add_argument(
        "--probabilities",
        help="folder of the images' probability maps, for models that were made from such maps",
    )
    _add_auxiliary(predict)
    predict.add_argument(
        "--joint",
        action="store_true",
        help="choose for all images together, for the highest expected corpus IoU",
    )
    add_json(predict)
    predict.add_argument("--jobs", type=positive, default=1, help="images at a time [1]")
    add_quiet(predict)

    refine = add_command(
        commands, "dense-crf", _dense_crf, "refine probability maps by the fully connected CRF"
    )
    _add_maps(refine)
    refine.add_argument(
        "--iterations", type=int, default=5, dest="n_iterations", help="steps of mean field [5]"
    )
    for name, default, summary in (
        ("gaussian-sxy", 3.0, "deviation of positions, in pixels"),
        ("gaussian-compat", 3.0, "Potts weight; 0 leaves the term out"),
        ("bilateral-sxy", 80.0, "deviation of positions, in pixels"),
        ("bilateral-srgb", 13.0, "deviation of colours, in 0..255"),
        ("bilateral-compat", 10.0, "Potts weight; 0 leaves the term out"),
        ("scale", 1.0, "certainty of the maps, in (0, 1]"),
        ("clip", 1e-5, "smallest probability"),
    ):
        refine.add_argument(
            f"--{name}", type=float, default=default, help=f"{summary} [{default:g}]"
        )
    refine.add_argument(
        "--normalization",
        default="symmetric",
        choices=("symmetric", "before", "after", "none"),
        help="how kernels are divided by their sums [symmetric]",
    )
    refine.add_argument(
        "--maps", action="store_true", help="write the refined maps too, ID.npy in float16"
    )
    add_json(refine)
    refine.add_argument("--jobs", type=positive, default=1, help="images at a time [1]")
    add_quiet(refine)


def _add_fit(commands: Commands) -> None:
    fit = add_command(
        commands, "fit", _fit, "learn the choice on labelled images that your network never saw"
    )
    _add_maps(fit, "file for the models, such as model.h5")
    fit.add_argument("--labels", required=True, help="folder of masks, by the same names")
    _add_auxiliary(fit)
    fit.add_argument(
        "--classes", metavar="FILE|N", help="names of the classes, one a line, or their number"
    )
    fit.add_argument("--folds", type=_folds, metavar="K", help="folds of the images [5]")
    fit.add_argument(
        "--ordered",
        action="store_true",
        help="neighbours in the order of the names are alike, as in video: folds are contiguous",
    )
    fit.add_argument("--weights", metavar="FILE", help="of a backbone, for deep features")
    fit.add_argument("--seed", type=count, metavar="N", help="of everything random [0]")
    fit.add_argument("--json", action="store_true", help="print the table as JSON")
    add_overrides(fit, "replace a setting of the recipe own_maps; may be given several times")
    fit.add_argument("--jobs", type=positive, help="tasks at a time [one a core]")
    add_quiet(fit)


def _add_auxiliary(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--auxiliary",
        action="append",
        default=[],
        metavar="DIR",
        help="folder of a further network's maps; may be given several times",
    )


def _add_maps(parser: argparse.ArgumentParser, out: str = "folder for the results") -> None:
    parser.add_argument(
        "--probabilities",
        required=True,
        metavar="DIR",
        help="your network's maps: ID.npy, ID.npz, ID.h5, one maps.h5, or folders ID of PNGs per "
        "class; probabilities or scores at any size, classes first or last",
    )
    parser.add_argument("--images", required=True, help="folder of images, by the same names")
    parser.add_argument("--out", required=True, help=out)


def _fit(options: argparse.Namespace) -> int:
    import json

    from rerank.applications.fit_files import FitFolders, fit_files
    from rerank.engine.scheduler import Execution
    from rerank.reports.fit_report import fit_json, fit_text

    folders = FitFolders(
        Path(options.probabilities),
        Path(options.images),
        Path(options.labels),
        tuple(map(Path, options.auxiliary)),
        options.ordered,
    )
    overrides = [
        f"{name}={json.dumps(value)}"
        for name, value in (
            ("folds.n_folds", options.folds),
            ("backbone.weights", options.weights),
            ("random_state", options.seed),
        )
        if value is not None
    ]
    report = fit_files(
        folders,
        Path(options.out),
        options.classes,
        [*overrides, *options.overrides],
        Execution(options.jobs, quiet=options.quiet),
    )
    if options.json:
        print(json.dumps(fit_json(report)))
    elif not options.quiet:
        print(fit_text(report))
        print(f"The models: {options.out}")
    return DONE


def _propose(options: argparse.Namespace) -> int:
    from rerank.applications.proposal_files import propose_files

    if options.void != VOID and options.labels is None:
        raise ConfigError("--void is a value of labels: give their folder as --labels")
    found = propose_files(
        Path(options.probabilities),
        Path(options.images),
        Path(options.out),
        options.overrides,
        options.quiet,
        jobs=options.jobs,
        labels=None if options.labels is None else Path(options.labels),
        void=options.void,
    )
    if options.json:
        import json

        from rerank.reports.proposal_report import proposal_json

        judged = {} if found.report is None else proposal_json(found.report)
        about = {"n_images": len(found.segmentations), "out": options.out}
        print(json.dumps({**about, **judged}, indent=1))
        return DONE
    if found.report is not None and not options.quiet:
        print(f"{found.report}\n")
    return _done(options, found.segmentations, f": ID_segmentation.png, {_BESIDE}")


def _predict(options: argparse.Namespace) -> int:
    from rerank.applications.prediction_files import PredictionMaps, predict_files

    maps = PredictionMaps(
        None if options.probabilities is None else Path(options.probabilities),
        tuple(map(Path, options.auxiliary)),
    )
    if options.model is not None and not Path(options.model).is_file():
        raise DataError(f"{options.model}: no such file; --model names one that `rerank fit` wrote")
    images = [Path(image) for image in options.images]
    written = predict_files(
        options.work if options.model is None else options.model,
        images,
        Path(options.out),
        maps,
        options.quiet,
        options.joint,
        options.jobs,
    )
    return _done(options, written, f": ID_segmentation.png, {_BESIDE}")


def _dense_crf(options: argparse.Namespace) -> int:
    from dataclasses import fields

    from rerank.applications.dense_crf_files import refine_files
    from rerank.potentials.dense_crf_settings import DenseCRFSettings

    settings = DenseCRFSettings(
        **{field.name: getattr(options, field.name) for field in fields(DenseCRFSettings)}
    )
    written = refine_files(
        Path(options.probabilities),
        Path(options.images),
        Path(options.out),
        settings,
        maps=options.maps,
        jobs=options.jobs,
        quiet=options.quiet,
    )
    more = " and the refined ID.npy" if options.maps else ""
    return _done(options, written, f": ID_segmentation.png{more}")


def _done(options: argparse.Namespace, written: Sequence[Path], what: str) -> int:
    """Say in one line what was written, and where."""
    text = f"{len(written)} images{what} in {options.out}"
    show(options, {"out": options.out, "segmentations": [str(path) for path in written]}, text)
    return DONE


def _folds(text: str) -> int:
    if not text.isdigit() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"expected at least 2 folds, got {text}")
    return int(text)
