"""Files that somebody made to do harm, or that an odd program wrote: each with its reader.

`crafted()` gives a name, a function that writes the file into a folder and says where it is, and
the function that reads it. Beside the folder lies a file `secret` that nothing may touch.
"""

from __future__ import annotations

import io
import itertools
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import seed_files as sound
from PIL import Image

Crafted = tuple[str, Callable[[Path], Path], Callable[[Path], Any]]
_READ = {kind.name: kind.read for kind in sound.KINDS}


def crafted() -> Iterator[Crafted]:
    """All crafted files, in one order."""
    for part in (
        _npy_headers,
        _archives,
        _hdf5,
        _mats,
        _pngs,
        _pictures,
        _texts,
        _caffemodels,
        _torch_files,
        _foreign,
        _class_folders,
        _lists_of_paths,
    ):
        yield from part()


def _file(name: str, what: str, content: bytes, reads: str | None = None) -> Crafted:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return f"{name}: {what}", write, _READ[reads or name]


def _npy(
    header: str, body: bytes = b"", version: tuple[int, int] = (1, 0), length: int = -1
) -> bytes:
    text = header.encode("latin-1") + b"\n"
    size = len(text) if length < 0 else length
    form = "<H" if version == (1, 0) else "<I"
    return b"\x93NUMPY" + bytes(version) + struct.pack(form, size & 0xFFFFFFFF) + text + body


def _npy_headers() -> Iterator[Crafted]:
    def header(descr: str = "'<f4'", shape: str = "(2, 3, 4)", order: str = "False") -> str:
        return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"

    body = bytes(96)
    for what, content in {
        "a huge shape": _npy(header(shape="(1000000, 1000000, 1000)"), body),
        "a shape beyond int64": _npy(header(shape="(99999999999999999999999, 2, 3)"), body),
        "a negative side": _npy(header(shape="(-1, 3, 4)"), body),
        "two negative sides": _npy(header(shape="(-2, -3, 4)"), body),
        "a side of 0": _npy(header(shape="(0, 1000000000000000000, 4)"), b""),
        "sides that are bools": _npy(header(shape="(True, True, True)"), body),
        "100 axes": _npy(header(shape="(" + "1, " * 100 + ")"), body),
        "1 axis": _npy(header(shape="(24,)"), body),
        "no axis": _npy(header(shape="()"), body),
        "more bytes than it says": _npy(header(), body * 9),
        "fewer bytes than it says": _npy(header(), body[:50]),
        "objects": _npy(header("'|O'"), pickle.dumps([1])),
        "a record with objects": _npy(header("[('a', '|O')]"), pickle.dumps([1])),
        "a record": _npy(header("[('a', '<f4'), ('b', '<f4')]"), body * 2),
        "text": _npy(header("'<U8'"), body * 8),
        "huge text": _npy(header("'<U2000000000'"), body),
        "void": _npy(header("'|V9999999999'"), body),
        "dates": _npy(header("'<M8[s]'"), body * 2),
        "complex": _npy(header("'<c8'"), body * 2),
        "half floats": _npy(header("'<f2'"), body[:48]),
        "big-endian": _npy(header("'>f4'"), body),
        "long doubles": _npy(header("'<f16'"), body * 4),
        "an unknown type": _npy(header("'<q9'"), body),
        "a subarray": _npy(header("('<f4', (1000000, 1000000))"), body),
        "nested tuples": _npy(header("(" * 150 + "'<f4'" + ",)" * 150), body),
        "deep nesting": _npy("(" * 3000 + ")" * 3000, body),
        "many minus signs": _npy(header(shape="(" + "-" * 3000 + "1, 3, 4)"), body),
        "a header of 60,000 characters": _npy(header() + " " * 60000, body),
        "version 2 of 4 GB": _npy(header(), body, (2, 0), 0xFFFFFFFF),
        "version 2": _npy(header(), body, (2, 0)),
        "version 3": _npy(header(), body, (3, 0)),
        "version 255": _npy(header(), body, (255, 255)),
        "a header that is longer than the file": _npy(header(), b"", (1, 0), 60000),
        "code": _npy("__import__('os').system('touch /tmp/pwned')", body),
        "a missing key": _npy("{'descr': '<f4', 'shape': (2, 3, 4)}", body),
        "another key": _npy(header()[:-1] + "'x': 1}", body),
        "zeros": _npy("\0" * 100, body),
        "Fortran order": _npy(header(order="True"), body),
        "order as a number": _npy(header(order="1"), body),
        "a pickle": pickle.dumps(np.zeros(3)),
        "NaN everywhere": _npy(header(shape="(24, 32, 4)"), np.full(3072, np.nan, "<f4").tobytes()),
        "infinity": _npy(header(shape="(24, 32, 4)"), np.full(3072, np.inf, "<f4").tobytes()),
        "huge values": _npy(header(shape="(24, 32, 4)"), np.full(3072, 3e38, "<f4").tobytes()),
        "bytes of random": bytes(np.random.default_rng(0).integers(0, 256, 500, dtype=np.uint8)),
        "nothing": b"",
        "the magic alone": b"\x93NUMPY",
    }.items():
        yield _file("a.npy", what, content)


