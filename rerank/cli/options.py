"""Arguments that several commands share, and the exit statuses."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rerank.engine.scheduler import Execution

DONE, FAILED, UNUSABLE, INTERRUPTED = 0, 1, 2, 130
#: Where `rerank run` puts its work folders, one for each recipe.
WORK = Path("work")
WORK_HELP = "work folder of a run, or the recipe's name for work/NAME"
#: What `add_subparsers` returns.
Commands = Any


def add_command(
    commands: Commands, name: str, function: object, summary: str
) -> argparse.ArgumentParser:
    """Add a command that calls `function(options)`.

    Parameters
    ----------
    commands : what `add_subparsers` returned
    name : str
    function : callable
        Given the parsed options; returns an exit status. None for a command that only has others
        below it.
    summary : str
        One line for `--help`.

    Returns
    -------
    ArgumentParser
        Of the command.
    """
    about = summary[0].upper() + summary[1:]
    parser: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=about)
    # Suppressed, so that a command within a command keeps what stands before it.
    parser.add_argument(
        "--debug",
        action="store_true",
        default=argparse.SUPPRESS,
        help="show the traceback of an error",
    )
    parser.set_defaults(run=function, parser=parser)
    return parser


def add_work(parser: argparse.ArgumentParser) -> None:
    """Add `--work`."""
    parser.add_argument("--work", required=True, type=find_work, metavar="DIR|NAME", help=WORK_HELP)


def find_work(text: str) -> str:
    """The work folder that is meant: as given, or else `work/NAME`, as `rerank run NAME` makes it.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
    """
    return text if Path(text).exists() or not (WORK / text).is_dir() else str(WORK / text)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def show(options: argparse.Namespace, found: object, text: str) -> None:
    """Print results as JSON where `--json` is given, else as text unless `--quiet` is.

    Parameters
    ----------
    options : Namespace
    found : what JSON can hold
    text : str
    """
    if options.json:
        print(json.dumps(found, indent=1))
    elif not getattr(options, "quiet", False):
        print(text)


def show_files(options: argparse.Namespace, paths: Sequence[Path]) -> int:
    """Print the files that a command wrote, one a line, or as JSON; returns the exit status.

    Parameters
    ----------
    options : Namespace
    paths : sequence of Path

    Returns
    -------
    int
    """
    names = [str(path) for path in paths]
    show(options, {"files": names}, "\n".join(names))
    return DONE


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """Add `--quiet`."""
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def add_overrides(parser: argparse.ArgumentParser, summary: str) -> None:
    """Add `--set`.

    Parameters
    ----------
    parser : ArgumentParser
    summary : str
        The option's help: what it replaces.
    """
    parser.add_argument(
        "--set", action="append", default=[], metavar="a.b=c", dest="overrides", help=summary
    )


def add_execution(parser: argparse.ArgumentParser) -> None:
    """Add `--jobs`, `--backend`, `--scheduler` and `--quiet`: see `execution_of`."""
    parser.add_argument("--jobs", type=positive, help="tasks at a time [one a core]")
    parser.add_argument(
        "--backend",
        choices=("loky", "threading", "dask"),
        default="loky",
        help="where tasks run [loky: processes]",
    )
    parser.add_argument("--scheduler", metavar="ADDRESS", help="address of the Dask scheduler")
    add_quiet(parser)


def execution_of(options: argparse.Namespace) -> Execution:
    """Where tasks run, from the options of `add_execution`."""
    from rerank.engine.executors import check_backend
    from rerank.engine.scheduler import Execution

    check_backend(options.backend, options.jobs, options.scheduler)
    return Execution(
        options.jobs,
        options.backend,
        options.scheduler,
        options.quiet,
        getattr(options, "keep_temporary", False),
    )


def void_label(text: str) -> int | None:
    """A label, or `none`; the error is argparse's."""
    if text.lower() == "none":
        return None
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a label such as 255, or none, got {text}")
    return int(text)


def positive(text: str) -> int:
    """A whole number of at least 1; the error is argparse's."""
    value = int(text) if text.isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got {text}")
    return value


def count(text: str) -> int:
    """A whole number of at least 0; the error is argparse's."""
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"expected a number of at least 0, got {text}")
    return int(text)
