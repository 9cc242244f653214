"""Segmenting image files with the models of a finished run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rerank.applications.image_pairs import ImagePair, check_map_pairs
from rerank.applications.result_files import write_result
from rerank.applications.runs import open_models
from rerank.datasets import read_image
from rerank.datasets.map_files import MapFile, find_map, read_values
from rerank.engine.progress import Progress
from rerank.errors import ConfigError, DataError
from rerank.prediction import choose_jointly


def predict_files(
    work: str | Path,
    images: Sequence[Path],
    out: Path,
    probabilities: Path | None = None,
    quiet: bool = False,
    joint: bool = False,
) -> list[Path]:
    """Segment image files and write their results; returns the segmentations' paths.

    Parameters
    ----------
    work : path
        Work folder of a finished run.
    images : sequence of Path
    out : Path
        The folder for the results, see `write_result`.
    probabilities : Path, optional
        Folder of the network maps, or one HDF5 file, for a run that was made from such maps.
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
    ConfigError
        If maps are given for a run that has models of its own.
    DataError
        If an image is missing or unreadable, two images have one name, or a map is missing or does
        not fit; the maps are checked first, and all problems are listed.
    """
    stems = [path.stem for path in images]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        raise DataError(
            f"two images are called {twice[0]}; their results would overwrite each "
            "other, so predict them into different folders"
        )
    models, palette = open_models(work)
    maps: dict[Path, MapFile] = {}
    notes: list[str] = []
    if probabilities is not None:
        if models.recipe.unary.source != "probabilities":
            raise ConfigError(
                "this run has models of its own and does not use probability maps; leave "
                "--probabilities away"
            )
        maps, notes = _find_maps(probabilities, images, models.classes.n_classes)
    written: list[Path] = []
    pending = []
    with Progress(len(images), quiet=quiet) as progress:
        for note in notes:
            progress.note(note)
        for path in images:
            progress.stage(path.stem)
            image, own, where = read_image(path), None, path.stem
            if path in maps:
                own, where = read_values(maps[path]), str(maps[path])
            if joint:
                pending.append(models.judge(image, own, where))
            else:
                result = models.predict(image, own, where)
                written.append(write_result(result, image, path.stem, out, palette))
            progress.advance(1)
    if joint:
        results = choose_jointly(pending).results
        for path, result in zip(images, results):
            written.append(write_result(result, read_image(path), path.stem, out, palette))
    return written


def _find_maps(
    folder: Path, images: Sequence[Path], n_classes: int
) -> tuple[dict[Path, MapFile], list[str]]:
    """The map of each image, checked, and what is done with the maps."""
    pairs, problems = [], []
    for path in images:
        try:
            pairs.append(ImagePair(path, find_map(folder, path.stem)))
        except DataError as error:
            problems.append(str(error))
    found = check_map_pairs(pairs, n_classes, problems)
    return dict(pairs), found.notes()
