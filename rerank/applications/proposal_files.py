"""Proposals from a folder of network maps, without any training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rerank.applications.image_pairs import check_pairs
from rerank.applications.result_files import write_result
from rerank.config import build_propose_settings
from rerank.datasets import read_image, voc_palette
from rerank.datasets.map_files import read_values
from rerank.engine.progress import Progress
from rerank.reranker import propose


def propose_files(
    probabilities: Path, images: Path, out: Path, overrides: Sequence[str] = (), quiet: bool = False
) -> list[Path]:
    """Write proposals and a choice for each image of a folder; returns the choices' paths.

    Parameters
    ----------
    probabilities, images, out : Path
        Folders; `probabilities` may be one HDF5 file.
    overrides : sequence of str
        `a.b=value` settings of `ProposeSettings`.
    quiet : bool
        Show no progress.

    Returns
    -------
    list of Path
        The choices, one per image.

    Raises
    ------
    ConfigError
        If a setting is unknown or out of range.
    DataError
        If a folder is missing or empty, an image has no map or a map no image, or a file cannot
        be used. Maps are checked by their headers first, and all problems are listed.
    """
    settings = build_propose_settings(overrides)
    pairs, found = check_pairs(probabilities, images)
    written = []
    with Progress(len(pairs), quiet=quiet) as progress:
        for note in found.notes():
            progress.note(note)
        for pair in pairs:
            progress.stage(pair.image.stem)
            image = read_image(pair.image)
            network_map = read_values(pair.probabilities)
            result = propose(image, network_map, settings, str(pair.probabilities))
            written.append(write_result(result, image, pair.image.stem, out, voc_palette()))
            progress.advance(1)
    return written
