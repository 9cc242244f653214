"""Right digests, types and structure, and wrong values: the other kind of `hostile`.

One data set of a finished run, or of a saved model, gets extreme values or another length, and the
manifest is made to fit. Then what reads the file is run in a child process: the stages that come
after, and the commands. They may refuse it by an error of the package, or give other pictures.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rerank.engine import agreement
from rerank.engine.artefact_file import _CHECKED, _MANIFESTS
from rerank.engine.contents import _NUMBER
from rerank.engine.graph import Graph, Task
from rerank.engine.image_sets import read_set
from rerank.engine.manifest import digest_of_bytes, from_bytes, manifest_path, to_bytes
from rerank.engine.scheduler import compute
from rerank.engine.sealed_file import read_sealed, write_sealed
from rerank.errors import RerankError
from rerank.fitting import KIND
from rerank.mask_ranker import KIND as MASK_KIND

#: What commands may end in; anything else is a fault.
RIGHT = ("refused", "read")
_SECONDS, _BYTES = 120, 24 << 30
_INTEGERS = (-(2**63), -(2**31), -1, 0, 1, 7, 255, 256, 2**31 - 1, 2**62)
_FLOATS = (float("nan"), float("inf"), float("-inf"), 1e308, -1e308, -1.0, 0.0, 1e-320, 2.0, 1e15)
_TEXTS = (b"", b"\xff\xfe", b"[" * 300, b"{}", b"null", b'{"index": 1e99}', b"../../x", b"x" * 4096)
#: The stages that each command reads files of.
_MODELS = ("unaries", "auxiliary", "segnet", "classifiers", "fusion", "crf_settings")
_COMMANDS = {
    "report": ("pages",),
    "predict": (*_MODELS, "ranking", "calibration"),
    "export": ("proposals", "superpixels", "fusion", "ranking", "calibration", "quality", "oracle"),
    "oracle": ("quality", "oracle", "ranking", "calibration", "dense_crf", "upsampling"),
    "ablate": ("quality", "ablation"),
    "draw": ("superpixels", "unaries", "proposals", "segnet", "ranking"),
}


def extreme(values: Any, rng: random.Random) -> Any:
    """The values with some replaced by extremes, or as more or fewer of them."""
    if values.ndim and rng.random() < 0.3:
        return _other_length(values, rng)
    if values.dtype.kind == "S":
        texts = [bytes(v) for v in values.ravel().tolist()]
        for place in rng.choice((range(len(texts)), [rng.randrange(len(texts))])) if texts else ():
            texts[place] = rng.choice(_TEXTS)
        return np.array(texts, "S").reshape(values.shape)
    found = values.copy()
    if found.dtype.kind == "f":
        with np.errstate(over="ignore"):
            extremes = np.array(_FLOATS).astype(found.dtype)
    else:
        kept = np.iinfo("u1" if found.dtype.kind == "b" else found.dtype)
        extremes = np.array([min(max(v, kept.min), kept.max) for v in _INTEGERS])
        extremes = extremes.astype(found.dtype)
    flat = found.reshape(-1)
    if flat.size:
        places = rng.choice((slice(None), rng.randrange(flat.size), slice(0, None, 7)))
        flat[places] = extremes[rng.randrange(len(extremes))]
    return found


def _other_length(values: Any, rng: random.Random) -> Any:
    way, axis = rng.randrange(5), rng.randrange(values.ndim)
    if way == 0:
        return np.take(values, [], axis=axis)
    if way == 1 and values.shape[axis]:
        return np.delete(values, -1, axis=axis)
    if way == 2 and values.shape[axis]:
        return np.concatenate([values, np.take(values, [-1], axis=axis)], axis=axis)
    if way == 3 and values.size:
        return np.repeat(values, max(1, (1 << 20) // values.nbytes), axis=axis)
    return values[..., None]


def changed(content: bytes, path: str, rng: random.Random) -> bytes:
    """The bytes of an HDF5 file with another data set of that path."""
    buffer = BytesIO(content)
    with h5py.File(buffer, "r+") as file:
        kind = file[path].dtype
        values = extreme(np.asarray(file[path][()]), rng)
        if path.endswith("/superpixels") and rng.random() < 0.5:
            # A map of another size than the image, whose areas fit.
            values = np.repeat(file[path][()], rng.choice((2, 3)), axis=rng.randrange(2))
            file[f"{path.rpartition('/')[0]}/areas"][...] = np.bincount(values.ravel())
        del file[path]
        if values.dtype.kind == "S":
            kind = h5py.string_dtype("utf-8", values.dtype.itemsize)
        packed = {"compression": "gzip"} if values.ndim and values.nbytes > 4096 else {}
        file.create_dataset(path, data=values.astype(kind), track_times=False, **packed)
    return buffer.getvalue()


def data_sets(content: bytes) -> list[str]:
    """The paths of all data sets of a file."""
    found: list[str] = []
    with h5py.File(BytesIO(content), "r") as file:
        file.visititems(lambda n, i: found.append(n) if isinstance(i, h5py.Dataset) else None)
    return found


def in_child(function: Callable[[], str]) -> str:
    """What a function says in a child process that may not grow or last; `died` where it does."""
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        os.close(read)
        signal.alarm(_SECONDS)
        resource.setrlimit(resource.RLIMIT_AS, (_BYTES, _BYTES))
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), 1)
            os.dup2(nothing.fileno(), 2)
        text = explained(function)
        os.write(write, text.encode()[:60_000])
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        text = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    return text if status == 0 else f"died of {os.WTERMSIG(status)}"


def explained(function: Callable[[], str]) -> str:
    """What a function says, or `refused`, or the error that is not the package's own."""
    try:
        return function()
    except RerankError:
        return "refused"
    except BaseException as error:
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = f"{Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place else ""
        return f"{type(error).__name__}: {str(error)[:150]} ({where})"


