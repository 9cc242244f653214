"""The site: what is generated is complete, blocks of code run, and it builds without a warning."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rerank.config import ProposeSettings, Recipe
from rerank.settings import GateSettings
from rerank.stages.pipeline import STAGES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def load(name: str) -> Any:
    """A module of the site's own, which is in no package."""
    spec = importlib.util.spec_from_file_location(name, DOCS / "_site" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAGES = load("generated_pages")


def code_of(page: Path) -> str:
    return "\n".join(re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.M | re.S))


def test_every_setting_has_its_effect() -> None:
    notes = PAGES.setting_notes()
    names = {setting.name for setting in PAGES.settings_of(Recipe)}
    assert names <= set(notes), sorted(names - set(notes))
    for name, note in notes.items():
        assert note["effect"].endswith("."), name
        assert set(note) <= {"unit", "effect"}, name
    for setting in PAGES.settings_of(ProposeSettings):
        assert notes.get(f"propose.{setting.name}") or PAGES._shared(setting.name, notes), setting
    row = (
        f"| `gate.level` | `{GateSettings().level}` | number, above 0, below 1 | share of images |"
    )
    assert row in PAGES.settings_page()


def test_no_stage_is_missing_from_the_page_of_files() -> None:
    page = PAGES.files_page()
    assert re.findall(r"^## `(\w+)`$", page, re.M) == [stage.name for stage in STAGES]
    empty = re.findall(r"^\| `([^`]+)` \|.*\|  \|$", page, re.M)
    assert not empty, f"docs/_site/data_sets.yaml does not say what these hold: {empty}"


def test_every_command_has_its_options() -> None:
    page = PAGES.commands_page()
    for words in ("## `rerank data check`", "`--joint`", "`--backend loky|threading|dask`"):
        assert words.replace("|", "\\|") in page or words in page, words


def test_every_public_name_has_its_place() -> None:
    pages = PAGES.api_pages()
    crf = pages["api/rerank.crf.rst"]
    assert ".. autofunction:: alpha_expansion" in crf and ".. autoclass:: PottsEnergy" in crf
    assert "rerank.crf" in pages["api/index.rst"]


def test_blocks_of_code_run(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "demo").symlink_to(finished)
    monkeypatch.chdir(tmp_path)
    for page in (DOCS / "extending.md", DOCS / "pipeline.md", DOCS / "_site" / "files_head.md"):
        assert code_of(page)
        exec(compile(code_of(page), page.name, "exec"), {})


def test_equations_are_numbered_in_order() -> None:
    text = (DOCS / "maths.md").read_text()
    blocks = re.findall(r"^```math\n(.*?)^```$", text, re.M | re.S)
    tags = [re.findall(r"\\tag\{(\d+)\}", block) for block in blocks]
    assert tags == [[str(number)] for number in range(1, len(blocks) + 1)]


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    for name in ("sphinx", "numpydoc", "myst_parser", "furo", "sphinx_gallery", "latex2mathml"):
        pytest.importorskip(name, reason=f"the extra docs is not installed: no {name}")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    done = subprocess.run([*command, str(DOCS), str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for page in ("index", "generated/settings", "generated/api/rerank.crf", "gallery/index"):
        assert (tmp_path / f"{page}.html").is_file()
    for page in (tmp_path / "maths.html", tmp_path / "index.html"):
        # Scripts, styles and pictures come with the site.
        assert not re.search(r'<(?:script|link|img)[^>]+"https?://', page.read_text())
    assert (tmp_path / "maths.html").read_text().count('class="eqno"') >= 10
