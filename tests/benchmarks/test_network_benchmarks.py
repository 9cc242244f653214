"""The benchmarks on maps of networks run, and agree with each other about the same maps."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from rerank.datasets import open_dataset
from rerank.errors import ConfigError

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
N_CLASSES = 12
VOID = 255
SMALL = "superpixels.n_segments=40"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch):
    """Import a benchmark by its name, as `python benchmarks/NAME.py` would."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, labels and noisy maps of scenes, a list of six of them, and one of all."""
    root, rng = tmp_path_factory.mktemp("own"), np.random.default_rng(0)
    for name in ("images", "labels", "maps"):
        (root / name).mkdir()
    samples = list(open_dataset("scenes", None, "train", n_images=40, size=(48, 64)))
    for sample in samples:
        known = np.where(sample.labels == VOID, 0, sample.labels)
        logits = rng.normal(size=(*known.shape, N_CLASSES)) + 2.0 * np.eye(N_CLASSES)[known]
        exp = np.exp(logits)
        maps = (exp / exp.sum(axis=2, keepdims=True)).astype(np.float16)
        np.save(root / "maps" / f"{sample.image_id}.npy", maps)
        Image.fromarray(sample.image).save(root / "images" / f"{sample.image_id}.png")
        Image.fromarray(sample.labels).save(root / "labels" / f"{sample.image_id}.png")
    for name, listed in (("list.txt", samples[:6]), ("all.txt", samples)):
        (root / name).write_text("".join(f"{s.image_id}\n" for s in listed))
    return root


def arguments(folders: Path, listed: str = "list.txt") -> list[str]:
    named = [f"--{name}={folders / name}" for name in ("maps", "images", "labels")]
    return [*named, f"--list={folders / listed}", f"--set={SMALL}", "--quiet"]


def figures_of_argmax(plain: ModuleType, folders: Path) -> dict[str, float]:
    """By the measures of the script that uses no code of rerank."""
    paths = [folders / "maps" / f"{i}.npy" for i in (folders / "list.txt").read_text().split()]
    labels = [np.asarray(Image.open(folders / "labels" / f"{p.stem}.png")) for p in paths]
    predictions = [np.load(p).argmax(axis=2) for p in paths]
    return plain.figures(labels, predictions, N_CLASSES)


def test_the_table_and_the_sweep_agree_with_an_independent_measure(
    load, folders: Path, tmp_path: Path
) -> None:
    out = tmp_path / "table.json"
    rows = "argmax,dense_crf,dense_crf_tuned,map,choice,oracle"
    load("own_network").main([*arguments(folders), f"--rows={rows}", f"--out={out}"])
    table = json.loads(out.read_text())
    by_name = {row["method"]: row for row in table["rows"]}
    expected = figures_of_argmax(load("plain_network"), folders)
    assert by_name["argmax"]["corpus"] == pytest.approx(expected["corpus"], abs=0.01)
    assert by_name["argmax"]["image"] == pytest.approx(expected["image"], abs=0.01)
    assert by_name["argmax"]["corpus_gain"] == [0, 0, 0]
    assert len(table["dense_crf_tuned"]) == 2
    assert by_name["propose, oracle"]["image"] >= by_name["propose, choice"]["image"]
    assert out.with_suffix(".md").read_text().count("\n") == 8

    sets = {"scenes": {name: str(folders / name) for name in ("maps", "images", "labels")}}
    sets["scenes"]["list"] = str(folders / "list.txt")
    (tmp_path / "sets.json").write_text(json.dumps(sets))
    load("settings_sweep").main(
        [
            f"--sets={tmp_path / 'sets.json'}",
            f"--set={SMALL}",
            "--vary=potts_weight=0.5",
            f"--out={tmp_path / 'sweep.json'}",
        ]
    )
    sweep = json.loads((tmp_path / "sweep.json").read_text())
    assert sweep["settings"] == ["defaults", "potts_weight=0.5"]
    gains = np.array(sweep["gains"])
    assert gains.shape == (1, 2, 3, 2)
    for column, method in enumerate(("propose, MAP", "propose, choice", "propose, oracle")):
        row = by_name[method]
        wanted = [row["corpus_gain"][0], row["image_gain"][0]]
        np.testing.assert_allclose(gains[0, 0, column], wanted, atol=1e-3)


