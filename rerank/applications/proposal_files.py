"""Proposals from a folder of network maps, without any training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rerank.applications.image_pairs import pair_images
from rerank.applications.result_files import write_result
from rerank.config import build_propose_settings
from rerank.datasets import read_image, voc_palette
from rerank.datasets.network_maps import read_network_map
from rerank.engine.progress import Progress
from rerank.reranker import propose


def propose_files(
    probabilities: Path, images: Path, out: Path, overrides: Sequence[str] = (), quiet: bool = False
) -> list[Path]:
    """Write proposals and a choice for each image of a folder; returns the choices' paths.

    Parameters
    ----------
    probabilities, images, out : Path
        Folders.
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
        be used.
    """
    settings = build_propose_settings(overrides)
    pairs = pair_images(probabilities, images)
    written = []
    with Progress(len(pairs), quiet=quiet) as progress:
        for pair in pairs:
            progress.stage(pair.image.stem)
            image = read_image(pair.image)
            network_map = read_network_map(pair.probabilities)
            found = propose(image, network_map, settings, str(pair.probabilities))
            written.append(write_result(found, image, pair.image.stem, out, voc_palette()))
            progress.advance(1)
    return written
