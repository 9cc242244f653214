"""Proposals from the probability maps of the user's own model, without any training: DivMBest.

The choice among them is the proposal that the others agree with most, weighted by their
probability under the CRF (minimum Bayes risk, Premachandran et al. 2014): it needs no labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rerank.config import Recipe, build_recipe
from rerank.datasets import read_image, voc_palette
from rerank.errors import DataError
from rerank.features import similarity_matrix
from rerank.ranking import expected_quality
from rerank.stages.crf_settings import CRFChoice
from rerank.stages.energy_settings import EnergySettings
from rerank.stages.predict import Prediction, write_prediction
from rerank.stages.progress import Progress
from rerank.stages.proposals import image_proposals
from rerank.stages.superpixels import graph_of, segment
from rerank.stages.unaries import pool_own_map, read_probability_map
from rerank.types import Array

_IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def propose_image(
    image: Array, probabilities: Array, recipe: Recipe, where: str = ""
) -> Prediction:
    """Proposals of one image and the choice of minimum Bayes risk.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
    probabilities : (H, W, C) or (C, H, W) float array
        Class probabilities of each pixel.
    recipe : Recipe
        Its superpixels, the middle one of its Potts weights, contrast scales and diversities,
        and whether the dense CRF refines the map first.
    where : str
        Names the map in errors.
    """
    regions = segment(image, recipe.superpixels)
    graph = graph_of(regions)
    found = pool_own_map(recipe, probabilities, image, regions["superpixels"], where=where)
    if found.shape[1] > 255:
        raise DataError(f"{where}: {found.shape[1]} classes; at most 255 can be written as PNG")
    energy = EnergySettings(
        _middle(recipe.crf.potts_weights), _middle(recipe.crf.contrast_scales), recipe.crf.base
    )
    choice = CRFChoice(energy, None, _middle(recipe.proposals.diversities))
    proposals = image_proposals({"unary": found}, graph, regions["region_values"], recipe, choice)
    labelings = proposals["labelings"]
    energies = proposals["energies"]
    scores = expected_quality(
        energies,
        similarity_matrix(labelings, graph.areas, found.shape[1]),
        temperature=max(float(energies.std()), 1e-9),
    )
    return Prediction(
        regions["superpixels"].astype(np.int32),
        labelings,
        proposals["energies"],
        scores,
        int(scores.argmax()),
    )


def propose_files(
    probabilities: Path, images: Path, out: Path, overrides: Sequence[str] = (), quiet: bool = False
) -> list[Path]:
    """Write proposals and a choice for each image of a folder; returns the choices' paths.

    Raises
    ------
    DataError
        If a folder is missing or empty, an image has no map or a map no image, or a file cannot
        be used.
    """
    tree = {"name": "propose", "dataset": {"name": "folder"}}
    recipe = build_recipe(tree, "--set", overrides)
    pairs = _pairs(probabilities, images)
    written = []
    with Progress(len(pairs), quiet=quiet) as progress:
        for path, map_path in pairs:
            progress.stage(path.stem)
            image = read_image(path)
            found = propose_image(image, read_probability_map(map_path), recipe, str(map_path))
            written.append(write_prediction(found, image, path.stem, out, voc_palette()))
            progress.advance(1)
    return written


def _pairs(probabilities: Path, images: Path) -> list[tuple[Path, Path]]:
    for folder, what in ((probabilities, "--probabilities"), (images, "--images")):
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder; {what} names one")
    pictures = {p.stem: p for p in sorted(images.iterdir()) if p.suffix.lower() in _IMAGES}
    maps = {p.stem: p for p in sorted(probabilities.iterdir()) if p.suffix in (".npy", ".npz")}
    if not pictures:
        raise DataError(f"{images}: no images ({', '.join(_IMAGES)})")
    if not maps:
        raise DataError(f"{probabilities}: no probability maps (.npy or .npz)")
    for stem in sorted(set(pictures) ^ set(maps)):
        if stem in pictures:
            raise DataError(
                f"{pictures[stem]}: no probability map; expected {probabilities / stem}.npy"
            )
        raise DataError(f"{maps[stem]}: no image called {stem} in {images}")
    return [(pictures[stem], maps[stem]) for stem in pictures]


def _middle(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]
