"""Running a recipe in a work folder, and opening what was run there."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import h5py
import numpy as np

from rerank.config import Recipe, build_recipe, load_recipe
from rerank.datasets.catalogue import reads_files
from rerank.engine.folds import ALL, FINAL
from rerank.engine.graph import Graph
from rerank.engine.scheduler import Execution, part_name, run_graph
from rerank.engine.store import ArtefactRef, Store, disk_errors
from rerank.errors import ConfigError, DataError, StoreError
from rerank.files import write_text
from rerank.stages.pipeline import open_pipeline
from rerank.stages.run_data import RunData, open_data

if TYPE_CHECKING:
    from rerank.prediction import FinalModels
    from rerank.types import Array

#: Names what was run last in a work folder, and all that a prediction needs of it.
RUN_FILE = "run.json"


class Run(NamedTuple):
    """The contents of the run file of a work folder.

    Attributes
    ----------
    recipe : Recipe
    data_root : str or None
        Folder of the images.
    weights : str or None
        File of the backbone's weights.
    classes : dict
        Names, colours and background of the classes, as plain values.
    artefacts : mapping of `stage/part` to key
    """

    recipe: Recipe
    data_root: str | None
    weights: str | None
    classes: dict[str, Any]
    artefacts: dict[str, str]


def run(
    recipe: str | Path | Recipe,
    data_root: str | Path | None = None,
    work: str | Path | None = None,
    *,
    fold: str | int | None = None,
    overrides: Sequence[str] = (),
    execution: Execution = Execution(),  # noqa: B008
) -> Graph:
    """Compute what is missing of a recipe in a work folder.

    Parameters
    ----------
    recipe : str, path or Recipe
        As in `load_recipe`, or a recipe itself.
    data_root : path, optional
        Folder of the images, for data sets that are read from disk.
    work : path, optional
        The work folder; `work/NAME` by default, with the recipe's name.
    fold : str or int, optional
        Only what this fold needs: 0, 1, ... or `final`.
    overrides : sequence of str
        `a.b=value` settings that replace those of the recipe; not with a `Recipe`.
    execution : Execution
        Tasks at a time, and where they run.

    Returns
    -------
    Graph
        All artefacts of the recipe, through which they are read.

    Raises
    ------
    ConfigError
        If the recipe or a setting cannot be used, or there is no such fold.
    DataError
        If images, weights or maps are missing or unreadable.
    StoreError
        If the work folder cannot be used.
    """
    if not isinstance(recipe, Recipe):
        recipe = load_recipe(recipe, overrides)
    # What was typed is checked first, so that a mistake leaves no work folder.
    part = None if fold is None else _part_of(recipe, str(fold))
    name = recipe.dataset.name
    if data_root is None and reads_files(name):
        raise ConfigError(
            f"the recipe {recipe.name} reads the images of {name} from files; name their folder "
            "with --data-root DIR"
        )
    store = Store(Path("work") / recipe.name if work is None else work)
    root = None if data_root is None else str(Path(data_root).resolve())
    # The pipeline reads every map for its keys and stops at the first problem; this lists all.
    own_maps = recipe.unary.source == "probabilities"
    notes = open_data(recipe, root).check_maps() if own_maps else []
    graph = open_pipeline(recipe, store, root)
    if not execution.quiet:
        for note in notes:
            print(note, file=sys.stderr)
    write_run_file(graph, root)
    run_graph(graph, part, execution)
    return graph


def open_run(work: str | Path) -> Graph:
    """The artefacts of what was run last in a work folder.

    Raises
    ------
    StoreError
        If the folder holds no run.
    """
    store = Store(work, create=False)
    found = read_run_file(store)
    return open_pipeline(found.recipe, store, found.data_root)


def open_models(work: str | Path) -> tuple[FinalModels, Array]:
    """The models of a finished run, and the palette of its classes.

    Parameters
    ----------
    work : path

    Raises
    ------
    StoreError
        If the folder holds no run, or the run is not finished.
    DataError
        If the backbone's weights are gone.
    """
    from rerank.prediction import MODEL_STAGES, FinalModels
    from rerank.stages.features import Classes

    store = Store(work, create=False)
    found = read_run_file(store)
    refs = {name: _model_ref(name, found.artefacts) for name in MODEL_STAGES}
    for ref in refs.values():
        if not store.has(ref):
            raise StoreError(
                f"{store.path(ref)}: missing or damaged; finish the run with "
                "`rerank run` before predicting"
            )
    weights = found.weights
    if weights is not None and not Path(weights).is_file():
        raise DataError(
            f"{weights}: the backbone's weights of this run are gone; put the file back"
        )

    @contextmanager
    def open_stage(name: str) -> Iterator[h5py.Group]:
        with store.open(refs[name]) as file:
            yield file

    about = found.classes
    classes = Classes(tuple(about["class_names"]), about["background"])
    palette = np.array(about["palette"], dtype=np.uint8)
    return FinalModels(open_stage, found.recipe, classes, weights), palette


def write_run_file(graph: Graph, data_root: str | None) -> None:
    """Note in the work folder what was run last, and all that a prediction needs of it.

    Parameters
    ----------
    graph : Graph
        Of the whole pipeline.
    data_root : str or None
    """
    data: RunData = graph.data
    train = data.train
    content = {
        "recipe": graph.recipe.model_dump(mode="json"),
        "data_root": data_root,
        "weights": data.weights,
        "classes": {
            "class_names": list(train.class_names),
            "palette": np.asarray(train.palette).tolist(),
            "background": train.background,
        },
        "artefacts": {
            str(task.ref): task.ref.key for task in graph.tasks if task.part.name in (FINAL, ALL)
        },
    }
    path = graph.store.root / RUN_FILE
    with disk_errors(path):
        write_text(path, json.dumps(content) + "\n")


def read_run_file(store: Store) -> Run:
    """What `write_run_file` noted.

    Raises
    ------
    StoreError
        If it is missing or not readable.
    """
    path = store.root / RUN_FILE
    try:
        found = json.loads(path.read_text())
        recipe = build_recipe(found["recipe"], str(path))
        return Run(recipe, *(found[name] for name in Run._fields[1:]))
    except FileNotFoundError:
        raise StoreError(f"{path}: missing; run a recipe in this work folder first") from None
    except (ValueError, KeyError, TypeError):
        raise StoreError(f"{path}: not readable; run the recipe again to write it") from None


def _part_of(recipe: Recipe, fold: str) -> str:
    """The part that `--fold` asks for, which the recipe must have."""
    part, n_folds = part_name(fold), recipe.folds.n_folds
    if part != FINAL and int(fold) >= n_folds:
        raise ConfigError(
            f"--fold {fold}: the recipe has {n_folds} folds; give 0 to {n_folds - 1}, or final"
        )
    return part


def _model_ref(stage: str, artefacts: dict[str, str]) -> ArtefactRef:
    part = ALL if f"{stage}/{ALL}" in artefacts else FINAL
    if f"{stage}/{part}" not in artefacts:
        raise StoreError(
            f"the run has no stage {stage}: an older rerank made it; finish it again with "
            "`rerank run` before predicting"
        )
    return ArtefactRef(stage, part, artefacts[f"{stage}/{part}"])