def _zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def _plain(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def _archives() -> Iterator[Crafted]:
    good = _plain(sound.MAP)
    bomb = _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (10000, 10000, 100), }")
    packed = _zipped({"arr_0.npy": good})
    lying = bytearray(packed)
    # The sizes in the directory at the end.
    place = lying.rindex(b"PK\x01\x02")
    struct.pack_into("<II", lying, place + 20, 0x7FFFFFFF, 0x7FFFFFFF)
    stored = bytearray(_zipped({"arr_0.npy": good}, zipfile.ZIP_STORED))
    stored[200] ^= 255
    method = bytearray(packed)
    struct.pack_into("<H", method, 8, 99)
    struct.pack_into("<H", method, method.rindex(b"PK\x01\x02") + 10, 99)
    secret = bytearray(packed)
    secret[6] |= 1
    secret[secret.rindex(b"PK\x01\x02") + 8] |= 1
    deflate = bytearray(packed)
    deflate[60:90] = b"\xff" * 30
    for what, content in {
        "a bomb of zeros": _zipped({"arr_0.npy": bomb + bytes(50_000_000)}),
        "sizes that lie": bytes(lying),
        "a wrong checksum": bytes(stored),
        "damaged deflate": bytes(deflate),
        "an unknown method": bytes(method),
        "a password": bytes(secret),
        "no member": _zipped({}),
        "two members": _zipped({"a.npy": good, "b.npy": good}),
        "no array": _zipped({"readme.txt": b"hello"}),
        "a name with a path": _zipped({"../../secret.npy": good}),
        "an absolute name": _zipped({"/etc/passwd.npy": good}),
        "a pickle": _zipped(
            {
                "arr_0.npy": _npy(
                    "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", pickle.dumps([1])
                )
            }
        ),
        "an array of another type": _zipped({"arr_0.npy": _plain(np.array(["a"]))}),
        "bzip2": _zipped({"arr_0.npy": good}, zipfile.ZIP_BZIP2),
        "lzma": _zipped({"arr_0.npy": good}, zipfile.ZIP_LZMA),
        "one member twice": _zipped({"arr_0.npy": good})[:-22] + packed,
        "half": packed[: len(packed) // 2],
        "the end alone": packed[-22:],
        "a nested archive": _zipped({"arr_0.npy": packed}),
        "an empty array": _zipped({"arr_0.npy": b""}),
    }.items():
        yield _file("a.npz", what, content)
        yield _file("w.npz", what, content)


def _h5(what: str, make: Callable[[h5py.File, Path], None], name: str = "maps.h5") -> Crafted:
    def write(folder: Path) -> Path:
        with h5py.File(folder / name, "w") as file:
            make(file, folder)
        return folder / name

    return f"{name}: {what}", write, _READ[name]


def _hdf5() -> Iterator[Crafted]:
    def outside(file: h5py.File, folder: Path) -> None:
        with h5py.File(folder.parent / "other.h5", "w") as other:
            other["a"] = sound.MAP
        file["a"] = h5py.ExternalLink(str(folder.parent / "other.h5"), "a")

    def outside_group(file: h5py.File, folder: Path) -> None:
        with h5py.File(folder.parent / "other.h5", "w") as other:
            other["x/a"] = sound.MAP
        file["x"] = h5py.ExternalLink(str(folder.parent / "other.h5"), "x")

    def storage(file: h5py.File, folder: Path) -> None:
        external = [(str(folder.parent / "secret"), 0, 6)]
        file.create_dataset("a", (1, 2, 3), np.uint8, external=external)

    def passwords(file: h5py.File, folder: Path) -> None:
        file.create_dataset("a", (1, 2, 30), np.uint8, external=[("/etc/passwd", 0, 60)])

    def virtual(file: h5py.File, folder: Path) -> None:
        layout = h5py.VirtualLayout((24, 32, 4), np.float32)
        layout[:] = h5py.VirtualSource(str(folder.parent / "other.h5"), "a", (24, 32, 4))
        file.create_virtual_dataset("a", layout)

    def cycle(file: h5py.File, folder: Path) -> None:
        file.create_group("x")
        file["x/x"] = file["x"]
        file["a"] = sound.MAP

    def references(file: h5py.File, folder: Path) -> None:
        file["b"] = sound.MAP
        file.create_dataset("a", data=np.array([file["b"].ref], dtype=h5py.ref_dtype))

    def deep(file: h5py.File, folder: Path) -> None:
        file["/".join("g" * 200) + "/a"] = sound.MAP

    def scale(file: h5py.File, folder: Path) -> None:
        file.create_dataset("a", data=(sound.MAP * 255).astype(int), scaleoffset=0)

    def create(*arguments: Any, **options: Any) -> Callable[[h5py.File, Path], None]:
        return lambda file, folder: file.create_dataset("a", *arguments, **options) and None

    def put(name: str, value: Any) -> Callable[[h5py.File, Path], None]:
        return lambda file, folder: file.__setitem__(name, value)

    strings = h5py.string_dtype()
    cases: dict[str, Callable[[h5py.File, Path], None]] = {
        "an external link": outside,
        "a group by an external link": outside_group,
        "a link to a file that is not there": put("a", h5py.ExternalLink("/nowhere.h5", "a")),
        "a link to /etc/passwd": put("a", h5py.ExternalLink("/etc/passwd", "/")),
        "a soft link": put("a", h5py.SoftLink("/b")),
        "a soft link to itself": put("a", h5py.SoftLink("/a")),
        "a soft link upwards": put("a", h5py.SoftLink("/../../secret")),
        "external storage": storage,
        "external storage of the system": passwords,
        "a virtual data set": virtual,
        "a group within itself": cycle,
        "200 groups within each other": deep,
        "references": references,
        "a huge array that was never written": create(
            (10**6, 10**6, 1000), np.float32, chunks=(8, 8, 8)
        ),
        "4 GB that were never written": create((32768, 32768, 4), np.uint8, chunks=(64, 64, 4)),
        "an array of 0 rows": create((0, 5, 4), np.float32),
        "an endless array": create((1, 1, 1), np.float32, maxshape=(None, None, None)),
        "no space": create(data=h5py.Empty("f")),
        "a single number": create(data=3.0),
        "text": create(data=np.array(["a", "b"], dtype=object), dtype=strings),
        "lists of varying length": create((3,), h5py.vlen_dtype(np.float32)),
        "a record": create(data=np.zeros(3, [("a", "f4")])),
        "an enumeration": create((2, 3, 4), h5py.enum_dtype({"a": 1}, "i4")),
        "opaque bytes": create((3,), np.dtype("V1000")),
        "complex numbers": create(data=sound.MAP.astype(complex)),
        "integers of 64 bits": create(data=sound.MAP.astype(int)),
        "bools": create(data=sound.MAP > 0.5),
        "a group in place of an array": lambda file, folder: file.create_group("a") and None,
        "nothing": lambda file, folder: None,
        "an empty name": put("x/ ", sound.MAP),
        "a name with ..": put("../a", sound.MAP),
        "a name that is not ASCII": put("é", sound.MAP),
        "scale and offset": scale,
        "LZF": create(data=sound.MAP, compression="lzf"),
        "chunks that are larger than the array": create(
            data=sound.MAP, chunks=(24, 32, 4), maxshape=(None, 32, 4)
        ),
    }
    for what, make in cases.items():
        yield _h5(what, make)
    for what in ("an external link", "external storage", "a virtual data set", "a soft link"):
        yield _h5(f"one map, {what}", cases[what], "a.h5")
    yield _file("maps.h5", "the magic alone", b"\x89HDF\r\n\x1a\n")
    yield _file("maps.h5", "zeros behind the magic", b"\x89HDF\r\n\x1a\n" + bytes(4000))
    yield _file("maps.h5", "ones behind the magic", b"\x89HDF\r\n\x1a\n" + b"\xff" * 4000)


def _element(kind: int, body: bytes) -> bytes:
    return struct.pack("<II", kind, len(body)) + body + bytes(-len(body) % 8)


def _array(name: bytes, code: int, shape: tuple[int, ...], rest: bytes) -> bytes:
    return _element(
        14,
        _element(6, struct.pack("<II", code, 0))
        + _element(5, struct.pack(f"<{len(shape)}i", *shape))
        + _element(1, name)
        + rest,
    )


def _struct(fields: bytes, width: int = 32, name: bytes = b"GTcls", code: int = 2) -> bytes:
    names = b"Segmentation".ljust(32, b"\0")
    return _array(
        name, code, (1, 1), _element(5, struct.pack("<i", width)) + _element(1, names) + fields
    )


def _mats() -> Iterator[Crafted]:
    head = b"MATLAB 5.0".ljust(124) + struct.pack("<H", 0x0100) + b"IM"
    values = _element(2, bytes(12))
    good = _array(b"", 9, (3, 4), values)
    nested = good
    for _ in range(200):
        nested = _struct(nested, name=b"")
    squeezed = zlib.compress(_struct(good))
    for what, content in {
        "sound": head + _struct(good),
        "sound, compressed": head + struct.pack("<II", 15, len(squeezed)) + squeezed,
        "a compressed bomb": head + struct.pack("<II", 15, 0) + b"",
        "a bomb of 80 MB": head
        + (lambda b: struct.pack("<II", 15, len(b)) + b)(zlib.compress(bytes(80 << 20), 1)),
        "compressed within compressed": head
        + (lambda b: struct.pack("<II", 15, len(b)) + b)(
            zlib.compress(struct.pack("<II", 15, len(squeezed)) + squeezed)
        ),
        "200 structures within each other": head + _struct(nested),
        "a huge shape": head + _struct(_array(b"", 9, (2**31 - 1, 2**31 - 1), values)),
        "a negative shape": head + _struct(_array(b"", 9, (-3, -4), values)),
        "100 axes": head + _struct(_array(b"", 9, (1,) * 100, _element(2, b"\1"))),
        "one axis": head + _struct(_array(b"", 9, (12,), values)),
        "no axis": head + _struct(_array(b"", 9, (), values)),
        "fewer values": head + _struct(_array(b"", 9, (30, 40), values)),
        "floats": head + _struct(_array(b"", 6, (3, 4), _element(9, bytes(96)))),
        "a double stored as bytes": head + _struct(_array(b"", 6, (3, 4), values)),
        "complex": head + _struct(_array(b"", 0x0809, (3, 4), values + values)),
        "sparse": head + _struct(_array(b"", 5, (3, 4), values)),
        "a cell": head + _struct(_array(b"", 1, (1, 1), good)),
        "an object": head + _struct(good, code=3),
        "a function": head + _struct(_array(b"", 16, (1, 1), values)),
        "opaque": head + _struct(_array(b"", 17, (1, 1), values)),
        "an array of structures": head + _array(b"GTcls", 2, (2, 2), values),
        "a field of width 0": head + _struct(good, 0),
        "a field of negative width": head + _struct(good, -1),
        "a field of huge width": head + _struct(good, 2**31 - 1),
        "a field that is no array": head + _struct(values),
        "no fields": head + _struct(b""),
        "an unknown type of numbers": head
        + _struct(_array(b"", 9, (3, 4), _element(99, bytes(12)))),
        "half a number": head + _struct(_array(b"", 12, (3, 1), _element(5, bytes(11)))),
        "a length beyond the file": head + struct.pack("<II", 14, 0xFFFFFFF0) + bytes(100),
        "a small element of 60000 bytes": head + struct.pack("<HH", 14, 60000) + bytes(4),
        "half a tag": head + b"\x0e\0\0",
        "no element": head,
        "a wrong mark": head[:-2] + b"XX" + _struct(good),
        "big-endian by its mark alone": head[:-2] + b"MI" + _struct(good),
        "version 4": struct.pack("<5I", 0, 3, 4, 0, 6) + b"GTcls\0" + bytes(96),
        "version 7.3": b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n" + bytes(500),
        "an empty name": head + _struct(good, name=b""),
        "another variable": head + _struct(good, name=b"GTinst"),
        "twice the same variable": head
        + _struct(good)
        + _struct(_array(b"", 6, (1, 1), _element(9, bytes(8)))),
        "fractions as a shape": head
        + _element(
            14,
            _element(6, bytes(8))
            + _element(9, struct.pack("<2d", np.nan, 4))
            + _element(1, b"GTcls")
            + values,
        ),
        "zeros": bytes(1000),
    }.items():
        yield _file("s.mat", what, content)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _pngs() -> Iterator[Crafted]:
    magic = b"\x89PNG\r\n\x1a\n"
    end = _chunk(b"IEND", b"")

    def head(width: int = 4, height: int = 3, depth: int = 8, colours: int = 0) -> bytes:
        return _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0))

    rows = _chunk(b"IDAT", zlib.compress(bytes(15)))
    bomb = _chunk(b"IDAT", zlib.compress(bytes(30_000_000), 1))
    text = b"k\0\0" + zlib.compress(bytes(80_000_000), 1)
    exif = _chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0")
    for what, content in {
        "sound": magic + head() + rows + end,
        "60000x60000 pixels": magic + head(60000, 60000) + bomb + end,
        "2^31 pixels a side": magic + head(2**31 - 1, 2**31 - 1) + rows + end,
        "4000x4000 pixels of 1 bit": magic + head(4000, 4000, 1) + bomb + end,
        "no width": magic + head(0, 3) + rows + end,
        "no pixels": magic + head() + end,
        "too few rows": magic + head(400, 300) + rows + end,
        "too many rows": magic + head() + bomb + end,
        "depth 3": magic + head(depth=3) + rows + end,
        "colour type 5": magic + head(colours=5) + rows + end,
        "a palette picture without a palette": magic + head(colours=3) + rows + end,
        "a palette of 3 colours and values beyond": magic
        + head(colours=3)
        + _chunk(b"PLTE", bytes(9))
        + _chunk(b"IDAT", zlib.compress(b"\0\1\2\3\4" * 3))
        + end,
        "a text of 80 MB": magic + head() + _chunk(b"zTXt", text) + rows + end,
        "a profile of 80 MB": magic + head() + _chunk(b"iCCP", text) + rows + end,
        "40,000 chunks": magic + head() + _chunk(b"tEXt", b"a\0b") * 40000 + rows + end,
        "two headers": magic + head() + head(9, 9) + rows + end,
        "a turn": magic + head() + exif + rows + end,
        "a turn of 200": magic
        + head()
        + exif.replace(b"\0\x06\0\0\0", b"\0\xc8\0\0\0")
        + rows
        + end,
        "damaged EXIF": magic + head() + _chunk(b"eXIf", b"II*\0\xff\xff\xff\xff") + rows + end,
        "an animation": magic
        + head()
        + _chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))
        + rows
        + end,
        "damaged transparency": magic + head() + _chunk(b"tRNS", b"\0") + rows + end,
        "an unknown critical chunk": magic + head() + _chunk(b"ABCD", b"x") + rows + end,
        "a wrong checksum": magic + head()[:-1] + b"\0" + rows + end,
        "a length beyond the file": magic
        + head()
        + struct.pack(">I", 2**31 - 1)
        + b"IDAT"
        + bytes(20),
        "damaged deflate": magic + head() + _chunk(b"IDAT", b"\x78\x9c\xff\xff\xff") + end,
        "48 bits": sound.png(sound.IMAGE.astype(int) * 257, 16, 2),
    }.items():
        yield _file("m.png", what, content)
        yield _file("i.png", what, content)
        yield _file("0.png", what, content)


