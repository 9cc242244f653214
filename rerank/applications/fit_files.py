"""Fitting on folders of images, labels and network maps; one file of models out."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from rerank.applications.out_folder import check_writable
from rerank.config import Recipe, load_recipe
from rerank.datasets import Dataset, check_dataset
from rerank.datasets.file_pairs import read_lines
from rerank.datasets.folder import FolderOptions, list_folder
from rerank.datasets.label_doubts import certain
from rerank.datasets.problems import FileProblem, file_error, problems_error
from rerank.engine.scheduler import Execution
from rerank.engine.store import Store
from rerank.errors import ConfigError, DataError
from rerank.fitting import check_enough_images
from rerank.reports.fit_report import FitReport
from rerank.reranker import Reranker, with_weights
from rerank.stages.run_data import MapFolder, RunData, WeightFiles


class FitFolders(NamedTuple):
    """Folders of files that belong together by name.

    Attributes
    ----------
    probabilities : Path
        The network's maps.
    images : Path
    labels : Path
        Masks whose pixel values are the classes, 255 for void.
    auxiliary : tuple of Path
        The maps of further networks.
    ordered : bool
        Whether neighbours in the order of the names are alike, as in video; folds are contiguous
        then.
    """

    probabilities: Path
    images: Path
    labels: Path
    auxiliary: tuple[Path, ...] = ()
    ordered: bool = False


def fit_files(
    folders: FitFolders,
    out: Path,
    classes: str | None = None,
    overrides: Sequence[str] = (),
    execution: Execution = Execution(),  # noqa: B008
) -> FitReport:
    """Fit a `Reranker` on labelled images, and write it to one HDF5 file.

    Parameters
    ----------
    folders : FitFolders
        Maps must come from networks that never saw the images.
    out : Path
        The file.
    classes : str, optional
        A file of the classes' names, one a line, or their number; by default as many as the first
        map has.
    overrides : sequence of str
        `a.b=value` settings that replace those of the recipe `own_maps`.
    execution : Execution
        Tasks at a time, and whether progress is shown.

    Returns
    -------
    FitReport

    Raises
    ------
    ConfigError
        If a setting or the number of classes cannot be used.
    DataError
        If a folder is missing, or files cannot be used: a line for each, of twenty at most.
    InputError
        If there are fewer than 20 images.
    """
    if out.is_dir() or not out.resolve().parent.is_dir():
        raise file_error(out, "cannot be written", "name a file in a folder that exists")
    check_writable(out.resolve().parent)
    recipe = _recipe(folders, overrides)
    dataset = open_labelled(folders, classes)
    check_enough_images(len(dataset))
    maps, *others = (MapFolder(folder) for folder in (folders.probabilities, *folders.auxiliary))
    data = RunData(dataset, None, WeightFiles.find(recipe), maps, tuple(others))
    with tempfile.TemporaryDirectory(prefix="rerank-fit-") as work:
        fitted = Reranker().fit_data(recipe, data, Store(work), execution)
    fitted.save(out)
    return fitted.report_


def open_labelled(folders: FitFolders, classes: str | None = None) -> Dataset:
    """The labelled images of some folders, all of them checked.

    Parameters
    ----------
    folders : FitFolders
    classes : str, optional
        As in `fit_files`.

    Returns
    -------
    Dataset

    Raises
    ------
    ConfigError
        If `classes` is neither a number nor a file, or is not what the maps have.
    DataError
        If a folder is missing, or files cannot be used: a line for each, of twenty at most.
    """
    for folder, what in (
        (folders.images, "--images"),
        (folders.labels, "--labels"),
        (folders.probabilities, "--probabilities"),
        *((folder, "--auxiliary") for folder in folders.auxiliary),
    ):
        if not folder.is_dir() and not (folder.is_file() and what not in ("--images", "--labels")):
            raise file_error(folder, "no such folder", f"{what} names one")
    names = _names_in(classes)
    images, labels = str(folders.images.resolve()), str(folders.labels.resolve())
    # How many classes there are is not known before a map is read.
    some = ("0",) if names is None else names
    options = FolderOptions(images, labels, class_names=some, ordered=folders.ordered)
    listing = list_folder(images, "all", options)
    problems: list[FileProblem | str] = list(listing.problems)
    found = 0
    for folder in (folders.probabilities, *folders.auxiliary):
        try:
            found = MapFolder(folder).check([listing.dataset], found or None).n_classes
        except DataError as error:
            problems += str(error).splitlines()
    if problems:
        raise problems_error(problems)
    if names is None:
        names = tuple(str(k) for k in range(found))
        listing = list_folder(images, "all", replace(options, class_names=names))
    elif len(names) != found:
        raise ConfigError(
            f"--classes {classes}: {len(names)} classes, and the maps in {folders.probabilities} "
            f"have {found}"
        )
    problems = list(certain(check_dataset(listing.dataset)))
    if problems:
        raise problems_error(problems)
    return listing.dataset


def _recipe(folders: FitFolders, overrides: Sequence[str]) -> Recipe:
    own = (
        f"unary.probabilities={json.dumps(str(folders.probabilities))}",
        f"auxiliary.probabilities={json.dumps([str(folder) for folder in folders.auxiliary])}",
        "dataset.evaluate=null",
        "ranking.compared=[]",
        "report.ablation=false",
    )
    recipe = load_recipe("own_maps", [*own, *overrides])
    if recipe.unary.source != "probabilities":
        raise ConfigError(
            "--set unary.source: a fit is of network maps; use `rerank run` with a recipe"
        )
    return with_weights(recipe)


def _names_in(classes: str | None) -> tuple[str, ...] | None:
    if classes is None:
        return None
    if classes.isdecimal():
        if not 1 <= int(classes) <= 255:
            raise ConfigError(f"--classes {classes}: expected 1 to 255 classes")
        return tuple(str(k) for k in range(int(classes)))
    if not Path(classes).is_file():
        raise ConfigError(f"--classes {classes}: expected a number, or a file of names, one a line")
    lines, problems = read_lines([Path(classes)])
    if problems:
        raise DataError(problems[0])
    return tuple(lines)
