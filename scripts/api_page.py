"""Write docs/api.md from the docstrings: python scripts/api_page.py"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path

#: Packages with a list of public names, in the order in which people meet them.
PACKAGES = (
    "rerank",
    "rerank.datasets",
    "rerank.superpixels",
    "rerank.potentials",
    "rerank.crf",
    "rerank.proposals",
    "rerank.losses",
    "rerank.layers",
    "rerank.nets",
    "rerank.evidence",
    "rerank.features",
    "rerank.ranking",
    "rerank.metrics",
    "rerank.reports",
    "rerank.experiments",
)
#: Packages whose modules are imported by their own names.
OF_MODULES = ("rerank.tuning", "rerank.engine", "rerank.stages", "rerank.applications")
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


def section(title: str, about: str, column: str, rows: list[str]) -> str:
    """A heading, a paragraph and a table."""
    table = [f"| {column} | what |", "| --- | --- |", *rows]
    return "\n".join([f"## {title}", "", about, "", *table, ""])


def package_section(package: str) -> str:
    """The public names of a package."""
    module = importlib.import_module(package)
    names = [name for name in module.__all__ if not name.startswith("_")]
    rows = [
        f"| `{name}` | {describe(getattr(module, name))} |" for name in sorted(names, key=str.lower)
    ]
    return section(f"`{package}`", first_paragraph(module.__doc__ or ""), "name", rows)


def modules_section(package: str) -> str:
    """The modules of a package, by the first line of each."""
    module = importlib.import_module(package)
    found = [f"{package}.{m.name}" for m in pkgutil.iter_modules(module.__path__)]
    rows = [
        f"| `{name}` | {first_paragraph(importlib.import_module(name).__doc__ or '')} |"
        for name in found
    ]
    about = f"{first_paragraph(module.__doc__ or '')} Its modules are imported by name."
    return section(f"The modules of `{package}`", about, "module", rows)


def main() -> None:
    """Write the page."""
    parts = [HEAD, *map(package_section, PACKAGES), *map(modules_section, OF_MODULES)]
    page = Path(__file__).parents[1] / "docs" / "api.md"
    page.write_text("\n".join(parts))


if __name__ == "__main__":
    main()