def _pictures() -> Iterator[Crafted]:
    def saved(kind: str, **options: Any) -> bytes:
        out = io.BytesIO()
        Image.fromarray(sound.IMAGE).save(out, kind, **options)
        return out.getvalue()

    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/tmp/pwned) (w) file\n%%EOF\n"
    svg = b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>"
    bmp = bytearray(saved("BMP"))
    struct.pack_into("<ii", bmp, 18, 2**31 - 1, -(2**31) + 1)
    gif = bytearray(saved("GIF"))
    struct.pack_into("<HH", gif, 6, 65535, 65535)
    tiff = saved("TIFF")
    for name, what, content in (
        ("i.png", "PostScript", postscript),
        ("i.tif", "PostScript", postscript),
        ("i.jpg", "SVG", svg),
        ("i.png", "PDF", b"%PDF-1.4\n"),
        ("i.png", "an icon", saved("ICO")),
        ("i.png", "a TGA", saved("TGA")),
        ("i.png", "PCX", saved("PCX")),
        ("i.png", "JPEG 2000", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(60)),
        ("i.png", "a JPEG under another name", saved("JPEG")),
        ("m.png", "a JPEG under another name", saved("JPEG")),
        ("m.png", "a lossy WebP under another name", saved("WEBP")),
        ("i.png", "a FITS", b"SIMPLE  =                    T".ljust(2880)),
        ("i.bmp", "huge sides", bytes(bmp)),
        ("i.gif", "65535x65535 pixels", bytes(gif)),
        ("i.ppm", "huge sides", b"P6\n999999999 999999999\n255\n" + bytes(100)),
        ("i.ppm", "a side of 10,000 digits", b"P6\n" + b"9" * 10000 + b" 1\n255\n"),
        ("m.pgm", "a largest value of 0", b"P5\n4 3\n0\n" + bytes(12)),
        ("m.pgm", "a largest value of 70000", b"P5\n4 3\n70000\n" + bytes(24)),
        ("m.pgm", "values above the largest", b"P2\n2 1\n3\n9 1\n"),
        ("m.pgm", "a bitmap", b"P4\n8 1\n\xf0"),
        ("m.pgm", "floats", b"PF\n1 1\n-1.0\n" + bytes(12)),
        (
            "i.tif",
            "a directory that follows itself",
            tiff[:4] + struct.pack("<I", 8) + struct.pack("<H", 0) + struct.pack("<I", 8),
        ),
        ("i.tif", "a directory beyond the file", tiff[:4] + struct.pack("<I", 0xFFFFFFF0)),
        ("i.tif", "BigTIFF", b"II+\0\x08\0\0\0" + struct.pack("<Q", 2**63 - 1)),
        (
            "i.webp",
            "a huge canvas",
            b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff",
        ),
        (
            "i.jpg",
            "65535x65535 pixels",
            b"\xff\xd8\xff\xc0\0\x11\x08\xff\xff\xff\xff\x03\x01\x22\0\x02\x11\1\x03\x11\1\xff\xd9",
        ),
        ("i.jpg", "an endless marker", b"\xff\xd8" + b"\xff" * 5000),
    ):
        yield _file(name, what, content)


