"""Completion in the shells themselves, where they are installed."""

from __future__ import annotations

import importlib
import shutil
import subprocess
from pathlib import Path

import pytest

from rerank.cli import shell_scripts
from rerank.cli.completion import SHELLS, Value, commands_of
from rerank.config import recipe_names

COMMANDS = list(commands_of(importlib.import_module("rerank.cli.main")._parser()))
#: What is typed, and what is offered for the last word.
CASES = {
    "ru": {"run"},
    "run ms": {"msrc21"},
    "run ": set(recipe_names()),
    "run --ba": {"--backend"},
    "run --backend ": {"dask", "loky", "threading"},
    "data ch": {"check"},
    "data check ca": {"camvid"},
    "weights get alex": {"alexnet"},
    "predict --wor": {"--work"},
    "predict --work fold": {"folder"},
    "predict --model f": {"file.h5", "folder"},
    "completion ": set(SHELLS),
}


def needs(shell: str) -> str:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} is not installed")
    return found


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the scripts, a file and a folder."""
    for shell in SHELLS:
        script = getattr(shell_scripts, f"{shell}_script")(COMMANDS)
        (tmp_path / f"rerank.{shell}").write_text(script)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file.h5").touch()
    return tmp_path


def run(place: Path, *arguments: str) -> str:
    done = subprocess.run(arguments, cwd=place, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout


def test_every_option_is_known() -> None:
    known = {command.path: command for command in COMMANDS}
    work = next(a for a in known[("predict",)].arguments if "--work" in a.names)
    assert work.value == Value("folder")
    quiet = next(a for a in known[("predict",)].arguments if "--quiet" in a.names)
    assert quiet.value == Value("none")
    assert [name for name, _ in known[("data",)].below] == ["list", "prepare", "check"]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_of_the_shell(place: Path, shell: str) -> None:
    run(place, needs(shell), "-n", f"rerank.{shell}")


@pytest.mark.parametrize("typed", CASES)
def test_bash(place: Path, typed: str) -> None:
    *words, last = typed.split(" ")
    quoted = " ".join(f"'{word}'" for word in (*words, last))
    # compopt only works while a key is pressed; what is left to bash are names of files.
    code = (
        "source rerank.bash; compopt() { :; }; "
        f"COMP_WORDS=(rerank {quoted}); COMP_CWORD={len(words) + 1}; _rerank; "
        f'[[ ${{#COMPREPLY[@]}} -gt 0 ]] || COMPREPLY=($(compgen -f -- "{last}")); '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    assert set(run(place, needs("bash"), "--norc", "-c", code).split()) == CASES[typed]


@pytest.mark.parametrize("typed", CASES)
def test_fish(place: Path, typed: str) -> None:
    code = f"source rerank.fish; complete -C 'rerank {typed}'"
    lines = run(place, needs("fish"), "--no-config", "-c", code).splitlines()
    assert {line.split("\t")[0].rstrip("/") for line in lines} == CASES[typed]


@pytest.mark.parametrize("typed", ["ru", "run ms", "data check ca", "run --backend da"])
def test_zsh(place: Path, typed: str) -> None:
    (expected,) = CASES.get(typed, {"dask"})
    code = f"""
        zmodload zsh/zpty
        zpty z {needs("zsh")} -f -i
        zpty -w z 'autoload -Uz compinit; compinit -D -u; source rerank.zsh; PS1=; print -r re""ady'
        zpty -r z before '*ready*'
        zpty -w -n z $'rerank {typed}\\t'
        zpty -r z found '*{expected}*'
        print -r -- $found
        zpty -d z
    """
    try:
        done = subprocess.run(
            ["zsh", "-f", "-c", code], cwd=place, capture_output=True, text=True, timeout=30
        )
    except subprocess.TimeoutExpired:
        pytest.fail(f"zsh offers nothing for {typed}")
    assert expected in done.stdout
