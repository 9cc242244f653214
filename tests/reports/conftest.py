"""A browser for the tests of pages."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_place = Path(__file__).parents[1] / "browser.py"
_spec = importlib.util.spec_from_file_location("browser", _place)
assert _spec is not None and _spec.loader is not None
steering = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(steering)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium; tests are skipped where there is none."""
    program = steering.find_browser()
    if program is None:
        pytest.skip("no Chromium (set RERANK_CHROMIUM)")
    found = steering.Browser(program)
    yield found
    found.close()
