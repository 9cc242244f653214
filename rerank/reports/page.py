"""HTML pages that hold their pictures and need nothing from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rerank.reports.templates import render


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
class TextTable:
    """A table of texts: its title, its head, and rows as long as the head."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


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
    return render("text_tables.html", title=title, lead=lead, tables=tables, notes=notes)
