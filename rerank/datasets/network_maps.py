"""Network maps in files: class probabilities of pixels that a network of the user's gave."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rerank.errors import DataError
from rerank.types import FloatArray

#: Endings of the files, in the order in which they are looked for.
MAP_SUFFIXES = (".npy", ".npz")


def network_map_path(folder: Path, image_id: str) -> Path:
    """The file of the network map of an image.

    Parameters
    ----------
    folder : Path
    image_id : str

    Returns
    -------
    Path

    Raises
    ------
    DataError
        If there is none.
    """
    for suffix in MAP_SUFFIXES:
        path = folder / f"{image_id}{suffix}"
        if path.is_file():
            return path
    raise DataError(
        f"{folder / image_id}.npy: no probability map for image {image_id}; "
        "write one array an image, (H, W, C) or (C, H, W), as .npy or .npz"
    )


def read_network_map(path: Path) -> FloatArray:
    """Read a network map from `.npy`, or from `.npz` with one array.

    Returns
    -------
    array
        As it is in the file: (H, W, C) or (C, H, W).

    Raises
    ------
    DataError
        If the file cannot be read, or holds more than one array.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            if len(loaded.files) != 1:
                raise DataError(
                    f"{path}: holds {len(loaded.files)} arrays "
                    f"({', '.join(loaded.files[:5])}); keep one"
                )
            found: FloatArray = loaded[loaded.files[0]]
            return found
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{path}: not a NumPy array ({' '.join(str(error).split())[:120]}); "
            "write it with numpy.save"
        ) from None
