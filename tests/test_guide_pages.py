"""The blocks of "Your own network in ten minutes" run in order, on small drawn scenes."""

from __future__ import annotations

import csv
import glob
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from rerank.cli.main import main
from rerank.datasets import open_dataset

PAGE = Path(__file__).parents[1] / "docs" / "own_network.md"
TEXT = PAGE.read_text()
FITTED = "## Learn the choice"
N_LABELLED, N_PHOTOS, N_CLASSES = 24, 3, 12
#: Few and coarse settings, so that the fits take seconds.
SMALL = (
    "superpixels.n_segments=40",
    "crf.potts_weights=[0.5, 1.0]",
    "crf.prior_exponents=[0.0]",
    "proposals.n_proposals=6",
    "proposals.diversities=[0.1, 0.3]",
    "ranking.candidates=[0.01, 0.1]",
    "folds.n_folds=3",
    "report.n_bootstrap=5",
)
#: What makes the script of folds short: a line of the page, and what takes its place.
SHORTER = ('Path("labelled"), 12, 5, 20', 'Path("labelled"), 12, 3, 1')

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")


def blocks(text: str) -> list[tuple[str, str]]:
    """The language and the code of each block that is to be run."""
    return re.findall(r"^```(python|sh)\n(.*?)^```$", text, re.M | re.S)


