"""Download a file whole or not at all, and check its digest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pooch

from rerank.errors import ConfigError, DataError
from rerank.files import replace_file

#: Called with the bytes so far and in all (None where the server does not say).
Progress = Callable[[int, int | None], None]

_BLOCK = 1 << 20

#: Algorithms, and the number of their hexadecimal digits.
_ALGORITHMS = MappingProxyType({"md5": 32, "sha1": 40, "sha256": 64})


@dataclass(frozen=True)
class Digest:
    """The digest of a file, or its first digits.

    Attributes
    ----------
    algorithm : {"md5", "sha1", "sha256"}
    digits : str
        At least the first 8 hexadecimal digits, in lower case.

    Raises
    ------
    ConfigError
        If the algorithm is unknown, or `digits` are too few, too many or not hexadecimal.
    """

    algorithm: str
    digits: str

    def __post_init__(self) -> None:
        if self.algorithm not in _ALGORITHMS:
            raise ConfigError(
                f"a digest must be one of {', '.join(_ALGORITHMS)}, got {self.algorithm!r}"
            )
        longest = _ALGORITHMS[self.algorithm]
        if not 8 <= len(self.digits) <= longest or set(self.digits) - set("0123456789abcdef"):
            raise ConfigError(
                f"{self.algorithm} must be 8 to {longest} hexadecimal digits, got {self.digits!r}"
            )

    def difference(self, path: Path) -> str | None:
        """Say how a file's digest differs, as part of a message; None where it does not differ.

        Raises
        ------
        DataError
            If the file cannot be read.
        """
        found = file_digest(path, self.algorithm)
        if found.startswith(self.digits):
            return None
        return f"its {self.algorithm} is {found} and the expected one is {self.digits}"


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Return the hexadecimal digest of a file.

    Parameters
    ----------
    path : Path
    algorithm : str
        A name of `hashlib`.

    Returns
    -------
    str

    Raises
    ------
    DataError
        If the file cannot be read.
    """
    try:
        return str(pooch.file_hash(str(path), alg=algorithm))
    except OSError as error:
        raise DataError(
            f"{path}: the file cannot be read ({error.strerror or error}); "
            "give the path of the downloaded file"
        ) from error


def download_file(
    url: str,
    path: Path,
    digest: Digest | None = None,
    *,
    timeout: float = 60.0,
    progress: Progress | None = None,
) -> None:
    """Download a file, check it, and only then give it its name.

    Parameters
    ----------
    url : str
        An http, https or file URL.
    path : Path
        The file to write. Its folder is made if it is not there.
    digest : Digest, optional
        What the file must have.
    timeout : float
        Seconds without an answer after which the download fails.
    progress : callable, optional
        See `Progress`.

    Raises
    ------
    ConfigError
        If the URL has another scheme.
    DataError
        If the file cannot be downloaded or written, or has another digest.
    """
    scheme = urlsplit(url).scheme
    if scheme not in ("http", "https", "file"):
        raise ConfigError(f"a file is downloaded by http, https or file, got {url!r}")
    remedy = f"get the file by other means and put it at {path}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(path) as temporary:
            if scheme == "file":
                _copy(Path(url2pathname(urlsplit(url).path)), temporary, progress)
            else:
                bar = False if progress is None else _ProgressBar(progress)
                # Without this, requests decompresses what a server sends compressed.
                headers = {"Accept-Encoding": "identity"}
                fetch = pooch.HTTPDownloader(bar, _BLOCK, timeout=timeout, headers=headers)
                fetch(url, str(temporary), None)
            difference = None if digest is None else digest.difference(temporary)
            if difference is not None:
                raise DataError(
                    f"{url}: the file was downloaded, but {difference}; nothing was kept: try "
                    f"again, or {remedy}"
                )
    except (OSError, ValueError) as error:
        raise DataError(f"{url}: the file cannot be downloaded ({error}); {remedy}") from error


def _copy(source: Path, target: Path, progress: Progress | None) -> None:
    done, total = 0, source.stat().st_size
    with open(source, "rb") as reader, open(target, "wb") as writer:
        while block := reader.read(_BLOCK):
            writer.write(block)
            done += len(block)
            if progress is not None:
                progress(done, total)


class _ProgressBar:
    """A progress bar as pooch expects it, which calls a function."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.total = 0
        self.done = 0

    def update(self, amount: int) -> None:
        self.done += amount
        if amount:
            done = min(self.done, self.total) if self.total else self.done
            self.progress(done, self.total or None)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        pass