def _texts() -> Iterator[Crafted]:
    for what, content in {
        "UTF-16 of Windows": "a\r\nb\r\n".encode("utf-16"),
        "UTF-16, big-endian": b"\xfe\xff" + "a\nb\n".encode("utf-16-be"),
        "UTF-16 of odd length": b"\xff\xfea",
        "UTF-8 with a mark": b"\xef\xbb\xbfa\nb\n",
        "lines of an old Mac": b"a\rb\rc\r",
        "lines that end in blanks": b"a \t\r\n b\r\n\r\n\r\n",
        "Latin-1": b"\xe9t\xe9\n",
        "zeros": b"a\0b\n",
        "a picture": sound.png(sound.LABELS),
        "nothing": b"",
        "blank lines": b"\r\n\n\r  \n",
        "the mark alone": b"\xef\xbb\xbf",
        "a line of 5 MB": b"a" * 5_000_000,
        "50,000 lines": b"\n".join(b"%d" % k for k in range(50_000)),
        "paths": b"../../secret\n/etc/passwd\n~/x\nC:\\Windows\n",
        "names with line separators": "a\u2028b\x85c\x0bd\n".encode(),
        "names in two forms": "é\ne\u0301\n".encode(),
        "commands": b"$(touch /tmp/pwned)\n`id`\n; rm -rf x\n",
        "lone surrogates": b"\xed\xa0\x80\n",
        "a tag": b"<a href='x'>\n&amp;\n",
    }.items():
        yield _file("train.txt", what, content)


