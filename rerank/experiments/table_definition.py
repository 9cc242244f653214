"""A paper's table: its rows as printed, and how each is measured here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from rerank.experiments.seed_result import SeedResult


@dataclass(frozen=True)
class Scope:
    """Where and how large a table is measured.

    Attributes
    ----------
    data_root : Path
        Folder of the data set, or the folder above it.
    work : Path
        Folder of this table's results; its parent is shared with the other tables.
    full : bool
        Full size, meant for a GPU, instead of the size for two cores.
    device : str
    jobs : int
        Tasks at a time of the pipeline; threads of torch elsewhere.
    quiet : bool
    """

    data_root: Path
    work: Path
    full: bool = False
    device: str = "cpu"
    jobs: int = 1
    quiet: bool = False

    @property
    def pipeline(self) -> Path:
        """The store of pipeline runs, where tables find what another has computed."""
        return self.work.parent / "pipeline"


class Bench(Protocol):
    """What measures the rows of a table on one data set."""

    class_names: tuple[str, ...]

    def settings(self, row: Row, seed: int) -> Any:
        """Plain settings that the outcome depends on; outcomes of equal ones are kept."""

    def measure(
        self,
        row: Row,
        seed: int,
        place: Path,
        start: Path | None,
        progress: Callable[[float], None],
    ) -> SeedResult:
        """Measure a row. Files that start with `place` are its own, those that start with
        `start` of the row that it goes on from. `progress` takes the share that is done."""


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes
    ----------
    key : str
        Name of its files.
    name : str
        As people read it.
    paper : float or None
        The mean IoU that the paper prints, in points; None for a row that it lacks.
    recipe : any
        What the bench needs to know.
    start : str or None
        Key of the row that it goes on from, which is measured before.
    shown : bool
        False for what is only gone on from.
    cost : float
        Rough share of the work, for the time left.
    """

    key: str
    name: str
    paper: float | None
    recipe: Any
    start: str | None = None
    shown: bool = True
    cost: float = 1.0


@dataclass(frozen=True)
class PaperLine:
    """A line of the paper's table, as printed."""

    name: str
    values: tuple[object, ...]


@dataclass(frozen=True)
class Table:
    """A table of a paper, and its rows here.

    Attributes
    ----------
    name : str
        As `rerank reproduce` takes it.
    title, source : str
        What it shows, and where it is printed.
    paper_data, data : str
        What the paper measured on, and what is measured on here.
    columns : sequence of str
        Head of the printed table.
    printed : sequence of PaperLine
        The printed table.
    rows : sequence of Row
    baseline : str
        Key of the row that the others' gains are over.
    pairs : sequence of (key, key)
        Further gains, of the first row over the second.
    aims : mapping of (key, key) to float
        The gain in points that the project asks for.
    by_image : bool
        Whether rows are compared by mean image IoU as well.
    image_aims : mapping of (key, key) to float
        As `aims`, of mean image IoU.
    notes : sequence of str
        What a reader must know.
    bench : callable
        Makes the bench for a scope.
    """

    name: str
    title: str
    source: str
    paper_data: str
    data: str
    columns: Sequence[str]
    printed: Sequence[PaperLine]
    rows: Sequence[Row]
    baseline: str
    bench: Callable[[Scope], Bench]
    pairs: Sequence[tuple[str, str]] = ()
    aims: Mapping[tuple[str, str], float] = field(default_factory=dict)
    notes: Sequence[str] = ()
    by_image: bool = False
    image_aims: Mapping[tuple[str, str], float] = field(default_factory=dict)

    def row(self, key: str) -> Row:
        """The row with that key."""
        return next(row for row in self.rows if row.key == key)

    @property
    def shown(self) -> list[Row]:
        """The rows that are printed."""
        return [row for row in self.rows if row.shown]

    @property
    def all_pairs(self) -> list[tuple[str, str]]:
        """Every gain that is worked out: over the baseline, then the further ones."""
        over = [(row.key, self.baseline) for row in self.shown if row.key != self.baseline]
        return [*over, *(pair for pair in self.pairs if pair not in over)]
