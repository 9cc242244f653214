"""The command line as a new user meets it: exit status, one clear line, what is printed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rerank.cli import main
from rerank.config import load_recipe, recipe_names


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run a command; returns its exit status, output and error output."""
    status = main(list(arguments))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def write_folder(root: Path, n_images: int = 6) -> None:
    """Images and masks of three classes, in the layout that the reader `folder` takes."""
    rng = np.random.default_rng(0)
    for kind in ("images", "labels"):
        (root / kind).mkdir(parents=True)
    for index in range(n_images):
        labels = np.zeros((24, 32), np.uint8)
        labels[4:16, 5 + index : 20] = 1
        labels[14:22, 10 : 14 + index] = 2
        image = np.array([[90, 60, 40], [30, 120, 60], [60, 60, 160]], np.uint8)[labels]
        image = np.clip(image + rng.normal(0, 25, image.shape), 0, 255).astype(np.uint8)
        Image.fromarray(image).save(root / "images" / f"im{index}.png")
        Image.fromarray(labels).save(root / "labels" / f"im{index}.png")


def write_recipe(path: Path, **changes: object) -> Path:
    tree = {
        "name": "tiny",
        "dataset": {
            "name": "folder",
            "evaluate": None,
            "train": "all",
            "options": {"n_classes": 3},
        },
        "folds": {"n_folds": 2},
        "superpixels": {"n_segments": 20},
        "backbone": {"architecture": "small"},
        "classifiers": {"features": "appearance"},
        "unary": {"features": "appearance", "n_steps": 10, "hidden": 4},
        "crf": {"potts_weights": [0.5]},
        "proposals": {"n_proposals": 3, "diversities": [0.2]},
        "segnet": {"grid": 4, "epochs_cross_entropy": 1, "epochs_mixed": 1},
        "ranking": {"C": 0.1},
        "report": {"n_bootstrap": 5, "n_examples": 2},
        **changes,
    }
    path.write_text(json.dumps(tree))
    return path


@pytest.mark.slow
def test_run_status_and_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, work = tmp_path / "data", tmp_path / "work"
    write_folder(data)
    recipe = write_recipe(tmp_path / "tiny.yaml")
    run = ["run", str(recipe), "--data-root", str(data), "--work", str(work), "--jobs", "1"]
    status, out, err = call(capsys, *run)
    # In a pipe each stage has a line, without control characters.
    assert status == 0 and "the rankers" in err and not set(err) & set("\r\b\x1b")
    page = Path(out.split(": ", 1)[1].strip())
    assert page.exists()
    status, out, _ = call(capsys, "status", "--work", str(work))
    assert status == 0 and "missing" not in out and "proposals" in out
    assert call(capsys, "verify", "--work", str(work))[:2] == (0, "All artefacts are whole.\n")
    assert call(capsys, "gc", "--work", str(work))[1].startswith("Removed 0 files")
    for kind, name in (
        ("oracle", "oracle_cross_fitted.csv"),
        ("ablate", "ablation.png"),
        ("report", "report.html"),
    ):
        status, out, _ = call(capsys, kind, "--work", str(work), "--out", str(tmp_path / kind))
        assert status == 0 and (tmp_path / kind / name).exists() and name in out
    status, out, _ = call(
        capsys,
        "predict",
        "--work",
        str(work),
        "--out",
        str(tmp_path / "p"),
        str(data / "images" / "im0.png"),
    )
    assert status == 0 and (tmp_path / "p" / "im0_segmentation.png").exists()
    damaged = next((work / "proposals").glob("*/fold-00.h5"))
    damaged.write_bytes(b"")
    assert call(capsys, "verify", "--work", str(work))[0] == 1
    status, out, _ = call(capsys, "verify", "--work", str(work), "--repair", "--jobs", "1")
    assert status == 0 and f"mended: {damaged}" in out
    assert call(capsys, "verify", "--work", str(work))[0] == 0


