"""The command `rerank`: its parser, and how errors become one line and an exit status."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence

from rerank._version import __version__
from rerank.cli import data_sets, masks, network_file, networks, papers, results, work_folder
from rerank.cli.error_lines import ended_as_interrupted, explained
from rerank.cli.options import DONE, FAILED


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
    options = _parser().parse_args(arguments)
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
            print(f"rerank: {' '.join(line.split())}", file=sys.stderr)
        return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rerank",
        description="Diverse segmentation proposals, and learning to pick among "
        "them (Cogswell et al. 2014).",
    )
    parser.add_argument("--version", action="version", version=f"rerank {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for group in (network_file, networks, masks, work_folder, results, data_sets, papers):
        group.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
