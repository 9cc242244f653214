"""`rerank weights list` and `get`: published weights of backbones."""

from __future__ import annotations

import argparse
import sys

from rerank.cli.options import DONE, Commands, add_command, add_json, add_quiet, show


def add(commands: Commands) -> None:
    """Add these commands."""
    weights = add_command(commands, "weights", None, "list or download weights of backbones")
    actions = weights.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = add_command(actions, "list", _list, "the published weights that rerank knows")
    get = add_command(actions, "get", _get, "download a file of weights and check its digest")
    get.add_argument("name", help="of `rerank weights list`")
    get.add_argument("--out", default=".", help="file to write, or folder [.]")
    get.add_argument("--url", help="another source of the file; needs --sha256")
    get.add_argument("--sha256", help="its digest, or the first 8 digits or more [published]")
    for action in (listing, get):
        add_json(action)
    add_quiet(get)


def _list(options: argparse.Namespace) -> int:
    from rerank.nets import PUBLISHED_WEIGHTS

    rows = [
        {"name": name, "url": found.url, found.digest.algorithm: found.digest.digits}
        for name, found in PUBLISHED_WEIGHTS.items()
    ]
    lines = [
        f"{name:<28}{found.digest.algorithm} {found.digest.digits:<42}{found.url}"
        for name, found in PUBLISHED_WEIGHTS.items()
    ]
    show(options, rows, "\n".join(lines))
    return DONE


def _get(options: argparse.Namespace) -> int:
    from rerank.nets import download_backbone_weights

    def progress(done: int, total: int | None) -> None:
        size = "" if total is None else f" of {total / 1e6:.1f}"
        print(f"\r{done / 1e6:.1f}{size} MB", end="", file=sys.stderr, flush=True)

    shown = progress if sys.stderr.isatty() and not options.quiet else None
    path = download_backbone_weights(
        options.name, options.out, options.sha256, url=options.url, progress=shown
    )
    if shown is not None:
        print(file=sys.stderr)
    show(options, {"name": options.name, "path": str(path)}, str(path))
    return DONE
