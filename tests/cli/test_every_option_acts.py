"""Every option of every command acts: nothing is accepted and ignored.

`ACTS` names the test that shows it for each option; an option without a line there fails. Quick
commands run with the option and without it. For slow ones the function that they call is replaced
by one that notes its arguments, and other tests show what the function does with them.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import inspect
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import BaseModel

from rerank.applications.folder_evaluation import MaskEvaluation
from rerank.applications.mask_ranking import MaskRanking
from rerank.cli.main import main
from rerank.config import ProposeSettings
from rerank.datasets import open_dataset
from rerank.engine.manifest import ArtefactRef, Header
from rerank.engine.progress import Progress
from rerank.engine.scheduler import Execution
from rerank.engine.store import Store
from rerank.errors import DataError
from rerank.experiments import Scope

#: The module; `rerank.cli` has a function of this name.
cli = importlib.import_module("rerank.cli.main")
#: Options that `add_execution` adds.
EXECUTION = ("--jobs", "--backend", "--scheduler", "--quiet")
DENSE_CRF = {
    "--iterations": "1",
    "--gaussian-sxy": "1",
    "--gaussian-compat": "9",
    "--bilateral-sxy": "5",
    "--bilateral-srgb": "60",
    "--bilateral-compat": "1",
    "--scale": "0.5",
    "--clip": "0.2",
    "--normalization": "none",
}

#: Which test shows how an option of a command acts; `--debug`, which all have, stands apart.
ACTS: dict[str, dict[str, str]] = {
    "maps": {
        **dict.fromkeys(("--network", "--images", "--out", "--quiet", "--jobs"), "test_it_arrives"),
        "--format": "test_it_arrives",
        "--json": "test_commands_print_json",
        **dict.fromkeys(
            ("--size", "--scale", "--mean", "--std", "--channels", "--output", "--fit"),
            "test_settings_of_maps_act",
        ),
    },
    "propose": {
        "--probabilities": "test_propose_reads_its_folders",
        "--images": "test_propose_reads_its_folders",
        "--out": "test_propose_reads_its_folders",
        "--set": "test_settings_of_propose_act",
        **dict.fromkeys(("--labels", "--void", "--jobs", "--quiet"), "test_it_arrives"),
        "--json": "test_propose_prints",
    },
    "fit": {
        **dict.fromkeys(("--probabilities", "--images", "--labels", "--auxiliary"), "test_fit"),
        **dict.fromkeys(("--folds", "--weights", "--seed", "--json", "--ordered"), "test_fit"),
        **dict.fromkeys(("--out", "--classes", "--set", "--jobs", "--quiet"), "test_fit"),
    },
    "predict": {
        "--work": "test_predict",
        "images": "test_predict",
        "--out": "test_predict",
        "--model": "test_predict_takes_models_and_maps",
        "--probabilities": "test_predict_takes_models_and_maps",
        "--auxiliary": "test_predict_takes_models_and_maps",
        **dict.fromkeys(("--joint", "--jobs", "--quiet"), "test_it_arrives"),
        "--json": "test_commands_print_json",
    },
    "dense-crf": {
        "--probabilities": "test_dense_crf_reads_its_folders",
        "--images": "test_dense_crf_reads_its_folders",
        "--out": "test_dense_crf_reads_its_folders",
        **dict.fromkeys(DENSE_CRF, "test_settings_of_the_dense_crf_act"),
        **dict.fromkeys(("--maps", "--jobs", "--quiet"), "test_it_arrives"),
        "--json": "test_commands_print_json",
    },
    "evaluate": {
        **dict.fromkeys(
            ("predictions", "--labels", "--classes", "--void", "--list", "--common", "--groups"),
            "test_it_arrives",
        ),
        **dict.fromkeys(("--bootstrap", "--seed", "--out", "--jobs"), "test_it_arrives"),
        **dict.fromkeys(("--json", "--quiet"), "test_evaluate_prints"),
    },
    "rank": {
        **dict.fromkeys(("--masks", "--images", "--out", "--labels", "--model"), "test_it_arrives"),
        **dict.fromkeys(("--classes", "--void", "--weights", "--baseline"), "test_it_arrives"),
        **dict.fromkeys(("--list", "--common", "--bootstrap", "--seed"), "test_it_arrives"),
        "--jobs": "test_it_arrives",
        **dict.fromkeys(("--json", "--quiet"), "test_rank_prints"),
    },
    "demo": {
        **dict.fromkeys(("--out", *EXECUTION), "test_it_arrives"),
        "--json": "test_commands_print_json",
    },
    "run": {
        **dict.fromkeys(("recipe", "--data-root", "--work", "--fold", "--set"), "test_it_arrives"),
        "--keep-temporary": "test_it_arrives",
        **dict.fromkeys(EXECUTION, "test_it_arrives"),
        "--json": "test_commands_print_json",
    },
    "status": dict.fromkeys(("recipe", "--work", "--all", "--json"), "test_status"),
    "verify": {
        "--work": "test_verify",
        "--repair": "test_verify",
        "--json": "test_verify",
        **dict.fromkeys(EXECUTION, "test_it_arrives"),
    },
    "gc": dict.fromkeys(("--work", "--dry-run", "--json"), "test_gc"),
    **{
        name: dict.fromkeys(("--work", "--out", "--json"), "test_analyses")
        | dict.fromkeys(EXECUTION, "test_it_arrives")
        for name in ("oracle", "ablate")
    },
    "report": {
        **dict.fromkeys(("--work", "--out", "--json"), "test_analyses"),
        "--compare": "test_report_takes_runs_to_compare",
        "--single-file": "test_report_takes_runs_to_compare",
        **dict.fromkeys(EXECUTION, "test_it_arrives"),
    },
    "export": dict.fromkeys(
        ("--work", "--out", "--rule", "--images", "--kinds", "--json", "--quiet"), "test_export"
    ),
    "draw": dict.fromkeys(("--work", "image", "--out", "--json"), "test_draw"),
    "data list": {"--json": "test_data_list"},
    "data prepare": {
        **dict.fromkeys(("name", "--root", "--archive", "--download"), "test_it_arrives"),
        "--json": "test_commands_print_json",
    },
    "data check": dict.fromkeys(("name", "--root", "--json"), "test_data_check"),
    "reproduce": {
        **dict.fromkeys(("table", "--data-root", "--work", "--seeds"), "test_it_arrives"),
        **dict.fromkeys(("--full", "--device", "--jobs", "--quiet"), "test_it_arrives"),
        **dict.fromkeys(("--dataset", "--set"), "test_it_arrives"),
        "--json": "test_commands_print_json",
    },
    "weights list": {"--json": "test_weights_are_listed"},
    "weights get": dict.fromkeys(
        ("name", "--out", "--url", "--sha256", "--json", "--quiet"), "test_weights_are_fetched"
    ),
    "doctor": dict.fromkeys(("--data-root", "--json"), "test_doctor"),
    "completion": {"shell": "test_completion"},
    "plot": {
        "name": "test_plots_are_different",
        "--out": "test_plots_are_different",
        "--labels": "test_plots_are_different",
        "--seed": "test_plots_are_different",
        "--work": "test_it_arrives",
        "--data-root": "test_it_arrives",
        "--json": "test_commands_print_json",
    },
}

#: Command, function that it calls, the arguments that it needs, and for each option what is given
#: and which argument of the function it changes to what.
ARRIVALS: list[tuple[list[str], str, dict[str, tuple[list[str], str, Any]]]] = [
    (
        ["maps", "--network", "n.pt", "--images", "i", "--out", "o"],
        "rerank.applications.network_map_files:network_map_files",
        {
            "--network": (["--network", "m.pt"], "network", Path("m.pt")),
            "--images": (["--images", "j"], "images", Path("j")),
            "--out": (["--out", "x"], "out", Path("x")),
            "--format": (["--format", "h5"], "kind", "h5"),
            "--jobs": (["--jobs", "3"], "jobs", 3),
            "--quiet": (["--quiet"], "quiet", True),
        },
    ),
    (
        ["propose", "--probabilities", "p", "--images", "i", "--out", "o", "--labels", "l"],
        "rerank.applications.proposal_files:propose_files",
        {
            "--labels": (["--labels", "x"], "labels", Path("x")),
            "--void": (["--void", "none"], "void", None),
            "--jobs": (["--jobs", "3"], "jobs", 3),
            "--quiet": (["--quiet"], "quiet", True),
        },
    ),
    (
        ["predict", "--work", "w", "--out", "o", "a.png"],
        "rerank.applications.prediction_files:predict_files",
        {
            "--joint": (["--joint"], "joint", True),
            "--jobs": (["--jobs", "3"], "jobs", 3),
            "--quiet": (["--quiet"], "quiet", True),
        },
    ),
    (
        ["dense-crf", "--probabilities", "p", "--images", "i", "--out", "o"],
        "rerank.applications.dense_crf_files:refine_files",
        {
            "--maps": (["--maps"], "maps", True),
            "--jobs": (["--jobs", "3"], "jobs", 3),
            "--quiet": (["--quiet"], "quiet", True),
        },
    ),
    (
        ["evaluate", "p", "--labels", "l"],
        "rerank.applications.folder_evaluation:evaluate_folders",
        {
            "predictions": (["q"], "predictions", [Path("q")]),
            "--labels": (["--labels", "x"], "labels", Path("x")),
            "--classes": (["--classes", "5"], "settings", MaskEvaluation(classes="5")),
            "--void": (["--void", "none"], "settings", MaskEvaluation(void=None)),
            "--list": (["--list", "x"], "settings", MaskEvaluation(only=Path("x"))),
            "--common": (["--common"], "settings", MaskEvaluation(common=True)),
            "--groups": (["--groups", "x"], "settings", MaskEvaluation(groups=Path("x"))),
            "--bootstrap": (["--bootstrap", "9"], "settings", MaskEvaluation(n_resamples=9)),
            "--seed": (["--seed", "3"], "settings", MaskEvaluation(random_state=3)),
            "--out": (["--out", "x"], "out", Path("x")),
            "--jobs": (["--jobs", "3"], "jobs", 3),
        },
    ),
    (
        ["rank", "--masks", "m", "--images", "i", "--out", "o"],
        "rerank.applications.mask_ranking:rank_files",
        {
            "--masks": (["--masks", "x"], "masks", Path("x")),
            "--images": (["--images", "x"], "images", Path("x")),
            "--out": (["--out", "x"], "out", Path("x")),
            "--labels": (["--labels", "x"], "settings", MaskRanking(labels=Path("x"))),
            "--model": (["--model", "x"], "settings", MaskRanking(model=Path("x"))),
            "--classes": (["--classes", "5"], "settings", MaskRanking(classes="5")),
            "--void": (["--void", "none"], "settings", MaskRanking(void=None)),
            "--weights": (["--weights", "x"], "settings", MaskRanking(weights=Path("x"))),
            "--baseline": (["--baseline", "x"], "settings", MaskRanking(baseline="x")),
            "--list": (["--list", "x"], "settings", MaskRanking(only=Path("x"))),
            "--common": (["--common"], "settings", MaskRanking(common=True)),
            "--bootstrap": (["--bootstrap", "9"], "settings", MaskRanking(n_resamples=9)),
            "--seed": (["--seed", "3"], "settings", MaskRanking(random_state=3)),
            "--jobs": (["--jobs", "3"], "jobs", 3),
        },
    ),
    (["demo"], "rerank.applications.runs:run", {"--out": (["--out", "x"], "work", "x")}),
    (
        ["run", "scenes"],
        "rerank.applications.runs:run",
        {
            "recipe": (["msrc21"], "recipe", "msrc21"),
            "--data-root": (["--data-root", "x"], "data_root", "x"),
            "--work": (["--work", "x"], "work", "x"),
            "--fold": (["--fold", "1"], "fold", "1"),
            "--set": (["--set", "a.b=1", "--set", "c=2"], "overrides", ["a.b=1", "c=2"]),
        },
    ),
    (
        ["data", "prepare", "camvid"],
        "rerank.datasets:prepare_dataset",
        {
            "name": (["msrc21"], "name", "msrc21"),
            "--root": (["--root", "x"], "root", "x"),
            "--archive": (["--archive", "a", "--archive", "b"], "archives", ["a", "b"]),
            "--download": (["--download"], "download", True),
        },
    ),
    (
        ["reproduce", "cogswell-fig6", "--data-root", "d"],
        "rerank.experiments:reproduce_table",
        {
            "table": (["larsson-table1"], "name", "larsson-table1"),
            "--dataset": (["--dataset", "voc2012"], "name", "cogswell-fig6-voc2012"),
            "--data-root": (["--data-root", "x"], "scope.data_root", Path("x")),
            "--work": (["--work", "x"], "scope.work", Path("x")),
            "--seeds": (["--seeds", "4,5"], "seeds", (4, 5)),
            "--full": (["--full"], "scope.full", True),
            "--device": (["--device", "cuda:1"], "scope.device", "cuda:1"),
            "--jobs": (["--jobs", "3"], "scope.jobs", 3),
            "--set": (["--set", "a.b=1"], "scope.overrides", ("a.b=1",)),
            "--quiet": (["--quiet"], "scope.quiet", True),
        },
    ),
    (
        ["plot", "crfgrad-energy", "--out", "x.png"],
        "rerank.experiments:draw_plot",
        {
            "--work": (["--work", "x"], "work", Path("x")),
            "--data-root": (["--data-root", "x"], "data_root", Path("x")),
        },
    ),
]
#: Commands with the options of `add_execution`, and what they call with an `Execution`.
EXECUTED = {
    "demo": (["demo"], "rerank.applications.runs:run"),
    "run": (["run", "scenes"], "rerank.applications.runs:run"),
    "verify": (["verify", "--work", "w", "--repair"], "rerank.applications.upkeep:repair"),
    **{
        name: ([name, "--work", "w"], "rerank.applications.reports:write_analysis")
        for name in ("oracle", "ablate")
    },
    "report": (["report", "--work", "w"], "rerank.applications.reports:write_report"),
}
EXECUTION_VALUES: dict[str, tuple[list[str], Execution]] = {
    "--jobs": (["--jobs", "3"], Execution(jobs=3)),
    "--backend": (["--backend", "threading"], Execution(backend="threading")),
    "--scheduler": (
        ["--backend", "dask", "--scheduler", "tcp://h:1"],
        Execution(backend="dask", scheduler="tcp://h:1"),
    ),
    "--quiet": (["--quiet"], Execution(quiet=True)),
}


def options(
    parser: argparse.ArgumentParser, command: str = ""
) -> Iterator[tuple[str, argparse.ArgumentParser, list[str]]]:
    """Each command with its parser and the names of its options and arguments."""
    names = []
    below: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            below = dict(action.choices)
        elif not isinstance(action, argparse._HelpAction | argparse._VersionAction):
            names.append(action.option_strings[-1] if action.option_strings else action.dest)
    if below:
        for name, child in below.items():
            yield from options(child, f"{command} {name}".strip())
    if command and not (below and set(names) <= {"--debug"}):
        yield command, parser, names


COMMANDS = {command: names for command, _, names in options(cli._parser())}


def arrived(monkeypatch: pytest.MonkeyPatch, target: str, arguments: list[str]) -> dict[str, Any]:
    """The arguments that a command calls a function with, by name."""
    place, _, name = target.partition(":")
    module = importlib.import_module(place)
    signature = inspect.signature(getattr(module, name))
    seen: dict[str, Any] = {}

    class Enough(SystemExit):  # which the boundary of errors lets through
        pass

    def note(*args: Any, **kwargs: Any) -> None:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        seen.update(bound.arguments)
        if isinstance(seen.get("scope"), Scope):
            seen.update({f"scope.{k}": v for k, v in vars(seen.pop("scope")).items()})
        raise Enough

    monkeypatch.setattr(module, name, note)
    with pytest.raises(Enough):
        main(arguments)
    return seen


def pictures(folder: Path) -> dict[str, bytes]:
    """The files below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders with a drawn image and a noisy map of it, and with another pair."""
    root = tmp_path_factory.mktemp("own")
    scenes = open_dataset("scenes", None, "test", n_images=2, size=(40, 56))
    rng = np.random.default_rng(0)
    for index, name in enumerate(("", "other_")):
        sample = scenes[index]
        (root / f"{name}images").mkdir()
        (root / f"{name}maps").mkdir()
        Image.fromarray(sample.image).save(root / f"{name}images" / "a.png")
        truth = np.minimum(sample.labels, scenes.n_classes - 1)
        scores = 1.5 * np.eye(scenes.n_classes)[truth] + rng.normal(size=(40, 56, scenes.n_classes))
        maps = np.exp(scores)
        np.save(root / f"{name}maps" / "a.npy", maps / maps.sum(axis=2, keepdims=True))
    return root


@pytest.fixture(scope="module")
def picture(own: Path) -> Path:
    return own / "images" / "a.png"


def test_every_option_has_its_line() -> None:
    assert {c: sorted(set(names) - {"--debug"}) for c, names in COMMANDS.items()} == {
        c: sorted(acts) for c, acts in ACTS.items()
    }
    for test in {test for acts in ACTS.values() for test in acts.values()}:
        assert callable(globals()[test]), test


def test_the_lines_of_arrivals_are_complete() -> None:
    shown = {
        (next(c for c in COMMANDS if " ".join(base).startswith(c)), option)
        for base, _, cases in ARRIVALS
        for option in cases
    } | {(command, option) for command in EXECUTED for option in EXECUTION}
    shown.add(("run", "--keep-temporary"))
    assert shown == {
        (command, option)
        for command, acts in ACTS.items()
        for option, test in acts.items()
        if test == "test_it_arrives"
    }


def _arrivals() -> Iterator[Any]:
    for base, target, cases in ARRIVALS:
        for option, (given, name, value) in cases.items():
            # An argument without dashes takes the place of the one in the base.
            without = base if option.startswith("-") else base[: 2 if base[0] == "data" else 1]
            after = [] if option.startswith("-") else base[len(without) + 1 :]
            full = [*without, *given, *after]
            names = f"{' '.join(base[:2]) if base[0] == 'data' else base[0]} {option}"
            yield pytest.param(base, full, target, name, value, id=names)
    for command, (base, target) in EXECUTED.items():
        for option, (given, execution) in EXECUTION_VALUES.items():
            yield pytest.param(
                base, [*base, *given], target, "execution", execution, id=f"{command} {option}"
            )
    base, target = EXECUTED["run"]
    kept, given = Execution(keep=True), [*base, "--keep-temporary"]
    yield pytest.param(base, given, target, "execution", kept, id="run --keep-temporary")


@pytest.mark.parametrize("base, full, target, name, value", list(_arrivals()))
def test_it_arrives(
    monkeypatch: pytest.MonkeyPatch,
    base: list[str],
    full: list[str],
    target: str,
    name: str,
    value: Any,
) -> None:
    before = arrived(monkeypatch, target, base)
    monkeypatch.undo()
    after = arrived(monkeypatch, target, full)
    assert after[name] == value
    assert {key for key in before if before[key] != after[key]} == {name}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("debug", [False, True])
def test_debug_adds_the_traceback(
    command: str, debug: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = cli._parser()

    def fail(options: argparse.Namespace) -> None:
        raise DataError("spoilt")

    for name, child, _ in options(parser):
        if name == command:
            child.set_defaults(run=fail)
    monkeypatch.setattr(cli, "_parser", lambda: parser)
    needed = {
        "maps": "--network n.pt --images i --out o",
        "propose": "--probabilities p --images i --out o",
        "fit": "--probabilities p --images i --labels l --out o",
        "predict": "--work w --out o a.png",
        "dense-crf": "--probabilities p --images i --out o",
        "evaluate": "p --labels l",
        "rank": "--masks m --images i --out o",
        "run": "scenes",
        "draw": "--work w --out o",
        "export": "--work w --out o",
        "data prepare": "camvid",
        "data check": "camvid",
        "weights get": "alexnet --out o",
        "reproduce": "zhao-table1",
        "plot": "flips --out x.png",
        "completion": "bash",
    }
    usual = "" if command in ("demo", "data list", "weights list", "doctor") else "--work w"
    arguments = f"{command} {needed.get(command, usual)}".split()
    assert main([*arguments, "--debug"] if debug else arguments) == 1
    errors = capsys.readouterr().err
    assert ("Traceback" in errors) == debug and errors.endswith("rerank: spoilt\n")


def test_quiet_shows_no_progress(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = []
    for quiet in (False, True):
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        with Progress(2, quiet) as progress:
            progress.stage("working")
            progress.advance(1)
        shown.append("working" in capsys.readouterr().err)
    assert shown == [True, False]


FIT = ["fit", "--probabilities", "p", "--images", "i", "--labels", "l", "--out", "o"]


@pytest.mark.parametrize(
    "given, name, value",
    [
        (["--probabilities", "x"], "folders", (Path("x"), Path("i"), Path("l"), (), False)),
        (["--images", "x"], "folders", (Path("p"), Path("x"), Path("l"), (), False)),
        (["--labels", "x"], "folders", (Path("p"), Path("i"), Path("x"), (), False)),
        (
            ["--auxiliary", "x", "--auxiliary", "y"],
            "folders",
            (Path("p"), Path("i"), Path("l"), (Path("x"), Path("y")), False),
        ),
        (["--ordered"], "folders", (Path("p"), Path("i"), Path("l"), (), True)),
        (["--out", "x"], "out", Path("x")),
        (["--classes", "4"], "classes", "4"),
        (["--folds", "3"], "overrides", ["folds.n_folds=3"]),
        (["--weights", "x"], "overrides", ['backbone.weights="x"']),
        (["--seed", "3"], "overrides", ["random_state=3"]),
        (["--set", "a.b=1"], "overrides", ["a.b=1"]),
        (["--jobs", "3"], "execution", Execution(jobs=3)),
        (["--quiet"], "execution", Execution(quiet=True)),
    ],
)
def test_fit(monkeypatch: pytest.MonkeyPatch, given: list[str], name: str, value: Any) -> None:
    target = "rerank.applications.fit_files:fit_files"
    before = arrived(monkeypatch, target, FIT)
    monkeypatch.undo()
    after = arrived(monkeypatch, target, [*FIT, *given])
    assert after[name] == value
    assert {key for key in before if before[key] != after[key]} == {name}


def test_predict_takes_models_and_maps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = "rerank.applications.prediction_files:predict_files"
    model = tmp_path / "m.h5"
    rest = ["--out", "o", "a.png"]
    assert main(["predict", "--model", str(model), *rest]) == 1
    assert "m.h5: no such file; --model names one" in capsys.readouterr().err
    model.write_bytes(b"")
    more = ["--probabilities", "p", "--auxiliary", "q", "--auxiliary", "r"]
    seen = arrived(monkeypatch, target, ["predict", "--model", str(model), *more, *rest])
    assert seen["models"] == str(model)
    assert seen["maps"] == (Path("p"), (Path("q"), Path("r")))


@pytest.fixture
def propose(own: Path, tmp_path: Path) -> Callable[..., dict[str, bytes]]:
    """Files of `rerank propose` on the drawn pair."""

    def call(*more: str, maps: str = "maps", images: str = "images") -> dict[str, bytes]:
        out = tmp_path / "_".join([maps, images, *more]).replace("/", "_")
        arguments = ["propose", "--probabilities", str(own / maps), "--images", str(own / images)]
        few = ["--set", "n_proposals=4", "--set", "superpixels.n_segments=40"]
        assert main([*arguments, "--out", str(out), *few, *more]) == 0
        return pictures(out)

    return call


def test_propose_reads_its_folders(propose: Callable[..., dict[str, bytes]]) -> None:
    found = propose()
    assert "a_segmentation.png" in found
    assert found == propose(images="images", maps="maps")
    assert found != propose(maps="other_maps") and found != propose(images="other_images")


def test_propose_prints(own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["propose", "--probabilities", str(own / "maps"), "--images", str(own / "images")]
    call += ["--out", str(tmp_path / "o"), "--set", "n_proposals=4"]
    labels = tmp_path / "labels"
    labels.mkdir()
    Image.fromarray(np.full((40, 56), 1, np.uint8)).save(labels / "a.png")
    judged = ["--labels", str(labels)]
    shown = []
    for more in ([], ["--json"], judged, [*judged, "--json"], [*judged, "--quiet"]):
        assert main([*call, *more]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0].startswith("1 images: ID_segmentation.png")
    assert json.loads(shown[1]) == {"n_images": 1, "out": str(tmp_path / "o")}
    assert all(rule in shown[2] for rule in ("argmax", "dense CRF", "MAP", "choice", "oracle"))
    rules = [row["rule"] for row in json.loads(shown[3])["rules"]]
    assert rules == ["argmax", "dense CRF", "MAP", "choice", "oracle"] and shown[4] == ""
    assert main([*call, "--void", "9"]) == 2


def test_evaluate_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("labels", "masks"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.array([[0, 1]], np.uint8)).save(tmp_path / name / "a.png")
    call = ["evaluate", str(tmp_path / "masks"), "--labels", str(tmp_path / "labels")]
    shown = []
    for more in ([], ["--json"], ["--quiet"]):
        assert main([*call, *more]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0].startswith("1 images, 2 classes") and shown[1].startswith("{")
    assert shown[2] == ""


def test_rank_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("images/a.png", "masks/a/x.png", "masks/a/y.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        values = np.repeat(np.arange(32) > len(name), 24).reshape(32, 24).astype(np.uint8)
        Image.fromarray(np.stack([40 * values] * 3, axis=2) if "im" in name else values).save(path)
    call = ["rank", "--masks", str(tmp_path / "masks"), "--images", str(tmp_path / "images")]
    shown = []
    for more in ([], ["--json"], ["--quiet"]):
        assert main([*call, "--out", str(tmp_path / "out"), *more]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0].startswith("1 images, 2 classes, 2 masks each") and shown[1].startswith("{")
    assert shown[2] == ""


#: A second value for each setting of `rerank propose`, and what it needs to matter.
PROPOSE_SETTINGS: dict[str, tuple[str, tuple[str, ...]]] = {
    "superpixels.n_segments": ("20", ()),
    "superpixels.compactness": ("40.0", ()),
    "dense_crf": ("true", ()),
    "potts_weight": ("0.0", ()),
    "colours": ("0.0", ()),
    "contrast_scale": ("0.0", ()),
    "base": ("1.0", ()),
    "map_inference": ("icm", ("potts_weight=6.0",)),
    "n_proposals": ("2", ()),
    "diversity": ("2.0", ("generator=div_mbest",)),
    "generator": ("div_mbest", ()),
    "inference": ("icm", ("generator=div_mbest", "potts_weight=6.0")),
    "samples.class_noise": ("3.0", ()),
    "samples.region_noise": ("3.0", ()),
    "samples.n_regions": ("2", ("samples.region_noise=3.0",)),
    "samples.n_samples": ("3", ()),
    "temperature": ("0.01", ()),
}


def _leaves(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _leaves(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name


@pytest.mark.parametrize("setting", list(_leaves(ProposeSettings)))
def test_settings_of_propose_act(propose: Callable[..., dict[str, bytes]], setting: str) -> None:
    value, context = PROPOSE_SETTINGS[setting]
    common = [part for override in context for part in ("--set", override)]
    assert propose(*common) != propose(*common, "--set", f"{setting}={value}")


@pytest.fixture
def refine(own: Path, tmp_path: Path) -> Callable[..., dict[str, bytes]]:
    """Files of `rerank dense-crf` on the drawn pair."""

    def call(*more: str, maps: str = "maps", images: str = "images") -> dict[str, bytes]:
        out = tmp_path / "_".join([maps, images, *more])
        arguments = ["dense-crf", "--probabilities", str(own / maps), "--images", str(own / images)]
        assert main([*arguments, "--out", str(out), *more]) == 0
        return pictures(out)

    return call


def test_dense_crf_reads_its_folders(refine: Callable[..., dict[str, bytes]]) -> None:
    found = refine()
    assert sorted(found) == ["a_segmentation.png"]
    assert found != refine(maps="other_maps") and found != refine(images="other_images")


@pytest.mark.parametrize("option, value", DENSE_CRF.items())
def test_settings_of_the_dense_crf_act(
    refine: Callable[..., dict[str, bytes]], option: str, value: str
) -> None:
    assert refine() != refine(option, value)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@pytest.mark.parametrize(
    "more",
    [
        ["--size", "32"],
        ["--size", "64x32"],
        ["--scale", "0.02"],
        ["--mean", "0.1,0.2,0.3"],
        ["--std", "0.5"],
        ["--channels", "bgr"],
        ["--output", "1"],
        ["--fit", "stretch"],
    ],
)
def test_settings_of_maps_act(own: Path, tmp_path: Path, more: list[str]) -> None:
    import torch

    class Two(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            scores = self.net(image)
            return scores, -scores

    torch.manual_seed(0)
    torch.jit.trace(Two(), torch.zeros(1, 3, 32, 32)).save(str(tmp_path / "n.pt"))
    found = []
    for name, given in (("one", []), ("two", more)):
        out = tmp_path / name
        base = ["maps", "--network", str(tmp_path / "n.pt"), "--images", str(own / "images")]
        assert main([*base, "--out", str(out), *given]) == 0
        found.append(pictures(out))
    assert found[0].keys() == {"a.npy"} == found[1].keys() and found[0] != found[1]


def test_predict(
    finished: Path, own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    for name, out in (("images", "one"), ("other_images", "two")):
        image = str(own / name / "a.png")
        assert main(["predict", "--work", str(finished), "--out", str(tmp_path / out), image]) == 0
        found.append(pictures(tmp_path / out))
    assert found[0].keys() == found[1].keys() and found[0] != found[1]
    nowhere = ["predict", "--work", str(tmp_path / "none"), "--out", str(tmp_path / "three"), image]
    assert main(nowhere) == 1 and "not a work folder" in capsys.readouterr().err


def test_maps_for_a_run_without_maps_are_refused(
    finished: Path, own: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["predict", "--work", str(finished), "--out", str(tmp_path), str(picture)]
    assert main([*arguments, "--probabilities", str(own / "maps")]) != 0
    assert "--probabilities" in capsys.readouterr().err


@pytest.mark.parametrize(
    "option", [["--jobs", "1"], ["--backend", "threading"], ["--scheduler", "x"], ["--quiet"]]
)
def test_verify_alone_runs_nothing(
    finished: Path, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", "--work", str(finished), *option]) == 2
    assert f"{option[0]} goes with --repair" in capsys.readouterr().err


def test_status(
    finished: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert main(["status", "--work", str(finished)]) == 0
    short = capsys.readouterr().out
    assert main(["status", "--work", str(finished), "--all"]) == 0
    assert "fold-01" in capsys.readouterr().out and "fold-01" not in short
    assert main(["status", "--work", str(finished), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["finished"] and {"fold-01", "final"} < {a["part"] for a in found["artefacts"]}
    assert main(["status", "--work", str(tmp_path)]) == 1
    # As `rerank run` leaves it: work/NAME, which the name finds, and no name where it is alone.
    monkeypatch.chdir(tmp_path)
    assert main(["status"]) == 2
    assert "no run below work/" in capsys.readouterr().err
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "mine").symlink_to(finished)
    for given in (["mine"], ["--work", "mine"], []):
        assert main(["status", *given]) == 0
        assert "work/mine: " in capsys.readouterr().out
    assert main(["status", "mine", "--work", "mine"]) == 2
    (tmp_path / "demo").symlink_to(finished)
    capsys.readouterr()
    assert main(["status"]) == 2
    assert "There are demo, work/mine: name one" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_commands_print_json(
    finished: Path,
    own: Path,
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    network = tmp_path / "n.pt"
    torch.jit.trace(torch.nn.Conv2d(3, 2, 1).eval(), torch.zeros(1, 3, 8, 8)).save(str(network))
    out, images, maps = str(tmp_path / "out"), str(own / "images"), str(own / "maps")
    graph = SimpleNamespace(store=SimpleNamespace(root=tmp_path))
    monkeypatch.setattr("rerank.applications.runs.run", lambda *a, **k: graph)
    monkeypatch.setattr(
        "rerank.applications.reports.export_report", lambda g, path: path / "r.html"
    )
    monkeypatch.setattr("rerank.datasets.prepare_dataset", lambda *a, **k: ["moved a to b"])
    written = SimpleNamespace(text="a table", paths=[Path("t.md")])
    monkeypatch.setattr("rerank.experiments.reproduce_table", lambda *a, **k: written)
    report = str(tmp_path / "report" / "r.html")
    pair = ["--probabilities", maps, "--images", images, "--out", out]
    segmented = {"out": out, "segmentations": [f"{out}/a_segmentation.png"]}
    for arguments, found in (
        (["demo"], {"work": str(tmp_path), "report": report}),
        (["run", "scenes"], {"work": str(tmp_path), "report": report}),
        (["run", "scenes", "--fold", "1"], {"work": str(tmp_path), "fold": "1"}),
        (["data", "prepare", "camvid"], {"done": ["moved a to b"]}),
        (
            ["reproduce", "zhao-table4", "--data-root", "d"],
            {"table": "zhao-table4", "text": "a table", "files": ["t.md"]},
        ),
        (["plot", "flips", "--out", f"{out}.png"], {"files": [f"{out}.png"]}),
        (
            ["maps", "--network", str(network), "--images", images, "--out", f"{out}_maps"],
            {"n_maps": 1, "n_classes": 2, "out": f"{out}_maps"},
        ),
        (["dense-crf", *pair], segmented),
        (["predict", "--work", str(finished), "--out", out, str(picture)], segmented),
    ):
        assert main(arguments) == 0
        assert not capsys.readouterr().out.startswith(("{", "["))
        assert main([*arguments, "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == found, arguments
    assert main(["reproduce", "list", "--json"]) == 0
    assert {"zhao-table4"} < {row["name"] for row in json.loads(capsys.readouterr().out)}


def test_doctor(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "GPU" in text and "not found: alexnet.pth" in text and str(tmp_path) not in text
    (tmp_path / "weights").mkdir()
    weights = tmp_path / "weights" / "alexnet.pth"
    weights.write_bytes(b"")
    assert main(["doctor", "--data-root", str(tmp_path)]) == 0
    assert str(weights) in capsys.readouterr().out
    assert main(["doctor", "--data-root", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"path": str(weights), "found": True} in found["weights"]["alexnet"]


def test_completion(capsys: pytest.CaptureFixture[str]) -> None:
    scripts = set()
    for shell in ("bash", "zsh", "fish"):
        assert main(["completion", shell]) == 0
        scripts.add(capsys.readouterr().out)
    assert len(scripts) == 3


def test_verify(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--work", str(copy)]) == 0
    damaged = next((copy / "oracle").glob("*/*.h5"))
    damaged.write_bytes(b"")
    assert main(["verify", "--work", str(copy)]) == 1
    assert str(damaged) in capsys.readouterr().out and damaged.read_bytes() == b""
    assert main(["verify", "--work", str(copy), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["mended"] == [] and str(damaged) in found["problems"][0]
    assert main(["verify", "--work", str(copy), "--repair", "--jobs", "1"]) == 0
    assert damaged.stat().st_size > 0


def test_gc(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    artefact = next((copy / "oracle").glob("*/*.h5"))
    ref = ArtefactRef("oracle", "all", "0" * 32)
    with Store(copy).create(ref, Header(1, {})):
        pass
    unreached = Store(copy).path(ref)
    # Without a manifest that says so, it is not ours.
    stranger = unreached.with_name("mine.h5")
    shutil.copy(artefact, stranger)
    assert main(["gc", "--work", str(copy), "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert str(unreached) in out and "Would remove 1 files" in out and unreached.exists()
    assert main(["gc", "--work", str(copy), "--dry-run", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["dry_run"] and found["files"] == [str(unreached)]
    assert main(["gc", "--work", str(copy)]) == 0
    assert "Removed 1 files" in capsys.readouterr().out
    assert stranger.exists()
    assert artefact.exists() and not unreached.exists()


@pytest.mark.parametrize(
    "kind, name",
    [("oracle", "oracle_cross_fitted.csv"), ("ablate", "ablation.csv"), ("report", "report.html")],
)
def test_analyses(
    copy: Path, tmp_path: Path, kind: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(copy / "report", ignore_errors=True)
    assert main([kind, "--work", str(copy), "--out", str(tmp_path / "out"), "--jobs", "1"]) == 0
    assert (tmp_path / "out" / name).exists() and not (copy / "report" / name).exists()
    capsys.readouterr()
    assert main([kind, "--work", str(copy), "--jobs", "1", "--json"]) == 0
    assert str(copy / "report" / name) in json.loads(capsys.readouterr().out)["files"]
    assert (copy / "report" / name).exists()
    assert main([kind, "--work", str(tmp_path / "none")]) == 1


def test_report_takes_runs_to_compare(
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("rerank.applications.reports.MOST_INLINE", 0)
    for name, more in (("many", []), ("one", ["--single-file"])):
        out = tmp_path / name
        assert main(["report", "--work", str(finished), "--out", str(out), "--quiet", *more]) == 0
        assert (out / "report_images").exists() == (not more)
    other = shutil.copytree(finished, tmp_path / "other")
    out = str(tmp_path / "both")
    compare = ["report", "--compare", str(finished), str(other), "--out", out, "--jobs", "1"]
    assert main(compare) == 0
    assert (tmp_path / "both" / "comparison.html").is_file()
    assert main([*compare, "--single-file"]) == 2
    assert "goes with --work" in capsys.readouterr().err


def test_export(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], make_graph: Any
) -> None:
    def export(name: str, *more: str) -> str:
        status = main(["export", "--work", str(finished), "--out", str(tmp_path / name), *more])
        assert status == 0
        return capsys.readouterr().out

    data = make_graph(finished).data
    text = export("usual")
    assert text.startswith(f"{len(data.evaluate)} images in") and "overlays" in text
    assert export("quiet", "--quiet") == ""
    found = json.loads(export("all", "--json", "--quiet", "--images", "all", "--kinds", "rle"))
    assert found["images"] == len(data.train) + len(data.evaluate)
    assert found["written"] == ["choices.csv", "labels.json"]
    assert not (tmp_path / "all" / "overlays").exists()
    export("oracle", "--rule", "oracle")
    one, two = (pictures(tmp_path / name / "segmentations") for name in ("usual", "oracle"))
    assert set(one) == set(two) and one != two
    assert main(["export", "--work", str(tmp_path / "none"), "--out", str(tmp_path)]) == 1


def test_draw(
    finished: Path,
    tmp_path: Path,
    make_graph: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    ids = make_graph(finished).data.evaluate.ids
    found = []
    for index, image in enumerate(([], [ids[0]], [ids[1]])):
        out = tmp_path / str(index)
        assert main(["draw", "--work", str(finished), "--out", str(out), *image]) == 0
        found.append(sorted(pictures(out).values()))
    assert found[0] == found[1] != found[2]
    capsys.readouterr()
    assert main(["draw", "--work", str(finished), "--out", str(tmp_path), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["files"]) == len(found[0])
    assert main(["draw", "--work", str(tmp_path / "none"), "--out", str(tmp_path)]) == 1


def test_data_check(own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
    Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(tmp_path / "images" / "a.png")
    assert main(["data", "check", "folder", "--root", str(tmp_path)]) == 1
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(tmp_path / "labels" / "a.png")
    capsys.readouterr()
    assert main(["data", "check", "folder", "--root", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "folder: every file is in order.\n"
    assert main(["data", "check", "camvid", "--root", str(tmp_path), "--json"]) == 1
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem["path"] == str(tmp_path)


def test_debug_may_stand_before_the_action(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "--debug", "check", "nonsense"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_data_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "list"]) == 0
    assert "scenes" in capsys.readouterr().out
    assert main(["data", "list", "--json"]) == 0
    assert {"name": "folder", "recipe": False} in json.loads(capsys.readouterr().out)


def test_plots_are_different(tmp_path: Path) -> None:
    mask = np.arange(12, dtype=np.uint8).reshape(3, 4) // 5
    Image.fromarray(mask).save(tmp_path / "mask.png")
    found = {}
    for name, more in (
        ("flips", ["flips"]),
        ("seed", ["flips", "--seed", "1"]),
        ("labels", ["flips", "--labels", str(tmp_path / "mask.png")]),
        ("discontinuity", ["discontinuity"]),
    ):
        out = tmp_path / f"{name}.png"
        assert main(["plot", *more, "--out", str(out)]) == 0
        found[name] = out.read_bytes()
    assert len(set(found.values())) == 4


def test_weights_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert main(["weights", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [line.split()[0] for line in lines] == [row["name"] for row in rows]
    assert all(row["url"].startswith("http") for row in rows)


def test_weights_are_fetched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "net.pth"
    source.write_bytes(b"weights")
    sha256 = hashlib.sha256(b"weights").hexdigest()
    base = ["weights", "get", "alexnet", "--out", str(tmp_path / "w"), "--url", source.as_uri()]
    assert main([*base, "--sha256", sha256]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'w'}\n"
    assert (tmp_path / "w").read_bytes() == b"weights"
    assert main([*base, "--sha256", sha256, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"name": "alexnet", "path": str(tmp_path / "w")}
    assert main([*base, "--sha256", sha256, "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    # Without its digest another source is refused, and so is another digest or name.
    assert main(base) == 2
    assert main([*base[:3], "--out", str(tmp_path / "v"), *base[5:], "--sha256", "0" * 64]) == 1
    assert main(["weights", "get", "other", "--out", str(tmp_path)]) == 2
    assert "got 'other'" in capsys.readouterr().err


def test_weights_that_cannot_be_reached_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = (tmp_path / "missing.pth").as_uri()
    given = ["--url", missing, "--sha256", "0" * 64, "--out", str(tmp_path / "w")]
    assert main(["weights", "get", "alexnet", *given]) == 1
    errors = capsys.readouterr().err
    assert errors.startswith("rerank: ") and errors.count("\n") == 1 and missing in errors