def _caffemodels() -> Iterator[Crafted]:
    def layer(blob: bytes) -> bytes:
        return sound.message(100, sound.message(1, b"conv1") + sound.message(7, blob))

    def shape(*sides: int) -> bytes:
        return sound.message(7, sound.message(1, b"".join(sound._varint(n) for n in sides)))

    data = sound.message(5, bytes(48))
    nested = b""
    for _ in range(300):
        nested = sound.message(1, nested)
    for what, content in {
        "sound": layer(shape(3, 4) + data),
        "a huge shape": layer(shape(2**40, 2**40) + data),
        "a shape whose product wraps to its size": layer(shape(2**63, 2, 12) + data),
        "a side of 0 and a huge one": layer(shape(0, 2**62)),
        "100 axes": layer(shape(*[1] * 100) + sound.message(5, bytes(4))),
        "no shape": layer(data),
        "old sides of 2^63": layer(b"\x08" + sound._varint(2**63) + data),
        "numbers of 5 bytes": layer(shape(1, 1) + sound.message(5, bytes(5))),
        "a number as a varint": layer(shape(1) + b"\x28" + sound._varint(2**60)),
        "a length beyond the file": b"\xa2\x06" + sound._varint(2**62) + b"x",
        "an endless varint": b"\xff" * 40,
        "an unknown wire type": b"\xa3\x06" + bytes(10),
        "field 0": b"\x02\x01a",
        "300 messages within each other": sound.message(2, nested),
        "a name that is no text": sound.message(
            100, sound.message(1, b"\xff\xfe") + sound.message(7, shape(3, 4) + data)
        ),
        "a name of 1 MB": sound.message(
            100, sound.message(1, b"a" * 1_000_000) + sound.message(7, data)
        ),
        "doubles": layer(shape(2, 3) + sound.message(8, bytes(48))),
        "nothing": b"",
    }.items():
        yield _file("w.caffemodel", what, content)


