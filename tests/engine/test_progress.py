"""Progress in a pipe is plain lines; on a terminal it is a bar."""

from __future__ import annotations

import sys

import pytest

from rerank.engine.progress import INTERVAL, Progress


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_a_pipe_gets_a_line_for_each_stage(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with Progress(10, clock=clock) as progress:
        progress.stage("first")
        clock.seconds += 5
        progress.advance(5)
        progress.note("a note")
        progress.stage("second")
    assert capsys.readouterr().err.splitlines() == [
        "  0 % in 0:00:00: first",
        "a note",
        " 50 % in 0:00:05, about 0:00:05 left: second",
    ]


def test_many_images_get_few_lines(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with Progress(100, clock=clock) as progress:
        for index in range(100):
            progress.item(f"image {index}")
            clock.seconds += INTERVAL / 4
            progress.advance(1)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 25
    assert lines[1] == "  8 % in 0:00:20, about 0:03:50 left: image 7"
    assert lines[-1] == "100 % in 0:04:10, about 0:00:00 left: image 99"


@pytest.mark.parametrize("total, quiet", [(0, False), (10, True)])
def test_nothing_to_do_and_quiet_show_nothing(
    capsys: pytest.CaptureFixture[str], total: int, quiet: bool
) -> None:
    with Progress(total, quiet) as progress:
        progress.stage("first")
        progress.advance(1)
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Progress(2) as progress:
        progress.stage("working")
        progress.advance(1)
    shown = capsys.readouterr().err
    assert "\r" in shown and "%|" in shown.replace(" ", "")
