"""What every data set promises, whatever its layout."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from rerank.datasets import Dataset, dataset_names, dataset_splits, open_dataset
from rerank.datasets.file_source import FilePair, FileSource
from rerank.errors import DataError, InputError

ON_DISK = ["msrc21", "camvid", "weizmann_horse", "voc2012", "folder"]


def opened(name: str, root: Path, files: SimpleNamespace, split: str = "train") -> Dataset:
    if name == "scenes":
        return open_dataset(name, split=split, n_images=2, size=(32, 40))
    getattr(files, name)(root)
    return open_dataset(name, root, split)


@pytest.mark.parametrize("name", dataset_names())
def test_every_data_set_keeps_the_contract(
    name: str, tmp_path: Path, files: SimpleNamespace
) -> None:
    data = opened(name, tmp_path, files)
    assert (data.name, data.split, data.ignore_index) == (name, "train", 255)
    assert len(data) == len(data.ids) == len(set(data.ids)) >= 2
    assert data.n_classes == len(data.class_names) == len(set(data.class_names))
    assert data.background in (None, 0)
    assert data.palette.shape == (256, 3) and data.palette.dtype == np.uint8
    assert len(np.unique(data.palette[: data.n_classes], axis=0)) == data.n_classes
    assert data.labelled
    for index, sample in enumerate(data):
        assert sample.image_id == data.ids[index]
        assert sample.image.dtype == sample.labels.dtype == np.uint8
        assert sample.image.shape == (*sample.labels.shape, 3)
        assert np.isin(sample.labels, [*range(data.n_classes), 255]).all()
        for same in (data[index], data[np.int64(index)], data[sample.image_id]):
            np.testing.assert_array_equal(same.image, sample.image)
            np.testing.assert_array_equal(same.labels, sample.labels)
        np.testing.assert_array_equal(data.image(sample.image_id), sample.image)
        np.testing.assert_array_equal(data.labels(sample.image_id), sample.labels)
    assert data[-1].image_id == data.ids[-1]
    digests = [data.content_digest(image_id) for image_id in data.ids]
    assert len(set(digests)) == len(digests) and all(len(digest) == 40 for digest in digests)


@pytest.mark.parametrize("name", dataset_names())
def test_pickling_keeps_everything_and_no_pixels(
    name: str, tmp_path: Path, files: SimpleNamespace
) -> None:
    data = opened(name, tmp_path, files)
    data[0]
    packed = pickle.dumps(data)
    assert len(packed) < 10_000
    other = pickle.loads(packed)
    assert other.ids == data.ids
    np.testing.assert_array_equal(other[0].image, data[0].image)
    assert other.content_digest(data.ids[0]) == data.content_digest(data.ids[0])


@pytest.mark.parametrize("name", dataset_names())
def test_unknown_ids_and_places(name: str, tmp_path: Path, files: SimpleNamespace) -> None:
    data = opened(name, tmp_path, files)
    for ask in (data.__getitem__, data.image, data.labels, data.content_digest):
        with pytest.raises(InputError, match=f"{name}/train: no image 'nothing' among its"):
            ask("nothing")
    with pytest.raises(IndexError):
        data[len(data)]
    with pytest.raises(TypeError):
        data[0.5]  # type: ignore[index]


@pytest.mark.parametrize("name", ON_DISK)
def test_root_may_be_the_folder_above(name: str, tmp_path: Path, files: SimpleNamespace) -> None:
    getattr(files, name)(tmp_path / name)
    above, itself = (open_dataset(name, root) for root in (tmp_path, str(tmp_path / name)))
    assert above.ids == itself.ids


@pytest.mark.parametrize("name", ON_DISK)
def test_missing_roots_and_splits(name: str, tmp_path: Path, files: SimpleNamespace) -> None:
    with pytest.raises(InputError, match=f"'{name}' is read from files: give the folder as root"):
        open_dataset(name)
    with pytest.raises(DataError, match=f"nowhere: the data folder does not exist; .*{name}"):
        open_dataset(name, tmp_path / "nowhere")
    says = f"neither this folder nor .{name}. in it holds"
    with pytest.raises(DataError, match="does not hold images" if name == "folder" else says):
        open_dataset(name, tmp_path)
    getattr(files, name)(tmp_path)
    with pytest.raises(DataError, match="there is no list of the split 'dev'"):
        open_dataset(name, tmp_path, "dev")


def test_names_and_options() -> None:
    with pytest.raises(InputError, match="no data set 'pascal'; the names are scenes, msrc21"):
        open_dataset("pascal")
    with pytest.raises(InputError, match="'scenes' has no option 'count'.*: n_images, size, seed"):
        open_dataset("scenes", count=3)
    with pytest.raises(InputError, match="'msrc21' has no option 'n_classes'; its options are: n"):
        dataset_splits("msrc21", ".", n_classes=3)


def test_the_digest_follows_the_content_and_the_reading(
    tmp_path: Path, files: SimpleNamespace
) -> None:
    files.folder(tmp_path)
    data = open_dataset("folder", tmp_path)
    before = data.content_digest("a")
    assert open_dataset("folder", tmp_path, "all").content_digest("a") == before
    assert open_dataset("folder", tmp_path, n_classes=4).content_digest("a") != before
    assert open_dataset("folder", tmp_path, labels=None).content_digest("a") != before
    other = data.content_digest("b")
    mask = data.labels("a")
    mask[2, 2] = (mask[2, 2] + 1) % 3
    files.mask(tmp_path / "labels" / "a.png", mask)
    assert data.content_digest("a") != before
    assert data.content_digest("b") == other
    (tmp_path / "labels" / "a.png").unlink()
    with pytest.raises(DataError, match="a.png: the file cannot be read"):
        data.content_digest("a")


def test_the_digest_tells_where_the_image_ends(tmp_path: Path) -> None:
    for name, content in (("i1", b"ab"), ("m1", b"c"), ("i2", b"a"), ("m2", b"bc")):
        (tmp_path / name).write_bytes(content)
    pairs = {k: FilePair(str(tmp_path / f"i{k}"), str(tmp_path / f"m{k}")) for k in "12"}
    source = FileSource(pairs, n_classes=2)
    assert source.content_digest("1") != source.content_digest("2")


def test_bad_masks_name_file_and_remedy(tmp_path: Path, files: SimpleNamespace) -> None:
    files.folder(tmp_path)
    data = open_dataset("folder", tmp_path)
    mask = tmp_path / "labels" / "a.png"
    files.mask(mask, files.make_labels(0, 3, (7, 9)))
    with pytest.raises(
        DataError,
        match=r"a.png: the mask is 9x7 \(width x height\) and its image "
        r".*a.png is 9x6; make them the same size",
    ):
        data["a"]
    labels = files.make_labels(0, 3)
    labels[3, 3] = 9
    files.mask(mask, labels)
    with pytest.raises(
        DataError,
        match=r"a.png: labels must be 0..2 or 255 \(void\), found 9; "
        "correct the mask",
    ):
        data["a"]
    mask.write_bytes(b"\x89PNG nothing")
    with pytest.raises(DataError, match="a.png: the mask cannot be read"):
        data["a"]


def test_masks_of_sixteen_bits_do_not_wrap(tmp_path: Path, files: SimpleNamespace) -> None:
    files.folder(tmp_path)
    values = np.zeros((6, 9), dtype=np.uint16)
    values[0, 0] = 256
    Image.fromarray(values).save(tmp_path / "labels" / "a.png")
    with pytest.raises(DataError, match="found 256"):
        open_dataset("folder", tmp_path, n_classes=3)["a"]


def test_subset(tmp_path: Path, files: SimpleNamespace) -> None:
    files.folder(tmp_path)
    data = open_dataset("folder", tmp_path)
    part = data.subset(("c", "a"))
    assert part.ids == ("c", "a") and part.n_classes == data.n_classes
    np.testing.assert_array_equal(part[0].image, data["c"].image)
    with pytest.raises(InputError, match="no image 'b'"):
        part["b"]
    with pytest.raises(InputError, match="no image 'd'"):
        data.subset(("a", "d"))
    with pytest.raises(InputError, match="given twice"):
        data.subset(("a", "a"))