def test_known_rows_are_not_computed_again(
    load, folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_network = load("own_network")
    command = [*arguments(folders), "--rows=argmax,dense_crf", f"--out={tmp_path / 't.json'}"]
    own_network.main(command)
    first = (tmp_path / "t.md").read_text()

    def refuse(*_: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(own_network, "run_image", refuse)
    own_network.main(command)
    assert (tmp_path / "t.md").read_text() == first


def test_rankseg_is_a_row(load, folders: Path, tmp_path: Path) -> None:
    pytest.importorskip("rankseg", reason="extra rankseg is not installed")
    out = tmp_path / "table.json"
    load("own_network").main([*arguments(folders), "--rows=argmax,rankseg", f"--out={out}"])
    assert [r["method"] for r in json.loads(out.read_text())["rows"]] == ["argmax", "RankSEG, IoU"]


def test_unknown_rows_and_settings_are_refused(load, folders: Path) -> None:
    with pytest.raises(SystemExit):
        load("own_network").main([*arguments(folders), "--rows=other"])
    with pytest.raises(ConfigError):
        load("own_network").main([*arguments(folders), "--rows=map", "--set=other=1"])


@pytest.mark.slow
def test_fitted_rows_are_cross_fitted(load, folders: Path, tmp_path: Path) -> None:
    out = tmp_path / "table.json"
    settings = (
        SMALL,
        "folds.n_folds=2",
        "crf.potts_weights=[0.5, 1.0]",
        "proposals.diversities=[0.1, 0.3]",
        "proposals.n_proposals=5",
        "ranking.candidates=[0.01, 0.1]",
    )
    fit = [
        "--fit",
        "--joint",
        "--folds=2",
        "--seeds",
        "0",
        "1",
        *(f"--fit-set={s}" for s in settings),
    ]
    given = arguments(folders, "all.txt")
    load("own_network").main([*given, "--rows=argmax", *fit, f"--out={out}"])
    rows = {row["method"]: row for row in json.loads(out.read_text())["rows"]}
    assert rows["fit, choice"]["n_repetitions"] == 2
    assert rows["fit, oracle"]["image"] >= rows["fit, choice"]["image"]
    assert {"fit, MAP", "fit, gated choice", "fit, joint choice"} <= set(rows)


def random_weights(path: Path) -> None:
    """Weights of SqueezeNet 1.0's shapes."""
    rng = np.random.default_rng(0)
    fires = {"3": (96, 16), "4": (128, 16), "5": (128, 32), "7": (256, 32)}
    fires |= {"8": (256, 48), "9": (384, 48), "10": (384, 64), "12": (512, 64)}
    shapes = {"features.0": (96, 3, 7, 7)}
    for name, (given, squeezed) in fires.items():
        shapes[f"features.{name}.squeeze"] = (squeezed, given, 1, 1)
        shapes[f"features.{name}.expand1x1"] = (4 * squeezed, squeezed, 1, 1)
        shapes[f"features.{name}.expand3x3"] = (4 * squeezed, squeezed, 3, 3)
    arrays = {}
    for name, shape in shapes.items():
        spread = np.sqrt(2 / np.prod(shape[1:]))
        arrays[f"{name}.weight"] = (spread * rng.normal(size=shape)).astype(np.float32)
        arrays[f"{name}.bias"] = np.zeros(shape[0], dtype=np.float32)
    np.savez(path, **arrays)


@pytest.mark.parametrize("strength", ["good", "weak"])
def test_the_plain_network_writes_a_map_of_each_image(
    load, folders: Path, tmp_path: Path, strength: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "data"
    root.mkdir()
    for name in ("images", "labels"):
        (root / name).symlink_to(folders / name)
    ids = (folders / "list.txt").read_text().split()
    (root / "train.txt").write_text("\n".join(ids[:4]))
    (root / "val.txt").write_text("\n".join(ids[4:]))
    random_weights(tmp_path / "weights.npz")
    command = [f"--weights={tmp_path / 'weights.npz'}", f"--out={tmp_path / 'maps'}"]
    load("plain_network").main(
        [str(root), *command, f"--strength={strength}", "--epochs=1", "--folds=2"]
    )
    assert {"train, cross-fitted", "val"} <= set(json.loads(capsys.readouterr().out))
    for name in ids:
        probabilities = np.load(tmp_path / "maps" / f"{name}.npy")
        assert probabilities.shape == (48, 64, 21)
        np.testing.assert_allclose(probabilities.sum(axis=2, dtype=np.float64), 1, atol=5e-3)


def test_folds_of_the_plain_network(load, tmp_path: Path) -> None:
    """Each category of MSRC-21 is spread over the folds; CamVid's folds are blocks."""
    folds_of = load("plain_network").folds_of
    ids = [f"{category}_{k}_s" for category in (1, 2, 10) for k in range(6)]
    folds = folds_of(tmp_path, ids, 3, 0)
    for start in (0, 6, 12):
        assert np.bincount(folds[start : start + 6], minlength=3).tolist() == [2, 2, 2]
    (tmp_path / "trainannot").mkdir()
    assert folds_of(tmp_path, ids[:7], 3, 0).tolist() == [0, 0, 0, 1, 1, 2, 2]


def test_the_plain_network_uses_no_code_of_rerank() -> None:
    text = (BENCHMARKS / "plain_network.py").read_text(encoding="utf-8")
    assert "import rerank" not in text and "from rerank" not in text
