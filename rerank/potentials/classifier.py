"""A classifier of superpixels: a small network trained on the share of each class in them.

scikit-learn's `MLPClassifier` has neither targets that are shares nor dropout.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from rerank.errors import InputError, NotFittedError
from rerank.potentials.perceptron import Perceptron, PerceptronTraining, train_perceptron
from rerank.potentials.principal_inputs import on_features, principal_inputs, project
from rerank.potentials.standardised_rows import StandardisedRows
from rerank.potentials.temperature import search_temperature
from rerank.potentials.training_target import class_counts, class_weights, sample_superpixels
from rerank.types import Array, FloatArray, IntArray, RandomState, as_generator
from rerank.validation import check_finite

_DEFAULT_TRAINING = PerceptronTraining()


class SuperpixelClassifier(ClassifierMixin, BaseEstimator):
    """Class probabilities of superpixels from their features.

    Perceptrons of one hidden layer with dropout minimise the cross-entropy between their softmax
    and the share of each class in a superpixel, every superpixel weighing as many pixels as are
    labelled in it. Features are standardised first; the probabilities of the members are
    averaged.

    Parameters
    ----------
    hidden : int
        Units of the hidden layer; 0 for none, which is multinomial logistic regression.
    n_steps : int
        Steps of AdamW (Loshchilov & Hutter 2019), the rate rising over a tenth of them and then
        falling as a cosine.
    weight_decay : float
        Of AdamW, 0 or greater; biases do not decay.
    class_balance : float
        Exponent b of class weights ``frequency ** -b``, scaled to leave the mean pixel's weight
        at 1: 0 counts every pixel alike, 1 every class. Above 0 the probabilities lean
        towards rare classes.
    max_per_image : int, optional
        At most this many superpixels of an image are used for training, drawn at random; None
        for all of them. Needs `groups` in `fit`.
    n_members : int
        Networks that are trained from different seeds and averaged.
    training : PerceptronTraining
        Dropout, batch size, learning rate and components.
    random_state : int, numpy.random.Generator or None
        Of initial weights, batches, dropout and drawn superpixels.

    Attributes
    ----------
    n_classes_ : int
    n_features_in_ : int
    classes_ : (C,) int64
        0..C-1.
    mean_, scale_ : (D,) float32
        What standardises the features; a constant feature has scale 1.
    members_ : tuple of Perceptron
    temperature_ : float
        What logits are divided by: 1 after `fit`, chosen by `calibrate`.
    """

    def __init__(
        self,
        hidden: int = 128,
        *,
        n_steps: int = 1500,
        weight_decay: float = 1.0,
        class_balance: float = 0.0,
        max_per_image: int | None = None,
        n_members: int = 1,
        training: PerceptronTraining = _DEFAULT_TRAINING,
        random_state: RandomState = None,
    ) -> None:
        self.hidden = hidden
        self.n_steps = n_steps
        self.weight_decay = weight_decay
        self.class_balance = class_balance
        self.max_per_image = max_per_image
        self.n_members = n_members
        self.training = training
        self.random_state = random_state

    def fit(
        self,
        features: Array,
        target: Array,
        sample_weight: Array | None = None,
        *,
        groups: Array | None = None,
        n_classes: int | None = None,
    ) -> SuperpixelClassifier:
        """Train on superpixels of known content.

        Training runs in one thread, so that equal seeds give equal weights whatever the number of
        cores.

        Parameters
        ----------
        features : (n, D) float array
            Superpixels of all images; float16 and float32 are not copied as a whole.
        target : (n, C) or (n,) array
            Pixels of each class in each superpixel, as `rerank.metrics.region_histogram` counts
            them, or one class each, 0..C-1 or 255 for none. Superpixels without a labelled pixel
            are left out. A class that is absent gets probabilities near 0.
        sample_weight : (n,) array, optional
            Factor on each superpixel's weight, 0 or greater; with one class each, for example
            the areas.
        groups : (n,) integer array, optional
            Image of each superpixel, for `max_per_image`.
        n_classes : int, optional
            C; by default the histogram's width, or the highest class plus 1.

        Returns
        -------
        SuperpixelClassifier
            Itself.

        Raises
        ------
        InputError
            If a setting is out of its range.
        InputError
            If features are not a finite (n, D) array, or target, weights or groups do not fit.
        InputError
            If no superpixel has a labelled pixel.
        """
        self._check_settings()
        features = _check_features(features)
        histogram = class_counts(target, features.shape[0], sample_weight, n_classes)
        rng = as_generator(self.random_state)
        weight = histogram.sum(axis=1)
        rows: IntArray = np.flatnonzero(weight > 0)
        if rows.size == 0:
            raise InputError("no superpixel has a labelled pixel to train on")
        if self.max_per_image is not None:
            rows = sample_superpixels(
                _check_groups(groups, weight.size), self.max_per_image, rows=rows, random_state=rng
            )
        share = histogram[rows] * (
            class_weights(histogram[rows], self.class_balance) / weight[rows].mean()
        )
        data = StandardisedRows.of(features, rows)
        self.mean_, self.scale_ = data.mean, data.scale
        self.members_ = self._train(data, share.astype(np.float32), rng)
        self.temperature_ = 1.0
        self._set_sizes()
        return self

    def _train(
        self, data: StandardisedRows, share: FloatArray, rng: np.random.Generator
    ) -> tuple[Perceptron, ...]:
        directions, n_components = None, self.training.n_components
        if n_components is not None and n_components < data.features.shape[1]:
            directions = principal_inputs(data, n_components, rng)
            data = project(data, directions)
        members = tuple(
            train_perceptron(
                data,
                share,
                hidden=self.hidden,
                n_steps=self.n_steps,
                weight_decay=self.weight_decay,
                training=self.training,
                rng=rng,
            )
            for _ in range(self.n_members)
        )
        if directions is None:
            return members
        return tuple(on_features(member, directions) for member in members)

    def calibrate(
        self, features: Array, target: Array, sample_weight: Array | None = None
    ) -> SuperpixelClassifier:
        """Choose the temperature that minimises the cross-entropy on held-out superpixels.

        A temperature (Guo et al. 2017) changes no member's decision. Images that the classifier
        was trained on would make it overconfident.

        Parameters
        ----------
        features : (n, D) float array
            Superpixels of other images than in `fit`.
        target : (n, C) or (n,) array
            As in `fit`.
        sample_weight : (n,) array, optional
            As in `fit`.

        Returns
        -------
        SuperpixelClassifier
            Itself, with `temperature_` set.

        Raises
        ------
        NotFittedError
            If it was not fitted.
        InputError
            If features or target do not fit the classifier, or nothing is labelled.
        """
        logits = self._logits(features)
        histogram = class_counts(target, logits.shape[1], sample_weight, self.n_classes_)
        self.temperature_ = search_temperature(
            lambda temperature: _mean_softmax(logits, temperature), histogram, floor=1e-12
        )
        return self

    def predict_proba(self, features: Array) -> FloatArray:
        """Class probabilities.

        Parameters
        ----------
        features : (n, D) float array

        Returns
        -------
        (n, C) float64
            Rows sum to 1.

        Raises
        ------
        NotFittedError
            If it was not fitted.
        InputError
            If features are not a finite (n, D) array with the D it was fitted on.
        """
        return _mean_softmax(self._logits(features), self.temperature_)

    def predict(self, features: Array) -> IntArray:
        """Most probable classes, (n,) int64, ties to the lowest; raises as `predict_proba`."""
        classes: IntArray = self.predict_proba(features).argmax(axis=1)
        return classes

    def to_arrays(self) -> dict[str, Array]:
        """Fitted state as plain arrays, for a file; `from_arrays` reads it back.

        Returns
        -------
        dict of str to array
            ``layer_sizes`` (features, hidden units if any, classes), ``n_members``, ``mean``,
            ``scale``, ``temperature`` and, for member m and layer l, ``weight_m_l`` (outputs,
            inputs) and ``bias_m_l``.

        Raises
        ------
        NotFittedError
            If it was not fitted.
        """
        self._check_fitted()
        layers = self.members_[0].weights
        arrays: dict[str, Array] = {
            "layer_sizes": np.array([layers[0].shape[1]] + [w.shape[0] for w in layers]),
            "n_members": np.array(len(self.members_)),
            "mean": self.mean_,
            "scale": self.scale_,
            "temperature": np.array(self.temperature_),
        }
        for m, member in enumerate(self.members_):
            for layer, (weight, bias) in enumerate(zip(member.weights, member.biases)):
                arrays[f"weight_{m}_{layer}"] = weight
                arrays[f"bias_{m}_{layer}"] = bias
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> SuperpixelClassifier:
        """Classifier that predicts as the one whose `to_arrays` gave these.

        Settings that only matter in training are at their defaults.

        Parameters
        ----------
        arrays : mapping of str to array

        Returns
        -------
        SuperpixelClassifier

        Raises
        ------
        InputError
            If an array is missing or not of the shape that ``layer_sizes`` asks for.
        """
        sizes = [int(size) for size in _stored(arrays, "layer_sizes", None)]
        inputs, layers = sizes[0], list(itertools.pairwise(sizes))
        members = tuple(
            Perceptron(
                tuple(
                    _stored(arrays, f"weight_{m}_{k}", size[::-1]) for k, size in enumerate(layers)
                ),
                tuple(_stored(arrays, f"bias_{m}_{k}", size[1:]) for k, size in enumerate(layers)),
            )
            for m in range(int(_stored(arrays, "n_members", ())))
        )
        classifier = cls(hidden=sizes[1] if len(sizes) == 3 else 0, n_members=len(members))
        classifier.mean_ = _stored(arrays, "mean", (inputs,))
        classifier.scale_ = _stored(arrays, "scale", (inputs,))
        classifier.temperature_ = float(_stored(arrays, "temperature", ()))
        classifier.members_ = members
        classifier._set_sizes()
        return classifier

    def _set_sizes(self) -> None:
        self.n_features_in_ = int(self.mean_.size)
        self.n_classes_ = int(self.members_[0].biases[-1].size)
        self.classes_ = np.arange(self.n_classes_)

    def _check_fitted(self) -> None:
        if not hasattr(self, "members_"):
            raise NotFittedError("this SuperpixelClassifier is not fitted; call fit first")

    def _logits(self, features: Array) -> FloatArray:
        """(members, n, C) float64."""
        self._check_fitted()
        features = _check_features(features)
        if features.shape[1] != self.n_features_in_:
            raise InputError(
                f"the classifier was fitted on {self.n_features_in_} features, got "
                f"{features.shape[1]}"
            )
        standardised = features.astype(np.float32) - self.mean_
        standardised /= self.scale_
        return np.stack([member.logits(standardised) for member in self.members_]).astype(float)

    def _check_settings(self) -> None:
        for name in ("n_steps", "n_members"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.hidden < 0:
            raise InputError(f"hidden must be 0 or greater, got {self.hidden}")
        if self.max_per_image is not None and self.max_per_image < 1:
            raise InputError(f"max_per_image must be at least 1, got {self.max_per_image}")
        for name in ("weight_decay", "class_balance"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name} must be 0 or greater, got {getattr(self, name)}")


def _check_features(features: Array) -> FloatArray:
    features = np.asarray(features)
    if features.ndim != 2 or features.shape[1] == 0:
        raise InputError(f"features must be (n, D), got shape {features.shape}")
    if not np.issubdtype(features.dtype, np.floating):
        raise InputError(f"features must be floats, got {features.dtype}")
    check_finite(features, "features")
    return features


def _check_groups(groups: Array | None, n: int) -> IntArray:
    if groups is None:
        raise InputError("max_per_image needs groups, the image of each superpixel")
    groups = np.asarray(groups)
    if groups.shape != (n,):
        raise InputError(f"groups must be ({n},), got shape {groups.shape}")
    return groups


def _stored(arrays: Mapping[str, Array], key: str, shape: tuple[int, ...] | None) -> Array:
    if key not in arrays:
        raise InputError(f"a stored classifier must hold {key}")
    values = np.asarray(arrays[key])
    if shape is not None and values.shape != shape:
        raise InputError(
            f"{key} of a stored classifier must have shape {shape}, got {values.shape}"
        )
    return values


def _mean_softmax(logits: FloatArray, temperature: float) -> FloatArray:
    scaled = logits / temperature
    exponentials = np.exp(scaled - scaled.max(axis=2, keepdims=True))
    p = (exponentials / exponentials.sum(axis=2, keepdims=True)).mean(axis=0)
    averaged: FloatArray = p / p.sum(axis=1, keepdims=True)
    return averaged
