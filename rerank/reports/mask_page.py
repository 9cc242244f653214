"""The page about candidate masks: what choosing among them gains, and examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rerank.reports.page import Example, Panel, TextTable
from rerank.reports.templates import render


@dataclass(frozen=True)
class MaskPage:
    """Everything on the page.

    Attributes
    ----------
    title, lead : str
    facts : mapping of name to text
    tables : sequence of TextTable
    figures : sequence of Panel
    examples : mapping of heading to examples
        The choice is marked `chosen`, the best mask `oracle`.
    """

    title: str
    lead: str
    facts: Mapping[str, str]
    tables: Sequence[TextTable]
    figures: Sequence[Panel]
    examples: Mapping[str, Sequence[Example]]


def render_mask_page(page: MaskPage) -> str:
    """The page as HTML, which needs nothing from outside."""
    return render(
        "masks.html",
        title=page.title,
        lead=page.lead,
        facts=page.facts,
        tables=page.tables,
        figures=page.figures,
        groups=page.examples,
    )
