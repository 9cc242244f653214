"""Proposals of network maps and a learned choice among them, in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from rerank.config import Recipe, build_propose_settings, build_recipe
from rerank.datasets.array_source import ArraySource, array_dataset
from rerank.datasets.dataset import Dataset
from rerank.datasets.map_layout import map_layout
from rerank.engine.memory_store import MemoryStore
from rerank.engine.parallel import available_cores
from rerank.engine.scheduler import ONE_AFTER_ANOTHER, Execution
from rerank.engine.sealed_file import open_content, read_sealed, write_sealed
from rerank.engine.store import Store
from rerank.errors import ConfigError, DataError, InputError
from rerank.fitting import KIND, check_models, fit_models, read_about
from rerank.prediction import FinalModels, JointResult
from rerank.result import Proposals, Result
from rerank.stages.run_data import RunData, WeightFiles
from rerank.types import Array
from rerank.untrained import propose


class Reranker(BaseEstimator):
    """Diverse proposals of network maps, and a ranker that learns to choose among them.

    `fit` needs labelled images and network maps of them from a network that never saw them, such
    as the validation images. Everything is cross-fitted on them: settings of the CRF, the signals
    that join the maps, and the ranker. It does what a recipe with `unary.source: probabilities`
    does, without a work folder.

    Parameters
    ----------
    n_proposals : int
        Proposals per image.
    n_folds : int
        Folds of the labelled images, at least 2.
    class_names : sequence of str, optional
        One per class; numbers by default.
    background : int, optional
        The class that is what is left over.
    ordered : bool
        Whether neighbouring images are alike, as in video; folds are contiguous then.
    settings : sequence of str
        `a.b=value` settings of a recipe that replace the defaults, such as
        ``superpixels.n_segments=800``.
    random_state : int

    Attributes
    ----------
    models_ : FinalModels
        What `predict` uses.
    recipe_ : Recipe
        All settings of the fit.
    report_ : FitReport
        After `fit`: the cross-fitted accuracy of the network, of MAP and of the choice, and the
        chosen settings; ``print(reranker.report_)`` shows them.

    Examples
    --------
    >>> from rerank import Reranker  # doctest: +SKIP
    >>> reranker = Reranker().fit(images, probabilities, labels)  # doctest: +SKIP
    >>> reranker.predict(image, probabilities).labels  # doctest: +SKIP
    """

    def __init__(
        self,
        n_proposals: int = 30,
        *,
        n_folds: int = 5,
        class_names: Sequence[str] | None = None,
        background: int | None = None,
        ordered: bool = False,
        settings: Sequence[str] = (),
        random_state: int = 0,
    ) -> None:
        self.n_proposals = n_proposals
        self.n_folds = n_folds
        self.class_names = class_names
        self.background = background
        self.ordered = ordered
        self.settings = settings
        self.random_state = random_state

    def fit(
        self,
        images: Sequence[Array],
        probabilities: Sequence[Array],
        labels: Sequence[Array],
        auxiliary: Sequence[Sequence[Array]] = (),
        *,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> Reranker:
        """Choose settings and fit the ranker on labelled images.

        Parameters
        ----------
        images : sequence of (H, W, 3) uint8 arrays
        probabilities : sequence of (H, W, C) or (C, H, W) arrays
            Network maps of these images, from a network that never saw them: probabilities or
            scores, at any size.
        labels : sequence of (H, W) int arrays
            Classes 0..C-1, and 255 for void.
        auxiliary : sequence of sequences of (H, W, C) or (C, H, W) float arrays
            The maps of further networks, one sequence a network. Only stage 2 uses them; `predict`
            then needs those of its image.
        n_jobs : int or None
            Processes at a time; None means 1, and -1 one per core.
        verbose : int
            With 1 and more progress is shown on a terminal, and the report printed.

        Returns
        -------
        self

        Raises
        ------
        InputError
            If there are fewer than 20 images, the sequences differ in length, or an array does not
            fit its image.
        ConfigError
            If a setting is unknown or out of range, or there are fewer images than folds.
        """
        if len(probabilities) != len(images):
            raise InputError(f"there are {len(images)} images and {len(probabilities)} maps")
        for place, others in enumerate(auxiliary, start=1):
            if len(others) != len(images):
                raise InputError(
                    f"there are {len(images)} images and {len(others)} maps of auxiliary network "
                    f"{place}"
                )
        if not len(images):
            raise InputError("there are no images to fit on")
        names = self.class_names
        if names is None:
            names = [str(k) for k in range(_n_classes(images[0], probabilities[0]))]
        dataset = array_dataset(images, labels, names, self.background, self.ordered)
        recipe = self._recipe(len(auxiliary))
        execution = _execution(n_jobs, verbose)
        parallel = n_jobs not in (None, 1)
        with tempfile.TemporaryDirectory() if parallel else nullcontext() as folder:
            networks = [
                ArrayMaps(dict(zip(dataset.ids, arrays)), name)
                for arrays, name in zip((probabilities, *auxiliary), _map_names(len(auxiliary)))
            ]
            store: Store = MemoryStore()
            if folder is not None:
                # Workers map the files into memory, instead of each getting a copy.
                dataset = replace(dataset, source=_source_on_disk(dataset, Path(folder)))
                networks = [network.on_disk(Path(folder)) for network in networks]
                store = Store(Path(folder) / "work")
            data = RunData(
                dataset, None, WeightFiles.find(recipe), networks[0], tuple(networks[1:])
            )
            self.fit_data(recipe, data, store, execution)
        if verbose:
            print(self.report_)
        return self

    def fit_data(
        self, recipe: Recipe, data: RunData, store: Store, execution: Execution = ONE_AFTER_ANOTHER
    ) -> Reranker:
        """Fit on what a run reads, with the settings of a recipe: what `fit` does with arrays.

        Parameters
        ----------
        recipe : Recipe
            Of `unary.source: probabilities`.
        data : RunData
        store : Store
            Gets what the stages write; needed for the length of the call.
        execution : Execution

        Returns
        -------
        self

        Raises
        ------
        InputError
            If there are fewer than 20 images.
        """
        self._models_file, self.report_ = fit_models(recipe, data, store, execution)
        self._load_models()
        return self

    def propose(
        self, image: Array, probabilities: Array, auxiliary: Sequence[Array] = ()
    ) -> Proposals:
        """Proposals of one image: with the settings of `fit`, or with the defaults before it.

        Parameters
        ----------
        image : (H, W, 3) uint8 array
        probabilities : (H, W, C) or (C, H, W) array
            Probabilities or scores, at any size.
        auxiliary : sequence of (H, W, C) or (C, H, W) arrays
            The image's maps of the further networks that `fit` was given, in the same order.

        Returns
        -------
        Proposals

        Raises
        ------
        ConfigError
            If there are not as many auxiliary maps as `fit` was given networks.
        """
        if hasattr(self, "models_"):
            return self.models_.propose(image, probabilities, auxiliary=auxiliary)
        if len(auxiliary):
            raise ConfigError("proposals before fit use no auxiliary maps; leave them away")
        settings = build_propose_settings([f"n_proposals={self.n_proposals}"])
        return propose(image, probabilities, settings).proposals

    def predict(
        self, image: Array, probabilities: Array, auxiliary: Sequence[Array] = ()
    ) -> Result:
        """Proposals of one image, and the choice of the ranker.

        Parameters
        ----------
        image : (H, W, 3) uint8 array
        probabilities : (H, W, C) or (C, H, W) array
            Probabilities or scores, at any size.
        auxiliary : sequence of (H, W, C) or (C, H, W) arrays
            The image's maps of the further networks that `fit` was given, in the same order.

        Returns
        -------
        Result

        Raises
        ------
        NotFittedError
            Before `fit`.
        ConfigError
            If there are not as many auxiliary maps as `fit` was given networks.
        InputError
            If the map does not fit the image or the classes.
        """
        self._check_fitted()
        return self.models_.predict(image, probabilities, auxiliary=auxiliary)

    def predict_corpus(
        self,
        images: Sequence[Array],
        probabilities: Sequence[Array],
        auxiliary: Sequence[Sequence[Array]] = (),
    ) -> JointResult:
        """Proposals of several images, chosen together for the highest expected corpus IoU.

        Parameters
        ----------
        images : sequence of (H, W, 3) uint8 arrays
        probabilities : sequence of (H, W, C) or (C, H, W) float arrays
        auxiliary : sequence of sequences of (H, W, C) or (C, H, W) float arrays
            As in `fit`.

        Returns
        -------
        JointResult

        Raises
        ------
        NotFittedError
            Before `fit`.
        InputError
            If there is no image, the sequences differ in length, or a map does not fit.
        """
        self._check_fitted()
        return self.models_.predict_corpus(images, probabilities, auxiliary=auxiliary)

    def save(self, path: str | Path) -> None:
        """Write a fitted reranker to one HDF5 file, without pickles.

        Parameters
        ----------
        path : path

        Raises
        ------
        NotFittedError
            Before `fit`.
        DataError
            If it cannot be written.
        """
        self._check_fitted()
        write_sealed(Path(path), *KIND, self._models_file)

    @classmethod
    def load(cls, path: str | Path) -> Reranker:
        """Read what `save` wrote.

        Parameters
        ----------
        path : path

        Raises
        ------
        DataError
            If the file is missing, damaged, or not a saved reranker.
        """
        found = cls()
        found._models_file = read_sealed(Path(path), *KIND)
        try:
            found._load_models()
        except DataError:
            raise
        except Exception as error:  # what a stranger's file holds may raise anything
            raise DataError(
                f"{path}: not a reranker that `Reranker.save` wrote ({error}); save it again"
            ) from error
        recipe, classes = found.recipe_, found.models_.classes
        found.n_proposals, found.n_folds = recipe.proposals.n_proposals, recipe.folds.n_folds
        found.class_names, found.background = classes.class_names, classes.background
        found.random_state = recipe.random_state
        return found

    def _load_models(self) -> None:
        with open_content(self._models_file) as file:
            recipe, classes = read_about(file)
            check_models(file, recipe, classes)

            @contextmanager
            def open_stage(name: str) -> Iterator[h5py.Group]:
                yield file[name]

            weights = WeightFiles(recipe.backbone.weights)
            weights.check()
            self.models_ = FinalModels(open_stage, recipe, classes, weights)
        self.recipe_ = recipe

    def _check_fitted(self) -> None:
        if not hasattr(self, "models_"):
            raise NotFittedError("this Reranker is not fitted; call fit, or Reranker.load")

    def _recipe(self, n_auxiliary: int = 0) -> Recipe:
        names = _map_names(n_auxiliary)
        tree: dict[str, Any] = {
            "name": "reranker",
            "dataset": {"name": "arrays", "evaluate": None},
            "random_state": self.random_state,
            "folds": {"n_folds": self.n_folds},
            "unary": {"source": "probabilities", "probabilities": names[0]},
            "auxiliary": {"probabilities": names[1:]},
            "proposals": {"n_proposals": self.n_proposals},
            "ranking": {"compared": []},
        }
        return with_weights(build_recipe(tree, "Reranker", tuple(self.settings)))


def with_weights(recipe: Recipe, data_root: str | None = None) -> Recipe:
    """A recipe whose backbone weights are named by their full path, for a file of models.

    Parameters
    ----------
    recipe : Recipe
    data_root : str, optional
        Where weights are looked for too.

    Returns
    -------
    Recipe

    Raises
    ------
    DataError
        If the recipe names a file that is nowhere.
    """
    found = WeightFiles.find(recipe, data_root).backbone
    if found is None:
        return recipe
    weights = recipe.backbone.model_copy(update={"weights": str(Path(found).resolve())})
    return recipe.model_copy(update={"backbone": weights})


@dataclass(frozen=True)
class ArrayMaps:
    """Network maps in memory, by image id."""

    maps: Mapping[str, Array]
    name: str = "map"

    def read(self, image_id: str) -> Array:
        """The map of an image."""
        return self.maps[image_id]

    def where(self, image_id: str) -> str:
        """The map's name in error messages."""
        return f"{self.name} {int(image_id)}"

    def on_disk(self, folder: Path) -> ArrayMaps:
        """The same maps, written to a folder and mapped into memory."""
        return ArrayMaps(_on_disk(self.maps, folder, self.name), self.name)

    def digest(self, image_id: str) -> str:
        """Nothing is kept beyond the fit, so that the id tells maps apart."""
        return image_id


