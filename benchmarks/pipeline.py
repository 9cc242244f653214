"""What does each stage of a run cost, and how far is that from what it cannot avoid?

    OMP_NUM_THREADS=1 python benchmarks/pipeline.py WORK [--two WORK2] [--out FILE.json]
    OMP_NUM_THREADS=1 python benchmarks/pipeline.py --run weizmann_horse --data-root ROOT WORK

WORK is a finished work folder; with `--run` the recipe runs there first, with `--jobs 1`. CPU
seconds, sizes and images are those of the manifests, also of what was dropped. WORK2 is one of the
same recipe that ran with `--jobs 2`: its wall seconds give the images a second on two threads,
which a stage of a single task cannot use. The floor of a stage is the largest of

- bytes: its inputs copied once, and its outputs copied and hashed, at the rates measured here;
- flops: the operations that it cannot avoid, at the rate of BLAS measured here (float32): products
  of fits and of what they predict, readings of rows by the rankers' solvers, sweeps of a CRF's
  labels over its edges, SLIC's distances;
- call: the network's convolutions on its images, of which one is timed here.

Drawing, and what the columns of features are made of, are in no floor: there a large ratio says
where to look and no more. Nor do cuts and distances run at the rate of BLAS. `+-` is the standard
error of the CPU seconds, from how much the folds differ in seconds an image; where there is one
artefact, it is not known.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import h5py  # noqa: E402
import numpy as np  # noqa: E402

from rerank.config import Recipe  # noqa: E402
from rerank.engine.hdf5 import read_strings  # noqa: E402
from rerank.engine.image_sets import read_set  # noqa: E402
from rerank.potentials.principal_inputs import FURTHER, ROUNDS, SAMPLE  # noqa: E402
from rerank.stages.declarations import wanted_subsets  # noqa: E402
from rerank.stages.unaries import MANY_FEATURES, N_COMPONENTS  # noqa: E402

#: Products of a matrix with the data in a step of training: forwards, and for each gradient.
_FORWARDS, _FOR_WEIGHTS, _FOR_INPUTS = 1, 1, 1
#: Rounds of SLIC, centres that reach a pixel, and operations of a distance in colour and place.
_SLIC_ROUNDS, _SLIC_CENTRES, _SLIC_DISTANCE = 10, 4, 14
#: Operations on an edge and its share of a region in one sweep of a label: capacities and a cut.
_CUT_OPERATIONS = 20
#: Readings of all rows that a ranking SVM needs at least, and blocks that its C is chosen on.
_READINGS, _BLOCKS = 3, 3
#: Steps of Newton's method in the fusion, at least.
_NEWTON_STEPS = 5
_REPEATS = 5


def best_seconds(call: Callable[[], Any]) -> float:
    """CPU seconds of the quickest of some calls after a first one."""
    call()
    seconds = []
    for _ in range(_REPEATS):
        before = time.process_time()
        call()
        seconds.append(time.process_time() - before)
    return min(seconds)


def measured_rates() -> dict[str, float]:
    """Bytes copied and hashed, and float32 operations, a second on one thread."""
    source = np.ones(1 << 25, np.float32)
    target = np.empty_like(source)
    square = np.ones((1500, 1500), np.float32)
    block = bytes(1 << 24)
    return {
        "copied_bytes": 2 * source.nbytes / best_seconds(lambda: np.copyto(target, source)),
        "hashed_bytes": len(block) / best_seconds(lambda: hashlib.blake2b(block).digest()),
        "flops": 2 * len(square) ** 3 / best_seconds(lambda: square @ square),
    }


def read_manifests(work: Path) -> dict[str, list[dict[str, Any]]]:
    """Manifests of the artefacts of a work folder's last run, by stage."""
    run = json.loads((work / "run.json").read_text(encoding="utf-8"))
    kept: dict[str, list[dict[str, Any]]] = {}
    wanted = {f"{name}/{key}" for name, key in run["artefacts"].items()}
    files = {}
    for path in sorted([*work.glob("*/*/*.json"), *work.glob("*/*/*.dropped")]):
        found = json.loads(path.read_text(encoding="utf-8"))
        if "cpu_seconds" in found:
            found["file"] = path.with_suffix(".h5")
            found["trained_on"] = read_set(work, found["trained_on"])
            files[f"{found['stage']}/{found['part']}/{found['key']}"] = found
    # A run names its last artefacts; the others are what these were made from.
    waiting = [name for name in files if name in wanted]
    seen = set(waiting)
    while waiting:
        found = files[waiting.pop()]
        kept.setdefault(found["stage"], []).append(found)
        for name in found["inputs"]:
            if name in files and name not in seen:
                seen.add(name)
                waiting.append(name)
    for made in kept.values():
        # Models are kept of the last part alone; those of the folds have the same shapes.
        last = [found["file"] for found in made if found["part"] == "final"]
        for found in made:
            found["model_file"] = last[0] if last else found["file"]
    return kept


