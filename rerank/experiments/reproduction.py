"""Run a table: measure every row with every seed, keep each result, and compare the rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rerank.engine.progress import Progress
from rerank.errors import ConfigError
from rerank.experiments.comparison import Gain, Judged, Measure, Spread, gain, spread
from rerank.experiments.seed_result import (
    SeedResult,
    read_seed_result,
    settings_digest,
    write_seed_result,
)
from rerank.experiments.table_definition import Bench, Row, Scope, Table


@dataclass(frozen=True)
class Figures:
    """One measure of IoU over the rows of a table.

    Attributes
    ----------
    spreads : dict of row key to Spread
    gains : dict of (key, key) to Gain
    aims : mapping of (key, key) to float
        Least gain that the project asks for.
    """

    spreads: dict[str, Spread]
    gains: dict[tuple[str, str], Gain]
    aims: Mapping[tuple[str, str], float]


@dataclass(frozen=True)
class Reproduction:
    """A finished table.

    Attributes
    ----------
    table : Table
    scope : Scope
    seeds : tuple of int
    class_names : tuple of str
    judged : Judged
    corpus : Figures
        Of corpus IoU.
    image : Figures or None
        Of mean image IoU; None where the table does not compare by it.
    notes : dict of row key to mean notes over seeds
    seconds : dict of row key to mean seconds per seed
    """

    table: Table
    scope: Scope
    seeds: tuple[int, ...]
    class_names: tuple[str, ...]
    judged: Judged
    corpus: Figures
    image: Figures | None
    notes: dict[str, dict[str, float]]
    seconds: dict[str, float]


def reproduce(table: Table, scope: Scope, seeds: Sequence[int] = (0, 1, 2)) -> Reproduction:
    """Measure the rows that are not measured yet, and sum up.

    Every result is kept in `scope.work` under a name that holds a digest of its settings. An
    interrupted run therefore continues where it stopped, and after a change of a setting the
    rows that depend on it are measured again.

    Parameters
    ----------
    table : Table
    scope : Scope
    seeds : sequence of int
        At least one; a test over seeds needs three or so.

    Returns
    -------
    Reproduction

    Raises
    ------
    ConfigError
        If there is no seed, or one twice or negative, or the scope has overrides and the table is
        measured by no recipe.
    DataError
        If the data set or a kept file cannot be read.
    """
    if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
        raise ConfigError(f"seeds must be different numbers of at least 0, got {list(seeds)}")
    bench = table.bench(scope)
    if scope.overrides and not bench.takes_overrides:
        raise ConfigError(f"{table.name} is not measured by a recipe, so that --set has no effect")
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
            result = bench.measure(row, seed, place, start, _advancer(progress, row.cost))
            write_seed_result(_file(place), result)
            found[row.key, seed] = result
    return sum_up(table, scope, tuple(seeds), bench, found)


def sum_up(
    table: Table,
    scope: Scope,
    seeds: tuple[int, ...],
    bench: Bench,
    found: Mapping[tuple[str, int], SeedResult],
) -> Reproduction:
    """Work out spreads and gains of measured results.

    Parameters
    ----------
    table : Table
    scope : Scope
    seeds : tuple of int
    bench : Bench
        For the names of the classes, and the images that are judged.
    found : mapping of (row key, seed) to SeedResult
        All shown rows with all seeds.

    Returns
    -------
    Reproduction
    """
    rows = {row.key: [found[row.key, seed] for seed in seeds] for row in table.shown}
    notes = {
        key: {name: sum(r.notes[name] for r in results) / len(results) for name in results[0].notes}
        for key, results in rows.items()
    }

    def figures(measure: Measure, aims: Mapping[tuple[str, str], float]) -> Figures:
        spreads = {key: spread(results, measure) for key, results in rows.items()}
        gains = {
            (a, b): gain(rows[a], rows[b], measure=measure, groups=bench.judged.groups)
            for a, b in table.all_pairs
        }
        return Figures(spreads, gains, aims)

    image_aims = table.comparisons.image_aims
    return Reproduction(
        table,
        scope,
        seeds,
        bench.class_names,
        bench.judged,
        figures("corpus", table.comparisons.aims),
        None if image_aims is None else figures("image", image_aims),
        {key: values for key, values in notes.items() if values},
        {key: sum(r.seconds for r in results) / len(results) for key, results in rows.items()},
    )


def result_place(table: Table, bench: Bench, scope: Scope, row: Row, seed: int) -> Path:
    """The path that the names of a row's files start with, for one seed.

    Parameters
    ----------
    table : Table
    bench : Bench
    scope : Scope
    row : Row
    seed : int

    Returns
    -------
    Path
        In `scope.work`; its name ends in a digest of the settings of the row and of the rows
        that it starts from.
    """
    settings = [bench.settings(row, seed)]
    start: str | None = row.start
    while start is not None:
        before = table.row(start)
        settings.append(bench.settings(before, seed))
        start = before.start
    return scope.work / f"{row.key}-seed{seed}-{settings_digest(settings)}"


def _file(place: Path) -> Path:
    return place.with_name(place.name + ".h5")


def _advancer(progress: Progress, cost: float) -> Callable[[float], None]:
    done = [0.0, time.monotonic()]

    def advance(share: float) -> None:
        now = time.monotonic()
        if share < 1.0 and now - done[1] < 0.5:
            return
        progress.advance(cost * (share - done[0]))
        done[:] = share, now

    return advance