def command(*arguments: str) -> str:
    """What a command of the command line ends in."""
    from rerank.cli.main import main as cli

    out, errors = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(errors):
        status = cli(list(arguments))
    text = errors.getvalue()
    if status and ("unexpected" in text or "out of memory" in text or "Traceback" in text):
        return text.strip()[:250]
    return "refused" if status else "read"


def read_run(work: Path, task: Task, picture: Path, rng: random.Random) -> Iterator[str]:
    """What those end in that read an artefact of a run: some of the stages, then the commands.

    Parameters
    ----------
    work : Path
        A copy of the run; what the stages wrote is replaced.
    task : Task
        The artefact's.
    picture : Path
        An image to predict.
    rng : random.Random
    """
    out = str(work / "out")
    from rerank.applications.runs import open_run

    for name in rng.sample(sorted(_COMMANDS), len(_COMMANDS)):
        if task.stage.name in _COMMANDS[name]:
            more = [str(picture)] if name == "predict" else []
            yield command(name, "--work", str(work), *more, "--out", out)
            break
    graph = open_run(work)
    readers = [other for other in graph.tasks if task.ref in other.inputs.values()]
    if not readers and task.stage.name == "index":
        # The folds are made from it whenever a run is opened, as just now.
        yield "read"
    for reader in rng.sample(readers, min(2, len(readers))):
        graph.store.remove(reader.ref)
        yield explained(lambda: _computed(graph, reader))


def _computed(graph: Graph, task: Task) -> str:
    compute(graph, task)
    return "read"


def of_run(work: Path, count: int, seed: int) -> Counter[str]:
    """Spoil the data sets of a finished run one after another, and read them.

    Parameters
    ----------
    work : Path
    count : int
        Of mutations.
    seed : int
    """
    from rerank.applications.export_files import Export, export_run
    from rerank.applications.runs import open_run

    found: Counter[str] = Counter()
    graph = open_run(work)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # This also loads what the children need, once.
        export_run(work, folder / "images", Export(kinds=("images",)), quiet=True)
        picture = sorted((folder / "images" / "images").iterdir())[0]
        command("predict", "--work", str(work), str(picture), "--out", str(folder / "predicted"))
        places: dict[str, list[tuple[Task, str]]] = {}
        for task in [task for task in graph.tasks if graph.store.has(task.ref)]:
            for path in data_sets(graph.store.path(task.ref).read_bytes()):
                key = f"{task.stage.name}:{_NUMBER.sub('#', path)}"
                places.setdefault(key, []).append((task, path))
        keys = list(places)
        random.Random(seed).shuffle(keys)
        for number in range(count):
            rng = random.Random(f"{seed} {number}")
            key = keys[number % len(keys)]
            task, path = rng.choice(places[key])
            copy = folder / "copy"
            shutil.copytree(work, copy, copy_function=os.link)
            answer = in_child(lambda: _spoiled(copy, task, path, picture, rng))
            shutil.rmtree(copy)
            found["changed"] += 1
            _count(found, answer, f"{key} {number}")
    return found