@dataclass(frozen=True)
class Scene:
    """What operations are counted from: a typical image, and the images of a run.

    Attributes
    ----------
    pixels, regions, edges : int
        Of the first image that has superpixels.
    n_classes, n_train : int
    columns : mapping of str to int
        Of each group of columns of the ranker's table.
    """

    pixels: int
    regions: int
    edges: int
    n_classes: int
    n_train: int
    columns: dict[str, int]

    @classmethod
    def of(cls, by_stage: dict[str, list[dict[str, Any]]]) -> Scene:
        """That of a finished run."""
        with h5py.File(by_stage["superpixels"][0]["file"], "r") as file:
            image = file["images/000000"]
            shape = image["superpixels"].shape
            regions, edges = len(image["areas"]), len(image["edges"])
            n_classes = image["histogram"].shape[1]
        with h5py.File(by_stage["features"][0]["file"], "r") as file:
            columns = dict(Counter(read_strings(file["table/groups"])))
        folds = {f["part"]: f for f in by_stage["unaries"] if f["part"] != "final"}
        n_train = sum(len(found["image_ids"]) for found in folds.values())
        return cls(shape[0] * shape[1], regions, edges, n_classes, n_train, columns)


def floor_seconds(
    stage: str,
    made: list[dict[str, Any]],
    sizes: dict[str, int],
    rates: dict[str, float],
    run: dict[str, Any],
    scene: Scene,
) -> tuple[float, str]:
    """The largest floor of a stage, and what it is of."""
    written = sum(found["size"] for found in made)
    read = sum(sizes.get(name, 0) for found in made for name in found["inputs"])
    images = sum(len(found["image_ids"]) for found in made)
    floors = {
        "bytes": (read + written) / rates["copied_bytes"] + written / rates["hashed_bytes"],
        "flops": sum(operations(stage, found, run["recipe"], scene) for found in made)
        / rates["flops"],
        "call": run["per_image"].get(stage, 0.0) * images,
    }
    largest = max(floors, key=lambda name: floors[name])
    return floors[largest], largest


def operations(stage: str, found: dict[str, Any], recipe: dict[str, Any], scene: Scene) -> float:
    """Operations that a task cannot avoid; 0 for stages of which none are counted."""
    return float(_operations(stage, found, recipe, scene))


def _operations(stage: str, found: dict[str, Any], recipe: dict[str, Any], scene: Scene) -> Any:
    images, fitted = len(found["image_ids"]), len(found["trained_on"])
    if stage == "superpixels":
        return images * scene.pixels * _SLIC_ROUNDS * _SLIC_CENTRES * _SLIC_DISTANCE
    sweep = scene.n_classes * (scene.edges + scene.regions) * _CUT_OPERATIONS
    chosen = recipe["proposals"]
    sources = 2 if recipe["fusion"]["enabled"] else 1
    if stage == "proposals":
        return images * chosen["n_proposals"] * sweep
    if stage == "generators":
        return images * chosen["n_proposals"] * sweep if recipe["report"]["generators"] else 0.0
    if stage == "crf_settings":
        crf = recipe["crf"]
        tried = sum(len(crf[name]) for name in ("potts_weights", "contrast_scales"))
        tried += len(crf["prior_exponents"])
        return sources * tried * min(crf["holdout_images"], fitted) * sweep
    rows = scene.n_train * chosen["n_proposals"]
    if stage in ("ranking", "ablation"):
        own = [recipe["ranking"]["groups"]]
        subsets = wanted_subsets(Recipe.model_validate_json(json.dumps(recipe)))
        return sum(
            # Readings of the rows by the fits that choose C and by the last one.
            (2.0 * rows * sum(scene.columns.get(name, 0) for name in groups))
            * (_READINGS * (_BLOCKS * len(recipe["ranking"]["candidates"]) + 1))
            for groups in (own if stage == "ranking" else subsets)
        )
    if stage == "fusion":
        regions = min(200, scene.regions) * (fitted if recipe["holdout"] == 0 else images)
        return _NEWTON_STEPS * regions * scene.n_classes * 8**2 * 2.0
    if stage in ("unaries", "auxiliary", "segnet"):
        return _network_operations(stage, found, recipe, scene)
    return 0.0


