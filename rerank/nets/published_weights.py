"""Fetch published backbone weights, with their checksums."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from rerank.errors import ConfigError, DataError

_CHUNK = 1 << 20


@dataclass(frozen=True)
class PublishedWeights:
    """Where weights are published, and the digest (or its first digits) that is stated there."""

    url: str
    algorithm: str
    digest: str


#: torchvision names its files by the first digits of their SHA-256; BVLC states a SHA-1.
PUBLISHED_WEIGHTS: Mapping[str, PublishedWeights] = {
    "caffenet": PublishedWeights(
        "http://dl.caffe.berkeleyvision.org/bvlc_reference_caffenet.caffemodel",
        "sha1",
        "4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46",
    ),
    "alexnet": PublishedWeights(
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth", "sha256", "7be5be79"
    ),
    "squeezenet1_0": PublishedWeights(
        "https://download.pytorch.org/models/squeezenet1_0-b66bff10.pth", "sha256", "b66bff10"
    ),
}


def download_backbone_weights(
    name: str,
    path: str | Path,
    sha256: str | None = None,
    *,
    url: str | None = None,
    timeout: float = 60.0,
    progress: Callable[[int, int | None], None] | None = None,
) -> Path:
    """Download a backbone's weights and check them.

    A file that is there already and has the checksum is left as it is, without a connection.
    The download goes to a file beside `path` and is renamed when it is whole and checked.

    Parameters
    ----------
    name : {"caffenet", "alexnet", "squeezenet1_0"}
        Architecture.
    path : str or Path
        File to write, or a folder, in which the file gets its published name.
    sha256 : str, optional
        Checksum, or at least its first 8 hexadecimal digits; by default the published one.
        Needed with `url`.
    url : str, optional
        Another source, http, https or file.
    timeout : float
        Seconds without an answer after which to give up.
    progress : callable, optional
        Called with the bytes so far and in all (None where the server does not say).

    Returns
    -------
    Path
        The file, to be read by `load_backbone_weights`.

    Raises
    ------
    ConfigError
        If the name is unknown, `url` comes without `sha256` or with another scheme, or the
        checksum is too short or no hexadecimal number.
    DataError
        If the source can't be reached, or what lies there or was fetched has another checksum.
    """
    if name not in PUBLISHED_WEIGHTS:
        raise ConfigError(
            f"weights to download must be one of {', '.join(PUBLISHED_WEIGHTS)}, got {name!r}"
        )
    published = PUBLISHED_WEIGHTS[name]
    if sha256 is not None:
        published = PublishedWeights(published.url, "sha256", sha256.lower())
        if len(sha256) < 8 or set(published.digest) - set("0123456789abcdef"):
            raise ConfigError(f"sha256 must be 8 to 64 hexadecimal digits, got {sha256!r}")
    if url is not None:
        if sha256 is None or urlsplit(url).scheme not in ("http", "https", "file"):
            raise ConfigError(
                f"another source must be http, https or file, with its sha256; got {url!r}"
            )
        published = PublishedWeights(url, published.algorithm, published.digest)
    file = Path(path)
    if file.is_dir():
        file = file / urlsplit(published.url).path.rsplit("/", 1)[-1]
    if file.exists():
        found = _digest(file, published.algorithm)
        if not found.startswith(published.digest):
            raise DataError(
                f"{file}: is there, but its {published.algorithm} is {found} and not "
                f"{published.digest}; delete it to download it anew"
            )
        return file
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(file.name + ".partial")
    try:
        _fetch(published.url, partial, timeout, progress)
        found = _digest(partial, published.algorithm)
        if not found.startswith(published.digest):
            raise DataError(
                f"{published.url}: expected the {published.algorithm} "
                f"{published.digest}, got {found}; nothing was kept"
            )
        os.replace(partial, file)
    finally:
        partial.unlink(missing_ok=True)
    return file


def _fetch(
    url: str, partial: Path, timeout: float, progress: Callable[[int, int | None], None] | None
) -> None:
    try:
        with urlopen(url, timeout=timeout) as source, open(partial, "wb") as stream:
            length = source.headers.get("Content-Length")
            total = None if length is None else int(length)
            done = 0
            while chunk := source.read(_CHUNK):
                stream.write(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(done, total)
    except (URLError, OSError) as error:
        raise DataError(
            f"{url}: can't be downloaded: {error}; fetch the file by other means and give its path"
        ) from error


def _digest(file: Path, algorithm: str) -> str:
    digest = hashlib.new(algorithm)
    with open(file, "rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