def _execution(n_jobs: int | None, verbose: int) -> Execution:
    jobs = 1 if n_jobs is None else n_jobs
    if jobs == 0 or jobs < -1:
        raise ConfigError(f"n_jobs must be None, -1 or at least 1, got {n_jobs}")
    return Execution(available_cores() if jobs == -1 else jobs, quiet=not verbose)


def _map_names(n_auxiliary: int) -> list[str]:
    """What errors call the maps of each network."""
    return ["map", *(f"map of auxiliary network {k}," for k in range(1, n_auxiliary + 1))]


def _on_disk(arrays: Mapping[str, Array], folder: Path, name: str) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for key, array in arrays.items():
        path = folder / f"{name}_{key}.npy"
        np.save(path, np.asarray(array))
        found[key] = np.load(path, mmap_mode="r")
    return found


def _source_on_disk(dataset: Dataset, folder: Path) -> ArraySource:
    images = {image_id: dataset.image(image_id) for image_id in dataset.ids}
    masks = {image_id: dataset.labels(image_id) for image_id in dataset.ids}
    return ArraySource(_on_disk(images, folder, "image"), _on_disk(masks, folder, "mask"))


def _n_classes(image: Array, probabilities: Array) -> int:
    return map_layout(np.shape(probabilities), np.shape(image)[:2], None, "map 0").n_classes
