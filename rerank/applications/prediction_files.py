"""Segmenting image files with the models of a finished run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rerank.applications.result_files import write_result
from rerank.applications.runs import open_models
from rerank.datasets import read_image
from rerank.datasets.network_maps import network_map_path, read_network_map
from rerank.engine.progress import Progress
from rerank.errors import DataError
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
        Folder of the network maps, for a run that was made from such maps.
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
        If an image is missing or unreadable, or two images have one name.
    """
    stems = [path.stem for path in images]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        raise DataError(
            f"two images are called {twice[0]}; their results would overwrite each "
            "other, so predict them into different folders"
        )
    models, palette = open_models(work)
    written: list[Path] = []
    pending = []
    with Progress(len(images), quiet=quiet) as progress:
        for path in images:
            progress.stage(path.stem)
            image, own = read_image(path), None
            if probabilities is not None:
                own = read_network_map(network_map_path(probabilities, path.stem))
            if joint:
                pending.append(models.judge(image, own, path.stem))
            else:
                result = models.predict(image, own, path.stem)
                written.append(write_result(result, image, path.stem, out, palette))
            progress.advance(1)
    if joint:
        results = choose_jointly(pending).results
        for path, result in zip(images, results):
            written.append(write_result(result, read_image(path), path.stem, out, palette))
    return written
