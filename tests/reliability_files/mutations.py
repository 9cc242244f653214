"""Damage to files, seeded: of bytes, and of what stands behind checksums and compression."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable

from seed_files import rezipped

_NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutate(name: str, content: bytes, seed: int) -> bytes:
    """A damaged form of a file, the same for the same seed."""
    rng = random.Random(f"{name} {seed}")
    if rng.random() < 0.5:
        deep = _DEEP.get(name.rsplit(".", 1)[-1])
        if deep is not None:
            try:
                return deep(content, lambda part: _bytes(part, rng), rng)
            except Exception:
                pass
    return _bytes(content, rng)


def _bytes(content: bytes, rng: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8, 30))):
        if not data:
            break
        # Headers decide more than values: half of the damage is done near an end.
        where = rng.choice((len(data), len(data), min(len(data), 200), min(len(data), 40)))
        at = rng.randrange(where)
        if rng.random() < 0.15:
            at = len(data) - 1 - at
        action = rng.randrange(8)
        if action == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif action == 1:
            data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif action == 2:
            form = rng.choice(("<I", ">I", "<H", ">H", "<Q"))
            size = struct.calcsize(form)
            value = rng.choice(_NUMBERS) & ((1 << 8 * size) - 1)
            data[at : at + size] = struct.pack(form, value)
        elif action == 3:
            del data[at : at + rng.choice((1, 2, 4, 16, 200))]
        elif action == 4:
            data[at:at] = bytes(rng.randrange(256) for _ in range(rng.choice((1, 2, 4, 16))))
        elif action == 5 and rng.random() < 0.3:
            del data[at:]
        elif action == 6:
            end = min(len(data), at + rng.choice((4, 16, 64)))
            data[at:end] = bytes(rng.randrange(256) for _ in range(end - at))
        else:
            other = rng.randrange(len(data))
            size = rng.choice((2, 4, 16, 64))
            data[at : at + size] = data[other : other + size]
    return bytes(data)


Change = Callable[[bytes], bytes]


def _png(content: bytes, change: Change, rng: random.Random) -> bytes:
    """Damage within a chunk of a PNG, with a right checksum."""
    at, parts = 8, []
    while at + 12 <= len(content):
        length = struct.unpack_from(">I", content, at)[0]
        parts.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    chosen = rng.randrange(len(parts))
    out = content[:8]
    for place, (kind, body) in enumerate(parts):
        if place == chosen:
            if kind == b"IDAT" and rng.random() < 0.5:
                body = zlib.compress(change(zlib.decompress(body)))
            else:
                body = change(body)
        out += struct.pack(">I", len(body)) + kind + body
        out += struct.pack(">I", zlib.crc32(kind + body))
    return out


def _zip(content: bytes, change: Change, rng: random.Random) -> bytes:
    return rezipped(content, change)


def _mat(content: bytes, change: Change, rng: random.Random) -> bytes:
    """Damage within the compressed elements of a MATLAB file."""
    at, out = 128, content[:128]
    while at + 8 <= len(content):
        kind, length = struct.unpack_from("<II", content, at)
        body = content[at + 8 : at + 8 + length]
        if kind == 15:
            body = zlib.compress(change(zlib.decompress(body)))
        out += struct.pack("<II", kind, len(body)) + body
        at += 8 + length + (0 if kind == 15 else -length % 8)
    return out


_DEEP = {"png": _png, "npz": _zip, "pth": _zip, "pt": _zip, "mat": _mat}