def _network_operations(
    stage: str, found: dict[str, Any], recipe: dict[str, Any], scene: Scene
) -> float:
    with h5py.File(found["model_file"], "r") as file:
        if "model" not in file:
            return 0.0
        shapes = {name: values.shape for name, values in file["model"].items()}
    if stage == "segnet":
        return _segnet_operations(shapes, found, recipe)
    layers = [shape for name, shape in sorted(shapes.items()) if name.startswith("weight_0_")]
    chosen, holdout = recipe["unary"], recipe["holdout"]
    n_features, total = layers[0][1], 0.0
    if n_features > MANY_FEATURES:
        rows = len(found["trained_on"]) * chosen["max_per_image"]
        total += 2.0 * SAMPLE * n_features * (N_COMPONENTS + FURTHER) * (2 * ROUNDS + 1)
        total += 2.0 * rows * n_features * N_COMPONENTS * (2 - holdout if holdout > 0 else 1)
        inputs = N_COMPONENTS
    else:
        inputs = n_features
    outputs = [shape[0] for shape in layers]
    first, *later = [2.0 * a * b for a, b in zip(outputs, [inputs, *outputs])]
    one = first * (_FORWARDS + _FOR_WEIGHTS)
    one += sum(later) * (_FORWARDS + _FOR_WEIGHTS + _FOR_INPUTS)
    fits = 2 if holdout > 0 else 1
    total += one * 256 * chosen["n_steps"] * chosen["n_members"] * fits
    applied = len(found["image_ids"]) + holdout * len(found["trained_on"])
    return float(total + applied * scene.regions * 2.0 * sum(a * b for a, b in layers))


def _segnet_operations(
    shapes: dict[str, tuple[int, ...]], found: dict[str, Any], recipe: dict[str, Any]
) -> float:
    filters = [shape for name, shape in sorted(shapes.items()) if len(shape) == 4]
    first, *later = [2.0 * float(np.prod(shape)) for shape in filters]
    cells = recipe["segnet"]["grid"] ** 2
    one = cells * first * (_FORWARDS + _FOR_WEIGHTS)
    one += cells * sum(later) * (_FORWARDS + _FOR_WEIGHTS + _FOR_INPUTS)
    chosen = recipe["segnet"]
    inner = recipe["fusion"]["enabled"] and found["part"] != "final" and recipe["holdout"] > 0
    share = 1 + (1 - recipe["holdout"] if inner else 0)
    epochs = chosen["epochs_cross_entropy"] + chosen["epochs_mixed"]
    return float(one * len(found["trained_on"]) * epochs * share)


def network_seconds(
    recipe: dict[str, Any], weights: str | None, shape: tuple[int, int]
) -> dict[str, float]:
    """CPU seconds of the backbone on an image, by stage that runs it."""
    if weights is None or recipe["backbone"]["architecture"] == "small":
        return {}
    import torch

    from rerank.nets import build_backbone

    torch.set_num_threads(1)
    backbone = build_backbone(recipe["backbone"]["architecture"], weights)

    def one(size: tuple[int, int]) -> float:
        image = torch.zeros(1, 3, *backbone.suitable_size(size))
        with torch.inference_mode():
            return best_seconds(lambda: backbone(image))

    scales = recipe["auxiliary"]["scales"] or recipe["unary"]["scales"]
    uses = {
        "superpixel_features": (recipe["unary"]["features"], recipe["unary"]["scales"]),
        "auxiliary_features": (recipe["auxiliary"]["features"], scales),
    }
    seconds = {
        stage: sum(one((round(shape[0] * scale), round(shape[1] * scale))) for scale in tried)
        for stage, (kind, tried) in uses.items()
        if kind in ("deep", "both")
    }
    grid = recipe["segnet"]["grid"]
    return {**seconds, "activations": one(backbone.input_size((grid, grid)))}


