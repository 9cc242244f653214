"""Settings of an energy, chosen on images that no model was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rerank.crf import expand_each, map_inference
from rerank.metrics import IntersectionUnion, corpus_iou, mean_image_iou, region_intersection_union
from rerank.metrics.bootstrap import resampled_iou
from rerank.potentials import contrast_potts_weights, unary_from_probabilities
from rerank.potentials.energy_settings import EnergySettings, ImageEnergies
from rerank.ranking import CRFExample, StructuredCRFLearner
from rerank.settings import CRFSettings
from rerank.superpixels import RegionGraph
from rerank.types import Array, FloatArray, IntArray

#: A class of a smaller share of the training pixels is biased as if it had this.
LEAST_SHARE = 1e-4
#: Settings take the place of the preferred ones if they are better on this share of resamples.
SURE, N_RESAMPLES = 0.84, 200


@dataclass(frozen=True)
class HoldoutImage:
    """An image that settings are chosen on.

    Attributes
    ----------
    probabilities : mapping of source to (n, C) float array
        Of models that have not seen it.
    graph : RegionGraph
    appearance : (n, D) float array
        Colours of its superpixels.
    histogram : (n, C) int array
        Labelled pixels of each class in each superpixel.
    """

    probabilities: Mapping[str, FloatArray]
    graph: RegionGraph
    appearance: FloatArray
    histogram: Array


@dataclass(frozen=True)
class EnergyChoice:
    """The chosen settings, and what was tried beside them, as arrays by name."""

    settings: EnergySettings
    tried: Mapping[str, Array]


def spread(images: Sequence[HoldoutImage], count: int) -> list[HoldoutImage]:
    """At most that many of the images, evenly over their order.

    Parameters
    ----------
    images : sequence of HoldoutImage
    count : int

    Returns
    -------
    list of HoldoutImage
    """
    places = np.linspace(0, len(images) - 1, min(count, len(images))).round().astype(int)
    return [images[place] for place in places]


def prior_bias(class_shares: FloatArray, exponent: float) -> tuple[float, ...]:
    """Class bias from the frequency of the classes: rare classes gain.

    Menon et al. 2021: ``-exponent * log(share)`` of each class, shifted to 0 on average.

    Parameters
    ----------
    class_shares : (C,) float array
        Among the training pixels. A class without pixels gains as much as the commonest.
    exponent : float
        0 for no bias.

    Returns
    -------
    tuple of C floats
        In nats, to be added to log-probabilities.
    """
    if exponent == 0:
        return (0.0,) * len(class_shares)
    shares = np.where(class_shares > 0, class_shares, class_shares.max())
    bias = -exponent * np.log(np.maximum(shares, LEAST_SHARE))
    return tuple((bias - bias.mean()).tolist())


def choose_energy(
    images: Sequence[HoldoutImage],
    source: str,
    class_shares: FloatArray,
    settings: CRFSettings,
    random_state: int = 0,
) -> EnergyChoice:
    """The settings whose MAP labelings have the highest corpus IoU plus mean image IoU.

    They are searched for, or learned by structured SVMs (`CRFSettings.parameters`).

    Parameters
    ----------
    images : sequence of HoldoutImage
    source : str
        Whose probabilities make the unary costs.
    class_shares : (C,) float array
        Among the training pixels.
    settings : CRFSettings
        What is tried.
    random_state : int
        Of the structured SVM.

    Returns
    -------
    EnergyChoice
    """
    if settings.parameters == "search":
        return _search(images, source, class_shares, settings)
    return _learn(images, source, settings, random_state)


def _search(
    images: Sequence[HoldoutImage], source: str, class_shares: FloatArray, chosen: CRFSettings
) -> EnergyChoice:
    """First the class bias of the probabilities alone, then all pairs of weight and contrast scale
    with it, then the bias again with these."""
    biases = [prior_bias(class_shares, exponent) for exponent in chosen.prior_exponents]
    pairs = [(w, s) for w in chosen.potts_weights for s in chosen.contrast_scales]
    preferred = chosen.preferred
    usual_pair = None if preferred is None else pairs.index(preferred)
    usual_bias = None if preferred is None else chosen.prior_exponents.index(0.0)
    energies = _energies(images, source)

    def counts(tried: list[EnergySettings]) -> list[IntersectionUnion]:
        return _map_counts(images, energies, tried, chosen.inference)

    alone = counts([EnergySettings(0.0, 0.0, chosen.base, bias) for bias in biases])
    bias = biases[_best(alone, usual_bias)]
    of_pairs = counts([EnergySettings(*pair, chosen.base, bias) for pair in pairs])
    weight, scale = pairs[_best(of_pairs, usual_pair)]
    with_them = counts([EnergySettings(weight, scale, chosen.base, bias) for bias in biases])
    best = _best(with_them, usual_bias)
    return EnergyChoice(
        EnergySettings(weight, scale, chosen.base, biases[best]),
        {
            "pair_scores": _scores(of_pairs).reshape(len(chosen.potts_weights), -1),
            "prior_exponent": np.array(chosen.prior_exponents[best]),
            "prior_exponent_scores": np.array([_scores(alone), _scores(with_them)]),
        },
    )


def _scores(tried: Sequence[IntersectionUnion]) -> FloatArray:
    return np.array([corpus_iou(counts).mean + mean_image_iou(counts) for counts in tried])


def _best(tried: Sequence[IntersectionUnion], usual: int | None) -> int:
    """The best that was tried; the usual one unless the best is better on most resamples.

    84 % is one standard error where resamples are normal (Breiman et al. 1984, section 3.4.3,
    choose the size of a tree by such a rule).
    """
    scores = _scores(tried)
    best = int(scores.argmax())
    if usual is None or best == usual:
        return best
    pair = [(tried[best], tried[usual])]
    drawn = resampled_iou(pair, "corpus", N_RESAMPLES) + resampled_iou(pair, "image", N_RESAMPLES)
    return best if np.mean(drawn > 0) > SURE else usual


def _learn(
    images: Sequence[HoldoutImage], source: str, chosen: CRFSettings, random_state: int
) -> EnergyChoice:
    """Potts weight and class bias of one learner for each contrast scale and C."""
    tried = []
    for scale in chosen.contrast_scales:
        examples = [
            _example(image, source, scale, chosen.base) for image in images if image.histogram.any()
        ]
        for C in chosen.learner_C:
            learner = StructuredCRFLearner(C=C, random_state=random_state).fit(examples)
            tried.append(
                EnergySettings(
                    float(learner.potts_weights_[0]),
                    scale,
                    chosen.base,
                    tuple(learner.class_bias_.tolist()),
                )
            )
    energies = _energies(images, source)
    scores = _scores(_map_counts(images, energies, tried, chosen.inference))
    return EnergyChoice(
        tried[int(scores.argmax())],
        {"learner_scores": scores.reshape(len(chosen.contrast_scales), -1)},
    )


def _example(image: HoldoutImage, source: str, contrast_scale: float, base: float) -> CRFExample:
    graph = image.graph
    unary = unary_from_probabilities(
        np.asarray(image.probabilities[source], dtype=np.float64), graph.areas
    )
    weights = contrast_potts_weights(graph, 1.0, contrast_scale=contrast_scale, base=base)
    return CRFExample(
        unary, graph.edges, weights[:, None], image.histogram, graph.areas / graph.areas.mean()
    )


def _energies(images: Sequence[HoldoutImage], source: str) -> list[ImageEnergies]:
    return [ImageEnergies(image.probabilities[source], image.graph) for image in images]


def _map_counts(
    images: Sequence[HoldoutImage],
    energies: Sequence[ImageEnergies],
    tried: Sequence[EnergySettings],
    inference: str,
) -> list[IntersectionUnion]:
    """Counts of the MAP labelings of all images, for each of the settings."""
    found = IntersectionUnion.stack(
        [
            region_intersection_union(image.histogram, _map_labelings(of, tried, inference))
            for image, of in zip(images, energies)
        ]
    )
    return [
        IntersectionUnion(found.intersections[:, k], found.unions[:, k]) for k in range(len(tried))
    ]


def _map_labelings(
    energies: ImageEnergies, tried: Sequence[EnergySettings], inference: str
) -> IntArray:
    """MAP labelings (len(tried), n) of an image; those of one class bias are found together."""
    if inference != "alpha_expansion":
        each = [map_inference(energies.under(settings), inference) for settings in tried]
        return np.array([result.labeling for result in each])
    places: dict[tuple[float, ...], list[int]] = {}
    for k, settings in enumerate(tried):
        places.setdefault(settings.class_bias, []).append(k)
    rows: dict[int, IntArray] = {}
    for bias, group in places.items():
        weights = np.array([energies.weights(tried[k]) for k in group])
        rows.update(zip(group, expand_each(energies.biased(bias), weights)))
    return np.array([rows[k] for k in range(len(tried))])
