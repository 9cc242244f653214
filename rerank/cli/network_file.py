"""`rerank maps`: the maps of a network in a file."""

from __future__ import annotations

import argparse
from pathlib import Path

from rerank.cli.options import DONE, Commands, add_command, add_json, add_quiet, positive, show


def add(commands: Commands) -> None:
    """Add this command."""
    maps = add_command(
        commands, "maps", _maps, "probability maps of images from an ONNX, TFLite or .pt network"
    )
    maps.add_argument(
        "--network",
        required=True,
        metavar="FILE",
        help=".onnx (extra onnx), .tflite (extra tflite), or .pt (TorchScript)",
    )
    maps.add_argument("--images", required=True, metavar="DIR", help="folder of images")
    maps.add_argument("--out", required=True, metavar="DIR", help="folder for the maps")
    maps.add_argument(
        "--size",
        type=_size,
        metavar="N|HxW",
        help="input of a network that takes any size [that of each image]",
    )
    maps.add_argument(
        "--scale",
        type=float,
        help="what pixels of 0..255 are multiplied by; then --mean is subtracted and --std divides "
        "[1/255; networks that take bytes get them as they are]",
    )
    maps.add_argument(
        "--mean",
        type=_triple,
        metavar="R,G,B",
        help="[0.485,0.456,0.406, as ImageNet; 0.5 for TFLite]",
    )
    maps.add_argument(
        "--std",
        type=_triple,
        metavar="R,G,B",
        help="[0.229,0.224,0.225, as ImageNet; 0.5 for TFLite]",
    )
    maps.add_argument(
        "--channels", choices=("rgb", "bgr"), default="rgb", help="order of colours [rgb]"
    )
    maps.add_argument(
        "--output", metavar="NAME|INDEX", help="the output that holds the classes [the first]"
    )
    maps.add_argument(
        "--fit",
        choices=("letterbox", "stretch"),
        default="letterbox",
        help="keep the aspect and pad with grey, or stretch images to the input [letterbox]",
    )
    maps.add_argument(
        "--format",
        choices=("npy", "h5"),
        default="npy",
        help="ID.npy for each image, or one compressed maps.h5 [npy]; both in float16",
    )
    add_json(maps)
    maps.add_argument("--jobs", type=positive, default=1, help="images at a time [1]")
    add_quiet(maps)


def _maps(options: argparse.Namespace) -> int:
    from rerank.applications.network_map_files import network_map_files
    from rerank.nets import NetworkSettings

    settings = NetworkSettings(
        size=options.size,
        mean=options.mean,
        std=options.std,
        scale=options.scale,
        channels=options.channels,
        fit=options.fit,
        output=options.output,
    )
    found = network_map_files(
        Path(options.network),
        Path(options.images),
        Path(options.out),
        settings,
        kind=options.format,
        jobs=options.jobs,
        quiet=options.quiet,
    )
    about = {"n_maps": found.n_maps, "n_classes": found.n_classes, "out": str(found.path)}
    text = f"{found.n_maps} maps of {found.n_classes} classes, float16, in {found.path}"
    show(options, about, text)
    return DONE


def _size(text: str) -> tuple[int, int]:
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() and int(part) for part in parts):
        raise argparse.ArgumentTypeError(f"expected N or HEIGHTxWIDTH, got {text}")
    return int(parts[0]), int(parts[-1])


def _triple(text: str) -> tuple[float, float, float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) == 1:
        values *= 3
    if len(values) != 3:
        raise argparse.ArgumentTypeError(f"expected a number, or three as 0.5,0.5,0.5, got {text}")
    return values[0], values[1], values[2]
