"""What became slower from one run of a benchmark to the next, beyond its noise?

    python benchmarks/compare.py OLD.json NEW.json [--noise 0.05] [--json]

Takes the JSON of any of our benchmarks. A time is a number whose name says so: `seconds` or `ms`
alone, or a name that ends with `_s`, `_ms` or `_seconds`. Rows of lists are matched by their
texts (`stage`, `method`, ...), not by their place. A list of numbers under such a name holds
repeats: its median counts, and half its range is its noise. Else the noise is the number beside it
named `spread`, or named as it with `_spread` added; where there is none, it is `--noise` times the
value. A time is slower (or quicker) if it rose (or fell) by more than twice the noise of both
together. Exit status 1 if anything is slower.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

#: Noises of both files together that a change must exceed.
_SURE = 2.0


class Timing(NamedTuple):
    """A time and its noise, both in the file's unit."""

    value: float
    noise: float


class Change(NamedTuple):
    """A time of both files; `verdict` is slower, quicker or same."""

    name: str
    old: float
    new: float
    noise: float
    verdict: str


def is_time(name: str) -> bool:
    """Whether a name is that of a time."""
    return name in ("seconds", "ms") or name.endswith(("_s", "_ms", "_seconds"))


def timings(found: Any, noise: float, path: str = "") -> Iterator[tuple[str, Timing]]:
    """All times of a JSON value, by where they stand.

    Parameters
    ----------
    found : JSON value
    noise : float
        Share of a value that is its noise where the file says nothing.
    path : str
        Where the value stands.
    """
    if isinstance(found, list):
        for place, (name, row) in enumerate(_named_rows(found)):
            yield from timings(row, noise, f"{path}[{name or place}]")
    elif isinstance(found, dict):
        for name, value in found.items():
            here = f"{path}.{name}" if path else name
            timing = _timing(found, name, value, noise)
            if timing is not None:
                yield here, timing
            elif isinstance(value, (dict, list)):
                yield from timings(value, noise, here)


def _named_rows(rows: list[Any]) -> Iterator[tuple[str, Any]]:
    """Rows with the texts in them; equal ones are numbered."""
    met: dict[str, int] = {}
    for row in rows:
        texts = [v for v in row.values() if isinstance(v, str)] if isinstance(row, dict) else []
        name = ", ".join(texts)
        met[name] = met.get(name, 0) + 1
        yield (f"{name} #{met[name]}" if name and met[name] > 1 else name), row


def _timing(beside: dict[str, Any], name: str, value: Any, noise: float) -> Timing | None:
    if not is_time(name) or name.endswith("_spread"):
        return None
    if _is_number(value):
        for given in (beside.get(f"{name}_spread"), beside.get("spread")):
            if _is_number(given):
                return Timing(float(value), float(given))
        return Timing(float(value), noise * abs(float(value)))
    if isinstance(value, list) and value and all(_is_number(v) for v in value):
        half = (max(value) - min(value)) / 2
        middle = float(statistics.median(value))
        return Timing(middle, half if len(value) > 1 else noise * abs(middle))
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def compare(old: Any, new: Any, noise: float = 0.05) -> list[Change]:
    """Changes of the times that both have, the largest rise in noises first.

    Parameters
    ----------
    old, new : JSON values
    noise : float
        As in `timings`.

    Returns
    -------
    list of Change
    """
    before, after = dict(timings(old, noise)), dict(timings(new, noise))
    changes = []
    for name, first in before.items():
        if name in after:
            second = after[name]
            both = math.hypot(first.noise, second.noise)
            rise = second.value - first.value
            verdict = "same" if abs(rise) <= _SURE * both else "slower" if rise > 0 else "quicker"
            changes.append(Change(name, first.value, second.value, both, verdict))
    return sorted(changes, key=lambda c: (c.old - c.new) / max(c.noise, 1e-12))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--noise", type=float, default=0.05, help="where a file records none")
    parser.add_argument("--json", action="store_true", help="print the changes as JSON")
    arguments = parser.parse_args()
    read = [json.loads(path.read_text(encoding="utf-8")) for path in (arguments.old, arguments.new)]
    changes = compare(*read, noise=arguments.noise)
    if not changes:
        sys.exit(f"{arguments.old} and {arguments.new} have no time in common")
    if arguments.json:
        print(json.dumps([change._asdict() for change in changes], indent=1))
    else:
        width = max(len(change.name) for change in changes)
        print(f"{'time':{width}}{'old':>12}{'new':>12}{'noise':>10}{'ratio':>8}")
        for change in changes:
            ratio = f"{change.new / change.old:.2f}" if change.old else ""
            mark = "" if change.verdict == "same" else f"  {change.verdict}"
            print(
                f"{change.name:{width}}{change.old:12.3f}{change.new:12.3f}{change.noise:10.3f}"
                f"{ratio:>8}{mark}"
            )
    sys.exit(any(change.verdict == "slower" for change in changes))


if __name__ == "__main__":
    main()
