from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from rerank.datasets import FileProblem, check_dataset, open_dataset
from rerank.errors import InputError


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path, files: SimpleNamespace) -> None:
    files.msrc21(tmp_path)
    for seed, name in enumerate(("big", "torn", "wrong", "both"), start=10):
        files.image(tmp_path / "images" / f"{name}.png", seed)
        files.mask(tmp_path / "labels" / f"{name}.png", files.make_labels(seed, 21))
    files.mask(tmp_path / "labels" / "big.png", files.make_labels(0, 21, (8, 9)))
    torn = tmp_path / "images" / "torn.png"
    torn.write_bytes(torn.read_bytes()[:60])
    wrong = files.make_labels(0, 21)
    wrong[4, 4] = 33
    files.mask(tmp_path / "labels" / "wrong.png", wrong)
    for part in ("images", "labels"):
        (tmp_path / part / "both.png").write_bytes(b"no picture")
    files.list(tmp_path / "train.txt", ["1_1_s", "1_1_s", "big", "torn", "gone"])
    files.list(tmp_path / "val.txt", ["9_4_s", "wrong", "both", "1_1_s"])
    files.list(tmp_path / "test.txt", [])
    problems = check_dataset("msrc21", tmp_path)
    found = [
        (
            str(Path(f.path).relative_to(tmp_path)) if f.path != "1_1_s" else f.path,
            f.problem.split(" (")[0],
        )
        for f in problems
    ]
    assert sorted(found) == sorted(
        [
            ("train.txt", "'1_1_s' is listed twice"),
            ("images/gone", "the image is missing"),
            ("labels/gone", "the mask is missing"),
            ("test.txt", "the list is empty"),
            ("1_1_s", "the image is in both train and val"),
            ("labels/big.png", "the mask is 9x8"),
            ("images/torn.png", "the image cannot be read"),
            ("labels/wrong.png", "labels must be 0..20 or 255"),
            ("images/both.png", "the image cannot be read"),
            ("labels/both.png", "the mask cannot be read"),
        ]
    )
    assert all(problem.remedy for problem in problems)
    assert check_dataset("msrc21", tmp_path, n_threads=1) == problems


def test_a_sound_folder_has_no_problems(tmp_path: Path, files: SimpleNamespace) -> None:
    files.folder(tmp_path)
    assert check_dataset("folder", tmp_path) == []
    assert check_dataset(open_dataset("folder", tmp_path)) == []
    assert check_dataset("scenes") == []


def test_an_open_data_set(tmp_path: Path, files: SimpleNamespace) -> None:
    files.folder(tmp_path)
    data = open_dataset("folder", tmp_path)
    (tmp_path / "images" / "b.jpg").unlink()
    assert check_dataset(data) == [
        FileProblem(
            str(tmp_path / "images" / "b.jpg"),
            "the image is missing",
            "put it there or take its id off the list",
        )
    ]
    empty = check_dataset(data.subset(()))
    assert [problem.problem for problem in empty] == ["the split has no image"]


def test_what_keeps_a_data_set_from_opening_is_a_problem(
    tmp_path: Path, files: SimpleNamespace
) -> None:
    nowhere = check_dataset("camvid", tmp_path / "nowhere")
    assert [problem.problem for problem in nowhere] == ["the data folder does not exist"]
    files.camvid(tmp_path)
    missing = check_dataset("camvid", tmp_path, ["dev", "val"])
    assert [Path(problem.path).name for problem in missing] == ["dev.txt"]


def test_bad_arguments(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no data set 'pascal'"):
        check_dataset("pascal", tmp_path)
    with pytest.raises(InputError, match="n_threads must be at least 1, got 0"):
        check_dataset("scenes", n_threads=0)
    with pytest.raises(InputError, match="without root, splits, options"):
        check_dataset(open_dataset("scenes", n_images=1), tmp_path)
    with pytest.raises(InputError, match="read from files: give the folder"):
        check_dataset("msrc21")
