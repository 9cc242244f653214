"""Proposals of network maps and a learned choice among them, in memory."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from rerank.config import ProposeSettings, Recipe, build_propose_settings, build_recipe
from rerank.datasets.array_source import array_dataset
from rerank.engine.folds import ALL, FINAL
from rerank.engine.graph import Graph
from rerank.engine.hdf5 import read_strings, write_strings
from rerank.engine.memory_store import MemoryStore
from rerank.engine.scheduler import run_graph
from rerank.errors import DataError, InputError, StoreError
from rerank.features import similarity_matrix
from rerank.files import replace_file
from rerank.potentials.energy_settings import EnergySettings
from rerank.potentials.network_map import map_to_regions, network_labels
from rerank.prediction import MODEL_STAGES, FinalModels, Proposals, Result
from rerank.ranking import expected_quality
from rerank.stages.crf_settings import CRFChoice
from rerank.stages.features import Classes
from rerank.stages.index import make_parts
from rerank.stages.pipeline import STAGES
from rerank.stages.proposals import NETWORK, Drawing, image_proposals
from rerank.stages.run_data import RunData
from rerank.stages.superpixels import graph_of, segment
from rerank.types import Array

#: Version of the layout of a saved `Reranker`.
FORMAT = 1
#: What stages write besides their models.
_OF_SINGLE_IMAGES = {
    "header",
    "holdout",
    "images",
    "maps",
    "maps_cross_entropy",
    "model_cross_entropy",
    "scores",
    "size_scores",
}
#: Stages of a run that no model needs: analyses and their report.
_ANALYSES = {"upsampling", "oracle", "dense_crf", "generators", "ablation", "pages"}


def propose(
    image: Array, probabilities: Array, settings: ProposeSettings | None = None, where: str = ""
) -> Result:
    """Proposals of one image from a network map, and a choice, without any training.

    The choice is the proposal that agrees best with the others, weighted by their probability
    under the CRF: minimum Bayes risk (Premachandran et al. 2014).

    Parameters
    ----------
    image : (H, W, 3) uint8 array
    probabilities : (H, W, C) or (C, H, W) float array
        Class probabilities of the pixels.
    settings : ProposeSettings, optional
    where : str
        Names the map in errors.

    Returns
    -------
    Result

    Raises
    ------
    InputError
        If the map does not fit the image, is not of probabilities, or has more than 255 classes.
    """
    chosen = build_propose_settings() if settings is None else settings
    labels = network_labels(probabilities, image, where=where)
    regions = segment(image, chosen.superpixels, labels)
    found = map_to_regions(
        probabilities, image, regions["superpixels"], refined=chosen.dense_crf, where=where
    )
    n_classes = found.shape[1]
    energy = EnergySettings(chosen.potts_weight, chosen.contrast_scale, chosen.base)
    graph = graph_of(regions)
    drawn = image_proposals(
        {"unary": found},
        graph,
        regions["region_values"],
        CRFChoice(energy, None, chosen.diversity),
        Drawing(chosen.n_proposals, chosen.map_inference, chosen.inference),
        regions[NETWORK],
    )
    proposals = Proposals.of(regions["superpixels"], drawn)
    similarity = similarity_matrix(proposals.labelings, graph.areas, n_classes)
    temperature = max(float(proposals.energies.std()), 1e-9)
    scores = expected_quality(proposals.energies, similarity, temperature=temperature)
    return Result(proposals, scores, int(scores.argmax()))


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
        self, images: Sequence[Array], probabilities: Sequence[Array], labels: Sequence[Array]
    ) -> Reranker:
        """Choose settings and fit the ranker on labelled images.

        Parameters
        ----------
        images : sequence of (H, W, 3) uint8 arrays
        probabilities : sequence of (H, W, C) or (C, H, W) float arrays
            Network maps of these images, from a network that never saw them.
        labels : sequence of (H, W) int arrays
            Classes 0..C-1, and 255 for void.

        Returns
        -------
        self

        Raises
        ------
        InputError
            If the sequences differ in length, or an array does not fit its image.
        ConfigError
            If a setting is unknown or out of range, or there are fewer images than folds.
        """
        if len(probabilities) != len(images):
            raise InputError(f"there are {len(images)} images and {len(probabilities)} maps")
        if not len(images):
            raise InputError("there are no images to fit on")
        names = self.class_names
        if names is None:
            names = [str(k) for k in range(_n_classes(images[0], probabilities[0]))]
        dataset = array_dataset(images, labels, names, self.background, self.ordered)
        maps = ArrayMaps(dict(zip(dataset.ids, probabilities)))
        recipe = self._recipe()
        data, store = RunData(dataset, maps=maps), MemoryStore()
        stages = [stage for stage in STAGES if stage.name not in _ANALYSES]
        graph = Graph(recipe, stages, make_parts(recipe, store, data), data, store)
        run_graph(graph)

        @contextmanager
        def open_stage(name: str) -> Iterator[h5py.Group]:
            with store.open(graph.task(name, ALL if name == "ranking" else FINAL).ref) as file:
                yield file

        self._models_file = _pack(open_stage, recipe, Classes.of(dataset))
        self._load_models()
        return self

    def propose(self, image: Array, probabilities: Array) -> Proposals:
        """Proposals of one image: with the settings of `fit`, or with the defaults before it.

        Parameters
        ----------
        image : (H, W, 3) uint8 array
        probabilities : (H, W, C) or (C, H, W) float array

        Returns
        -------
        Proposals
        """
        if hasattr(self, "models_"):
            return self.models_.propose(image, probabilities)
        settings = build_propose_settings([f"n_proposals={self.n_proposals}"])
        return propose(image, probabilities, settings).proposals

    def predict(self, image: Array, probabilities: Array) -> Result:
        """Proposals of one image, and the choice of the ranker.

        Parameters
        ----------
        image : (H, W, 3) uint8 array
        probabilities : (H, W, C) or (C, H, W) float array

        Returns
        -------
        Result

        Raises
        ------
        NotFittedError
            Before `fit`.
        InputError
            If the map does not fit the image or the classes.
        """
        self._check_fitted()
        return self.models_.predict(image, probabilities)

    def save(self, path: str | Path) -> None:
        """Write a fitted reranker to one HDF5 file, without pickles.

        Parameters
        ----------
        path : path

        Raises
        ------
        NotFittedError
            Before `fit`.
        """
        self._check_fitted()
        with replace_file(Path(path)) as temporary:
            temporary.write_bytes(self._models_file)

    @classmethod
    def load(cls, path: str | Path) -> Reranker:
        """Read what `save` wrote.

        Parameters
        ----------
        path : path

        Raises
        ------
        DataError
            If the file is missing or not a saved reranker.
        """
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from None
        found = cls()
        found._models_file = content
        try:
            found._load_models()
        except (OSError, KeyError, ValueError, StoreError) as error:
            raise DataError(
                f"{path}: not a reranker that `Reranker.save` wrote ({error}); save it again"
            ) from None
        recipe = found.recipe_
        found.n_proposals, found.n_folds = recipe.proposals.n_proposals, recipe.folds.n_folds
        found.class_names = found.models_.classes.class_names
        found.background = found.models_.classes.background
        found.random_state = recipe.random_state
        return found

    def _load_models(self) -> None:
        with _opened(self._models_file) as file:
            recipe, classes = _read_about(file)

            @contextmanager
            def open_stage(name: str) -> Iterator[h5py.Group]:
                yield file[name]

            self.models_ = FinalModels(open_stage, recipe, classes, None)
        self.recipe_ = recipe

    def _check_fitted(self) -> None:
        if not hasattr(self, "models_"):
            raise NotFittedError("this Reranker is not fitted; call fit, or Reranker.load")

    def _recipe(self) -> Recipe:
        tree: dict[str, Any] = {
            "name": "reranker",
            "dataset": {"name": "arrays", "evaluate": None},
            "random_state": self.random_state,
            "folds": {"n_folds": self.n_folds},
            "unary": {"source": "probabilities", "probabilities": "arrays"},
            "backbone": {"architecture": "small"},
            "classifiers": {"features": "appearance", "C": 0.01},
            "proposals": {"n_proposals": self.n_proposals},
            "ranking": {"groups": ["summary"], "compared": []},
        }
        return build_recipe(tree, "Reranker", tuple(self.settings))


@dataclass(frozen=True)
class ArrayMaps:
    """Network maps in memory, by image id."""

    maps: Mapping[str, Array]

    def read(self, image_id: str) -> Array:
        """The map of an image."""
        return self.maps[image_id]

    def where(self, image_id: str) -> str:
        """The map's name in error messages."""
        return f"map {int(image_id)}"

    def digest(self, image_id: str) -> str:
        """Nothing is kept beyond the fit, so that the id tells maps apart."""
        return image_id