class _Attack:
    def __reduce__(self) -> Any:
        import os

        return os.system, ("touch /tmp/pwned",)


def _torch_files() -> Iterator[Crafted]:
    import torch

    def saved(value: Any, **options: Any) -> bytes:
        out = io.BytesIO()
        torch.save(value, out, **options)
        return out.getvalue()

    weight = torch.zeros(2, 3)
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            info = tarfile.TarInfo(name)
            info.size = 4
            archive.addfile(info, io.BytesIO(b"\x80\x02N."))
    loop: dict[str, Any] = {}
    loop["a"] = loop
    cases = {
        "a pickle that runs a command": pickle.dumps(_Attack()),
        "a state dict that runs a command": saved({"a": _Attack()}),
        "the old format that runs a command": saved(
            {"a": _Attack()}, _use_new_zipfile_serialization=False
        ),
        "a module": saved(torch.nn.Linear(2, 2)),
        "a list": saved([weight]),
        "a number": saved(3),
        "a state dict that is a list": saved({"state_dict": [weight]}),
        "keys that are numbers": saved({1: weight, 2: weight}),
        "a tensor that is spread to 4 TB": saved(
            {"conv1.conv.weight": torch.zeros(1).expand(10**12)}
        ),
        "a sparse tensor of huge size": saved(
            {"a": torch.sparse_coo_tensor(torch.zeros(2, 0, dtype=torch.long), [], (10**9, 10**9))}
        ),
        "a tensor on no device": saved({"a": torch.zeros(10**6, 10**6, device="meta")}),
        "a quantised tensor": saved({"a": torch.quantize_per_tensor(weight, 0.1, 0, torch.quint8)}),
        "complex numbers": saved({"a": weight.to(torch.complex64)}),
        "half floats": saved({"a": weight.half()}),
        "bfloat16": saved({"conv1.conv.weight": weight.bfloat16()}),
        "NaN": saved({"conv1.conv.weight": weight * float("nan")}),
        "a dict within itself": saved(loop),
        "a preprocessing of another kind": saved(
            {"state_dict": {"a": weight}, "preprocessing": [1, 2]}
        ),
        "a preprocessing of words": saved({"state_dict": {"a": weight}, "preprocessing": "{}"}),
        "a tar": tar.getvalue(),
        "a deep pickle": b"\x80\x02" + b"(" * 100000 + b".",
        "an archive without data": _zipped({"archive/data.pkl": b"\x80\x02}."}),
        "an archive that names another file": _zipped(
            {"archive/../../secret": b"x", "archive/data.pkl": b"\x80\x02}."}
        ),
    }
    for what, content in cases.items():
        yield _file("w.pth", what, content)
        yield _file("c.pt", what, content)
    for what in ("a pickle that runs a command", "a list", "a tar", "an archive without data"):
        yield _file("n.pt", what, cases[what])


