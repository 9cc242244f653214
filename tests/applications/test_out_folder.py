"""A folder that cannot be written is found before anything is computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rerank.applications.out_folder import check_writable, open_out, write_map
from rerank.cli import main
from rerank.errors import DataError
from rerank.files import replace_file


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for part in ("images", "maps", "labels"):
        (tmp_path / part).mkdir()
    Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(tmp_path / "images" / "a.png")
    Image.fromarray(np.eye(8, 9, dtype=np.uint8)).save(tmp_path / "labels" / "a.png")
    (tmp_path / "masks" / "a").mkdir(parents=True)
    Image.fromarray(np.eye(8, 9, dtype=np.uint8)).save(tmp_path / "masks" / "a" / "m.png")
    np.save(tmp_path / "maps" / "a.npy", np.full((8, 9, 2), 0.5, np.float32))
    (tmp_path / "file").write_text("x")
    return tmp_path


def commands(files: Path) -> dict[str, list[str]]:
    maps = ["--probabilities", str(files / "maps"), "--images", str(files / "images")]
    return {
        "propose": ["propose", *maps],
        "dense-crf": ["dense-crf", *maps],
        "rank": ["rank", "--masks", str(files / "masks"), "--images", str(files / "images")],
        "evaluate": ["evaluate", "--labels", str(files / "labels"), str(files / "masks" / "a")],
    }


@pytest.mark.parametrize("command", ["propose", "dense-crf", "rank", "evaluate"])
@pytest.mark.parametrize("out", ["file", "file/below", "n" * 300])
def test_one_line_says_it(
    files: Path, command: str, out: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if command == "evaluate":
        (files / "masks" / "a" / "m.png").rename(files / "masks" / "a" / "a.png")
    assert main([*commands(files)[command], "--out", str(files / out), "--quiet"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "results cannot be written there" in error
    assert "give another --out" in error


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", closed)
    for check in (open_out, check_writable):
        with pytest.raises(
            DataError, match="written there .Permission denied.; give another --out"
        ):
            check(tmp_path)


def test_names_that_become_too_long(tmp_path: Path) -> None:
    open_out(tmp_path, ["a" * 240], "_x.png")
    for name in ("a" * 250, "\u65e5" * 84):
        with pytest.raises(
            DataError, match="too long for its results.*rename the image to at most"
        ):
            open_out(tmp_path, [name], "_x.png")


def test_a_file_of_the_longest_name_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / f"{'a' * 251}.npy"
    write_map(path, np.ones((2, 3, 4), np.float16))
    assert np.load(path).shape == (2, 3, 4) and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(ZeroDivisionError), replace_file(path) as temporary:
        temporary.write_bytes(b"x")
        assert temporary.parent == tmp_path and temporary != path
        raise ZeroDivisionError
    assert np.load(path).shape == (2, 3, 4) and len(list(tmp_path.iterdir())) == 1
