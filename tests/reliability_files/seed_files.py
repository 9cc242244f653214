"""Sound files of every kind that rerank reads from strangers, and the function that reads each."""

from __future__ import annotations

import json
import os
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from PIL import Image

SIZE = (24, 32)
RNG = np.random.default_rng(7)
LABELS = RNG.integers(0, 4, SIZE).astype(np.uint8)
IMAGE = RNG.integers(0, 256, (*SIZE, 3)).astype(np.uint8)
MAP = RNG.dirichlet(np.ones(4), SIZE).astype(np.float32)


class Kind(NamedTuple):
    """A kind of file: its name, how a sound one is written, and how it is read."""

    name: str
    write: Callable[[Path], None]
    read: Callable[[Path], Any]
    needs: str = ""


def png(values: np.ndarray, depth: int = 8, colours: int = 0) -> bytes:
    """A PNG of greyscale (0), RGB (2) or grey with alpha (4) at a depth, by hand."""
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    height, width = values.shape[:2]
    rows = b""
    for row in values.reshape(height, -1):
        bits = "".join(format(int(v), f"0{depth}b") for v in row)
        bits += "0" * (-len(bits) % 8)
        rows += b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    head = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def _varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def message(field: int, content: bytes) -> bytes:
    """A length-delimited field of a protobuf message."""
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def caffemodel() -> bytes:
    """A caffemodel of two layers, one in the current and one in the old format."""
    values = RNG.standard_normal((4, 3, 2, 2)).astype("<f4")
    shape = message(1, b"".join(_varint(n) for n in values.shape))
    blob = message(7, shape) + message(5, values.tobytes())
    old = b"".join(_varint((i + 1) << 3) + _varint(n) for i, n in enumerate(values.shape))
    old += message(5, values.tobytes())
    return message(100, message(1, b"conv1") + message(7, blob)) + message(
        2, message(4, b"conv2") + message(6, old)
    )


def mat(compressed: bool) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        import scipy.io

        content = {"Segmentation": LABELS, "Boundaries": np.zeros(4), "CategoriesPresent": [[1, 2]]}
        scipy.io.savemat(path, {"GTcls": content, "other": "text"}, do_compression=compressed)

    return write


def picture(**options: Any) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(IMAGE).save(path, **options)


