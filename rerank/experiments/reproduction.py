"""Run a table: every row with every seed, kept as they come, then set beside the paper's."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rerank.errors import ConfigError
from rerank.experiments.comparison import Gain, Spread, gain, spread
from rerank.experiments.seed_result import (
    SeedResult,
    read_seed_result,
    settings_digest,
    write_seed_result,
)
from rerank.experiments.table_definition import Bench, Row, Scope, Table
from rerank.stages.progress import Progress
from rerank.types import FloatArray


@dataclass(frozen=True)
class Reproduction:
    """A finished table.

    Attributes
    ----------
    table : Table
    seeds : tuple of int
    class_names : tuple of str
    spreads : dict of row key to Spread
    gains : dict of (key, key) to Gain
    notes : dict of row key to mean notes over seeds
    seconds : dict of row key to mean seconds a seed
    full : bool
    device : str
    image_spreads, image_gains : dict
        The same by mean image IoU; empty where the table does not compare by it.
    """

    table: Table
    seeds: tuple[int, ...]
    class_names: tuple[str, ...]
    spreads: dict[str, Spread]
    gains: dict[tuple[str, str], Gain]
    notes: dict[str, dict[str, float]]
    seconds: dict[str, float]
    full: bool
    device: str
    image_spreads: dict[str, Spread] = field(default_factory=dict)
    image_gains: dict[tuple[str, str], Gain] = field(default_factory=dict)

    def per_class(self, key: str) -> FloatArray:
        """IoU of each class in points, mean over seeds."""
        return self.spreads[key].per_class


def reproduce(table: Table, scope: Scope, seeds: Sequence[int] = (0, 1, 2)) -> Reproduction:
    """Measure what is not measured yet and sum up.

    Every outcome is kept in `scope.work` under a name that holds a digest of its settings, so
    that an interrupted run goes on where it stopped, and a changed setting measures anew what
    depends on it.

    Parameters
    ----------
    table : Table
    scope : Scope
    seeds : sequence of int
        At least one; the tests want three.

    Raises
    ------
    ConfigError
        If there is no seed, or one twice or negative.
    DataError
        If the data set or a kept file cannot be read.
    """
    if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
        raise ConfigError(f"seeds must be different numbers of at least 0, got {list(seeds)}")
    bench = table.bench(scope)
    places = {
        (row.key, seed): result_place(table, bench, scope, row, seed)
        for row in table.rows
        for seed in seeds
    }
    found: dict[tuple[str, int], SeedResult] = {}
    missing = []
    for seed in seeds:
        for row in table.rows:
            kept = read_seed_result(_file(places[row.key, seed]))
            if kept is None:
                missing.append((row, seed))
            else:
                found[row.key, seed] = kept
    with Progress(sum(row.cost for row, _ in missing), quiet=scope.quiet) as progress:
        for row, seed in missing:
            progress.stage(f"{row.key}, seed {seed}")
            place = places[row.key, seed]
            place.parent.mkdir(parents=True, exist_ok=True)
            start = None if row.start is None else places[row.start, seed]
            outcome = bench.measure(row, seed, place, start, _advancer(progress, row.cost))
            write_seed_result(_file(place), outcome)
            found[row.key, seed] = outcome
    return sum_up(table, bench.class_names, found, tuple(seeds), scope)


def sum_up(
    table: Table,
    class_names: tuple[str, ...],
    found: dict[tuple[str, int], SeedResult],
    seeds: tuple[int, ...],
    scope: Scope,
) -> Reproduction:
    """Work out spreads and gains of measured outcomes."""
    rows = {row.key: [found[row.key, seed] for seed in seeds] for row in table.shown}
    notes = {
        key: {
            name: sum(o.notes[name] for o in outcomes) / len(outcomes) for name in outcomes[0].notes
        }
        for key, outcomes in rows.items()
    }
    by_image = rows if table.by_image else {}
    return Reproduction(
        table,
        seeds,
        class_names,
        {key: spread(outcomes) for key, outcomes in rows.items()},
        {(a, b): gain(rows[a], rows[b]) for a, b in table.all_pairs},
        {key: values for key, values in notes.items() if values},
        {key: sum(o.seconds for o in outcomes) / len(outcomes) for key, outcomes in rows.items()},
        scope.full,
        scope.device,
        {key: spread(outcomes, "image") for key, outcomes in by_image.items()},
        {
            (a, b): gain(rows[a], rows[b], measure="image")
            for a, b in (table.all_pairs if by_image else [])
        },
    )


def result_place(table: Table, bench: Bench, scope: Scope, row: Row, seed: int) -> Path:
    """What the names of a row's files start with, for one seed."""
    settings = [bench.settings(row, seed)]
    start: str | None = row.start
    while start is not None:
        before = table.row(start)
        settings.append(bench.settings(before, seed))
        start = before.start
    return scope.work / f"{row.key}-seed{seed}-{settings_digest(settings)}"


def _file(place: Path) -> Path:
    return place.with_name(place.name + ".npz")


def _advancer(progress: Progress, cost: float) -> Callable[[float], None]:
    done = [0.0, time.monotonic()]

    def advance(share: float) -> None:
        now = time.monotonic()
        if share < 1.0 and now - done[1] < 0.5:
            return
        progress.advance(cost * (share - done[0]))
        done[:] = share, now

    return advance
