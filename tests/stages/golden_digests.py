"""Statistics of what each stage writes in the tiny run, small enough to be committed.

Sums in floating point end in other bits on other processors, so a digest of bytes would fail there.
A data set is therefore told by its shape, its type, its sum and its norm; those of all images of a
part count as one. What a second run with other instructions of the processor says differently gets
a wider tolerance, or is not compared.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from rerank.engine.folds import ALL, FINAL
from rerank.engine.graph import Graph

PATH = Path(__file__).with_name("golden_digests.json")
#: Least relative tolerance of sums and norms of floats.
TOLERANCE = 1e-4
#: How many times as far as the second run a number may lie from the first.
MARGIN = 20
#: What decides the last bits beside the code.
LIBRARIES = (
    "torch",
    "numpy",
    "scipy",
    "scikit-learn",
    "scikit-image",
    "numba",
    "opencv-python-headless",
    "pillow",
)
#: One fold stands for all.
PARTS = ("fold-00", FINAL, ALL)

Statistics = dict[str, list[Any]]


def environment() -> dict[str, str]:
    """What must be equal for statistics to be comparable: libraries and kind of processor."""
    found = {name: installed_version(name).split("+")[0] for name in LIBRARIES}
    # Kernels of both are compared when the statistics are made.
    wide = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
    return {**found, "processor": platform.machine() if wide else "without AVX2"}


def statistics_of(graph: Graph) -> dict[str, Statistics]:
    """For each stage, the statistics of each data set by part and name."""
    found: dict[str, Statistics] = {}
    for task in graph.tasks:
        if task.part.name not in PARTS:
            continue
        arrays: dict[str, list[Any]] = {}

        def keep(name: str, item: Any, arrays: dict[str, list[Any]] = arrays) -> None:
            if isinstance(item, h5py.Dataset):
                alike = re.sub(r"\b\d{6}\b", "*", name)
                arrays.setdefault(f"{task.part.name}:{alike}", []).append(item[()])

        with graph.store.open(task.ref) as file:
            file.visititems(keep)
        describe = _page if task.stage.name == "pages" else _numbers
        found.setdefault(task.stage.name, {}).update(
            {name: describe(name, [np.asarray(a) for a in parts]) for name, parts in arrays.items()}
        )
    return found


def _numbers(name: str, arrays: list[np.ndarray]) -> list[Any]:
    kinds = sorted({array.dtype.kind for array in arrays})
    if kinds == ["S"]:
        return ["text", _digest([array.tolist() for array in arrays])]
    types = "+".join(sorted({str(array.dtype) for array in arrays}))
    shape = _digest([array.shape for array in arrays])
    values = np.concatenate([array.ravel().astype(np.float64) for array in arrays])
    if kinds != ["f"]:
        # The weights tell two orders of the same numbers apart.
        weights = np.arange(1, values.size + 1) % 97
        return [types, shape, float(values.sum()), float(values @ weights)]
    finite = values[np.isfinite(values)]
    size = float(np.abs(finite).sum())
    return [types, shape, size, float(finite.sum()), float(np.sqrt(finite @ finite)), finite.size]


def _page(name: str, arrays: list[np.ndarray]) -> list[Any]:
    """Pictures by their name alone, tables by their heads, the page without numbers."""
    content = arrays[0].tobytes()
    if name.endswith((".png", ".webp")):
        return ["text", ""]
    text = content.decode()
    if name.endswith(".csv"):
        return ["text", _digest(text.splitlines()[0])]
    text = re.sub(r"data:[^\"')]*", "", text)
    return ["text", _digest(re.sub(r"[-+]?\d[\d.e%-]*", "", text))]


def _digest(value: Any) -> str:
    text = json.dumps(value, default=lambda item: item.decode())
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def tolerances(one: Statistics, other: Statistics) -> dict[str, float | None]:
    """Where a second run lies too far off for the usual tolerance: a wider one.

    None is for what cannot be compared at all, such as texts and integers that came out
    differently.
    """
    found: dict[str, float | None] = {}
    for name, values in one.items():
        limit = MARGIN * distance(values, other[name])
        if limit > TOLERANCE:
            found[name] = limit if limit < 1 else None
    return found


def distance(one: list[Any], other: list[Any]) -> float:
    """How far apart two statistics are, relative to the sum of sizes; infinite in kind."""
    if len(one) < 5 or len(other) < 5:
        return 0.0 if one == other else np.inf
    if one[:2] != other[:2] or one[5] != other[5]:
        return np.inf
    size = max(one[2], 1e-300)
    norm = max(one[4], 1e-300)
    return max(
        abs(one[2] - other[2]) / size, abs(one[3] - other[3]) / size, abs(one[4] - other[4]) / norm
    )


def differences(known: dict[str, Any], found: Statistics) -> list[str]:
    """Names of the data sets of a stage that are not what they were."""
    wider: dict[str, float | None] = known["tolerances"]
    before: Statistics = known["statistics"]
    changed = sorted(set(before) ^ set(found))
    for name in sorted(set(before) & set(found)):
        limit = wider.get(name, TOLERANCE)
        if limit is not None and distance(before[name], found[name]) > limit:
            changed.append(name)
    return changed


def silent_changes(known: dict[str, Any], graph: Graph) -> tuple[dict[str, list[str]], list[str]]:
    """Stages that write something else under their old version, and those with a new version.

    What a stage reads decides what it writes: it is not at fault where one that it reads, straight
    or through others, is changed.

    Returns
    -------
    at_fault : dict of stage name to names of data sets
    outdated : list of str
        Stages whose version is not the known one, or that are new or gone.
    """
    found = statistics_of(graph)
    stages: dict[str, Any] = known["stages"]
    outdated = sorted(set(stages) ^ {stage.name for stage in graph.stages})
    at_fault: dict[str, list[str]] = {}
    changed = set(outdated)
    for stage in graph.stages:
        if stage.name in outdated:
            continue
        reads = {name for name, _ in stage.inputs_with(graph.recipe)}
        names = differences(stages[stage.name], found[stage.name])
        if stage.version != stages[stage.name]["version"]:
            outdated.append(stage.name)
            changed.add(stage.name)
        elif reads & changed:
            changed.add(stage.name)
        elif names:
            at_fault[stage.name] = names
            changed.add(stage.name)
    return at_fault, outdated
