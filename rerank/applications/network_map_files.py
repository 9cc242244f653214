"""Network maps of a folder of images from a network in a file."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rerank.applications.out_folder import open_out, write_map
from rerank.datasets import read_image
from rerank.datasets.image_files import list_images
from rerank.datasets.problems import problems_error
from rerank.engine.parallel import run_tasks
from rerank.engine.progress import Progress
from rerank.errors import ConfigError
from rerank.files import replace_file
from rerank.nets import NetworkFile, NetworkSettings, network_map, open_network
from rerank.types import FloatArray

#: Kinds of files that maps are written as.
FORMATS = ("npy", "h5")


class MapsWritten(NamedTuple):
    """What `network_map_files` wrote: how many maps, of how many classes, and where."""

    n_maps: int
    n_classes: int
    path: Path


def network_map_files(
    network: Path,
    images: Path,
    out: Path,
    settings: NetworkSettings = NetworkSettings(),  # noqa: B008
    *,
    kind: str = "npy",
    jobs: int = 1,
    quiet: bool = False,
) -> MapsWritten:
    """Write the maps of all images of a folder: class probabilities, (H, W, C) float16.

    Parameters
    ----------
    network : Path
        ONNX, TensorFlow Lite or TorchScript: see `rerank.nets.open_network`.
    images : Path
    out : Path
        Folder for the maps; made if absent.
    settings : NetworkSettings
    kind : {"npy", "h5"}
        `ID.npy` for each image, or one compressed `maps.h5`.
    jobs : int
        Images at a time, each on one thread.
    quiet : bool
        Show no progress.

    Returns
    -------
    MapsWritten

    Raises
    ------
    ConfigError
        If the network's kind or a setting is unknown, or an optional package is missing.
    DataError
        If a file is missing or cannot be read, or the network gives no value for each class.
    """
    if kind not in FORMATS:
        raise ConfigError(f"--format: expected npy or h5, got {kind}")
    files, problems = list_images(images)
    if problems:
        raise problems_error(problems)
    opened = _opened(network, settings.output)
    open_out(out, files, ".npy")
    n_classes = 0
    folder = out if kind == "npy" else None
    tasks = [(network, settings, name, path, folder) for name, path in files.items()]
    with Progress(len(files), quiet=quiet) as progress, _collection(out, kind) as file:
        progress.note(f"{network.name}: {opened.about}")
        for name, found, values in run_tasks(_write_map, tasks, jobs):
            n_classes = found
            if file is not None:
                file.create_dataset(name, data=values, compression="gzip", compression_opts=1)
            progress.item(name)
            progress.advance(1)
    return MapsWritten(len(files), n_classes, out if file is None else out / "maps.h5")


@functools.lru_cache(maxsize=1)
def _opened(path: Path, output: str | None) -> NetworkFile:
    return open_network(path, output)


def _write_map(
    network: Path, settings: NetworkSettings, name: str, path: Path, folder: Path | None
) -> tuple[str, int, FloatArray | None]:
    found = network_map(_opened(network, settings.output), read_image(path), settings, str(path))
    values = found.values.astype(np.float16)
    n_classes = values.shape[2]
    if folder is None:
        return name, n_classes, values
    write_map(folder / f"{name}.npy", values)
    return name, n_classes, None


@contextmanager
def _collection(out: Path, kind: str) -> Iterator[Any]:
    if kind == "npy":
        yield None
        return
    import h5py

    with replace_file(out / "maps.h5") as temporary:
        with h5py.File(temporary, "w") as file:
            yield file
