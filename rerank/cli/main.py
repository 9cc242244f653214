"""The command `rerank`: its parser, and how errors become one line and an exit status."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence

from rerank._version import __version__
from rerank.cli import (
    backbones,
    completion,
    data_sets,
    machine,
    masks,
    network_file,
    networks,
    papers,
    results,
    work_folder,
)
from rerank.cli.error_lines import ended_as_interrupted, explained, on_one_line
from rerank.cli.options import DONE, FAILED
from rerank.cli.parsing import Parser, examples_formatter

_EXAMPLES = """\
examples:
  rerank demo                          the whole method on drawn scenes, and a page that shows it
  rerank propose --probabilities maps --images photos --out proposals
                                       your network's maps: diverse segmentations and a choice
  rerank fit --probabilities maps --images images --labels labels --out model.h5
  rerank predict --model model.h5 --probabilities photo_maps photos --out segmented
                                       learn the choice on labelled images, then use it
  rerank run msrc21 --data-root data   the whole pipeline on a data set, fold by fold
  rerank status                        what is done of it

`rerank COMMAND --help` shows the options of a command; `rerank doctor` shows what this
installation can do.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process by default.

    Returns
    -------
    int
        0 done, 1 failed, 2 unusable arguments, 130 interrupted.
    """
    parser = _parser()
    try:
        options = parser.parse_args(arguments)
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else DONE
    if getattr(options, "run", None) is None:
        getattr(options, "parser", parser).print_help()
        return DONE
    try:
        with ended_as_interrupted():
            return int(options.run(options) or DONE)
    except BaseException as error:
        if isinstance(error, SystemExit):
            raise
        if isinstance(error, BrokenPipeError):
            sys.stderr.close()
            return FAILED
        if getattr(options, "debug", False):
            traceback.print_exc()
        status, lines = explained(error)
        for line in lines:
            print(f"rerank: {on_one_line(line)}", file=sys.stderr)
        return status


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="rerank",
        description="Diverse segmentation proposals, and learning to pick among "
        "them (Cogswell et al. 2014).",
        epilog=_EXAMPLES,
        formatter_class=examples_formatter,
    )
    parser.add_argument("--version", action="version", version=f"rerank {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    groups = (
        *(network_file, networks, masks, work_folder, results, data_sets, backbones, papers),
        machine,
    )
    for group in groups:
        group.add(commands)
    completion.add(commands, _parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
