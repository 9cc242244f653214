"""The command `rerank`: its parser, and how errors become one line and an exit status."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence

from rerank._version import __version__
from rerank.cli import (
    backbones,
    data_sets,
    masks,
    network_file,
    networks,
    papers,
    results,
    work_folder,
)
from rerank.cli.options import DONE, FAILED, INTERRUPTED, UNUSABLE
from rerank.errors import ConfigError, ManyProblemsError, RerankError


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
        return int(options.run(options) or DONE)
    except KeyboardInterrupt:
        print("rerank: interrupted; the same command goes on where it stopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return FAILED
    except RerankError as error:
        if getattr(options, "debug", False):
            traceback.print_exc()
        many = isinstance(error, ManyProblemsError)
        for line in str(error).splitlines() if many else [str(error)]:
            print(f"rerank: {' '.join(line.split())}", file=sys.stderr)
        return UNUSABLE if isinstance(error, ConfigError) else FAILED
    except MemoryError:
        print(
            "rerank: out of memory; use fewer --jobs or fewer superpixels "
            "(--set superpixels.n_segments=300)",
            file=sys.stderr,
        )
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rerank",
        description="Diverse segmentation proposals, and learning to pick among "
        "them (Cogswell et al. 2014).",
    )
    parser.add_argument("--version", action="version", version=f"rerank {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    groups = (network_file, networks, masks, work_folder, results, data_sets, backbones, papers)
    for group in groups:
        group.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
