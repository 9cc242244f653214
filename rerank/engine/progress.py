"""A progress bar with time left, on a terminal alone."""

from __future__ import annotations

import sys
from types import TracebackType

from tqdm import tqdm


class Progress:
    """One bar for a whole run; silent where the error stream is not a terminal.

    Parameters
    ----------
    total : float
        Expected cost of all work, in any unit.
    quiet : bool
        Show nothing.
    """

    def __init__(self, total: float, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bar = tqdm(
            total=total,
            disable=quiet or total == 0 or not sys.stderr.isatty(),
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
        """Say which stage runs."""
        self._bar.set_description_str(name)

    def note(self, text: str) -> None:
        """Print a line on the error stream, above the bar, unless all is quiet."""
        if not self._quiet:
            self._bar.write(text, file=sys.stderr)

    def advance(self, cost: float) -> None:
        """Count finished work."""
        self._bar.update(cost)
