"""Class probabilities of superpixels from the auxiliary models; only stage 2 uses them.

The auxiliary models are a second classifier, on other features than stage 1's, a dense network,
and the maps of further networks of the user. Their probabilities enter the fused posterior.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import h5py
import numpy as np

from rerank.config import Recipe
from rerank.datasets import fit_map
from rerank.engine.hdf5 import read_arrays
from rerank.engine.stage import Job
from rerank.errors import ConfigError
from rerank.evidence import AuxiliaryProbabilities
from rerank.potentials import SuperpixelClassifier
from rerank.potentials.dense_network_unary import DenseNetworkUnary
from rerank.potentials.network_map import map_to_regions
from rerank.stages.auxiliary_features import auxiliary_descriptor
from rerank.stages.stored_probabilities import as_stored, read_regions
from rerank.stages.superpixel_features import Descriptor
from rerank.stages.unaries import (
    held_out,
    load_classifier,
    read_held_out,
    write_classified,
    write_dense_network,
    write_maps,
)
from rerank.types import Array, FloatArray

#: Group of the file with the dense network's results, in the layout of the file itself.
DENSE_NETWORK = "dense_network"
#: Group with those of the maps of further networks, in groups `1`, `2` and so on.
MAPS = "maps"


@dataclass(frozen=True, eq=False)
class AuxiliaryModels:
    """The auxiliary models of a finished fold, ready for new images.

    Attributes
    ----------
    describe : callable or None
        Makes the classifier's features of an image and its superpixels.
    classifier : SuperpixelClassifier or None
    dense_network : DenseNetworkUnary or None
    n_maps : int
        Number of further networks, whose maps are given with each image.
    n_classes : int
    refined : bool
        Whether maps are refined by the dense CRF.
    device : {"cpu", "auto"}
        Where they are refined.
    """

    describe: Descriptor | None = None
    classifier: SuperpixelClassifier | None = None
    dense_network: DenseNetworkUnary | None = None
    n_maps: int = 0
    n_classes: int = 0
    refined: bool = False
    device: str = "cpu"

    @classmethod
    def load(
        cls, file: h5py.Group, recipe: Recipe, n_classes: int, weights: str | None
    ) -> AuxiliaryModels:
        """Read them from the file of a fold.

        Parameters
        ----------
        file : HDF5 group
        recipe : Recipe
        n_classes : int
        weights : str or None
            The file of backbone weights.

        Returns
        -------
        AuxiliaryModels
        """
        describe = auxiliary_descriptor(recipe, weights)
        classifier = None if describe is None else load_classifier(file)
        network = None
        if recipe.auxiliary.dense_network:
            arrays = read_arrays(file[DENSE_NETWORK]["model"])
            network = DenseNetworkUnary.from_arrays(arrays, n_classes, recipe, weights)
        n_maps = len(recipe.auxiliary.probabilities)
        refined, device = recipe.unary.dense_crf, recipe.device
        return cls(describe, classifier, network, n_maps, n_classes, refined, device)

    def predict(
        self, image: Array, superpixels: Array, maps: Sequence[Array] = (), where: str = "image"
    ) -> AuxiliaryProbabilities:
        """Class probabilities of an image's superpixels, rounded as in a run.

        Parameters
        ----------
        image : (H, W, 3) uint8 array
        superpixels : (H, W) int array
        maps : sequence of (H, W, C) or (C, H, W) float arrays
            Of the further networks, in the order of the fit.
        where : str
            Names the image in errors.

        Returns
        -------
        AuxiliaryProbabilities
            Arrays (n, C) float32.

        Raises
        ------
        ConfigError
            If there are not as many maps as the fit had networks.
        """
        if len(maps) != self.n_maps:
            raise ConfigError(
                f"{where}: the models were fitted with the maps of {self.n_maps} auxiliary "
                f"networks, got {len(maps)}; give the same networks' maps, in the same order, with "
                "--auxiliary DIR (auxiliary=[...] in Python)"
            )
        classified = predicted = None
        if self.describe is not None and self.classifier is not None:
            # They wait in the store in half precision.
            features = self.describe(image, superpixels).astype(np.float16)
            classified = as_stored(self.classifier.predict_proba(features))
        if self.dense_network is not None:
            predicted = as_stored(self.dense_network.predict_proba(image, superpixels))
        of_maps = [
            map_to_regions(
                fit_map(given, image.shape[:2], self.n_classes, f"{where}, auxiliary map {place}"),
                image,
                superpixels,
                refined=self.refined,
                device=self.device,
            )
            for place, given in enumerate(maps, start=1)
        ]
        return AuxiliaryProbabilities(classified, predicted, tuple(as_stored(p) for p in of_maps))


def run(job: Job, file: h5py.File) -> None:
    """Write what `unaries` writes, of the auxiliary classifier in the file itself, of the dense
    network in the group `dense_network`, and of further networks in `maps/1`, `maps/2`, ..."""
    if job.recipe.auxiliary.features is not None:
        write_classified(job, file, held_out(job), "auxiliary_features")
    if job.recipe.auxiliary.dense_network:
        write_dense_network(job, file.create_group(DENSE_NETWORK), held_out(job))
    for place, maps in enumerate(job.data.auxiliary_maps, start=1):
        write_maps(job, file.create_group(f"{MAPS}/{place}"), held_out(job), maps)


def read_auxiliary(file: h5py.Group, index: int) -> AuxiliaryProbabilities:
    """Read the class probabilities that the auxiliary models give an image.

    Parameters
    ----------
    file : HDF5 group
    index : int
        Its place in the part's `image_ids`.

    Returns
    -------
    AuxiliaryProbabilities
        Arrays (n, C) float32.
    """
    return _read(file, lambda group: read_regions(group, index))


def read_held_out_auxiliary(
    file: h5py.Group, held: tuple[str, ...], image_id: str
) -> AuxiliaryProbabilities:
    """Read the class probabilities that the inner models give a held-out image.

    Parameters
    ----------
    file : HDF5 group
    held : tuple of str
        All held-out images.
    image_id : str

    Returns
    -------
    AuxiliaryProbabilities
        Arrays (n, C) float32.
    """
    return _read(file, lambda group: read_held_out(group, held, image_id))


def _read(file: h5py.Group, read: Callable[[h5py.Group], FloatArray]) -> AuxiliaryProbabilities:
    return AuxiliaryProbabilities(
        classifier=read(file) if "images" in file or "holdout" in file else None,
        dense_network=read(file[DENSE_NETWORK]) if DENSE_NETWORK in file else None,
        maps=tuple(read(file[MAPS][str(place)]) for place in range(1, 1 + len(file.get(MAPS, ())))),
    )
