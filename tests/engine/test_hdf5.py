"""Files of arrays alone: the same bytes for the same arrays, and nothing that leads out of them."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from rerank.engine.hdf5 import (
    check_structure,
    new_file,
    read_strings,
    write_array,
    write_arrays,
    write_strings,
)


def test_the_same_arrays_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.h5", "b.h5"):
        with new_file(tmp_path / name) as file:
            for index in range(20):
                group = file.create_group(f"images/{index:06d}")
                write_arrays(group, {"x": np.arange(2000.0), "y": np.arange(90), "t": ("é", "")})
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_nothing_holds_the_time_at_which_it_was_made(tmp_path: Path) -> None:
    with new_file(tmp_path / "a.h5") as file:
        write_arrays(file.create_group("images/000000"), {"x": np.arange(90)})
        write_array(file, "holdout/000000/y", np.arange(3.0))
        file["holdout"].create_group("more").create_group("z")
    content = (tmp_path / "a.h5").read_bytes()
    # The fifth bit of an object's flags says that times follow (HDF5 file format, IV.A.1.b).
    flags = [content[found.end()] for found in re.finditer(b"OHDR\x02", content)]
    assert len(flags) == 9 and not any(flag & 0x20 for flag in flags)


def test_a_small_array_costs_little_more_than_its_values(tmp_path: Path) -> None:
    with new_file(tmp_path / "a.h5") as file:
        for index in range(100):
            write_array(file, f"images/{index:06d}/x", np.arange(100) % 7)
    assert (tmp_path / "a.h5").stat().st_size < 100 * 600


@pytest.mark.parametrize("values", [(), ("a",), ("", "é", "日本語"), ("x" * 5000, "\udcff")])
def test_strings_come_back(values: tuple[str, ...]) -> None:
    with new_file(io.BytesIO()) as file:
        write_strings(file, "s", values)
        assert read_strings(file["s"]) == values
        assert check_structure(file, 10_000)["s"].kind == "S"


def test_what_stages_write_is_plain() -> None:
    with new_file(io.BytesIO()) as file:
        arrays = {
            "f2": np.ones(3, np.float16),
            "u1": np.ones((40, 5), np.uint8),
            "i8": np.arange(3),
            "b1": np.array([True]),
            "f8": np.array(2.5),
        }
        write_arrays(file.create_group("g"), arrays)
        found = check_structure(file, 10_000)
    assert {path: array.kind for path, array in found.items()} == {f"g/{k}": k for k in arrays}
    assert found["g/u1"].shape == (40, 5) and found["g/f8"].shape == ()


def _links(path: Path, other: Path) -> dict[str, Callable[[h5py.File], None]]:
    def soft(file: h5py.File) -> None:
        file["x"] = h5py.SoftLink("/y")

    def external(file: h5py.File) -> None:
        file["x"] = h5py.ExternalLink(str(other), "/y")

    def storage(file: h5py.File) -> None:
        file.create_dataset("x", (8,), "u1", external=[(str(other), 0, 8)])

    def virtual(file: h5py.File) -> None:
        layout = h5py.VirtualLayout((8,), "u1")
        layout[:] = h5py.VirtualSource(str(other), "y", (8,))
        file.create_virtual_dataset("x", layout)

    def cycle(file: h5py.File) -> None:
        file.create_group("x")["again"] = file["/"]

    def twice(file: h5py.File) -> None:
        file["x"] = np.ones(3)
        file["y"] = file["x"]

    def attribute(file: h5py.File) -> None:
        file["x"] = np.ones(3)
        file["x"].attrs["a"] = 1

    def of_root(file: h5py.File) -> None:
        file.attrs["a"] = 1

    def texts(file: h5py.File) -> None:
        file["x"] = np.array(["a", "b"], dtype=object)

    def references(file: h5py.File) -> None:
        file.create_dataset("x", data=np.array([file.ref]), dtype=h5py.ref_dtype)

    def records(file: h5py.File) -> None:
        file["x"] = np.zeros(3, dtype=[("a", "f4"), ("b", "i4")])

    def complex_numbers(file: h5py.File) -> None:
        file["x"] = np.zeros(3, dtype=complex)

    def named_type(file: h5py.File) -> None:
        file["x"] = np.dtype("f8")

    def nothing(file: h5py.File) -> None:
        file["x"] = h5py.Empty("f8")

    def huge(file: h5py.File) -> None:
        file.create_dataset("x", (1 << 40,), "f8", chunks=(1 << 20,))

    def bomb(file: h5py.File) -> None:
        file.create_dataset("x", data=np.zeros(1 << 27, np.uint8), compression="gzip")

    def packed(file: h5py.File) -> None:
        file.create_dataset("x", data=np.arange(100), compression="lzf")

    def checksummed(file: h5py.File) -> None:
        file.create_dataset("x", data=np.arange(100), chunks=(100,), fletcher32=True)

    def deep(file: h5py.File) -> None:
        group = file.id
        for _ in range(20_000):
            group = h5py.h5g.create(group, b"g")

    return {name: make for name, make in locals().items() if callable(make)}


@pytest.mark.parametrize("kind", sorted(_links(Path(), Path())))
def test_what_leads_out_of_a_file_is_refused(tmp_path: Path, kind: str) -> None:
    path, other = tmp_path / "a.h5", tmp_path / "secret"
    other.write_bytes(b"password")
    with new_file(path) as file:
        write_array(file, "fine", np.ones(3))
        _links(path, other)[kind](file)
    with h5py.File(path, "r") as file:
        with pytest.raises(ValueError):
            check_structure(file, os.path.getsize(path))


def test_bytes_do_not_depend_on_who_holds_a_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """A profiler of another thread holds what a frame holds, for a while."""
    held: list[h5py.Dataset] = []
    create = h5py.Group.create_dataset

    def holding(group: h5py.Group, *args: object, **settings: object) -> h5py.Dataset:
        held.append(create(group, *args, **settings))
        return held[-1]

    def written() -> bytes:
        place, numbers = io.BytesIO(), np.random.default_rng(0)
        with new_file(place) as file:
            for name in "abc":
                group = file.create_group(name)
                write_array(group, "labels", numbers.integers(0, 9, (200, 30)))
                write_array(group, "values", numbers.random((50, 7)))
                write_strings(group, "names", ["x", "y"] * 40)
        return place.getvalue()

    plain = written()
    monkeypatch.setattr(h5py.Group, "create_dataset", holding)
    assert written() == plain and len(held) == 9
