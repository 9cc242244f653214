"""`rerank data list`, `prepare` and `check`."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from rerank.cli.error_lines import on_one_line
from rerank.cli.options import DONE, FAILED, Commands, add_command, add_json, show
from rerank.errors import ConfigError


def add(commands: Commands) -> None:
    """Add these commands."""
    data = add_command(commands, "data", None, "list, prepare or check data sets")
    actions = data.add_subparsers(dest="action", metavar="ACTION")
    known = add_command(actions, "list", _list, "the data sets that rerank reads")
    prepare = add_command(actions, "prepare", _prepare, "arrange downloaded files")
    check = add_command(actions, "check", _check, "look at every file at once")
    for action in (prepare, check):
        action.add_argument("name", help="of the data set; `rerank data list` shows them")
        action.add_argument("--root", help="folder of the images")
    prepare.add_argument(
        "--archive",
        action="append",
        default=[],
        help="a downloaded archive or folder; may be given several times",
    )
    prepare.add_argument("--download", action="store_true", help="download what is not there")
    for action in (known, prepare, check):
        add_json(action)


def _list(options: argparse.Namespace) -> int:
    from rerank.config import recipe_names
    from rerank.datasets import dataset_names

    recipes = recipe_names()
    found = [{"name": name, "recipe": name in recipes} for name in dataset_names()]
    lines = (
        f"{row['name']:<16}{'recipe and reader' if row['recipe'] else 'reader'}" for row in found
    )
    show(options, found, "\n".join(lines))
    return DONE


def _prepare(options: argparse.Namespace) -> int:
    from rerank.datasets import prepare_dataset

    root = "data" if options.root is None else options.root
    done = prepare_dataset(options.name, root, options.archive, download=options.download)
    show(options, {"done": done}, "\n".join(done))
    return DONE


def _check(options: argparse.Namespace) -> int:
    from rerank.datasets import check_dataset
    from rerank.datasets.catalogue import reads_files

    if options.root is None and reads_files(options.name):
        raise ConfigError(f"rerank data check {options.name} needs --root DIR, the folder to check")
    problems = check_dataset(options.name, options.root)
    if options.json:
        show(options, {"name": options.name, "problems": [asdict(p) for p in problems]}, "")
        return FAILED if any(not problem.doubtful for problem in problems) else DONE
    for problem in problems:
        print(on_one_line(str(problem)))
    doubts = sum(problem.doubtful for problem in problems)
    n_wrong = len(problems) - doubts
    count = f"{n_wrong} problems found" if n_wrong else "every file is in order"
    if doubts:
        count += f", and {doubts} to look at"
    print(f"{options.name}: {count}.")
    return FAILED if n_wrong else DONE
