"""HTML pages that hold their pictures and need nothing from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import jinja2

from rerank.reports.evaluation import Evaluation

#: Where the table of timings goes. Timings differ from run to run, and are put in last.
TIMINGS = "<!-- timings -->"


@dataclass(frozen=True)
class Panel:
    """A picture with its caption; `mark` is `chosen`, `oracle`, `both` or empty."""

    caption: str
    picture: str
    note: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Example:
    """One image with its labels, its segmentations and its proposals."""

    image_id: str
    summary: str
    panels: Sequence[Panel]
    proposals: Sequence[Panel]


@dataclass(frozen=True)
class Section:
    """A section of the page about one set of images: its rules, curves and tables."""

    title: str
    lead: str
    evaluations: Sequence[Evaluation]
    figures: Sequence[Panel] = ()
    class_names: Sequence[str] = ()
    class_rules: Sequence[Evaluation] = ()

    @property
    def over_network(self) -> bool:
        """Whether gains over the user's own network are shown."""
        return any(e.corpus_network_gain is not None for e in self.evaluations)


@dataclass(frozen=True)
class Page:
    """Everything on a report's page.

    Attributes
    ----------
    title, lead : str
    facts : mapping of name to text
        Shown as a list at the top.
    legend : sequence of (class name, CSS colour)
    sections : sequence of Section
    examples : mapping of heading to examples
    recipe : str
        The resolved recipe.
    versions : mapping of package to version
    """

    title: str
    lead: str
    facts: Mapping[str, str]
    legend: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    examples: Mapping[str, Sequence[Example]]
    recipe: str
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TextTable:
    """A table of texts: its title, its head, and rows as long as the head."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def render_page(page: Page) -> str:
    """The page as HTML; `TIMINGS` marks where `render_timings` goes."""
    return _render("page.html", page=page, timings=TIMINGS)


def render_text_tables(
    title: str, lead: str, tables: Sequence[TextTable], notes: Sequence[str] = ()
) -> str:
    """A page of tables as HTML.

    Parameters
    ----------
    title, lead : str
        Heading, and the paragraph below it.
    tables : sequence of TextTable
    notes : sequence of str
        A list at the end.

    Returns
    -------
    str
    """
    return _render("text_tables.html", title=title, lead=lead, tables=tables, notes=notes)


def render_timings(rows: Sequence[Mapping[str, object]]) -> str:
    """The table of timings: stage, tasks, seconds, processor seconds, MiB on disk, peak MiB."""
    return _render("timings.html", rows=rows)


def _render(template: str, **values: object) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("rerank", "reports"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["points"] = lambda value: (
        "\N{EN DASH}" if value != value else f"{100 * value:.1f}"
    )
    environment.filters["signed"] = lambda value: f"{100 * value:+.1f}"
    return environment.get_template(template).render(**values)
