"""What other models than stage 1's say of superpixels: signals of stage 2 alone.

They are a second classifier of other features, and a dense network. They reach the fusion, and
through the fused posterior the ranker.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from rerank.config import Recipe
from rerank.evidence import AuxiliaryProbabilities
from rerank.hdf5 import read_arrays
from rerank.potentials import SuperpixelClassifier
from rerank.stages.base import External, Job, Stage, read_image
from rerank.stages.dense import DenseUnary, settings_of_results
from rerank.stages.superpixel_features import Descriptor, make_descriptor, posterior_scales
from rerank.stages.unaries import held_out, load_classifier, write_classified, write_dense
from rerank.types import Array, FloatArray

#: Group of the file with what the dense network says, in the layout of the file itself.
DENSE = "dense"


@dataclass(frozen=True, eq=False)
class SecondModels:
    """The models of a finished part, ready for new images.

    Attributes
    ----------
    describe : callable or None
        Features that the classifier sees, of an image and its superpixels.
    classifier : SuperpixelClassifier or None
    dense : DenseUnary or None
    """

    describe: Descriptor | None = None
    classifier: SuperpixelClassifier | None = None
    dense: DenseUnary | None = None

    @classmethod
    def load(
        cls, file: h5py.File, recipe: Recipe, n_classes: int, weights: str | None
    ) -> SecondModels:
        """Read them from the part's file; `weights` is the file of backbone weights."""
        describe, classifier, dense = None, None, None
        if recipe.posterior.features is not None:
            describe = make_descriptor(
                recipe, weights, recipe.posterior.features, posterior_scales(recipe)
            )
            classifier = load_classifier(file)
        if recipe.posterior.dense:
            dense = DenseUnary.from_arrays(
                read_arrays(file[DENSE]["model"]), n_classes, recipe, weights
            )
        return cls(describe, classifier, dense)

    def ask(self, image: Array, superpixels: Array) -> AuxiliaryProbabilities:
        """What they say of the superpixels of an RGB image, in single precision as in a run."""
        classified = predicted = None
        if self.describe is not None and self.classifier is not None:
            features = self.describe(image, superpixels)
            classified = self.classifier.predict_proba(features).astype(np.float32)
        if self.dense is not None:
            predicted = self.dense.predict_proba(image, superpixels).astype(np.float32)
        return AuxiliaryProbabilities(classified, predicted)


def _settings(recipe: Recipe) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if recipe.posterior.features is not None:
        names = ("hidden", "n_steps", "weight_decay", "class_balance", "n_members", "holdout")
        found.update(
            {name: getattr(recipe.unary, name) for name in names}, random_state=recipe.random_state
        )
    if recipe.posterior.dense:
        found[DENSE] = settings_of_results(recipe)
    return found


def _reads(recipe: Recipe) -> tuple[External, ...]:
    return ("weights",) if recipe.posterior.dense else ()


def _run(job: Job, file: h5py.File) -> None:
    if job.recipe.posterior.features is not None:
        write_classified(job, file, held_out(job), "posterior_features")
    if job.recipe.posterior.dense:
        write_dense(job, file.create_group(DENSE), held_out(job))


def read_posterior(file: h5py.File, index: int) -> AuxiliaryProbabilities:
    """What the models say of the image at that place of the part's `image_ids`."""
    return _opinion(file, lambda group: read_image(group, index)["probabilities"])


def read_held_out(file: h5py.File, name: str) -> AuxiliaryProbabilities:
    """What the inner models say of a held-out image: `name` is that of its probabilities."""
    return _opinion(file, lambda group: group[name][()])


def _opinion(file: h5py.File, read: Callable[[h5py.Group], FloatArray]) -> AuxiliaryProbabilities:
    return AuxiliaryProbabilities(
        classifier=read(file) if "model" in file else None,
        dense_network=read(file[DENSE]) if DENSE in file else None,
    )


STAGE = Stage(
    "posterior",
    1,
    _settings,
    (("superpixels", "fit"), ("posterior_features", "fit")),
    _run,
    "the second opinion on superpixels",
    reads=_reads,
    fits=True,
    cost=0.4,
)
