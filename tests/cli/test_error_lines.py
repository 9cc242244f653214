"""Errors become one line with a remedy and an exit status."""

from __future__ import annotations

import errno
import importlib
import os
import signal
from pathlib import Path

import pytest

from rerank.cli.error_lines import explained
from rerank.errors import ConfigError, DataError, ManyProblemsError

cli = importlib.import_module("rerank.cli.main")


@pytest.mark.parametrize(
    "error, status, text",
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (ConfigError("no such key"), 2, "no such key"),
        (DataError("a.png: broken"), 1, "a.png: broken"),
        (MemoryError(), 1, "fewer --jobs"),
        (OSError(errno.ENOSPC, "full", "/a"), 1, "/a: No space left on device; free some space"),
        (OSError(errno.EMFILE, "many"), 1, "Too many open files; raise the limit"),
        (PermissionError(errno.EACCES, "no", b"/a"), 1, "/a: Permission denied; mend"),
        (OSError("HDF5 says (name = '/x.h5', errno = 28, ...)"), 1, "/x.h5: No space left"),
        (OSError("strange"), 1, "strange; --debug"),
        (RuntimeError("first\nsecond"), 1, "unexpected RuntimeError (first)"),
        (KeyError(), 1, "unexpected KeyError;"),
    ],
)
def test_status_and_line(error: BaseException, status: int, text: str) -> None:
    found, lines = explained(error)
    assert found == status
    assert len(lines) == 1 and text in lines[0]


def test_many_problems_have_a_line_each() -> None:
    assert explained(ManyProblemsError("a\nb")) == (1, ["a", "b"])


def test_nothing_escapes(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("of a decoder")

    monkeypatch.setattr("rerank.applications.upkeep.verify", fail)
    assert cli.main(["verify", "--work", str(finished)]) == 1
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1 and "ZeroDivisionError" in errors
    assert cli.main(["verify", "--work", str(finished), "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_interrupts(
    finished: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(
        "rerank.applications.upkeep.verify", lambda work: os.kill(os.getpid(), number)
    )
    # A shell starts what is in its background deaf to this signal.
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert cli.main(["verify", "--work", str(finished)]) == 130
    finally:
        signal.signal(signal.SIGINT, heard)
    assert capsys.readouterr().err.startswith("rerank: interrupted")
    assert signal.getsignal(signal.SIGTERM) is before