@pytest.mark.parametrize(
    "spoil, expected",
    [
        ("missing root", "data"),
        ("image without mask", "im1"),
        ("mask of another size", "im2"),
        ("label out of range", "im3"),
        ("corrupt image", "im4"),
        ("corrupt mask", "im4"),
        ("empty folder", "images"),
    ],
)
def test_bad_data_is_one_line_that_names_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: str, expected: str
) -> None:
    data = tmp_path / "data"
    if spoil != "missing root":
        write_folder(data, 0 if spoil == "empty folder" else 6)
    if spoil == "image without mask":
        (data / "labels" / "im1.png").unlink()
    elif spoil == "mask of another size":
        Image.fromarray(np.zeros((5, 5), np.uint8)).save(data / "labels" / "im2.png")
    elif spoil == "label out of range":
        Image.fromarray(np.full((24, 32), 7, np.uint8)).save(data / "labels" / "im3.png")
    elif spoil.startswith("corrupt"):
        kind = "images" if spoil == "corrupt image" else "labels"
        path = data / kind / "im4.png"
        path.write_bytes(path.read_bytes()[:60])
    recipe = write_recipe(tmp_path / "tiny.yaml")
    status, _, err = call(
        capsys,
        "run",
        str(recipe),
        "--data-root",
        str(data),
        "--work",
        str(tmp_path / "work"),
        "--jobs",
        "1",
    )
    assert status == 1
    assert err.startswith("rerank: ") and err.count("\n") == 1
    assert expected in err and "Traceback" not in err
    if spoil not in ("missing root", "empty folder"):
        status, out, _ = call(capsys, "data", "check", "folder", "--root", str(data))
        assert (status, expected in out) == (1, True) or spoil == "label out of range"


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["run", "nonsense"], "no such recipe.*msrc21.*YAML file"),
        (["run", "scnes"], "no such recipe; did you mean scenes"),
        (["run", "scenes", "--set", "rankin.C=1"], "^rerank: --set rankin.C=1: .* mean ranking"),
        (["run", "scenes", "--set", "ranking.D=1"], "^rerank: --set ranking.D=1: ranking.D: unk"),
        (["run", "scenes", "--fold", "9"], "^rerank: --fold 9: .* 3 folds; give 0 to 2, or final"),
        (["run", "msrc21"], "name their folder with --data-root DIR"),
        (["data", "check", "folder"], "data check folder needs --root DIR"),
        (["run", "scenes", "--dataroot", "x"], "no such option: --dataroot .* --data-root"),
        (["run", "scenes", "more"], "rerank run: one argument too many: more"),
        (["run", "scenes", "--backend", "lok"], "--backend: no such choice: lok .*mean loky"),
        (["data", "chek"], "rerank data: no such command: chek .did you mean check"),
        (["fit", "--folds", "1"], "at least 2 folds, got 1"),
        (["run", "x.yaml"], "x.yaml: no such recipe"),
        (["run", "scenes", "--set", "superpixels.n_segment=3"], "did you mean n_segments"),
        (["run", "scenes", "--set", "ranking.C=abc"], "ranking.C.*number"),
        (["run", "scenes", "--backend", "dask"], "--scheduler ADDRESS"),
        (["run", "scenes", "--jobs", "0"], "at least 1"),
        (["run"], "required"),
        (["paint"], "no such command: paint .choose from maps, "),
        (["rnu"], "no such command: rnu .did you mean run"),
    ],
)
def test_unusable_arguments(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    expected: str,
) -> None:
    import re

    monkeypatch.chdir(tmp_path)
    status, out, err = call(capsys, *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert re.search(expected, err), err
    assert not any(tmp_path.iterdir())


def test_work_folder_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = call(capsys, "status", "--work", str(tmp_path / "none"))
    assert status == 1 and "not a work folder" in err
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("x")
    status, _, err = call(capsys, "run", "scenes", "--work", str(tmp_path / "other"))
    assert status == 1 and "not rerank's" in err
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "rerank-work.json").write_text('{"format": 0}')
    status, _, err = call(capsys, "run", "scenes", "--work", str(tmp_path / "old"))
    assert status == 1 and "format 0" in err


def test_unreadable_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(tmp_path / "data")
    weights = tmp_path / "weights.npz"
    weights.write_bytes(b"not an archive")
    recipe = write_recipe(
        tmp_path / "r.yaml", backbone={"architecture": "squeezenet1_0", "weights": str(weights)}
    )
    status, _, err = call(
        capsys,
        "run",
        str(recipe),
        "--data-root",
        str(tmp_path / "data"),
        "--work",
        str(tmp_path / "work"),
        "--jobs",
        "1",
    )
    (error,) = (line for line in err.splitlines() if line.startswith("rerank: "))
    assert status == 1 and str(weights) in error


def test_debug_adds_the_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, _, err = call(capsys, "status", "--work", str(tmp_path / "none"), "--debug")
    assert "Traceback" in err


def test_recipes_are_complete() -> None:
    assert set(recipe_names()) == {
        "camvid",
        "msrc21",
        "own_maps",
        "scenes",
        "voc2012",
        "voc2012_sbd",
        "weizmann_horse",
        "weizmann_horse_dense_network",
    }
    for name in recipe_names():
        assert load_recipe(name).name == name


def test_version_and_help() -> None:
    for arguments in (["--version"], ["--help"], ["run", "--help"]):
        done = subprocess.run(
            [sys.executable, "-m", "rerank", *arguments], capture_output=True, text=True, check=True
        )
        assert "rerank" in done.stdout


