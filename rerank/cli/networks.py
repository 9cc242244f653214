"""`rerank propose`, `predict` and `dense-crf`: your own network, or the models of a run."""

from __future__ import annotations

import argparse
from pathlib import Path

from rerank.cli.options import (
    DONE,
    Commands,
    add_command,
    add_overrides,
    add_quiet,
    add_work,
    positive,
)


def add(commands: Commands) -> None:
    """Add these commands."""
    propose = add_command(
        commands, "propose", _propose, "proposals from your own model's probability maps"
    )
    _add_maps(propose)
    add_overrides(propose, "replace a setting, such as diversity=0.5 or superpixels.n_segments=800")
    add_quiet(propose)

    predict = add_command(commands, "predict", _predict, "segment new images with a finished run")
    add_work(predict)
    predict.add_argument("images", nargs="+", metavar="IMAGE")
    predict.add_argument("--out", required=True, help="folder for the results")
    predict.add_argument(
        "--probabilities",
        help="folder of the images' probability maps, for a run that was made from such maps",
    )
    predict.add_argument(
        "--joint",
        action="store_true",
        help="choose for all images together, for the highest expected corpus IoU",
    )
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
    refine.add_argument("--jobs", type=positive, default=1, help="images at a time [1]")
    add_quiet(refine)


def _add_maps(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--probabilities", required=True, help="folder of ID.npy or ID.npz, (H, W, C) or (C, H, W)"
    )
    parser.add_argument("--images", required=True, help="folder of images, by the same names")
    parser.add_argument("--out", required=True, help="folder for the results")


def _propose(options: argparse.Namespace) -> int:
    from rerank.applications.proposal_files import propose_files

    for path in propose_files(
        Path(options.probabilities),
        Path(options.images),
        Path(options.out),
        options.overrides,
        options.quiet,
    ):
        print(path)
    return DONE


def _predict(options: argparse.Namespace) -> int:
    from rerank.applications.prediction_files import predict_files

    maps = None if options.probabilities is None else Path(options.probabilities)
    images = [Path(image) for image in options.images]
    for path in predict_files(
        options.work, images, Path(options.out), maps, options.quiet, options.joint
    ):
        print(path)
    return DONE


def _dense_crf(options: argparse.Namespace) -> int:
    from dataclasses import fields

    from rerank.applications.dense_crf_files import refine_files
    from rerank.potentials.dense_crf_settings import DenseCRFSettings

    settings = DenseCRFSettings(
        **{field.name: getattr(options, field.name) for field in fields(DenseCRFSettings)}
    )
    for path in refine_files(
        Path(options.probabilities),
        Path(options.images),
        Path(options.out),
        settings,
        options.jobs,
        options.quiet,
    ):
        print(path)
    return DONE
