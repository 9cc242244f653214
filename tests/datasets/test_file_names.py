"""Names and lists from any system."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from PIL import Image

from rerank.datasets import check_dataset, dataset_splits, open_dataset
from rerank.datasets.file_names import files_in, lines_of, name_of, text_file, without_suffix
from rerank.datasets.image_files import list_images
from rerank.datasets.map_files import find_map, list_maps
from rerank.datasets.mask_folders import list_masks
from rerank.datasets.mask_sets import list_mask_sets
from rerank.errors import DataError

WHOLE, APART = "caf\u00e9", "cafe\u0301"


def test_forms_of_a_name() -> None:
    assert unicodedata.normalize("NFC", APART) == WHOLE != APART
    assert name_of(Path(f"x/{APART}.PNG")) == WHOLE
    assert without_suffix("a.png") == "a" and without_suffix("1.5") == "1.5"
    assert without_suffix("a.png", {"a.png"}) == "a.png"
    assert without_suffix("x/a.png") == "x/a.png"


@pytest.mark.parametrize(
    "content",
    [
        "a\nb c\n\u00e9\n".encode(),
        "a\r\nb c \r\n\u00e9\r\n\r\n".encode(),
        "\ufeffa\rb c\r\te\u0301\r".encode(),
        "a\r\nb c\r\n\u00e9".encode("utf-16"),
        b"\xfe\xff" + "a\nb c\n\u00e9".encode("utf-16-be"),
    ],
)
def test_lines_of_every_system(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "l.txt").write_bytes(content)
    assert lines_of(tmp_path / "l.txt") == ["a", "b c", "\u00e9"]


def test_a_name_may_hold_what_python_takes_for_ends_of_lines(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_bytes("a\u2028b\nc\x85d\n".encode())
    assert lines_of(tmp_path / "l.txt") == ["a\u2028b", "c\x85d"]


@pytest.mark.parametrize(
    "content, match",
    [
        (b"\xe9t\xe9", "cannot be read as text"),
        (b"a\0b", "it holds zeros"),
        (b"\xff\xfea", "cannot be read as text"),
    ],
)
def test_what_is_no_text(tmp_path: Path, content: bytes, match: str) -> None:
    (tmp_path / "l.txt").write_bytes(content)
    with pytest.raises(DataError, match=f"l.txt: .*{match}.*; write the list as UTF-8"):
        lines_of(tmp_path / "l.txt")
    with pytest.raises(DataError, match="is not a file"):
        lines_of(tmp_path)


def test_files_that_systems_leave_are_not_there(tmp_path: Path) -> None:
    for name in ("._a.png", ".DS_Store", "Thumbs.db", "desktop.ini", "B.PNG", "a.png"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
    assert [path.name for path in files_in(tmp_path, (".png",))] == ["B.PNG", "a.png"]
    (tmp_path / "Train.TXT").write_text("x")
    assert text_file(tmp_path, "Train").name == "Train.TXT"
    assert text_file(tmp_path, "val").name == "val.txt"


@pytest.mark.skipif(os.name == "nt", reason="names of Windows are Unicode")
def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    try:
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xe9.png"))).write_bytes(b"")
    except OSError:
        pytest.skip("this disk takes names in UTF-8 alone")
    with pytest.raises(DataError, match=r"\\udce9.png: the file's name is not UTF-8; rename it"):
        files_in(tmp_path, (".png",))


def _both_forms(folder: Path) -> bool:
    """Whether the disk keeps the two forms of a name apart."""
    return len(list(folder.iterdir())) == 2


def test_two_files_of_one_name_are_refused_with_both(tmp_path: Path) -> None:
    picture = Image.fromarray(np.zeros((4, 5), np.uint8))
    for first, second in (("a.png", "a.tif"), ("a.png", "a.PNG"), (f"{WHOLE}.png", f"{APART}.png")):
        folder = tmp_path / f"{first}{second.encode()!r}".replace("/", "")
        folder.mkdir()
        picture.save(folder / first)
        picture.save(folder / second)
        if not _both_forms(folder):
            continue
        names = {first, second}
        with pytest.raises(DataError) as caught:
            list_masks(folder, "masks")
        assert all(name in str(caught.value) for name in names)
        _, problems = list_images(folder)
        assert len(problems) == 1 and all(name in problems[0] for name in names)


def test_names_of_a_mac_and_of_others_meet(tmp_path: Path, files: SimpleNamespace) -> None:
    """Images in one form, masks in the other, the list in either."""
    for seed, name in enumerate((WHOLE, "b")):
        files.image(tmp_path / "images" / f"{name}.JPG", seed)
    for seed, name in enumerate((APART, "b")):
        files.mask(tmp_path / "labels" / f"{name}.PNG", files.make_labels(seed, 3))
    for form in (WHOLE, APART):
        (tmp_path / "train.txt").write_bytes(f"\ufeffb.JPG\r\n{form}.jpg\r\n".encode())
        data = open_dataset("folder", tmp_path, n_classes=3)
        assert data.ids == ("b", WHOLE)
        np.testing.assert_array_equal(data[WHOLE].labels, files.make_labels(0, 3))
        assert check_dataset("folder", tmp_path, n_classes=3) == []


def test_maps_of_a_mac_and_of_others_meet(tmp_path: Path) -> None:
    values = np.full((2, 3, 2), 0.5, np.float32)
    np.save(tmp_path / f"{APART}.npy", values)
    np.save(tmp_path / "up.npy", values)
    (tmp_path / "up.npy").rename(tmp_path / "up.NPY")
    with h5py.File(tmp_path / "maps.h5", "w") as file:
        file["jose\u0301"] = values
    assert set(list_maps(tmp_path)) == {WHOLE, "up", "jos\u00e9"}
    for name in (WHOLE, APART, "up", "jos\u00e9", "jose\u0301"):
        assert find_map(tmp_path, name).path.exists()
    np.save(tmp_path / f"{WHOLE}.npy", values)
    if len(list(tmp_path.glob("caf*"))) == 2:
        with pytest.raises(DataError, match="is a map of the same image; keep one of them"):
            find_map(tmp_path, WHOLE)


def test_folders_of_a_mac_are_no_images(tmp_path: Path) -> None:
    for name in ("a", "__MACOSX", ".ipynb_checkpoints"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.zeros((4, 5), np.uint8)).save(tmp_path / name / "m.png")
    assert list(list_mask_sets(tmp_path, "masks")) == ["a"]


@pytest.fixture
def folder(tmp_path: Path, files: SimpleNamespace) -> Path:
    for seed, name in enumerate("abc"):
        files.image(tmp_path / "images" / f"{name}.png", seed)
        files.mask(tmp_path / "labels" / f"{name}.png", files.make_labels(seed, 3))
    return tmp_path


def problems_of(folder: Path) -> list[str]:
    return [str(problem) for problem in check_dataset("folder", folder, n_classes=3)]


def test_an_image_that_is_listed_with_and_without_its_ending(folder: Path) -> None:
    (folder / "train.txt").write_text("a\nb.png\na.png\n")
    (found,) = problems_of(folder)
    assert "'a' is listed twice, as 'a' and as 'a.png'; delete one of the lines" in found
    with pytest.raises(DataError, match="'a' is listed twice"):
        open_dataset("folder", folder, n_classes=3)


def test_ids_that_end_like_files(folder: Path, files: SimpleNamespace) -> None:
    """`d.png.png` is the image `d.png`, and the line `d.png` means it where there is no `d`."""
    files.image(folder / "images" / "d.png.png", 4)
    files.mask(folder / "labels" / "d.png.png", files.make_labels(4, 3))
    (folder / "train.txt").write_text("d.png\na\n")
    data = open_dataset("folder", folder, n_classes=3)
    assert data.ids == ("d.png", "a")
    np.testing.assert_array_equal(data["d.png"].labels, files.make_labels(4, 3))
    files.image(folder / "images" / "d.png", 5)
    files.mask(folder / "labels" / "d.png", files.make_labels(5, 3))
    assert "'d.png' is the name of two images" in problems_of(folder)[0]


def test_stray_texts_are_no_lists(folder: Path) -> None:
    for name in ("notes.txt", "README.TXT", "._train.txt", "Licence.txt", "what is this.txt"):
        (folder / name).write_text("These photographs were taken by us.\nAll of them.\n")
    assert dataset_splits("folder", folder, n_classes=3) == ("all",)
    assert len(open_dataset("folder", folder, n_classes=3)) == 3
    (folder / "mine.TXT").write_text("a\n")
    assert dataset_splits("folder", folder, n_classes=3) == ("mine",)
    assert open_dataset("folder", folder, "mine", n_classes=3).ids == ("a",)


def test_a_list_of_other_images_is_one_finding(folder: Path) -> None:
    (folder / "train.txt").write_text("".join(f"other{k}\n" for k in range(500)))
    (found,) = problems_of(folder)
    assert "none of the 500 lines names an image of the folder, such as 'other0'" in found