def mask(**options: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        found = Image.fromarray(LABELS)
        found.putpalette(bytes(range(256)) * 3)
        found.save(path, **options)

    return write


def _tiff(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(LABELS).save(path, exif=exif, compression="tiff_lzw")


def _maps(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("a", data=MAP, compression="gzip", chunks=(8, 8, 4), shuffle=True)
        file.create_dataset("b", data=MAP.astype(np.float16), fletcher32=True, chunks=(8, 8, 4))


def _one_map(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["scores"] = np.log(MAP)


def _class_pictures(path: Path) -> None:
    # One file, of which the others of its folder are copies.
    path.write_bytes(png((MAP[:, :, 0] * 65535).astype(int), 16))


def _read_class_pictures(path: Path) -> None:
    from rerank.datasets.map_files import MapFile
    from rerank.datasets.network_maps import read_map

    (path.parent / "1.png").write_bytes(png((65535 - (MAP[:, :, 0] * 65535)).astype(int), 16))
    read_map(MapFile(path.parent), SIZE)


def _read_maps(path: Path) -> None:
    from rerank.datasets.map_files import list_maps, map_digest, read_header
    from rerank.datasets.network_maps import find_map, read_map

    folder = path if path.suffix == ".h5" and path.name != "a.h5" else path.parent
    for several in list_maps(folder).values():
        for source in several:
            read_header(source)
            read_map(source, SIZE)
    map_digest(find_map(folder, "a"))


def _read_image(path: Path) -> None:
    from rerank.datasets.image_files import image_orientation, image_size, read_image

    image_size(path), image_orientation(path)
    read_image(path)


def _read_mask(path: Path) -> None:
    from rerank.datasets.image_files import read_index_mask, read_threshold_mask

    read_threshold_mask(path)
    read_index_mask(path)


def _read_mat(path: Path) -> None:
    from rerank.datasets.image_files import read_sbd_mask

    read_sbd_mask(path)


def _read_list(path: Path) -> None:
    from rerank.datasets.file_pairs import ids_of_lines, read_split, split_names
    from rerank.datasets.mask_folders import read_class_names, read_ids

    split_names(path.parent)
    lines, _ = read_split(path.parent, "train")
    ids_of_lines(path, lines, {"a"})
    read_class_names(path.parent, str(path))
    read_ids(path)


def _read_weights(path: Path) -> None:
    from rerank.nets import load_backbone_weights

    load_backbone_weights(path)


def _read_caffemodel(path: Path) -> None:
    from rerank.nets.caffemodel import read_caffemodel

    read_caffemodel(path)


def _read_checkpoint(path: Path) -> None:
    from rerank.nets.checkpoint import load_checkpoint

    load_checkpoint(path, "settings")


def _read_network(path: Path) -> None:
    from rerank.nets import NetworkSettings, network_map, open_network

    network_map(open_network(path), IMAGE, NetworkSettings())


def _small_state() -> dict[str, Any]:
    from rerank.nets import build_backbone

    return dict(build_backbone("small").layers.state_dict())


def _npz_weights(path: Path) -> None:
    arrays = {name: tensor.numpy() for name, tensor in _small_state().items()}
    record = {"channel_order": "RGB", "scale": 1.0, "mean": [0, 0, 0], "std": [1, 1, 1]}
    np.savez_compressed(path, preprocessing=np.array(json.dumps(record)), **arrays)


def _state_dict(path: Path) -> None:
    import torch

    torch.save({"state_dict": _small_state()}, path)


def _old_state_dict(path: Path) -> None:
    import torch

    torch.save(_small_state(), path, _use_new_zipfile_serialization=False)


def _checkpoint(path: Path) -> None:
    import torch

    from rerank.nets.checkpoint import Checkpoint, save_checkpoint

    save_checkpoint(path, Checkpoint("settings", {"epoch": 1}, _small_state(), {"lr": 0.1}, {}))
    del torch


def _torchscript(path: Path) -> None:
    import torch

    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(net.eval(), torch.zeros(1, 3, 32, 32)).save(str(path))


def _onnx(path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = RNG.standard_normal((4, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 32, 32])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)


def _tflite(path: Path) -> None:
    path.write_bytes(Path(os.environ["RERANK_TFLITE"]).read_bytes())


def _list(path: Path) -> None:
    path.write_bytes("\ufeffa.png\r\nb\r\nété\r\n".encode())


KINDS = (
    Kind("i.png", picture(), _read_image),
    Kind("i.jpg", picture(quality=90), _read_image),
    Kind("i.webp", picture(lossless=True), _read_image),
    Kind("i.bmp", picture(), _read_image),
    Kind("i.tif", picture(compression="tiff_deflate"), _read_image),
    Kind("i.gif", picture(), _read_image),
    Kind("i.ppm", picture(), _read_image),
    Kind("m.png", mask(), _read_mask),
    Kind("m.gif", mask(), _read_mask),
    Kind("m.bmp", mask(), _read_mask),
    Kind("m.tif", _tiff, _read_mask),
    Kind("m2.png", lambda path: path.write_bytes(png(LABELS, 2)) and None, _read_mask),
    Kind("m16.png", lambda path: path.write_bytes(png(LABELS, 16)) and None, _read_mask),
    Kind("m.pgm", lambda path: Image.fromarray(LABELS).save(path), _read_mask),
    Kind("a.npy", lambda path: np.save(path, MAP), _read_maps),
    Kind("a.npz", lambda path: np.savez(path, MAP), _read_maps),
    Kind("a.npz", lambda path: np.savez_compressed(path, MAP), _read_maps),
    Kind("a.h5", _one_map, _read_maps),
    Kind("maps.h5", _maps, _read_maps),
    Kind("0.png", _class_pictures, _read_class_pictures),
    Kind("s.mat", mat(False), _read_mat),
    Kind("s.mat", mat(True), _read_mat),
    Kind("train.txt", _list, _read_list),
    Kind("w.npz", _npz_weights, _read_weights),
    Kind("w.pth", _state_dict, _read_weights),
    Kind("w.pth", _old_state_dict, _read_weights),
    Kind("w.caffemodel", lambda path: path.write_bytes(caffemodel()) and None, _read_caffemodel),
    Kind("c.pt", _checkpoint, _read_checkpoint),
    Kind("n.pt", _torchscript, _read_network),
    Kind("n.onnx", _onnx, _read_network, "onnxruntime"),
    Kind("n.tflite", _tflite, _read_network, "ai_edge_litert"),
)


def rezipped(content: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """An archive whose first member is changed and has a right checksum again."""
    import io

    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for place, name in enumerate(old.namelist()):
            member = old.read(name)
            new.writestr(name, change(member) if place == 0 else member)
    return out.getvalue()