def _foreign() -> Iterator[Crafted]:
    """Every reader on files of all other kinds, and on none."""
    contents = {
        "nothing": b"",
        "text": b"hello\n",
        "zeros": bytes(64),
        "a shell": b"#!/bin/sh\nid\n",
    }
    contents["a zip"] = _zipped({"a": b"b"})
    contents["a picture"] = sound.png(sound.LABELS)
    names = [n for n in dict.fromkeys(kind.name for kind in sound.KINDS) if n != "n.onnx"]
    for name, (what, content) in itertools.product(names, contents.items()):
        yield _file(name, what, content)


def _class_folders() -> Iterator[Crafted]:
    def write(names: tuple[str, ...], classes: bytes | None = None) -> Callable[[Path], Path]:
        def made(folder: Path) -> Path:
            (folder / "x").mkdir()
            for name in names:
                (folder / "x" / name).write_bytes(sound.png(sound.LABELS))
            if classes is not None:
                (folder / "classes.txt").write_bytes(classes)
            return folder / "x" / names[0]

        return made

    def read(path: Path) -> None:
        from rerank.datasets.map_files import MapFile
        from rerank.datasets.network_maps import read_map

        read_map(MapFile(path.parent), sound.SIZE)

    for names, classes in (
        (("0.png", "2.png"), None),
        (("0.png", "00.png"), None),
        (("0.png", "99999999999.png"), None),
        (("٣.png", "0.png"), None),
        (("²".ljust(1) + ".png",), None),
        (("cat.png",), None),
        (("cat.png",), b"../../secret\n"),
        (("cat.png",), b"cat\ndog\n"),
        (("cat.png", "dog.png"), b"\xff\xfec\0"),
        (("cat.png", "CAT.PNG"), b"cat\n"),
    ):
        yield f"a folder of {names} with {classes!r}", write(names, classes), read


def _lists_of_paths() -> Iterator[Crafted]:
    def camvid(lines: bytes) -> Callable[[Path], Path]:
        def made(folder: Path) -> Path:
            for part in ("train", "trainannot"):
                (folder / part).mkdir()
                (folder / part / "a.png").write_bytes(sound.png(sound.LABELS))
            (folder / "train.txt").write_bytes(lines)
            return folder / "train.txt"

        return made

    def read(path: Path) -> None:
        from rerank.datasets import check_dataset, open_dataset

        check_dataset("camvid", path.parent)
        [sample.labels for sample in open_dataset("camvid", path.parent)]

    for lines in (
        b"train/a.png trainannot/a.png\r\n",
        b"train\\a.png trainannot\\a.png\r\n",
        b"/far/away/train/a.png /far/away/trainannot/a.png\n",
        b"x/../secret x/../secret\n",
        b"../../secret ../../secret\n",
        b"train/a.png\n",
        b"train/.. trainannot/..\n",
        b"a b c\n",
    ):
        yield f"a list of CamVid, {lines!r}", camvid(lines), read
