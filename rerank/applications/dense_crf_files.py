"""The fully connected CRF on a folder of probability maps, without any training."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rerank.applications.image_pairs import ImagePair, pair_images
from rerank.datasets import read_image, save_labels_png, voc_palette
from rerank.datasets.network_maps import read_network_map
from rerank.engine.parallel import run_tasks
from rerank.engine.progress import Progress
from rerank.errors import DataError
from rerank.layers import dense_crf
from rerank.potentials.dense_crf_settings import DenseCRFSettings
from rerank.types import VOID, Array, BoolArray, FloatArray

#: The customary parameters.
DEFAULTS = DenseCRFSettings()


def refine_map(
    probabilities: Array, image: Array, settings: DenseCRFSettings, where: str = ""
) -> tuple[FloatArray, Array]:
    """Refine one probability map.

    Parameters
    ----------
    probabilities : (H, W, C) or (C, H, W) float array
        A pixel whose values are all NaN or all 0 is void: it influences nothing and stays as it
        is. The others need not sum to 1.
    image : (H, W, 3) uint8 array
    settings : DenseCRFSettings
    where : str
        Names the map in errors.

    Returns
    -------
    probabilities : array
        Of the given layout, float32.
    labels : (H, W) uint8 array
        The likeliest class, 255 where void.

    Raises
    ------
    DataError
        If the map is not of floats or not of the image's size, has more than 255 classes, or
        holds a value that is negative or infinite, or NaN at a pixel that is not void.
    """
    size = image.shape[:2]
    last = probabilities.ndim == 3 and probabilities.shape[:2] == size
    first = probabilities.ndim == 3 and probabilities.shape[1:] == size
    if not last and not first:
        raise DataError(
            f"{where}: expected ({size[0]}, {size[1]}, C) or (C, {size[0]}, "
            f"{size[1]}) for an image of {size[0]}x{size[1]}, got "
            f"{probabilities.shape}; resize the map to its image"
        )
    if not np.issubdtype(probabilities.dtype, np.floating):
        raise DataError(
            f"{where}: expected floats in 0..1, got {probabilities.dtype}; divide 8-bit maps by 255"
        )
    maps = np.moveaxis(probabilities, 2, 0) if last else probabilities
    if maps.shape[0] > VOID:
        raise DataError(f"{where}: {maps.shape[0]} classes; at most {VOID} can be written as PNG")
    void: BoolArray = np.isnan(maps).all(axis=0) | (maps == 0).all(axis=0)
    wrong = ~(np.isfinite(maps) & (maps >= 0)).all(axis=0) & ~void
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise DataError(
            f"{where}: the value at row {row}, column {column} is negative or not "
            "finite; apply a softmax to scores, and mark void pixels by NaN or 0 in "
            "every class"
        )
    maps = np.ascontiguousarray(maps, np.float32)
    refined = dense_crf(maps, image, valid=~void, **settings.arguments())
    labels = np.where(void, VOID, refined.argmax(axis=0)).astype(np.uint8)
    return np.moveaxis(refined, 0, 2) if last else refined, labels


def refine_files(
    probabilities: Path,
    images: Path,
    out: Path,
    settings: DenseCRFSettings = DEFAULTS,
    jobs: int = 1,
    quiet: bool = False,
) -> list[Path]:
    """Refine every map of a folder.

    Writes `ID.npy` (the refined map, as the given one was laid out) and `ID_segmentation.png`
    (labels, 255 where void) for each image, and returns the paths of the latter.

    Parameters
    ----------
    probabilities : Path
        Folder of `ID.npy` or `ID.npz`.
    images : Path
        Folder of the images, by the same names.
    out : Path
        Folder for the results; not that of the maps.
    settings : DenseCRFSettings
    jobs : int
        Images at a time.
    quiet : bool
        Show no progress.

    Returns
    -------
    list of Path
        The files `ID_segmentation.png`.

    Raises
    ------
    DataError
        If a folder is missing or empty, a map has no image or an image no map, or a file cannot
        be used.
    """
    pairs = pair_images(probabilities, images)
    if out.resolve() == probabilities.resolve():
        raise DataError(
            f"{out}: holds the maps, which would be overwritten; give --out another folder"
        )
    out.mkdir(parents=True, exist_ok=True)
    written = []
    with Progress(len(pairs), quiet=quiet) as progress:
        arguments = [(pair, out, settings) for pair in pairs]
        for path in run_tasks(_refine_file, arguments, jobs):
            progress.stage(path.stem)
            progress.advance(1)
            written.append(path)
    return sorted(written)


def _refine_file(pair: ImagePair, out: Path, settings: DenseCRFSettings) -> Path:
    network_map, image = read_network_map(pair.probabilities), read_image(pair.image)
    refined, labels = refine_map(network_map, image, settings, str(pair.probabilities))
    name = pair.image.stem
    np.save(out / f"{name}.npy", refined)
    segmentation = out / f"{name}_segmentation.png"
    save_labels_png(segmentation, labels, voc_palette())
    return segmentation
