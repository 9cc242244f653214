"""HDF5 files of strangers: what lies elsewhere is not fetched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from rerank.datasets.map_files import MapFile, find_map, list_maps, read_header, read_values
from rerank.errors import DataError

MAP = np.random.default_rng(0).dirichlet(np.ones(3), (4, 5)).astype(np.float32)
Make = Callable[[h5py.File, Path], None]


def external_link(file: h5py.File, folder: Path) -> None:
    file["a"] = h5py.ExternalLink(str(folder / "other.h5"), "a")


def group_by_link(file: h5py.File, folder: Path) -> None:
    file["x"] = h5py.ExternalLink(str(folder / "other.h5"), "/")


def soft_link(file: h5py.File, folder: Path) -> None:
    file["b"] = MAP
    file["a"] = h5py.SoftLink("/b")


def external_storage(file: h5py.File, folder: Path) -> None:
    (folder / "secret").write_bytes(MAP.tobytes())
    file.create_dataset("a", MAP.shape, MAP.dtype, external=[(str(folder / "secret"), 0, 240)])


def virtual(file: h5py.File, folder: Path) -> None:
    layout = h5py.VirtualLayout(MAP.shape, MAP.dtype)
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "a", MAP.shape)
    file.create_virtual_dataset("a", layout)


def huge(file: h5py.File, folder: Path) -> None:
    file.create_dataset("a", (10**6, 10**6, 3), np.float32, chunks=(8, 8, 3))


def unwritten(file: h5py.File, folder: Path) -> None:
    file.create_dataset("a", (2**14, 2**14, 4), np.uint8, chunks=(64, 64, 4))


def text(file: h5py.File, folder: Path) -> None:
    file["a"] = "text"


def varying(file: h5py.File, folder: Path) -> None:
    file.create_dataset("a", (3,), h5py.vlen_dtype(np.float32))


def written(folder: Path, make: Make, name: str = "maps.h5") -> Path:
    with h5py.File(folder / "other.h5", "w") as other:
        other["a"] = MAP
    place = folder / "maps"
    place.mkdir()
    with h5py.File(place / name, "w") as file:
        make(file, folder)
    return place


@pytest.mark.parametrize(
    "make, match",
    [
        (external_storage, "its values are in another file; write the array itself"),
        (virtual, "its values are in another file"),
        (huge, "at most 4294967296 are read"),
        (unwritten, "an array of shape .16384, 16384, 4. of which 0 bytes are there"),
        (text, "no numbers; write an array of floats"),
        (varying, "no numbers"),
    ],
)
def test_arrays_that_are_not_read(tmp_path: Path, make: Make, match: str) -> None:
    folder = written(tmp_path, make)
    source = find_map(folder, "a")
    for read in (read_header, read_values):
        with pytest.raises(DataError, match=f"maps.h5:a: .*{match}"):
            read(source)


@pytest.mark.parametrize("make", [external_link, group_by_link, soft_link])
def test_links_are_not_followed(tmp_path: Path, make: Make) -> None:
    folder = written(tmp_path, make)
    assert "a" not in list_maps(folder) and "x/a" not in list_maps(folder)
    with pytest.raises(DataError, match="no probability map for image a"):
        find_map(folder, "a")
    for name in ("a", "x/a"):
        with pytest.raises(DataError, match=f"maps.h5:{name}: (is a link|no such data set)"):
            read_values(MapFile(folder / "maps.h5", name))


def test_groups_within_themselves_end(tmp_path: Path) -> None:
    def cycle(file: h5py.File, folder: Path) -> None:
        file["x/a"] = MAP
        file["x/x"] = file["x"]

    with pytest.raises(DataError, match="maps.h5: groups are nested without an end"):
        list_maps(written(tmp_path, cycle))


def test_an_own_file_for_one_image(tmp_path: Path) -> None:
    folder = written(tmp_path, lambda file, _: file.__setitem__("scores", MAP), "a.h5")
    np.testing.assert_array_equal(read_values(find_map(folder, "a")), MAP)


def test_a_map_in_a_group_and_filters_of_hdf5(tmp_path: Path) -> None:
    def make(file: h5py.File, folder: Path) -> None:
        for name, options in {
            "gzip": {"compression": "gzip", "shuffle": True},
            "lzf": {"compression": "lzf"},
            "check": {"fletcher32": True},
            "deep/er": {},
        }.items():
            file.create_dataset(name, data=MAP, **options)

    folder = written(tmp_path, make)
    found = list_maps(folder)
    assert set(found) == {"gzip", "lzf", "check", "deep/er"}
    for several in found.values():
        np.testing.assert_array_equal(read_values(several[0]), MAP)
