"""`rerank completion`: what makes bash, zsh or fish complete commands, options and values."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from rerank.cli import shell_scripts
from rerank.cli.options import DONE, Commands, add_command
from rerank.cli.parsing import subparsers_of

SHELLS = ("bash", "zsh", "fish")
#: Options whose value is a folder.
_FOLDERS = {
    "--auxiliary",
    "--data-root",
    "--images",
    "--labels",
    "--masks",
    "--probabilities",
    "--root",
    "--work",
}
#: Options whose value is neither a file nor of a type of its own.
_WORDS = {"--baseline", "--device", "--fold", "--output", "--scheduler", "--set"}


class Value(NamedTuple):
    """What an option or an argument takes.

    Attributes
    ----------
    kind : {"none", "words", "folder", "file", "text"}
    words : tuple of str
        What is offered, for the kind `words`.
    """

    kind: Literal["none", "words", "folder", "file", "text"]
    words: tuple[str, ...] = ()


class Argument(NamedTuple):
    """An option, or an argument without dashes, whose names are then empty.

    Attributes
    ----------
    names : tuple of str
        Such as `-h` and `--help`.
    summary : str
    value : Value
    many : bool
        Whether it can be given several times, or takes several values.
    placeholder : str
        What stands for its value in the help.
    """

    names: tuple[str, ...]
    summary: str
    value: Value
    many: bool = False
    placeholder: str = ""


class Command(NamedTuple):
    """A command that can be called, or one that only has others below it.

    Attributes
    ----------
    path : tuple of str
        Such as `data` and `check`; empty for `rerank` itself.
    about : str
        What it does.
    arguments : tuple of Argument
    below : tuple of (str, str)
        Names and summaries of the commands below.
    """

    path: tuple[str, ...]
    about: str
    arguments: tuple[Argument, ...]
    below: tuple[tuple[str, str], ...]


def add(commands: Commands, parser: Callable[[], argparse.ArgumentParser]) -> None:
    """Add this command.

    Parameters
    ----------
    commands : what `add_subparsers` returned
    parser : callable
        Makes the parser of the whole command line.
    """

    def write(options: argparse.Namespace) -> int:
        found = list(commands_of(parser()))
        print(getattr(shell_scripts, f"{options.shell}_script")(found), end="")
        return DONE

    completion = add_command(
        commands, "completion", write, "what makes a shell complete commands and options"
    )
    completion.add_argument(
        "shell",
        choices=SHELLS,
        help='read what this prints at the start of the shell: eval "$(rerank completion bash)", '
        'eval "$(rerank completion zsh)" behind compinit, or rerank completion fish | source',
    )


def commands_of(parser: argparse.ArgumentParser, path: tuple[str, ...] = ()) -> Iterator[Command]:
    """The commands of a parser with all that they take, from the top down.

    Parameters
    ----------
    parser : ArgumentParser
    path : tuple of str
        Of the parser itself.

    Yields
    ------
    Command
    """
    below = list(subparsers_of(parser))
    arguments = tuple(
        _argument(path, action)
        for action in parser._actions
        if not isinstance(action, argparse._SubParsersAction)
    )
    commands = tuple((name, summary) for name, summary, _ in below)
    yield Command(path, parser.description or "", arguments, commands)
    for name, _, child in below:
        yield from commands_of(child, (*path, name))


def _argument(path: tuple[str, ...], action: argparse.Action) -> Argument:
    names = tuple(action.option_strings)
    many = action.nargs in ("+", "*") or isinstance(action, argparse._AppendAction)
    placeholder = str(action.metavar or (action.dest.upper() if names else action.dest))
    if action.choices is not None and names:
        placeholder = "|".join(map(str, action.choices))
    return Argument(names, action.help or "", _value(path, action), many, placeholder)


def _value(path: tuple[str, ...], action: argparse.Action) -> Value:
    if action.nargs == 0:
        return Value("none")
    if action.choices is not None:
        return Value("words", tuple(map(str, action.choices)))
    known = _KNOWN.get((path[0], action.dest)) if path else None
    if known is not None:
        return Value("words", known())
    name = action.option_strings[-1] if action.option_strings else ""
    if name in _FOLDERS or action.metavar == "DIR":
        return Value("folder")
    return Value("text" if action.type is not None or name in _WORDS else "file")


def _recipes() -> tuple[str, ...]:
    from rerank.config import recipe_names

    return tuple(recipe_names())


def _datasets() -> tuple[str, ...]:
    from rerank.datasets import dataset_names

    return dataset_names()


def _tables() -> tuple[str, ...]:
    from rerank.experiments import TABLES

    return ("list", *TABLES)


def _weights() -> tuple[str, ...]:
    from rerank.nets.published_weights import PUBLISHED_WEIGHTS

    return tuple(PUBLISHED_WEIGHTS)


#: Names that a command's argument may be, by command and argument.
_KNOWN: dict[tuple[str, str], Callable[[], tuple[str, ...]]] = {
    ("run", "recipe"): _recipes,
    ("data", "name"): _datasets,
    ("weights", "name"): _weights,
    ("reproduce", "table"): _tables,
}