def of_models(count: int, seed: int) -> Counter[str]:
    """Spoil the data sets of two saved models one after another, load them, and use them.

    Parameters
    ----------
    count : int
        Of mutations.
    seed : int
    """
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "model.h5"
        for kind, content, use in (_reranker(path), _mask_ranker(path)):
            places = data_sets(content)
            random.Random(seed).shuffle(places)
            for number in range(count // 5 if kind == MASK_KIND else count - count // 5):
                rng, place = random.Random(f"{seed} {number}"), places[number % len(places)]
                write_sealed(path, *kind, changed(content, place, rng))
                found["changed"] += 1
                _count(found, in_child(use), f"{kind[0]} {place} {number}")
    return found


def _reranker(path: Path) -> tuple[tuple[str, int], bytes, Callable[[], str]]:
    from rerank.datasets import open_dataset
    from rerank.reranker import Reranker

    settings = (
        "superpixels.n_segments=30",
        "proposals.diversities=[0.1]",
        "ranking.candidates=[0.1]",
    )
    samples = list(open_dataset("scenes", None, "train", n_images=20, size=(48, 64)))
    rng, n_classes = np.random.default_rng(0), 12
    maps = []
    for sample in samples:
        known = np.where(sample.labels == 255, 0, sample.labels)
        weights = np.exp(rng.normal(size=(*known.shape, n_classes)) + 1.5 * np.eye(12)[known])
        maps.append(weights / weights.sum(axis=2, keepdims=True))
    images, labels = [s.image for s in samples], [s.labels for s in samples]
    fitted = Reranker(5, n_folds=3, settings=settings).fit(images, maps, labels)
    fitted.save(path)
    fitted.predict(images[0], maps[0])

    def use() -> str:
        Reranker.load(path).predict(images[0], maps[0])
        return "read"

    return KIND, read_sealed(path, *KIND), use


def _mask_ranker(path: Path) -> tuple[tuple[str, int], bytes, Callable[[], str]]:
    from rerank.datasets import open_dataset
    from rerank.mask_ranker import MaskRanker
    from rerank.mask_table import describe_masks

    scenes, rng = open_dataset("scenes", None, "test", n_images=20, size=(40, 56)), None
    tables = []
    for index in range(20):
        sample, rng = scenes[index], np.random.default_rng(index)
        truth = np.where(sample.labels == 255, 0, sample.labels).astype(np.uint8)
        masks = [np.roll(truth, int(shift), axis=1) for shift in (1, 3 + rng.integers(9), 17)]
        about = {"names": ["a", "b", "c"], "labels": [sample.labels], "image_id": f"s{index}"}
        tables.append(describe_masks(sample.image, masks, scenes.class_names, **about))
    MaskRanker(n_folds=2).fit(tables).save(path, scenes.class_names)

    def use() -> str:
        MaskRanker.load(path)[0].decision_function(tables[0])
        return "read"

    return MASK_KIND, read_sealed(path, *MASK_KIND), use


def _count(found: Counter[str], answer: str, what: str) -> None:
    for part in answer.split("\n"):
        found[part if part in RIGHT else "wrong"] += 1
        if part not in RIGHT:
            print(f"{what}: {part}", file=sys.stderr, flush=True)


def _spoiled(work: Path, task: Task, path: str, picture: Path, rng: random.Random) -> str:
    _CHECKED.clear()
    _MANIFESTS.clear()
    agreement._NOTED.clear()
    place = work / task.ref.stage / task.ref.key / f"{task.ref.part}.h5"
    content = changed(place.read_bytes(), path, rng)
    manifest = from_bytes(manifest_path(place).read_bytes(), partial(read_set, place.parents[2]))
    for file, new in (
        (place, content),
        (
            manifest_path(place),
            to_bytes(manifest._replace(digest=digest_of_bytes(content), size=len(content))),
        ),
    ):
        file.unlink()
        file.write_bytes(new)
    return "\n".join(read_run(work, task, picture, rng))
