"""Segmenting image files with the models of a finished run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rerank.applications.image_pairs import ImagePair, check_map_pairs
from rerank.applications.result_files import write_result, write_summary
from rerank.applications.runs import open_models
from rerank.datasets import read_image, voc_palette
from rerank.datasets.map_files import MapFile, find_map, read_values
from rerank.engine.progress import Progress
from rerank.errors import ConfigError, DataError
from rerank.prediction import choose_jointly

if TYPE_CHECKING:
    from rerank.prediction import FinalModels
    from rerank.result import Result
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


def predict_files(
    models: str | Path,
    images: Sequence[Path],
    out: Path,
    maps: PredictionMaps = PredictionMaps(),  # noqa: B008
    quiet: bool = False,
    joint: bool = False,
) -> list[Path]:
    """Segment image files and write their results; returns the segmentations' paths.

    Parameters
    ----------
    models : path
        Work folder of a finished run, or the file that `rerank fit` wrote.
    images : sequence of Path
    out : Path
        The folder for the results, see `write_result` and `write_summary`.
    maps : PredictionMaps
    quiet : bool
        Show no progress.
    joint : bool
        Choose for all images together, for the highest expected corpus IoU. The results of all
        images are in memory then.

    Returns
    -------
    list of Path
        The segmentations, one per image.

    Raises
    ------
    DataError
        If an image is missing or unreadable, two images have one name, or a map is missing or does
        not fit; the maps are checked first, and all problems are listed.
    ConfigError
        If maps are needed and not given, or given and not needed.
    """
    stems = [path.stem for path in images]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        raise DataError(
            f"two images are called {twice[0]}; their results would overwrite each "
            "other, so predict them into different folders"
        )
    found, palette = _open(Path(models))
    given = () if maps.probabilities is None else (maps.probabilities, *maps.auxiliary)
    if maps.auxiliary and not given:
        raise ConfigError("--auxiliary goes with --probabilities: give the network's own maps too")
    if given and found.recipe.unary.source != "probabilities":
        raise ConfigError(
            "this run has models of its own and does not use probability maps; leave "
            "--probabilities away"
        )
    files, notes = _find_maps(given, images, found.classes.n_classes)
    written: list[Path] = []
    rows: list[dict[str, object]] = []
    pending = []

    def write(result: Result, image: Array, path: Path) -> None:
        names = found.classes.class_names
        segmentation, row = write_result(result, image, path.stem, out, palette, names)
        written.append(segmentation)
        rows.append(row)

    with Progress(len(images), quiet=quiet) as progress:
        for note in notes:
            progress.note(note)
        for path in images:
            progress.stage(path.stem)
            image, where = read_image(path), path.stem
            of_image = [read_values(file) for file in files.get(path, ())]
            own = None
            if of_image:
                own, where = of_image[0], str(files[path][0])
            if joint:
                pending.append(found.judge(image, own, where, of_image[1:]))
            else:
                write(found.predict(image, own, where, of_image[1:]), image, path)
            progress.advance(1)
    if joint:
        results = choose_jointly(pending).results
        for path, result in zip(images, results):
            write(result, read_image(path), path)
    write_summary(rows, out)
    return written


def _find_maps(
    folders: Sequence[Path], images: Sequence[Path], n_classes: int
) -> tuple[dict[Path, list[MapFile]], list[str]]:
    """The maps of each image, checked, and what is done with the maps."""
    pairs, problems = [], []
    for folder in folders:
        for path in images:
            try:
                pairs.append(ImagePair(path, find_map(folder, path.stem)))
            except DataError as error:
                problems.append(str(error))
    if not folders:
        return {}, []
    notes = check_map_pairs(pairs, n_classes, problems).notes()
    found: dict[Path, list[MapFile]] = {}
    for path, file in pairs:
        found.setdefault(path, []).append(file)
    return found, notes


def _open(models: Path) -> tuple[FinalModels, Array]:
    if not models.is_file():
        return open_models(models)
    from rerank.reranker import Reranker

    return Reranker.load(models).models_, voc_palette()