def execute(text: str) -> list[list[str]]:
    """Run the blocks of a text where one stands; returns the commands."""
    commands = []
    for language, code in blocks(text):
        if language == "python":
            exec(compile(code.replace(*SHORTER), PAGE.name, "exec"), {})
            continue
        for line in code.splitlines():
            program, *words = shlex.split(line)
            assert program == "rerank"
            found = [sorted(glob.glob(word)) or [word] for word in words]
            given = [word for several in found for word in several]
            if given[0] in ("fit", "run"):
                small = [part for setting in SMALL for part in ("--set", setting)]
                given += [*small, "--jobs", "1"]
            assert main(given) == 0, line
            commands.append(given)
    return commands


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a reader has: photos, labelled images, and a network in a file."""
    root = tmp_path_factory.mktemp("reader")
    for name in ("photos", "labelled/images", "labelled/labels"):
        (root / name).mkdir(parents=True)
    scenes = open_dataset("scenes", None, "train", n_images=N_LABELLED + N_PHOTOS, size=(48, 64))
    for index, sample in enumerate(scenes):
        image = Image.fromarray(sample.image)
        if index < N_PHOTOS:
            image.save(root / "photos" / f"photo_{index}.jpg")
            continue
        image.save(root / "labelled" / "images" / f"{index:03d}.png")
        Image.fromarray(sample.labels).save(root / "labelled" / "labels" / f"{index:03d}.png")
    torch.manual_seed(0)
    network = nn.Conv2d(3, N_CLASSES, 3, padding=1).eval()
    torch.jit.trace(network, torch.zeros(1, 3, 32, 32)).save(str(root / "network.pt"))
    return root


@pytest.fixture
def reader(drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = Path(shutil.copytree(drawn, tmp_path / "reader"))
    monkeypatch.chdir(root)
    return root


def noisy_maps(root: Path) -> None:
    """Maps of a network and of a further one, and masks made of them, as the page goes on with."""
    rng = np.random.default_rng(0)
    for name, of_photos in (("maps", "photo_maps"), ("more_maps", "more_photo_maps")):
        (root / of_photos).mkdir()
        (root / "labelled" / name).mkdir()
        for path in sorted((root / "photos").iterdir()):
            height, width = np.array(Image.open(path)).shape[:2]
            scores = rng.normal(size=(height, width, N_CLASSES))
            np.save(root / of_photos / f"{path.stem}.npy", scores)
        for path in sorted((root / "labelled" / "labels").iterdir()):
            labels = np.array(Image.open(path))
            truth = np.eye(N_CLASSES)[np.where(labels == 255, 0, labels)]
            scores = rng.normal(size=(*labels.shape, N_CLASSES)) + 1.5 * truth
            np.save(root / "labelled" / name / f"{path.stem}.npy", scores.astype(np.float32))
            masks = root / "masks" / path.stem
            masks.mkdir(parents=True, exist_ok=True)
            mask = Image.fromarray(scores.argmax(axis=2).astype(np.uint8))
            mask.save(masks / f"{name}.png")


def test_the_page_is_whole() -> None:
    commands = {shlex.split(code)[1] for language, code in blocks(TEXT) if language == "sh"}
    assert commands >= {"maps", "propose", "evaluate", "fit", "predict", "rank", "run"}
    assert SHORTER[0] in TEXT
    script = next(code for _, code in blocks(TEXT) if SHORTER[0] in code)
    assert len([line for line in script.splitlines() if line.strip()]) <= 45
    for link in re.findall(r"\]\(guide.md#([\w-]+)\)|\(maths.md#([\w-]+)\)", TEXT):
        page, anchor = ("guide.md", link[0]) if link[0] else ("maths.md", link[1])
        heads = re.findall(r"^#+ (.*)$", (PAGE.parent / page).read_text(), re.M)
        assert anchor in {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in heads}


def test_without_labels_and_by_folds(reader: Path, capsys: pytest.CaptureFixture[str]) -> None:
    execute(TEXT.split(FITTED)[0])
    names = [f"photo_{k}" for k in range(N_PHOTOS)]
    for name in names:
        assert np.load(reader / "photo_maps" / f"{name}.npy").shape == (48, 64, N_CLASSES)
        for ending in ("segmentation.png", "overlay.png", "scores.csv", "proposals"):
            assert (reader / "proposals" / f"{name}_{ending}").exists()
        with (reader / "proposals" / f"{name}_scores.csv").open() as file:
            made = [row["generator"] for row in csv.DictReader(file)]
        assert made[:2] == ["map", "network"]
        assert set(made[2:]) <= {"div_mbest", "posterior_samples"}
    assert len(list((reader / "labelled" / "maps").iterdir())) == N_LABELLED
    shown = capsys.readouterr().out
    for words in ("corpus IoU", "image IoU", "argmax", "proposals", "over argmax"):
        assert words in shown


@pytest.mark.slow
def test_with_labels(reader: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noisy_maps(reader)
    commands = execute(FITTED + TEXT.split(FITTED)[1])
    shown = capsys.readouterr().out
    table = TEXT.split("| row | is |\n| --- | --- |\n")[1].split("\n\n")[0]
    for row in re.findall(r"^\| ([\w ]+) \|", table, re.M):
        assert re.search(rf"^{row} +\d", shown, re.M), row
    assert "With 90 % confidence" in shown
    assert (reader / "work" / "report" / "report.html").is_file()
    for command in commands:
        if command[0] == "predict":
            out = reader / command[command.index("--out") + 1]
            assert len(list(out.glob("*_segmentation.png"))) == N_PHOTOS


def test_few_images_give_no_promise() -> None:
    from rerank.ranking.gate import smallest_n_images

    assert "22 labelled images at least, and 0.05 takes 45" in TEXT.replace("\n", " ")
    assert (smallest_n_images(0.1, 0.1), smallest_n_images(0.05, 0.1)) == (22, 45)


#: Options of the pages that the command line is to get.
PENDING: set[tuple[str, str]] = set()


@pytest.mark.parametrize(
    "page", ["../README.md", "guide.md", "own_network.md", "networks.md", "first_quarter_hour.md"]
)
def test_commands_of_the_pages_have_these_options(
    page: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (PAGE.parent / page).read_text().replace("\\\n", " ")
    lines = re.findall(r"^(?:    )?rerank ([\w-]+) (.*)$", text, re.M)
    assert lines
    helps: dict[str, str] = {}
    for name, rest in lines:
        command = [name]
        if name in ("data", "weights"):  # each of their commands has options of its own
            if "|" in rest.split()[0]:
                continue
            command.append(rest.split()[0])
        name = " ".join(command)
        options = re.findall(r"(?<![\w-])--[a-z][\w-]*", rest.split(" #")[0])
        if name not in helps:
            assert main([*command, "--help"]) == 0, name
            helps[name] = capsys.readouterr().out
        for option in options:
            known = re.search(rf"{option}(?![\w-])", helps[name]) or (name, option) in PENDING
            assert known, f"{page}: rerank {name} {option}"
