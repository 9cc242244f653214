"""Progress of long work: a bar with time left on a terminal, plain lines in a pipe or a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType

from tqdm import tqdm

#: Seconds between two lines in a pipe, besides the line that each stage begins with.
INTERVAL = 10.0


class Progress:
    """The progress of a whole run, on the error stream.

    Parameters
    ----------
    total : float
        Expected cost of all work, in any unit.
    quiet : bool
        Show nothing.
    clock : callable
        Returns the seconds since any fixed time.
    """

    def __init__(
        self, total: float, quiet: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        terminal = sys.stderr.isatty()
        self._quiet, self._total, self._clock = quiet, total, clock
        self._lines = not (quiet or terminal or total == 0)
        self._done, self._name = 0.0, ""
        self._told: set[str] = set()
        self._start = self._shown = clock()
        self._bar = tqdm(
            total=total,
            disable=quiet or total == 0 or not terminal,
            leave=False,
            bar_format="{desc:<24} {percentage:3.0f}% |{bar:30}| {elapsed} done, {remaining} left",
        )

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def stage(self, name: str) -> None:
        """Say which stage runs; in a pipe it gets a line when it is named first."""
        self.item(name)
        if self._lines and name not in self._told:
            self._told.add(name)
            self._line()

    def item(self, name: str) -> None:
        """Say which of many things is worked on, such as an image."""
        self._name = name
        self._bar.set_description_str(name)

    def note(self, text: str) -> None:
        """Print a line on the error stream, above the bar, unless all is quiet."""
        if not self._quiet:
            self._bar.write(text, file=sys.stderr)

    def advance(self, cost: float) -> None:
        """Count finished work."""
        self._done += cost
        self._bar.update(cost)
        if self._lines and self._clock() - self._shown >= INTERVAL:
            self._line()

    def _line(self) -> None:
        self._shown = self._clock()
        share = min(1.0, self._done / self._total)
        spent = self._shown - self._start
        left = f", about {_clock_text(spent * (1 - share) / share)} left" if share > 0.05 else ""
        print(
            f"{100 * share:3.0f} % in {_clock_text(spent)}{left}: {self._name}",
            file=sys.stderr,
            flush=True,
        )


def _clock_text(seconds: float) -> str:
    """Such as 0:01:30."""
    return str(timedelta(seconds=round(seconds)))
