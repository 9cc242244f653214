"""Settings of an energy, and how they are chosen on images that no model has seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import h5py
import numpy as np

from rerank.config import Recipe
from rerank.crf import PottsEnergy, map_inference
from rerank.hdf5 import write_array
from rerank.metrics import IntersectionUnion, corpus_iou, mean_image_iou, region_intersection_union
from rerank.potentials import contrast_potts_weights, unary_from_probabilities
from rerank.ranking import CRFExample, StructuredCRFLearner
from rerank.superpixels import RegionGraph
from rerank.types import Array, FloatArray

#: A class of a smaller share of the training pixels is biased as if it had this.
LEAST_SHARE = 1e-4


@dataclass(frozen=True)
class EnergySettings:
    """Parameters of the CRF on one source of class probabilities.

    Attributes
    ----------
    potts_weight, contrast_scale, base : float
        Of `contrast_potts_weights`.
    class_bias : (C,) tuple of float
        Added to the log-probabilities; empty for none.
    """

    potts_weight: float
    contrast_scale: float = 1.0
    base: float = 0.0
    class_bias: tuple[float, ...] = ()


def potts_energy(
    probabilities: FloatArray, graph: RegionGraph, settings: EnergySettings
) -> PottsEnergy:
    """The energy of an image: negative log-probabilities by area, contrast-sensitive Potts."""
    bias = np.array(settings.class_bias) if settings.class_bias else None
    unary = unary_from_probabilities(
        np.asarray(probabilities, dtype=np.float64), graph.areas, class_bias=bias
    )
    weights = contrast_potts_weights(
        graph, settings.potts_weight, contrast_scale=settings.contrast_scale, base=settings.base
    )
    return PottsEnergy(unary, graph.edges, weights)


@dataclass(frozen=True)
class UnseenImage:
    """An image that settings are chosen on: probabilities by source, graph, looks, truth."""

    probabilities: Mapping[str, FloatArray]
    graph: RegionGraph
    appearance: FloatArray
    histogram: Array


def prior_bias(class_shares: FloatArray, exponent: float) -> tuple[float, ...]:
    """``-exponent * log(share)`` of each class, 0 on average: rare classes gain (Menon et al.
    2021).

    A class that no training pixel has gains as much as the commonest.
    """
    if exponent == 0:
        return (0.0,) * len(class_shares)
    shares = np.where(class_shares > 0, class_shares, class_shares.max())
    bias = -exponent * np.log(np.maximum(shares, LEAST_SHARE))
    return tuple((bias - bias.mean()).tolist())


def choose_energy(
    images: Sequence[UnseenImage],
    source: str,
    class_shares: FloatArray,
    recipe: Recipe,
    file: h5py.Group,
) -> EnergySettings:
    """The settings whose MAP labelings have the highest corpus IoU plus mean image IoU.

    They are searched for, or learned by structured SVMs (`crf.parameters` of the recipe); what was
    tried is written beside the choice.
    """
    if recipe.crf.parameters == "search":
        found = _search(images, source, class_shares, recipe, file)
    else:
        found = _learn(images, source, recipe, file)
    for name, value in vars(found).items():
        write_array(file, name, np.array(value))
    return found


def _search(
    images: Sequence[UnseenImage],
    source: str,
    class_shares: FloatArray,
    recipe: Recipe,
    file: h5py.Group,
) -> EnergySettings:
    """First the class bias of the probabilities alone, then all pairs of weight and contrast scale
    with it, then the bias again with these."""
    chosen = recipe.crf
    biases = [prior_bias(class_shares, exponent) for exponent in chosen.prior_exponents]

    def score(weight: float, scale: float, bias: tuple[float, ...]) -> float:
        return _map_score(images, source, EnergySettings(weight, scale, chosen.base, bias), recipe)

    alone = [score(0.0, 0.0, bias) for bias in biases]
    bias = biases[int(np.argmax(alone))]
    pairs = [(w, s) for w in chosen.potts_weights for s in chosen.contrast_scales]
    pair_scores = np.array([score(w, s, bias) for w, s in pairs])
    weight, scale = pairs[int(pair_scores.argmax())]
    with_them = [score(weight, scale, bias) for bias in biases]
    found = EnergySettings(weight, scale, chosen.base, biases[int(np.argmax(with_them))])
    write_array(file, "pair_scores", pair_scores.reshape(len(chosen.potts_weights), -1))
    write_array(file, "prior_exponent", chosen.prior_exponents[int(np.argmax(with_them))])
    write_array(file, "prior_exponent_scores", np.array([alone, with_them]))
    return found


def _learn(
    images: Sequence[UnseenImage], source: str, recipe: Recipe, file: h5py.Group
) -> EnergySettings:
    """Potts weight and class bias of one learner for each contrast scale and C."""
    chosen = recipe.crf
    tried = []
    for scale in chosen.contrast_scales:
        examples = [
            _example(image, source, scale, chosen.base) for image in images if image.histogram.any()
        ]
        for C in chosen.learner_C:
            learner = StructuredCRFLearner(C=C, random_state=recipe.random_state).fit(examples)
            tried.append(
                EnergySettings(
                    float(learner.potts_weights_[0]),
                    scale,
                    chosen.base,
                    tuple(learner.class_bias_.tolist()),
                )
            )
    scores = np.array([_map_score(images, source, settings, recipe) for settings in tried])
    write_array(file, "learner_scores", scores.reshape(len(chosen.contrast_scales), -1))
    return tried[int(scores.argmax())]


def _example(image: UnseenImage, source: str, contrast_scale: float, base: float) -> CRFExample:
    graph = image.graph
    unary = unary_from_probabilities(
        np.asarray(image.probabilities[source], dtype=np.float64), graph.areas
    )
    weights = contrast_potts_weights(graph, 1.0, contrast_scale=contrast_scale, base=base)
    return CRFExample(
        unary, graph.edges, weights[:, None], image.histogram, graph.areas / graph.areas.mean()
    )


def _map_score(
    images: Sequence[UnseenImage], source: str, settings: EnergySettings, recipe: Recipe
) -> float:
    counts = IntersectionUnion.stack(
        [
            region_intersection_union(
                i.histogram,
                map_inference(
                    potts_energy(i.probabilities[source], i.graph, settings), recipe.crf.inference
                ).labeling,
            )
            for i in images
        ]
    )
    return corpus_iou(counts).mean + mean_image_iou(counts)