def _n_classes(image: Array, probabilities: Array) -> int:
    shape, size = np.shape(probabilities), np.shape(image)[:2]
    if len(shape) == 3 and shape[:2] == size:
        return int(shape[2])
    if len(shape) == 3 and shape[1:] == size:
        return int(shape[0])
    raise InputError(f"map 0: expected (H, W, C) or (C, H, W) for an image {size}, got {shape}")


def _opened(content: bytes) -> h5py.File:
    return h5py.File(io.BytesIO(content), "r")


def _pack(open_stage: Any, recipe: Recipe, classes: Classes) -> bytes:
    """The models of all stages as one HDF5 file, without their results for single images."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs["format"] = FORMAT
        file.attrs["recipe"] = json.dumps(recipe.model_dump(mode="json"))
        file.attrs["background"] = -1 if classes.background is None else classes.background
        write_strings(file, "class_names", classes.class_names)
        for name in MODEL_STAGES:
            group = file.create_group(name)
            with open_stage(name) as source:
                for key in source:
                    if key not in _OF_SINGLE_IMAGES:
                        source.copy(key, group)
    return buffer.getvalue()


def _read_about(file: h5py.File) -> tuple[Recipe, Classes]:
    if file.attrs["format"] != FORMAT:
        raise ValueError(f"format {file.attrs['format']}, expected {FORMAT}")
    recipe = build_recipe(json.loads(file.attrs["recipe"]), "recipe")
    background = int(file.attrs["background"])
    names = read_strings(file["class_names"])
    return recipe, Classes(names, None if background < 0 else background)
