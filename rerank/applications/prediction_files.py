"""Segmenting image files with the models of a finished run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rerank.applications.result_files import write_result
from rerank.applications.runs import open_models
from rerank.datasets import read_image, voc_palette
from rerank.datasets.network_maps import network_map_path, read_network_map
from rerank.datasets.problems import problems_error
from rerank.engine.progress import Progress
from rerank.errors import ConfigError, DataError
from rerank.prediction import choose_jointly

if TYPE_CHECKING:
    from rerank.prediction import FinalModels
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
        The folder for the results, see `write_result`.
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
        If an image or a map is missing or unreadable, or two images have one name.
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
    if maps.auxiliary and maps.probabilities is None:
        raise ConfigError("--auxiliary goes with --probabilities: give the network's own maps too")
    found, palette = _open(Path(models))
    given = () if maps.probabilities is None else (maps.probabilities, *maps.auxiliary)
    missing = [
        problem for folder in given for problem in missing_maps(folder, [p.stem for p in images])
    ]
    if missing:
        raise problems_error(missing)
    written: list[Path] = []
    pending = []
    with Progress(len(images), quiet=quiet) as progress:
        for path in images:
            progress.stage(path.stem)
            image = read_image(path)
            of_image = [read_network_map(network_map_path(folder, path.stem)) for folder in given]
            own = of_image[0] if of_image else None
            if joint:
                pending.append(found.judge(image, own, path.stem, of_image[1:]))
            else:
                result = found.predict(image, own, path.stem, of_image[1:])
                written.append(write_result(result, image, path.stem, out, palette))
            progress.advance(1)
    if joint:
        results = choose_jointly(pending).results
        for path, result in zip(images, results):
            written.append(write_result(result, read_image(path), path.stem, out, palette))
    return written


def missing_maps(folder: Path, image_ids: Sequence[str]) -> list[str]:
    """A line for each image without a network map in a folder.

    Parameters
    ----------
    folder : Path
    image_ids : sequence of str

    Returns
    -------
    list of str
    """
    problems = []
    for image_id in image_ids:
        try:
            network_map_path(folder, image_id)
        except DataError as error:
            problems.append(str(error))
    return problems


def _open(models: Path) -> tuple[FinalModels, Array]:
    if not models.is_file():
        return open_models(models)
    from rerank.reranker import Reranker

    return Reranker.load(models).models_, voc_palette()
