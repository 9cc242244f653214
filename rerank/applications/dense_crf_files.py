"""The fully connected CRF on a folder of probability maps, without any training."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rerank.applications.image_pairs import ImagePair, check_pairs
from rerank.applications.out_folder import open_out, write_map
from rerank.applications.result_files import LONGEST_ENDING
from rerank.datasets import read_image, save_labels_png, voc_palette
from rerank.datasets.file_names import name_of
from rerank.datasets.map_files import read_values
from rerank.datasets.map_values import fit_map
from rerank.engine.parallel import run_tasks
from rerank.engine.progress import Progress
from rerank.errors import DataError, InputError
from rerank.layers import dense_crf
from rerank.potentials.dense_crf_settings import DenseCRFSettings
from rerank.types import VOID, Array, BoolArray, FloatArray

#: The customary parameters.
DEFAULTS = DenseCRFSettings()


def refine_map(
    probabilities: Array, image: Array, settings: DenseCRFSettings, where: str = ""
) -> tuple[FloatArray, Array]:
    """Refine one network map.

    Parameters
    ----------
    probabilities : (H, W, C) or (C, H, W) array
        Probabilities or scores at any size: see `rerank.datasets.map_values.fit_map`. Void pixels
        influence nothing and stay void.
    image : (H, W, 3) uint8 array
    settings : DenseCRFSettings
    where : str
        Names the map in errors.

    Returns
    -------
    probabilities : (H, W, C) float32 array
        0 in every class where void.
    labels : (H, W) uint8 array
        The likeliest class, 255 where void.

    Raises
    ------
    InputError
        If the map does not fit its image, or has more than 255 classes.
    """
    found = fit_map(probabilities, image.shape[:2], None, where)
    n_classes = found.values.shape[2]
    if n_classes > VOID:
        raise InputError(f"{where}: {n_classes} classes; at most {VOID} can be written as PNG")
    void: BoolArray = np.zeros(image.shape[:2], np.bool_) if found.void is None else found.void
    planes = np.ascontiguousarray(np.moveaxis(found.values, 2, 0))
    planes[:, void] = 0
    refined = dense_crf(planes, image, valid=~void, **settings.arguments())
    labels = np.where(void, VOID, refined.argmax(axis=0)).astype(np.uint8)
    return np.moveaxis(refined, 0, 2), labels


def refine_files(
    probabilities: Path,
    images: Path,
    out: Path,
    settings: DenseCRFSettings = DEFAULTS,
    *,
    maps: bool = False,
    jobs: int = 1,
    quiet: bool = False,
) -> list[Path]:
    """Refine every map of a folder.

    Writes `ID_segmentation.png` (labels, 255 where void) for each image, and on request `ID.npy`,
    the refined map.

    Parameters
    ----------
    probabilities : Path
        Folder of the maps, or one HDF5 file.
    images : Path
        Folder of the images, by the same names.
    out : Path
        Folder for the results.
    settings : DenseCRFSettings
    maps : bool
        Write the refined maps too, (H, W, C) float16; `out` is not the folder of the maps then.
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
        If `out` cannot be written, a folder is missing or empty, a map has no image or an image
        no map, or a file cannot be used.
    """
    pairs, found = check_pairs(probabilities, images)
    if maps and out.resolve() == probabilities.resolve():
        raise DataError(
            f"{out}: holds the maps, which would be overwritten; give --out another folder"
        )
    open_out(out, (name_of(pair.image) for pair in pairs), LONGEST_ENDING)
    written = []
    with Progress(len(pairs), quiet=quiet) as progress:
        for note in found.notes():
            progress.note(note)
        arguments = [(pair, out if maps else None, out, settings) for pair in pairs]
        for path in run_tasks(_refine_file, arguments, jobs):
            progress.item(path.stem)
            progress.advance(1)
            written.append(path)
    return sorted(written)


def _refine_file(pair: ImagePair, maps: Path | None, out: Path, settings: DenseCRFSettings) -> Path:
    image = read_image(pair.image)
    values, where = read_values(pair.probabilities), str(pair.probabilities)
    refined, labels = refine_map(values, image, settings, where)
    name = name_of(pair.image)
    if maps is not None:
        write_map(maps / f"{name}.npy", refined.astype(np.float16))
    segmentation = out / f"{name}_segmentation.png"
    save_labels_png(segmentation, labels, voc_palette())
    return segmentation
