"""The manifest of an artefact: what its file holds, what it was made from, and its digest.

It is a JSON file beside the HDF5 file, and written after it, so that an artefact without a manifest
is not there. It holds a digest of itself, and is in the one form that `to_bytes` writes, so that
every changed bit of it is seen.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from rerank._version import __version__

#: Version of the layout of a work folder.
FORMAT = 3
#: A longer manifest is not read: one of a million images is shorter.
MOST_BYTES = 256 << 20
_BLOCK_BYTES = 1 << 20
_SEAL = "digest of all else"


class ArtefactRef(NamedTuple):
    """An artefact: its stage, its part (a fold, `final` or `all`), the digest of its inputs."""

    stage: str
    part: str
    key: str

    def __str__(self) -> str:
        return f"{self.stage}/{self.part}"


@dataclass(frozen=True)
class Header:
    """The description of an artefact.

    Attributes
    ----------
    version : int
        Version of the stage that wrote it.
    settings : mapping
        The resolved settings that it depends on.
    image_ids : tuple of str
        Images that it holds results for.
    trained_on : tuple of str
        Images that any model behind these results was fitted on.
    inputs : tuple of str
        `stage/part/key` of each artefact that it was made from.
    input_digests : tuple of str
        Digests of their files.
    random_state : int
        Seed of the stage.
    seconds, cpu_seconds, peak_mib : float
        Wall time, processor time and peak resident memory of the process that wrote it.
    versions : mapping
        Of Python and of the packages that numbers can depend on.
    """

    version: int
    settings: Mapping[str, Any]
    image_ids: tuple[str, ...] = ()
    trained_on: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    input_digests: tuple[str, ...] = ()
    random_state: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_mib: float = 0.0
    versions: Mapping[str, str] = field(default_factory=dict)


#: Fields of a header, and what JSON has for each.
_FIELDS = {
    "version": int,
    "settings": dict,
    **dict.fromkeys(("image_ids", "inputs", "input_digests"), list),
    "trained_on": str,
    "random_state": int,
    **dict.fromkeys(("seconds", "cpu_seconds", "peak_mib"), float),
    "versions": dict,
}


class Manifest(NamedTuple):
    """An artefact's name, the digest and size of its file, and its header."""

    ref: ArtefactRef
    digest: str
    size: int
    header: Header


def to_bytes(manifest: Manifest) -> bytes:
    """The one form of a manifest on disk; of the training images it has the name of their set."""
    tree = {
        "format": FORMAT,
        **manifest.ref._asdict(),
        "digest": manifest.digest,
        "size": manifest.size,
        **asdict(manifest.header),
        "trained_on": set_name(manifest.header.trained_on),
    }
    return sealed(tree)


def from_bytes(content: bytes, read_set: Callable[[str], tuple[str, ...]]) -> Manifest:
    """The inverse of `to_bytes`.

    Parameters
    ----------
    content : bytes
    read_set : callable
        From the name of a set of images to their ids; see `rerank.engine.image_sets`.

    Returns
    -------
    Manifest

    Raises
    ------
    ValueError
        If the content is not, byte for byte, what `to_bytes` wrote.
    """
    try:
        tree = unsealed(content)
        if tree["format"] != FORMAT:
            raise ValueError("of another format")
        ref = ArtefactRef(*(_of_type(tree[name], str) for name in ArtefactRef._fields))
        values = {name: _of_type(tree[name], kind) for name, kind in _FIELDS.items()}
        for name, kind in _FIELDS.items():
            if kind is list:
                values[name] = tuple(_of_type(item, str) for item in values[name])
        values["trained_on"] = read_set(values["trained_on"])
        digest, size = _of_type(tree["digest"], str), _of_type(tree["size"], int)
        return Manifest(ref, digest, size, Header(**values))
    except (KeyError, TypeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None


def sealed(tree: Mapping[str, Any]) -> bytes:
    """A mapping of plain values as one line of JSON that holds a digest of itself."""
    whole = {**tree, _SEAL: digest(tree)}
    return (json.dumps(whole, sort_keys=True, allow_nan=False) + "\n").encode()


def unsealed(content: bytes) -> dict[str, Any]:
    """The inverse of `sealed`.

    Raises
    ------
    ValueError
        If the content is not, byte for byte, what `sealed` wrote.
    """
    try:
        tree = json.loads(content)
        if not isinstance(tree, dict):
            raise ValueError("not a mapping")
        tree.pop(_SEAL, None)
        if sealed(tree) != content:
            raise ValueError("its digest is another")
        return tree
    except (TypeError, RecursionError, UnicodeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None


def digest(value: Any) -> str:
    """Digest of a JSON-serialisable value, 32 hexadecimal digits, the same on every machine."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def set_name(image_ids: Sequence[str]) -> str:
    """The name of a set of images; nothing for no images."""
    return digest(list(image_ids)) if image_ids else ""


def digest_of_bytes(content: bytes | memoryview) -> str:
    """Digest of a file's bytes: SHA-256, for which most processors have instructions."""
    return hashlib.sha256(content).hexdigest()


def digest_of_file(file: BinaryIO) -> str:
    """`digest_of_bytes` of an open file, read in blocks."""
    found, block = hashlib.sha256(), memoryview(bytearray(_BLOCK_BYTES))
    # A file without a buffer may give less than asked for.
    while count := file.readinto(block):  # type: ignore[attr-defined]
        found.update(block[:count])
    return found.hexdigest()


def software_versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers can depend on; imports none of them."""
    packages = ("numpy", "torch", "scikit-learn", "scikit-image", "opencv-python-headless", "h5py")
    found = {"rerank": __version__, "python": platform.python_version()}
    for name in packages:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def manifest_path(path: Path) -> Path:
    """Where the manifest of an artefact's file lies."""
    return path.with_suffix(".json")


def dropped_path(path: Path) -> Path:
    """Where the manifest of an artefact lies whose file was dropped: it says what it cost."""
    return path.with_suffix(".dropped")


def _of_type(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"expected {kind.__name__}, got {type(value).__name__}")
    return value
