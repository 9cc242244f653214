"""What defines a table: the paper's printed lines, and how each row is measured here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from rerank.experiments.comparison import Judged
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
    overrides : tuple of str
        `a.b=c` settings that replace those of the recipe of a table that runs the pipeline.
    """

    data_root: Path
    work: Path
    full: bool = False
    device: str = "cpu"
    jobs: int = 1
    quiet: bool = False
    overrides: tuple[str, ...] = ()

    @property
    def pipeline(self) -> Path:
        """The store of pipeline runs, which all tables share."""
        return self.work.parent / "pipeline"


class Bench(Protocol):
    """Measures the rows of a table on one data set."""

    class_names: tuple[str, ...]
    judged: Judged
    #: Whether it runs recipes, so that `Scope.overrides` act.
    takes_overrides: bool

    def settings(self, row: Row, seed: int) -> Any:
        """Plain settings that the result depends on; equal settings share one kept result.

        Parameters
        ----------
        row : Row
        seed : int

        Returns
        -------
        value that JSON can hold
        """

    def measure(
        self,
        row: Row,
        seed: int,
        place: Path,
        start: Path | None,
        progress: Callable[[float], None],
    ) -> SeedResult:
        """Measure a row with one seed.

        Parameters
        ----------
        row : Row
        seed : int
        place : Path
            Start of the names of the row's own files.
        start : Path or None
            Start of the names of the files of the row that this one starts from.
        progress : callable
            Takes the share that is done, in 0..1.

        Returns
        -------
        SeedResult
        """


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
        Mean IoU that the paper prints, in points; None for a row that is not in it.
    recipe : any
        Settings of the row, as its bench takes them.
    start : str or None
        Key of an earlier row, from whose trained network this one starts.
    shown : bool
        False for a row that is used only as a starting point.
    cost : float
        Rough share of the work, used to estimate the time left.
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
class PaperTable:
    """The table as the paper prints it.

    Attributes
    ----------
    source : str
        Paper and number of the table.
    data : str
        What the paper measured on.
    columns : sequence of str
        Head of the table, with that of the lines' names.
    lines : sequence of PaperLine
    """

    source: str
    data: str
    columns: Sequence[str]
    lines: Sequence[PaperLine]


@dataclass(frozen=True)
class Comparisons:
    """Which rows of a table are compared, and the gains that the project asks for.

    Attributes
    ----------
    baseline : str
        Key of the row that all others are compared with.
    pairs : sequence of (key, key)
        Further gains, of the first row over the second.
    aims : mapping of (key, key) to float
        Least gain in points of corpus IoU; 0 asks for any gain.
    image_aims : mapping of (key, key) to float, optional
        The same in mean image IoU; None where rows are not compared by mean image IoU.
    """

    baseline: str
    pairs: Sequence[tuple[str, str]] = ()
    aims: Mapping[tuple[str, str], float] = field(default_factory=dict)
    image_aims: Mapping[tuple[str, str], float] | None = None


@dataclass(frozen=True)
class Table:
    """A table of a paper, or one of our own, and how its rows are measured here.

    Attributes
    ----------
    name : str
        As `rerank reproduce` takes it.
    title : str
        What the table shows.
    data : str
        What is measured on here.
    rows : sequence of Row
    comparisons : Comparisons
    bench : callable
        Makes the bench for a scope.
    paper : PaperTable, optional
        None for a table that no paper prints.
    notes : sequence of str
        What a reader must know.
    differs : sequence of str
        What differs from the paper's own measurement; stands in the head.
    """

    name: str
    title: str
    data: str
    rows: Sequence[Row]
    comparisons: Comparisons
    bench: Callable[[Scope], Bench]
    paper: PaperTable | None = None
    notes: Sequence[str] = ()
    differs: Sequence[str] = ()

    def row(self, key: str) -> Row:
        """The row with that key."""
        return next(row for row in self.rows if row.key == key)

    @property
    def source(self) -> str:
        """Paper and number of the printed table; empty without one."""
        return "" if self.paper is None else self.paper.source

    @property
    def shown(self) -> list[Row]:
        """The rows that are printed."""
        return [row for row in self.rows if row.shown]

    @property
    def all_pairs(self) -> list[tuple[str, str]]:
        """The pairs of rows that are compared: with the baseline, then the further ones."""
        baseline = self.comparisons.baseline
        over = [(row.key, baseline) for row in self.shown if row.key != baseline]
        return [*over, *(pair for pair in self.comparisons.pairs if pair not in over)]
