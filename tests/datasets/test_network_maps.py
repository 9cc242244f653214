"""Network maps in every kind of file, and all their problems at once."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from rerank.datasets import find_map, read_map
from rerank.datasets.map_files import list_maps, map_digest, read_header
from rerank.datasets.network_maps import MapCheck, MapFile, check_maps
from rerank.errors import DataError, ManyProblemsError

SIZE = (9, 14)


def probabilities(n_classes: int = 3, seed: int = 0) -> np.ndarray:
    found = np.random.default_rng(seed).random((*SIZE, n_classes)) + 0.05
    return found / found.sum(axis=2, keepdims=True)


def write(kind: str, folder: Path, values: np.ndarray, name: str = "a") -> None:
    """One map in a kind of file."""
    if kind == "npy":
        np.save(folder / f"{name}.npy", values.astype(np.float16))
    elif kind in ("npz", "npz_compressed"):
        save = np.savez if kind == "npz" else np.savez_compressed
        save(folder / f"{name}.npz", values)
    elif kind in ("h5", "hdf5"):
        with h5py.File(folder / f"{name}.{kind}", "w") as file:
            file.create_group("some").create_dataset("scores", data=values, compression="gzip")
    elif kind == "collection":
        with h5py.File(folder / "maps.h5", "a") as file:
            file[name] = values
    else:
        (folder / name).mkdir()
        names = ["sky", "sea", "sand"] if kind == "png_names" else [str(k) for k in range(3)]
        (folder / "classes.txt").write_text("sky\nsea\nsand\n")
        depth, dtype = (65535, np.uint16) if kind == "png16" else (255, np.uint8)
        for k, of in enumerate(names):
            picture = np.rint(values[..., k] * depth).astype(dtype)
            Image.fromarray(picture).save(folder / name / f"{of}.png")


KINDS = ("npy", "npz", "npz_compressed", "h5", "hdf5", "collection", "png", "png16", "png_names")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file(kind: str, tmp_path: Path) -> None:
    values = probabilities()
    write(kind, tmp_path, values)
    source = find_map(tmp_path, "a")
    assert list_maps(tmp_path) == {"a": [source]}
    header = read_header(source)
    assert header.shape == ((3, *SIZE) if kind.startswith("png") else values.shape)
    found = read_map(source, SIZE, 3)
    assert found.values.shape == values.shape and found.values.dtype == np.float32
    np.testing.assert_allclose(found.values, values, atol=4e-3 if "png" in kind else 4e-4)
    assert check_maps([MapCheck(source, SIZE)], 3).notes() == []
    before = map_digest(source)
    assert before == map_digest(source)
    if source.item is None and not source.path.is_dir():
        source.path.unlink()
    elif source.item is None:
        for path in source.path.iterdir():
            path.unlink()
        source.path.rmdir()
    else:
        source.path.unlink()
    write(kind, tmp_path, probabilities(seed=1))
    assert map_digest(find_map(tmp_path, "a")) != before


def test_one_file_may_stand_for_the_folder(tmp_path: Path) -> None:
    write("collection", tmp_path, probabilities())
    file = (tmp_path / "maps.h5").rename(tmp_path / "network.h5")
    assert find_map(file, "a") == MapFile(file, "a") and list(list_maps(file)) == ["a"]


def test_two_maps_of_one_image_are_refused(tmp_path: Path) -> None:
    for kind in ("npy", "collection", "png"):
        write(kind, tmp_path, probabilities())
    with pytest.raises(DataError, match="a is a map|a.npy is a map of the same image; keep one"):
        find_map(tmp_path, "a")
    assert len(list_maps(tmp_path)["a"]) == 3


def test_other_files_are_no_maps(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "._a.npy").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    assert list_maps(tmp_path) == {}
    with pytest.raises(DataError, match="no probability map for image a; .*maps.h5"):
        find_map(tmp_path, "a")


def spoil(folder: Path, kind: str) -> None:
    path = folder / "a.npy"
    if kind == "text":
        path.write_text("nothing")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "truncated":
        np.save(path, probabilities())
        os.truncate(path, path.stat().st_size - 40)
    elif kind == "pickle":
        np.save(path, np.array([{}], object), allow_pickle=True)
    elif kind == "two arrays":
        np.savez(folder / "a.npz", x=probabilities(), y=probabilities())
    elif kind == "no zip":
        (folder / "a.npz").write_bytes(b"PK nothing")
    elif kind == "no hdf5":
        (folder / "a.h5").write_bytes(b"nothing")
    elif kind == "two data sets":
        with h5py.File(folder / "a.h5", "w") as file:
            file["x"] = file["y"] = probabilities()
    else:
        write("png", folder, probabilities())
        if kind == "class missing":
            (folder / "a" / "1.png").unlink()
        elif kind == "other size":
            Image.new("L", (3, 4)).save(folder / "a" / "1.png")
        elif kind == "colours":
            Image.new("RGB", (14, 9)).save(folder / "a" / "0.png")
        elif kind == "no picture":
            (folder / "a" / "0.png").write_bytes(b"nothing")
        elif kind == "unknown name":
            (folder / "a" / "0.png").rename(folder / "a" / "ground.png")


@pytest.mark.parametrize(
    "kind, message",
    [
        ("text", "a.npy: not a NumPy array .*numpy.save"),
        ("empty", "a.npy: not a NumPy array"),
        ("truncated", "a.npy: not a NumPy array"),
        ("pickle", "a.npy: not a NumPy array"),
        ("two arrays", r"a.npz: holds 2 arrays \(x, y\); keep one"),
        ("no zip", "a.npz: not a NumPy array"),
        ("no hdf5", "a.h5: not an HDF5 file"),
        ("two data sets", r"a.h5: holds 2 arrays .*maps.h5"),
        ("class missing", "class 1 is missing"),
        ("other size", "1.png: another size or depth than 0.png"),
        ("colours", "0.png: a RGB picture"),
        ("no picture", "0.png: not a PNG"),
        ("unknown name", "sky.png: missing; .*classes.txt"),
    ],
)
def test_damaged_files_are_named(kind: str, message: str, tmp_path: Path) -> None:
    spoil(tmp_path, kind)
    source = find_map(tmp_path, "a")
    for read in (read_header, lambda s: read_map(s, SIZE)):
        with pytest.raises(DataError, match=message):
            read(source)


def test_all_problems_are_listed(tmp_path: Path) -> None:
    for k in range(20):
        write("npy", tmp_path, probabilities(), f"good{k}")
    write("npy", tmp_path, probabilities(4), "classes")
    np.save(tmp_path / "shape.npy", probabilities()[:, :5])
    np.save(tmp_path / "dtype.npy", probabilities().astype(int))
    pairs = [MapCheck(maps[0], SIZE) for maps in list_maps(tmp_path).values()]
    with pytest.raises(ManyProblemsError) as caught:
        check_maps(pairs, problems=["first"])
    text = str(caught.value)
    assert text.startswith("first\n") and len(text.splitlines()) == 4
    assert "classes.npy: 4 classes, and most maps have 3" in text
    assert "shape.npy: expected" in text and "dtype.npy: expected floats" in text
    assert str(pickle.loads(pickle.dumps(caught.value))) == text
    with pytest.raises(ManyProblemsError, match="\nand 24 more problems$") as caught:
        check_maps(pairs, problems=[f"p{k}" for k in range(31)])
    assert len(str(caught.value).splitlines()) == 11
    with pytest.raises(ManyProblemsError, match="3 classes, and 4 are wanted(.*\n)+and 10 more"):
        check_maps(pairs[:1] + pairs[3:], n_classes=4)


def test_headers_are_read_and_no_values_but_the_first(tmp_path: Path) -> None:
    """Values of the second map are damaged, and the check does not see it."""
    write("npz", tmp_path, probabilities())
    large = (SIZE[0] * 20, SIZE[1] * 20)
    np.savez(tmp_path / "b.npz", np.full((*large, 3), 1 / 3))
    content = bytearray((tmp_path / "b.npz").read_bytes())
    content[len(content) // 2] ^= 255
    (tmp_path / "b.npz").write_bytes(content)
    sources = [find_map(tmp_path, name) for name in "ab"]
    assert check_maps([MapCheck(sources[0], SIZE), MapCheck(sources[1], large)]).n_maps == 2
    with pytest.raises(DataError, match="b.npz: not a NumPy array"):
        read_map(sources[1], large)


def test_what_is_said_once(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.log(probabilities()))
    np.save(tmp_path / "b.npy", np.log(probabilities()))
    sources = [maps[0] for maps in list_maps(tmp_path).values()]
    found = check_maps([MapCheck(sources[0], SIZE), MapCheck(sources[1], (18, 28))])
    assert found.n_classes == 3
    assert found.notes() == [
        "1 of 2 maps are resized to their images, bilinear (9x14 to 18x28)",
        "the maps hold scores (logits), so a softmax over the classes is applied",
    ]
