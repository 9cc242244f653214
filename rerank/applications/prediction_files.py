"""Segmenting image files with the models of a finished run."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rerank.applications.image_pairs import ImagePair, check_map_pairs
from rerank.applications.out_folder import open_out
from rerank.applications.result_files import LONGEST_ENDING, write_result, write_summary
from rerank.applications.runs import open_models
from rerank.crf.compiled import compiler_notes
from rerank.datasets import read_image, voc_palette
from rerank.datasets.file_names import name_of
from rerank.datasets.image_files import list_images
from rerank.datasets.map_files import MapFile, find_map, read_values
from rerank.datasets.problems import problems_error
from rerank.engine.parallel import run_tasks
from rerank.engine.progress import Progress
from rerank.errors import ConfigError, DataError
from rerank.prediction import choose_jointly

if TYPE_CHECKING:
    from rerank.prediction import FinalModels, Judgement
    from rerank.types import Array


class PredictionMaps(NamedTuple):
    """Folders of the images' network maps, by the images' names.

    Attributes
    ----------
    probabilities : Path or None
        For models of own maps.
    auxiliary : tuple of Path
        Of the further networks that the models were fitted with, in the same order.
    """

    probabilities: Path | None = None
    auxiliary: tuple[Path, ...] = ()


class _Task(NamedTuple):
    models: Path
    call: str
    out: Path
    joint: bool


class _Done(NamedTuple):
    """What became of one image: its files, or its proposals for the joint choice."""

    place: int
    name: str
    written: tuple[Path, dict[str, object]] | None
    judgement: Judgement | None = None


def predict_files(
    models: str | Path,
    images: Sequence[Path],
    out: Path,
    maps: PredictionMaps = PredictionMaps(),  # noqa: B008
    quiet: bool = False,
    joint: bool = False,
    jobs: int = 1,
) -> list[Path]:
    """Segment image files and write their results; returns the segmentations' paths.

    Parameters
    ----------
    models : path
        Work folder of a finished run, or the file that `rerank fit` wrote.
    images : sequence of Path
        Files, and folders whose images are taken in the order of their names.
    out : Path
        The folder for the results, see `write_result` and `write_summary`.
    maps : PredictionMaps
    quiet : bool
        Show no progress.
    joint : bool
        Choose for all images together, for the highest expected corpus IoU. The results of all
        images are in memory then.
    jobs : int
        Images at a time.

    Returns
    -------
    list of Path
        The segmentations, one per image.

    Raises
    ------
    DataError
        If `out` cannot be written, an image is missing or unreadable, two images have one name,
        or a map is missing or does not fit; the maps are checked first, and all problems are
        listed.
    ConfigError
        If maps are needed and not given, or given and not needed.
    """
    paths = _image_files(images)
    task = _Task(Path(models), uuid.uuid4().hex, out, joint)
    try:
        found, palette = _opened(task.models, task.call)
        files, notes = _find_maps(_map_folders(maps, found), paths, found.classes.n_classes)
        open_out(out, map(name_of, paths), LONGEST_ENDING)
        done: list[_Done] = []
        with Progress(len(paths), quiet=quiet) as progress:
            for note in (*notes, *compiler_notes()):
                progress.note(note)
            arguments = [(k, path, files.get(path, []), task) for k, path in enumerate(paths)]
            for item in run_tasks(_predict_file, arguments, jobs):
                progress.item(item.name)
                progress.advance(1)
                done.append(item)
    finally:
        _opened.cache_clear()
    done.sort(key=lambda item: item.place)
    if joint:
        results = choose_jointly([item.judgement for item in done if item.judgement]).results
        names = found.classes.class_names
        written = [
            write_result(result, read_image(path), name_of(path), out, palette, names)
            for path, result in zip(paths, results)
        ]
    else:
        written = [item.written for item in done if item.written is not None]
    write_summary([row for _, row in written], out)
    return [segmentation for segmentation, _ in written]


def _predict_file(place: int, path: Path, files: Sequence[MapFile], task: _Task) -> _Done:
    found, palette = _opened(task.models, task.call)
    image, name = read_image(path), name_of(path)
    of_image = [read_values(file) for file in files]
    own, where = (of_image[0], str(files[0])) if of_image else (None, name)
    if task.joint:
        return _Done(place, name, None, found.judge(image, own, where, of_image[1:]))
    result = found.predict(image, own, where, of_image[1:])
    names = found.classes.class_names
    return _Done(place, name, write_result(result, image, name, task.out, palette, names))


def _image_files(given: Sequence[Path]) -> list[Path]:
    """The images of files and folders, each name once."""
    paths: list[Path] = []
    for path in given:
        if path.is_dir():
            found, problems = list_images(path)
            if problems:
                raise problems_error(problems)
            paths += found.values()
        elif path.exists():
            paths.append(path)
        else:
            raise DataError(f"{path}: no such image, and no such folder of images")
    by_name: dict[str, Path] = {}
    for path in paths:
        other = by_name.setdefault(name_of(path), path)
        if other is not path:
            raise DataError(
                f"two images are called {name_of(path)}, {other} and {path}; their results would "
                "overwrite each other, so predict them into different folders"
            )
    return paths


def _map_folders(maps: PredictionMaps, found: FinalModels) -> tuple[Path, ...]:
    """The folders of maps, which must be what the models need."""
    given = () if maps.probabilities is None else (maps.probabilities, *maps.auxiliary)
    if maps.auxiliary and not given:
        raise ConfigError("--auxiliary goes with --probabilities: give the network's own maps too")
    if given and found.recipe.unary.source != "probabilities":
        raise ConfigError(
            "this run has models of its own and does not use probability maps; leave "
            "--probabilities away"
        )
    for folder in given:
        if not folder.exists():
            raise DataError(f"{folder}: no such folder of probability maps")
    return given


def _find_maps(
    folders: Sequence[Path], images: Sequence[Path], n_classes: int
) -> tuple[dict[Path, list[MapFile]], list[str]]:
    """The maps of each image, checked, and what is done with the maps."""
    pairs, problems = [], []
    for folder in folders:
        for path in images:
            try:
                pairs.append(ImagePair(path, find_map(folder, name_of(path))))
            except DataError as error:
                problems.append(str(error))
    if not folders:
        return {}, []
    notes = check_map_pairs(pairs, n_classes, problems).notes()
    found: dict[Path, list[MapFile]] = {}
    for path, file in pairs:
        found.setdefault(path, []).append(file)
    return found, notes


@functools.lru_cache(maxsize=1)
def _opened(models: Path, call: str) -> tuple[FinalModels, Array]:
    """The models and the palette of their classes, read once in each process for a call."""
    if not models.is_file():
        return open_models(models)
    from rerank.reranker import Reranker

    return Reranker.load(models).models_, voc_palette()
