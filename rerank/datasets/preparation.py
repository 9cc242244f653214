"""From published archives to the folders that `open_dataset` reads."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from rerank.datasets.archives import PUBLISHED, Archive, unpack, verify
from rerank.datasets.catalogue import dataset_names, dataset_splits, list_dataset
from rerank.datasets.dataset_check import check_dataset
from rerank.datasets.image_files import PathLike
from rerank.datasets.label_doubts import certain
from rerank.datasets.problems import file_error, problem_of
from rerank.datasets.published_layouts import ARRANGERS
from rerank.download import download_file
from rerank.errors import DataError, InputError, RerankError
from rerank.suggestions import did_you_mean


def prepare_dataset(
    name: str, root: PathLike | None, archives: Sequence[PathLike] = (), *, download: bool = False
) -> list[str]:
    """Arrange the published files of a data set under `root` and check them.

    Parameters
    ----------
    name : {"voc2012", "msrc21", "camvid", "weizmann_horse"}
    root : path
        Folder of all data sets; this one goes to `root/name`.
    archives : sequence of paths
        Downloaded archives, or folders that they were unpacked to. Lists of splits may lie in a
        further archive or folder. By default the archives are looked for in `root` under their
        published names.
    download : bool
        Whether archives that are not in `root` are downloaded to it.

    Returns
    -------
    list of str
        One line for each thing that was done or found.

    Raises
    ------
    InputError
        The name is unknown or needs no preparation, or `root` is not given.
    DataError
        An archive is missing or damaged, differs from the published one, or does not hold the
        data set. Nothing is left half-arranged.
    """
    if name not in ARRANGERS:
        reason = "it needs none" if name in dataset_names() else "there is no such data set"
        hint = did_you_mean(name, ARRANGERS)
        raise InputError(f"'{name}' cannot be prepared: {reason}; {hint}")
    if root is None:
        raise InputError(f"give the folder to put '{name}' in as root")
    top = Path(root)
    try:
        top.mkdir(parents=True, exist_ok=True)
        given = [Path(path) for path in archives] or _collect(name, top, download)
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=top) as scratch:
            lines = _arrange(name, top / name, given, Path(scratch))
    except OSError as error:
        raise file_error(
            error.filename or top,
            f"the files cannot be arranged ({error.strerror or error})",
            f"see that {top} may be written to and has room",
        ) from error
    return lines + _check(name, top / name)


def main(name: str, arguments: Sequence[str] | None = None, root: PathLike = Path("data")) -> int:
    """Run the command line of `data/prepare_<name>.py`.

    Parameters
    ----------
    name : str
        As for `prepare_dataset`.
    arguments : sequence of str, optional
        Words of the command line; by default those of the process.
    root : path
        Folder of all data sets unless the command line names another.

    Returns
    -------
    int
        0 where the data set is arranged, 1 where it could not be.
    """
    published = ", ".join(archive.file_name for archive in PUBLISHED[name])
    parser = argparse.ArgumentParser(description=f"Arrange {name} from {published}.")
    parser.add_argument("--root", default=str(root), help="folder of all data sets [%(default)s]")
    parser.add_argument(
        "--archive",
        action="append",
        default=[],
        help="a downloaded archive, or a folder; may be given several times",
    )
    parser.add_argument(
        "--download", action="store_true", help="download what is not in the root folder"
    )
    options = parser.parse_args(arguments)
    try:
        for line in prepare_dataset(name, options.root, options.archive, download=options.download):
            print(line)
    except RerankError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _collect(name: str, top: Path, download: bool) -> list[Path]:
    """Find the published archives in the root folder, or download them to it."""
    found = []
    for archive in PUBLISHED[name]:
        path = top / archive.file_name
        if path.exists():
            found.append(path)
        elif download:
            download_file(archive.url, path, archive.digest)
            found.append(path)
        elif archive.needed:
            raise file_error(
                path,
                f"the archive is missing, which is published at {archive.url}",
                f"put it there, give it with --archive, or run data/prepare_{name}.py --download",
            )
    return found


def _arrange(name: str, target: Path, given: Sequence[Path], scratch: Path) -> list[str]:
    """Unpack and arrange in the scratch folder, and move the result into place when it is whole."""
    lines: list[str] = []
    known: Mapping[str, Archive] = {a.file_name: a for a in PUBLISHED[name]}
    folders: list[Path] = []
    for index, path in enumerate(given):
        if not path.exists():
            raise file_error(
                path, "there is no such archive or folder", "give the path of what was downloaded"
            )
        if path.is_dir():
            folders.append(path)
            continue
        lines.append(verify(path, known.get(path.name)))
        folders.append(scratch / f"unpacked{index}")
        unpack(path, folders[-1])
    built = scratch / "built"
    built.mkdir()
    try:
        ARRANGERS[name](folders, built, scratch)
    except DataError as error:
        raise _in_archives(error, dict(zip(folders, given))) from error
    target.mkdir(exist_ok=True)
    for part in sorted(built.iterdir()):
        if (target / part.name).exists():
            lines.append(f"{target / part.name}: kept as it is; move it away to have it renewed")
        else:
            shutil.move(str(part), str(target / part.name))
            lines.append(f"{target / part.name}: arranged")
    return lines


def _in_archives(error: DataError, origins: Mapping[Path, Path]) -> DataError:
    """Name the archive in place of the folder that it was unpacked to, which is removed by then."""
    problem = problem_of(error)
    for folder, path in origins.items():
        if Path(problem.path).is_relative_to(folder):
            inside = Path(problem.path).relative_to(folder)
            return file_error(path / inside, problem.problem, problem.remedy)
    return error


def _check(name: str, folder: Path) -> list[str]:
    """Count the images of each split and their problems."""
    lines = []
    for split in dataset_splits(name, folder):
        lines.append(f"{name} {split}: {len(list_dataset(name, folder, split).dataset)} images")
    problems = certain(check_dataset(name, folder))
    if problems:
        lines.append(
            f"{len(problems)} files are wrong, the first: {problems[0]} "
            f"(`rerank data check {name}` lists them all)"
        )
    else:
        lines.append(f"{name}: every file is in order")
    return lines
