"""The fully connected CRF on a folder of probability maps, without any training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rerank.applications.image_pairs import ImagePair, pair_images
from rerank.datasets import read_image, save_labels_png, voc_palette
from rerank.datasets.network_maps import read_network_map
from rerank.engine.parallel import run_tasks
from rerank.engine.progress import Progress
from rerank.errors import ConfigError, DataError, InputError
from rerank.layers import BilateralKernel, GaussianKernel, UnaryFromSoftmax, dense_crf
from rerank.types import VOID, Array, BoolArray, FloatArray


@dataclass(frozen=True)
class DenseCRFSettings:
    """Parameters of `dense_crf`, whose defaults are those of pydensecrf.

    Attributes
    ----------
    n_iterations : int
        At least 0.
    gaussian_sxy, gaussian_compat : float
        Of ``addPairwiseGaussian``, in pixels and as a Potts weight; weight 0 leaves it out.
    bilateral_sxy, bilateral_srgb, bilateral_compat : float
        Of ``addPairwiseBilateral``, in pixels, in 0..255, and as a Potts weight.
    normalization : str
        ``"symmetric"``, ``"before"``, ``"after"`` or ``"none"``.
    scale, clip : float
        Of ``unary_from_softmax``.

    Raises
    ------
    ConfigError
        If a number is out of range or `normalization` unknown.
    """

    n_iterations: int = 5
    gaussian_sxy: float = 3.0
    gaussian_compat: float = 3.0
    bilateral_sxy: float = 80.0
    bilateral_srgb: float = 13.0
    bilateral_compat: float = 10.0
    normalization: str = "symmetric"
    scale: float = 1.0
    clip: float = 1e-5

    def __post_init__(self) -> None:
        try:
            dense_crf(np.full((1, 1, 1), 1.0), np.zeros((1, 1, 3)), **self.arguments())
        except InputError as error:
            raise ConfigError(f"dense CRF: {error}") from error

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of `dense_crf`."""
        return {
            "n_iterations": self.n_iterations,
            "gaussian": GaussianKernel(self.gaussian_sxy, self.gaussian_compat, self.normalization),
            "bilateral": BilateralKernel(
                self.bilateral_sxy, self.bilateral_srgb, self.bilateral_compat, self.normalization
            ),
            "unary": UnaryFromSoftmax(self.scale, self.clip),
        }


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
    settings: DenseCRFSettings = DenseCRFSettings(),
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
