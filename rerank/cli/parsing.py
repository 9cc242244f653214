"""The parser of the command line, whose errors suggest what was meant."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from rerank.suggestions import did_you_mean, nearest


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` whose errors suggest the nearest command, option or value.

    Examples
    --------
    >>> parser = Parser(prog="paint")
    >>> _ = parser.add_argument("--colour")
    >>> parser.parse_args(["--color", "red"])
    Traceback (most recent call last):
    SystemExit: 2
    """

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse arguments as argparse does; an unknown option is answered with the nearest one.

        Parameters
        ----------
        args : sequence of str, optional
            Those of the process by default.
        namespace : Namespace, optional
            Gets the values.

        Returns
        -------
        Namespace
        """
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            parser = getattr(found, "parser", self)
            parser.error(_about_unknown(unknown, parser))
        return found

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        names = [str(choice) for choice in action.choices]
        kind = "command" if isinstance(action, argparse._SubParsersAction) else "choice"
        hint = did_you_mean(str(value), names, "choose from")
        raise argparse.ArgumentError(
            None if kind == "command" else action, f"no such {kind}: {value} ({hint})"
        )

    def error(self, message: str) -> NoReturn:
        """Print one line and where the help is, and exit with status 2."""
        self.exit(2, f"{self.prog}: {message}; see `{self.prog} --help`\n")


def _about_unknown(unknown: Sequence[str], parser: argparse.ArgumentParser) -> str:
    """What is said of arguments that no command takes."""
    known = [name for action in parser._actions for name in action.option_strings]
    for word in unknown:
        if word.startswith("-"):
            option = word.split("=")[0]
            near = nearest(option, known)
            hint = f" (did you mean {near}?)" if near else ""
            return f"no such option: {option}{hint}"
    return f"one argument too many: {unknown[0]}"


def subparsers_of(
    parser: argparse.ArgumentParser,
) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """The commands below a parser: name, summary and parser of each.

    Parameters
    ----------
    parser : ArgumentParser

    Yields
    ------
    tuple of str, str and ArgumentParser
    """
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            summaries = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, child in action.choices.items():
                yield name, summaries.get(name, ""), child


def examples_formatter(prog: str) -> argparse.RawDescriptionHelpFormatter:
    """A formatter that leaves examples as they are, and has room for the names of commands."""
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=18)