def spread_seconds(made: list[dict[str, Any]]) -> float | None:
    """Standard error of a stage's CPU seconds; None where parts cannot say."""
    parts = [found for found in made if found["part"].startswith("fold")]
    if len(parts) < 2:
        return None
    each = [found["cpu_seconds"] / max(1, len(found["image_ids"])) for found in parts]
    images = sum(len(found["image_ids"]) for found in made)
    return float(np.std(each, ddof=1) / np.sqrt(len(each)) * images)


def two_thread_rate(made: list[dict[str, Any]]) -> float | None:
    """Images a second of a stage whose tasks ran two at a time."""
    seconds = sum(found["seconds"] for found in made) / min(2, len(made))
    images = sum(len(found["image_ids"]) for found in made)
    return images / seconds if seconds else None


def costs(work: Path, two: Path | None = None) -> dict[str, Any]:
    """Rates of the machine, and a row for each stage of a finished run."""
    run = json.loads((work / "run.json").read_text(encoding="utf-8"))
    by_stage = read_manifests(work)
    on_two = {} if two is None else read_manifests(two)
    sizes = {
        f"{stage}/{found['part']}/{found['key']}": found["size"]
        for stage, made in by_stage.items()
        for found in made
    }
    rates = measured_rates()
    with h5py.File(by_stage["superpixels"][0]["file"], "r") as file:
        shape = file["images/000000/superpixels"].shape
    run["per_image"] = network_seconds(run["recipe"], run["weights"][0], (shape[0], shape[1]))
    scene = Scene.of(by_stage)
    rows = []
    for stage, made in by_stage.items():
        seconds = sum(found["cpu_seconds"] for found in made)
        images = sum(len(found["image_ids"]) for found in made)
        floor, kind = floor_seconds(stage, made, sizes, rates, run, scene)
        rows.append(
            {
                "stage": stage,
                "images": images,
                "cpu_s": seconds,
                "spread": spread_seconds(made),
                "images_a_second": images / seconds if seconds else None,
                "on_two_threads": two_thread_rate(on_two[stage]) if stage in on_two else None,
                "floor": floor,
                "floor_of": kind,
                "ratio": seconds / floor if floor else None,
            }
        )
    rows.sort(key=lambda row: -row["cpu_s"])
    return {"recipe": run["recipe"]["name"], "rates": rates, "stages": rows}


def as_text(found: dict[str, Any]) -> str:
    """The table that is printed."""
    rates = found["rates"]
    lines = [
        f"{found['recipe']}: BLAS {rates['flops'] / 1e9:.0f} Gflop/s, copying "
        f"{rates['copied_bytes'] / 1e9:.1f} GB/s, hashing {rates['hashed_bytes'] / 1e9:.2f} GB/s",
        f"{'stage':22}{'images':>8}{'CPU s':>10}{'+-':>8}{'images/s':>10}{'on two':>10}"
        f"{'floor s':>10}{'of':>7}{'ratio':>8}",
    ]
    for row in found["stages"]:
        spread, rate, two, ratio = (
            "" if row[name] is None else f"{row[name]:.1f}"
            for name in ("spread", "images_a_second", "on_two_threads", "ratio")
        )
        lines.append(
            f"{row['stage']:22}{row['images']:8}{row['cpu_s']:10.1f}{spread:>8}{rate:>10}"
            f"{two:>10}{row['floor']:10.2f}{row['floor_of']:>7}{ratio:>8}"
        )
    total = sum(row["cpu_s"] for row in found["stages"])
    return "\n".join([*lines, f"{'all':30}{total:10.1f}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="work folder")
    parser.add_argument("--run", help="recipe to run there first")
    parser.add_argument("--data-root", help="of that run")
    parser.add_argument("--set", action="append", default=[], help="of that run")
    parser.add_argument("--two", type=Path, help="work folder of the same run with --jobs 2")
    parser.add_argument("--out", type=Path, help="JSON file to write the figures to")
    arguments = parser.parse_args()
    if arguments.run:
        command = [sys.executable, "-m", "rerank", "run", arguments.run, "--jobs", "1"]
        command += ["--work", str(arguments.work), "--quiet"]
        command += ["--data-root", arguments.data_root] if arguments.data_root else []
        command += [text for setting in arguments.set for text in ("--set", setting)]
        subprocess.run(command, check=True)
    found = costs(arguments.work, arguments.two)
    print(as_text(found))
    if arguments.out:
        arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
