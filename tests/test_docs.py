"""The pages of docs/ name what is there."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
ROOMS = re.findall(r"^## `(rerank\.\w+)`$", (DOCS / "api.md").read_text(), re.M)


def names_of(room: str) -> set[str]:
    page = (DOCS / "api.md").read_text()
    section = page.split(f"## `{room}`\n", 1)[1].split("\n## ", 1)[0]
    return set(re.findall(r"^\| `(\w+)` \|", section, re.M))


@pytest.mark.parametrize("room", ROOMS)
def test_api_page_lists_every_public_name(room: str) -> None:
    assert names_of(room) == set(importlib.import_module(room).__all__)


@pytest.mark.parametrize("page", ["guide.md", "maths.md", "../README.md"])
def test_named_functions_exist(page: str) -> None:
    text = (DOCS / page).read_text()
    found = set(re.findall(r"`(rerank(?:\.\w+)+)`", text))
    assert found or page != "maths.md"
    for name in found:
        module, _, attribute = name.rpartition(".")
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            assert hasattr(importlib.import_module(module), attribute), name


def test_links_lead_somewhere() -> None:
    for page in [DOCS.parent / "README.md", *DOCS.glob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not link.startswith("http"):
                assert (page.parent / link).exists(), f"{page.name}: {link}"
