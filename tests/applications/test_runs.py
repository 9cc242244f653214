"""What a work folder says of itself, and what is left of a run that could not begin."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rerank.applications.runs import read_run_file, run
from rerank.cli.main import main
from rerank.engine.manifest import sealed, unsealed
from rerank.engine.store import Store
from rerank.errors import DataError, StoreError


def _crafted(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a run file as a stranger could: its own digest fits."""
    tree = unsealed(path.read_bytes())
    change(tree)
    path.unlink()
    path.write_bytes(sealed(tree))


CRAFTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "no recipe": lambda tree: tree.pop("recipe"),
    "recipe": lambda tree: tree.update(recipe={"name": "../../x"}),
    "unknown setting": lambda tree: tree["recipe"].update(nothing=1),
    "classes": lambda tree: tree.update(classes={}),
    "palette": lambda tree: tree["classes"].update(palette=[[1, 2, "x"]]),
    "high palette": lambda tree: tree["classes"].update(palette=[[1, 2, 10**30]]),
    "background": lambda tree: tree["classes"].update(background=99),
    "names": lambda tree: tree["classes"].update(class_names=[1]),
    "artefacts": lambda tree: tree.update(artefacts=["x"]),
}


@pytest.mark.parametrize("craft", CRAFTS)
def test_a_crafted_run_file_is_mended_from_its_copy(
    copy: Path, craft: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (copy / "run.json").read_bytes()
    _crafted(copy / "run.json", CRAFTS[craft])
    assert read_run_file(Store(copy)).finished
    assert main(["verify", "--work", str(copy)]) == 1
    assert f"{copy / 'run.json'}: damaged; `rerank verify --repair`" in capsys.readouterr().out
    assert main(["verify", "--work", str(copy), "--repair", "--jobs", "1"]) == 0
    assert (copy / "run.json").read_bytes() == before


@pytest.mark.slow
def test_without_a_whole_copy_the_line_names_the_command_that_ends_it(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(json.dumps(read_run_file(Store(copy)).recipe.model_dump(mode="json")))
    for name in ("run.json", "run.copy.json"):
        _crafted(copy / name, CRAFTS["unknown setting"])
    with pytest.raises(StoreError, match="nothing: "):
        read_run_file(Store(copy))
    for more in ([], ["--repair", "--jobs", "1"]):
        assert main(["verify", "--work", str(copy), *more]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert f"`rerank run RECIPE --work {copy}`" in line
    assert main(["run", str(recipe), "--work", str(copy), "--jobs", "1", "--quiet"]) == 0
    assert main(["verify", "--work", str(copy)]) == 0


def test_a_run_that_cannot_open_its_images_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_recipe: Callable[..., Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError):
        run("msrc21", tmp_path / "none")
    assert not list(tmp_path.iterdir())
    # A folder that was there before, and one that somebody's file is in, stay.
    (tmp_path / "mine").mkdir()
    with pytest.raises(DataError):
        run("msrc21", tmp_path / "none", "mine")
    assert (tmp_path / "mine").is_dir()
    store = Store(tmp_path / "other")
    (tmp_path / "other" / "notes.txt").write_text("mine")
    store.discard_if_empty()
    assert (tmp_path / "other" / "notes.txt").is_file()