@pytest.mark.parametrize("arguments", [[], ["data"]])
def test_who_asks_nothing_gets_help(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    status, out, err = call(capsys, *arguments)
    assert (status, err) == (0, "")
    assert out.startswith(" ".join(["usage: rerank", *arguments]))
    assert ("rerank demo" in out and "examples:" in out) == (not arguments)


def test_the_examples_of_the_help_can_be_parsed(capsys: pytest.CaptureFixture[str]) -> None:
    import importlib
    import shlex

    parser = importlib.import_module("rerank.cli.main")._parser()
    examples = call(capsys)[1].split("examples:\n")[1].split("\n\n")[0].splitlines()
    lines = [line.split("  ")[1].strip() for line in examples if line.startswith("  rerank")]
    assert len(lines) >= 5
    for line in lines:
        assert parser.parse_args(shlex.split(line)[1:]).run


@pytest.mark.parametrize(
    "n_images, more, expected",
    [
        (3, [], "2 folds need at least 4 training images, and there are 3; label more"),
        (5, ["--set", "folds.n_folds=9"], "9 folds need .* 9 .* are 5; set folds.n_folds to 5"),
        (2, ["--set", "folds.n_folds=3"], "3 folds need at least 3 .* label more images"),
    ],
)
def test_too_few_images_say_how_many_are_needed(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    n_images: int,
    more: list[str],
    expected: str,
) -> None:
    import re

    write_folder(tmp_path / "data", n_images)
    recipe = str(write_recipe(tmp_path / "tiny.yaml"))
    where = ["--data-root", str(tmp_path / "data"), "--work", str(tmp_path / "work")]
    status, _, err = call(capsys, "run", recipe, *where, *more)
    assert status == 2 and re.match(f"rerank: {expected}", err), err


def test_images_without_masks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, recipe = tmp_path / "data", str(write_recipe(tmp_path / "tiny.yaml"))
    write_folder(data)
    run = ["run", recipe, "--data-root", str(data), "--work", str(tmp_path / "work")]
    for path in (data / "labels").iterdir():
        path.unlink()
    status, _, err = call(capsys, *run)
    assert status == 1 and f"`rerank data check folder --root {data}` lists them all" in err
    assert "off the list" not in err
    # The command that is named takes what it is given.
    assert call(capsys, "data", "check", "folder", "--root", str(data))[0] == 1
    (data / "labels").rmdir()
    status, _, err = call(capsys, *run)
    assert status == 1 and "does not hold labels; put a mask for each image there" in err


def test_masks_without_a_label(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(tmp_path / "data")
    Image.fromarray(np.full((24, 32), 255, np.uint8)).save(tmp_path / "data/labels/im2.png")
    recipe = str(write_recipe(tmp_path / "tiny.yaml"))
    where = ["--data-root", str(tmp_path / "data"), "--work", str(tmp_path / "work")]
    status, _, err = call(capsys, "run", recipe, *where, "--jobs", "1")
    assert status == 1 and "im2: a mask without a labelled pixel; take such images out" in err


def test_maps_of_other_classes_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    write_folder(data)
    (data / "maps").mkdir()
    run = ["run", "own_maps", "--data-root", str(data), "--work", str(tmp_path / "work")]
    # The second is of another aspect too, and the third could be laid out in two ways.
    for shape in ((24, 32, 150), (128, 128, 150), (32, 43, 58)):
        for index in range(6):
            np.save(data / "maps" / f"im{index}.npy", np.zeros(shape, np.float32))
        status, _, err = call(capsys, *run)
        assert status == 1 and "resize" not in err, err
        assert "3 are wanted" in err or "the 3 classes that are wanted" in err, err


@pytest.mark.parametrize("command", ["run", "propose", "fit", "dense-crf"])
def test_an_absent_folder_of_maps_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    write_folder(tmp_path / "data")
    images, labels = (str(tmp_path / "data" / kind) for kind in ("images", "labels"))
    given = ["--probabilities", "nosuch", "--images", images, "--out", str(tmp_path / "out")]
    if command == "run":
        given = ["own_maps", "--data-root", str(tmp_path / "data"), "--work", str(tmp_path / "w")]
        given += ["--set", "unary.probabilities=nosuch"]
    if command == "fit":
        given += ["--labels", labels]
    status, _, err = call(capsys, command, *given)
    assert status == 1 and err.count("\n") == 1
    assert "nosuch: no such folder; --probabilities" in err or "--set unary.prob" in err


def test_quiet_prints_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(tmp_path / "data")
    for image in sorted((tmp_path / "data" / "images").iterdir()):
        (tmp_path / "maps").mkdir(exist_ok=True)
        maps = np.random.default_rng(0).random((24, 32, 3))
        np.save(tmp_path / "maps" / f"{image.stem}.npy", maps / maps.sum(axis=2, keepdims=True))
    given = ["--probabilities", str(tmp_path / "maps"), "--images", str(tmp_path / "data/images")]
    status, out, err = call(capsys, "dense-crf", *given, "--out", str(tmp_path / "o"), "--quiet")
    assert (status, out, err) == (0, "", "")
