"""Write docs/api.md from the docstrings: python scripts/api_page.py"""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

ROOMS = (
    "datasets",
    "superpixels",
    "potentials",
    "crf",
    "proposals",
    "losses",
    "layers",
    "nets",
    "evidence",
    "features",
    "ranking",
    "metrics",
    "reports",
    "stages",
)
HEAD = """# The API

Every name below is public and documented where it is defined (`help(rerank.crf.trws)`): shapes,
dtypes, units, errors and the source of each equation. `scripts/api_page.py` writes this page.
"""


def first_paragraph(text: str) -> str:
    """The first paragraph of a docstring on one line."""
    return " ".join(text.strip().split("\n\n")[0].split()).replace("|", "\\|")


def describe(value: object) -> str:
    """What a name is: its docstring's summary, or that it is a constant."""
    if inspect.isclass(value) or inspect.isfunction(value):
        return first_paragraph(inspect.getdoc(value) or "")
    return "constant"


def main() -> None:
    """Write the page."""
    parts = [HEAD]
    for room in ROOMS:
        module = importlib.import_module(f"rerank.{room}")
        names = sorted(module.__all__, key=str.lower)
        rows = [f"| `{name}` | {describe(getattr(module, name))} |" for name in names]
        parts.append(
            "\n".join(
                [
                    f"## `rerank.{room}`",
                    "",
                    first_paragraph(module.__doc__ or ""),
                    "",
                    "| name | what |",
                    "| --- | --- |",
                    *rows,
                    "",
                ]
            )
        )
    page = Path(__file__).parents[1] / "docs" / "api.md"
    page.write_text("\n".join(parts))


if __name__ == "__main__":
    main()
