"""Running a recipe in a work folder, and opening what was run there."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import h5py
import numpy as np

from rerank.config import Recipe, build_recipe, load_recipe
from rerank.datasets.catalogue import reads_files
from rerank.engine.artefact_file import REMEDY
from rerank.engine.folds import ALL, FINAL
from rerank.engine.graph import Graph
from rerank.engine.manifest import ArtefactRef, sealed, unsealed
from rerank.engine.scheduler import Execution, part_name, run_graph, set_aside_if_damaged
from rerank.engine.store import Store
from rerank.engine.system_errors import disk_errors, reading
from rerank.errors import ConfigError, DamagedArtefactError, InputError, RerankError, StoreError
from rerank.files import write_text
from rerank.stages.declarations import Sizes, contents_of
from rerank.stages.index import INDEX
from rerank.stages.pipeline import open_pipeline
from rerank.stages.run_data import RunData, WeightFiles, open_data

if TYPE_CHECKING:
    from rerank.prediction import FinalModels
    from rerank.types import Array

#: Names what was run last in a work folder, and all that a prediction needs of it.
RUN_FILE = "run.json"
#: The same, in case the file is damaged: nothing else in a work folder says it.
_COPY = "run.copy.json"
#: What JSON has for the fields of a `Run` after its recipe.
_KINDS: tuple[Any, ...] = ((str, type(None)), WeightFiles, dict, dict, bool)


class Run(NamedTuple):
    """The contents of the run file of a work folder.

    Attributes
    ----------
    recipe : Recipe
    data_root : str or None
        Folder of the images.
    weights : WeightFiles
    classes : dict
        Names, colours and background of the classes, as plain values.
    artefacts : mapping of `stage/part` to key
    finished : bool
        Whether all its artefacts were computed.
    """

    recipe: Recipe
    data_root: str | None
    weights: WeightFiles
    classes: dict[str, Any]
    artefacts: dict[str, str]
    finished: bool


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
    folder = Path("work") / recipe.name if work is None else Path(work)
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    store = Store(folder)
    root = None if data_root is None else str(Path(data_root).resolve())
    try:
        # The pipeline reads every map for its keys and stops at the first problem; this lists all.
        own_maps = recipe.unary.source == "probabilities"
        notes = open_data(recipe, root).check_maps() if own_maps else []
        graph = open_pipeline(recipe, store, root)
    except RerankError:
        if made:
            store.discard_if_empty()
        for place in made[1:]:
            with suppress(OSError):
                place.rmdir()
        raise
    if not execution.quiet:
        for note in notes:
            print(note, file=sys.stderr)
    write_run_file(graph, root)
    # No stage reads the index: its damage would stay unseen.
    set_aside_if_damaged(store, graph.task(INDEX.name).ref)
    run_graph(graph, part, execution)
    write_run_file(graph, root, finished=fold is None)
    return graph


def open_run(work: str | Path) -> Graph:
    """The artefacts of what was run last in a work folder.

    Raises
    ------
    StoreError
        If the folder holds no run.
    """
    return open_run_of(Store(work, create=False))


def open_run_of(store: Store) -> Graph:
    """The artefacts of what was run last in an open work folder: see `open_run`."""
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
    found.weights.check()
    about = found.classes
    classes = Classes(tuple(about["class_names"]), about["background"])
    palette = np.array(about["palette"], dtype=np.uint8)

    @contextmanager
    def open_stage(name: str) -> Iterator[h5py.Group]:
        contents = contents_of(name, found.recipe, Sizes(classes.n_classes))
        with store.open(refs[name], contents=contents) as file:
            try:
                yield file
            except (InputError, LookupError, TypeError, RuntimeError) as error:
                why = " ".join(str(error).split())
                raise DamagedArtefactError(
                    f"{store.path(refs[name])}: not the models that its stage writes "
                    f"({why:.200}); {REMEDY}"
                ) from error

    return FinalModels(open_stage, found.recipe, classes, found.weights), palette


def write_run_file(graph: Graph, data_root: str | None, finished: bool = False) -> None:
    """Note in the work folder what was run last, and all that a prediction needs of it.

    Parameters
    ----------
    graph : Graph
        Of the whole pipeline.
    data_root : str or None
    finished : bool
        Whether all its artefacts are there.
    """
    data: RunData = graph.data
    train = data.train
    content = {
        "recipe": graph.recipe.model_dump(mode="json"),
        "data_root": data_root,
        "weights": list(data.weights),
        "classes": {
            "class_names": list(train.class_names),
            "palette": np.asarray(train.palette).tolist(),
            "background": train.background,
        },
        "artefacts": {
            str(task.ref): task.ref.key for task in graph.tasks if task.part.name in (FINAL, ALL)
        },
        "finished": finished,
    }
    _write_run_files(graph.store, sealed(content))


def read_run_file(store: Store) -> Run:
    """What `write_run_file` noted; from the copy, where the file itself is damaged.

    Raises
    ------
    UnreadableArtefactError
        If it cannot be read now.
    StoreError
        If it is missing, or damaged like its copy.
    """
    reasons = []
    for path in _paths(store):
        try:
            return _read(path)
        except ValueError as error:
            reasons.append(" ".join(str(error).split()))
    first, second = _paths(store)
    if first.exists() or second.exists():
        raise StoreError(
            f"{first}: damaged ({reasons[0]:.200}), and {second.name} is no better; nothing else "
            f"says what was run here: `rerank run RECIPE --work {store.root}` writes both anew, "
            "and keeps what is whole"
        )
    raise StoreError(f"{first}: missing; run a recipe in this work folder first")


def damaged_run_files(store: Store) -> list[str]:
    """What is wrong with the run file and its copy where one of both is whole; one line each."""
    whole = _whole_content(store)
    return [
        f"{path}: {'damaged' if path.exists() else 'missing'}; `rerank verify --repair` mends it"
        for path in _paths(store)
        if whole is not None and not _holds(path, whole)
    ]


def mend_run_files(store: Store) -> None:
    """Write the run file and its copy from the one that is whole."""
    whole = _whole_content(store)
    if whole is not None:
        _write_run_files(store, whole)


def _paths(store: Store) -> tuple[Path, Path]:
    return store.root / RUN_FILE, store.root / _COPY


def _write_run_files(store: Store, content: bytes) -> None:
    for name in (_COPY, RUN_FILE):
        with disk_errors(store.root / name):
            write_text(store.root / name, content.decode())


def _whole_content(store: Store) -> bytes | None:
    """The content of the first of the run file and its copy that is whole."""
    for path in _paths(store):
        with suppress(ValueError):
            _read(path)
            return _content(path)
    return None


def _holds(path: Path, content: bytes) -> bool:
    with suppress(ValueError):
        return _content(path) == content
    return False


def _content(path: Path) -> bytes:
    """The bytes of a run file; `ValueError` where there is no plain file."""
    if not path.is_file() or path.is_symlink():
        raise ValueError("no plain file")
    with reading(path):
        return path.read_bytes()


def _read(path: Path) -> Run:
    """What a run file says.

    Raises
    ------
    ValueError
        If it is not what `write_run_file` writes.
    """
    tree = unsealed(_content(path))
    try:
        values = [tree[name] for name in Run._fields[1:]]
        values[1] = _weight_files(values[1])
        found = Run(build_recipe(tree["recipe"], str(path)), *values)
        about = found.classes
        names, background = about["class_names"], about["background"]
        palette = np.array(about["palette"], dtype=np.uint8)
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None
    if not (
        all(isinstance(v, kinds) for v, kinds in zip(values, _KINDS))
        and all(isinstance(key, str) for key in found.artefacts.values())
        and isinstance(names, list)
        and 0 < len(names) <= len(palette)
        and all(isinstance(name, str) for name in names)
        and palette.shape[1:] == (3,)
        and (background is None or (type(background) is int and 0 <= background < len(names)))
    ):
        raise ValueError("of another type")
    return found


def _weight_files(value: Any) -> WeightFiles:
    """What `write_run_file` wrote."""
    names = value if isinstance(value, list) else []
    if len(names) != 2 or not all(isinstance(name, (str, type(None))) for name in names):
        raise TypeError("weights are the names of two files")
    return WeightFiles(*names)


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
