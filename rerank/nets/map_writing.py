"""Network maps of a PyTorch module for a folder of images: the hook for a network of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rerank.datasets.file_names import name_of
from rerank.datasets.image_files import list_images, read_image
from rerank.datasets.map_values import NetworkMap, fit_values
from rerank.errors import DataError, InputError
from rerank.nets.network_files import select_scores
from rerank.nets.network_input import IMAGENET
from rerank.types import Array

#: Turns (H, W, 3) uint8 into what a network takes, (3, h, w).
Preprocess = Callable[[Array], Any]


def write_network_maps(
    model: nn.Module,
    images: str | Path | Iterable[str | Path],
    out: str | Path,
    preprocess: Preprocess | None = None,
    *,
    multiple_of: int = 1,
) -> list[Path]:
    """Write `ID.npy` for each image: class probabilities of its pixels, (H, W, C) float16.

    The module runs where its parameters are, in evaluation mode and without gradients.

    Parameters
    ----------
    model : torch.nn.Module
        Gives scores or probabilities (1, C, h, w), a mapping with them as ``"out"`` (torchvision),
        or an object with `logits`.
    images : path, or iterable of paths
        A folder of images, or the files.
    out : path
        Folder for the maps; made if absent.
    preprocess : callable, optional
        Takes an image, (H, W, 3) uint8 RGB, and returns what the module sees of the whole image:
        (3, h, w) tensor or (h, w, 3) array of floats. It may resize and must not crop. By default
        pixels are scaled by the mean and deviation of ImageNet.
    multiple_of : int
        The input is padded right and below, by its border, to sides that are multiples of this;
        the encoders of segmentation_models.pytorch ask for 32.

    Returns
    -------
    list of Path
        The maps, one for each image.

    Raises
    ------
    DataError
        If there are no images, one cannot be read, or two have one name.
    InputError
        If `multiple_of` is below 1, or the output is neither of scores nor of probabilities.

    Examples
    --------
    >>> write_network_maps(model, "images", "maps")  # doctest: +SKIP
    """
    if multiple_of < 1:
        raise InputError(f"multiple_of must be 1 or more, got {multiple_of}")
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    was_training = model.training
    model.eval()
    written = []
    try:
        for name, path in _files(images).items():
            found = module_map(model, read_image(path), preprocess, multiple_of, str(path))
            written.append(folder / f"{name}.npy")
            np.save(written[-1], found.values.astype(np.float16))
    finally:
        model.train(was_training)
    return written


def module_map(
    model: nn.Module,
    image: Array,
    preprocess: Preprocess | None = None,
    multiple_of: int = 1,
    where: str = "",
) -> NetworkMap:
    """The network map of one image from a module in evaluation mode.

    Parameters
    ----------
    model : torch.nn.Module
    image : (H, W, 3) uint8 array
    preprocess : callable, optional
    multiple_of : int
        As in `write_network_maps`.
    where : str
        Names the image in errors.

    Returns
    -------
    NetworkMap

    Raises
    ------
    InputError
        If the output is neither of scores nor of probabilities.
    """
    batch = _batch(IMAGENET.apply(image) if preprocess is None else preprocess(image), where)
    height, width = batch.shape[-2:]
    below, right = -height % multiple_of, -width % multiple_of
    seen = nn.functional.pad(batch, (0, right, 0, below), mode="replicate")
    place = next(model.parameters(), torch.empty(0)).device
    with torch.inference_mode():
        scores = select_scores(model(seen.to(place)), "the model")
    if below or right:
        scores = nn.functional.interpolate(
            scores.float(), seen.shape[-2:], mode="bilinear", antialias=True
        )[..., :height, :width]
    values = scores[0].permute(1, 2, 0).float().cpu().numpy()
    return fit_values(values, image.shape[:2], where)


def _batch(prepared: Any, where: str) -> Tensor:
    if isinstance(prepared, np.ndarray):
        if prepared.ndim == 3 and prepared.shape[2] == 3:
            prepared = np.moveaxis(prepared, 2, 0)
        prepared = torch.from_numpy(np.ascontiguousarray(prepared))
    batch = prepared[None] if getattr(prepared, "ndim", 0) == 3 else prepared
    if getattr(batch, "ndim", 0) != 4 or batch.shape[0] != 1:
        given = tuple(getattr(prepared, "shape", ())) or type(prepared).__name__
        raise InputError(f"{where}: preprocess must return (3, h, w), got {given}")
    found: Tensor = batch.float()
    return found


def _files(images: str | Path | Iterable[str | Path]) -> dict[str, Path]:
    if isinstance(images, (str, Path)):
        found, problems = list_images(Path(images))
        if problems:
            raise DataError(problems[0])
        return found
    files: dict[str, Path] = {}
    for path in map(Path, images):
        if files.setdefault(name_of(path), path) != path:
            raise DataError(f"{path}: {files[name_of(path)]} has the same name; keep one of them")
    return files
