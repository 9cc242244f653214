"""The structured SVM for CRF parameters against enumeration of all labelings."""

import itertools

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from rerank.crf import PottsEnergy, map_inference
from rerank.errors import InputError, NotFittedError
from rerank.ranking import CRFExample, StructuredCRFLearner


def make_examples(seed, n_images=4, n_nodes=4, n_classes=3, n_potts=1, noise=1.0):
    """Chains with a chord; noisy unaries around labels that change once along the chain."""
    rng = np.random.default_rng(seed)
    edges = np.array([[k, k + 1] for k in range(n_nodes - 1)] + [[0, 2]])
    examples = []
    for _ in range(n_images):
        truth = np.where(
            np.arange(n_nodes) < rng.integers(1, n_nodes), *rng.permutation(n_classes)[:2]
        )
        unary = noise * rng.standard_normal((n_nodes, n_classes))
        unary[np.arange(n_nodes), truth] -= 1.0
        histogram = rng.integers(0, 2, (n_nodes, n_classes))
        histogram[np.arange(n_nodes), truth] += 5
        examples.append(
            CRFExample(
                unary,
                edges,
                rng.random((len(edges), n_potts)),
                histogram,
                rng.uniform(0.5, 2.0, n_nodes),
            )
        )
    return examples


def slow_energy(example, labeling, unary, potts, bias):
    """Energy by loops."""
    total = 0.0
    for i, c in enumerate(labeling):
        total += unary * example.unary[i, c] - example.sizes[i] * bias[c]
    for (i, j), features in zip(example.edges, example.edge_features):
        if labeling[i] != labeling[j]:
            total += features @ potts
    return total


def slow_objective(examples, weights, C, n_potts):
    """The objective by enumeration; the loss by counting pixels."""
    unary, potts, bias = weights[0], weights[1 : 1 + n_potts], -weights[1 + n_potts :]
    total = 0.5 * weights @ weights
    for example in examples:
        n_nodes, n_classes = example.unary.shape
        pixels = example.histogram.sum()

        def wrong(labeling):
            return 1 - sum(example.histogram[i, c] for i, c in enumerate(labeling)) / pixels

        truth = example.histogram.argmax(axis=1)
        own = slow_energy(example, truth, unary, potts, bias) / n_nodes
        total += C * max(
            wrong(x) - wrong(truth) + own - slow_energy(example, x, unary, potts, bias) / n_nodes
            for x in itertools.product(range(n_classes), repeat=n_nodes)
        )
    return total


def random_minimum(examples, C, n_potts, start, n_steps=120):
    """Lowest objective among random moves from `start` that keep the signs: an upper bound."""
    rng = np.random.default_rng(0)
    best, weights = slow_objective(examples, start, C, n_potts), start
    for step in range(n_steps):
        scale = 0.3 * 0.9 ** (step // 3)
        moved = weights + scale * rng.standard_normal(len(weights))
        moved[: 1 + n_potts] = np.maximum(moved[: 1 + n_potts], 0.0)
        value = slow_objective(examples, moved, C, n_potts)
        if value < best:
            best, weights = value, moved
    return best


@pytest.mark.slow
@pytest.mark.parametrize("seed, n_potts, C", [(0, 1, 3.0), (1, 2, 10.0), (2, 1, 0.5)])
def test_the_objective_and_its_bound_agree_with_enumeration(seed, n_potts, C):
    examples = make_examples(seed, n_potts=n_potts)
    learner = StructuredCRFLearner(C=C, tol=1e-4, random_state=0).fit(examples)
    value = slow_objective(examples, learner.weights_, C, n_potts)
    assert learner.primal_objective_ == pytest.approx(value, rel=1e-9)
    assert learner.duality_gap_ <= 1e-4 * learner.primal_objective_
    found = random_minimum(examples, C, n_potts, learner.weights_)
    assert found >= learner.dual_objective_ - 1e-9
    elsewhere = random_minimum(examples, C, n_potts, np.zeros_like(learner.weights_))
    assert elsewhere >= learner.dual_objective_ - 1e-9


def test_signs_hold_where_smoothing_only_hurts():
    # Checkerboards: every edge of the truth is cut, so that a negative weight would pay.
    rng = np.random.default_rng(0)
    edges = np.array([[0, 1], [1, 2], [2, 3]])
    examples = []
    for k in range(4):
        truth = (np.arange(4) + k) % 2
        unary = rng.standard_normal((4, 2))
        unary[np.arange(4), truth] -= 0.5
        examples.append(CRFExample(unary, edges, np.ones((3, 1)), np.eye(2, dtype=int)[truth]))
    learner = StructuredCRFLearner(C=10.0, tol=1e-3, random_state=0).fit(examples)
    assert learner.potts_weights_ == pytest.approx([0.0], abs=1e-12)
    assert learner.unary_weight_ > 0


def test_it_learns_to_smooth_and_to_bias():
    rng = np.random.default_rng(3)
    n = 12
    edges = np.array([[k, k + 1] for k in range(n - 1)])

    def image():
        truth = np.repeat(rng.permutation(2), n // 2)
        unary = np.zeros((n, 2))
        unary[np.arange(n), 1 - truth] = 1.0
        unary += 1.2 * rng.standard_normal((n, 2))
        unary[:, 1] += 1.5  # Class 1 is too dear by 1.5.
        return CRFExample(unary, edges, np.ones((n - 1, 1)), np.eye(2, dtype=int)[truth]), truth

    seen, unseen = [image() for _ in range(30)], [image() for _ in range(60)]
    learner = StructuredCRFLearner(C=10.0, random_state=0, inference="graph_cut")
    learner.fit([example for example, _ in seen])
    assert learner.potts_weights_[0] > 0.3
    assert 0.5 < learner.class_bias_[1] - learner.class_bias_[0] < 2.5
    assert learner.class_bias_.sum() == pytest.approx(0.0, abs=1e-12)

    def accuracy(labeling_of):
        return np.mean([(labeling_of(e) == t).mean() for e, t in unseen])

    assert accuracy(learner.predict) > accuracy(lambda e: e.unary.argmin(axis=1)) + 0.1


def test_without_a_bias_it_is_zero():
    learner = StructuredCRFLearner(C=3.0, learn_bias=False, random_state=0)
    learner.fit(make_examples(5, noise=0.5))
    np.testing.assert_array_equal(learner.class_bias_, 0.0)
    assert learner.weights_.shape == (5,)


def test_equal_seeds_give_equal_weights():
    first, second = (
        StructuredCRFLearner(C=3.0, random_state=7).fit(make_examples(6)) for _ in range(2)
    )
    np.testing.assert_array_equal(first.weights_, second.weights_)


def test_nodes_without_labels_take_no_part():
    example = make_examples(8, n_images=1)[0]
    histogram = np.array(example.histogram)
    histogram[3] = 0
    loud = np.array(example.unary)
    loud[3] = 100.0, -100.0, 0.0
    quiet, changed = (
        CRFExample(u, example.edges, example.edge_features, histogram, example.sizes)
        for u in (example.unary, loud)
    )
    a, b = (StructuredCRFLearner(C=3.0, random_state=0).fit([e]) for e in (quiet, changed))
    np.testing.assert_array_equal(a.weights_, b.weights_)
    assert len(quiet.labelled.unary) == 3
    assert len(quiet.labelled.edges) == len(example.edges) - 1


def test_class_weights_move_the_loss():
    example = CRFExample(
        np.zeros((2, 2)), np.empty((0, 2), int), np.empty((0, 1)), np.array([[3, 1], [0, 4]])
    )
    np.testing.assert_allclose(example.costs(np.ones(2)), [[1 / 8, 3 / 8], [4 / 8, 0]])
    np.testing.assert_allclose(
        example.costs(np.array([4.0, 1.0])), [[1 / 17, 12 / 17], [4 / 17, 0]]
    )


def test_the_learned_energy_is_that_of_all_nodes():
    examples = make_examples(9)
    learner = StructuredCRFLearner(C=3.0, random_state=0).fit(examples)
    energy = learner.energy(examples[0])
    assert isinstance(energy, PottsEnergy)
    labeling = np.array([0, 1, 1, 2])
    assert energy.evaluate(labeling) == pytest.approx(
        slow_energy(examples[0], labeling, 1.0, learner.potts_weights_, learner.class_bias_)
    )
    np.testing.assert_array_equal(
        learner.predict(examples[0]), map_inference(energy, "trws").labeling
    )


def test_too_few_rounds_are_told():
    with pytest.warns(ConvergenceWarning, match="after 2 rounds the duality gap"):
        StructuredCRFLearner(C=3.0, max_rounds=2, random_state=0).fit(make_examples(1))


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"C": 0}, "C must be"),
        ({"tol": -1}, "tol must be"),
        ({"max_rounds": 0}, "max_rounds"),
        ({"inference": "magic"}, "inference must be one of"),
        ({"class_weights": [1.0]}, r"class_weights must be \(3,\)"),
        ({"class_weights": [1.0, 0.0, 1.0]}, "class_weights must be above 0"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(InputError, match=message):
        StructuredCRFLearner(**settings).fit(make_examples(0))


def test_unfitted_and_unmatched_are_refused():
    examples = make_examples(0)
    with pytest.raises(NotFittedError):
        StructuredCRFLearner().predict(examples[0])
    with pytest.raises(InputError, match="at least one"):
        StructuredCRFLearner().fit([])
    other = make_examples(0, n_potts=2)
    with pytest.raises(InputError, match="example 1 has 3 classes and 2 Potts"):
        StructuredCRFLearner().fit([examples[0], other[0]])
    learner = StructuredCRFLearner(C=3.0, random_state=0).fit(examples)
    with pytest.raises(InputError, match="fit saw 3 and 1"):
        learner.energy(other[0])


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"unary": np.zeros(4)}, r"unary must be \(n, C\)"),
        ({"edge_features": np.ones((4, 0))}, "edge_features must be"),
        ({"edge_features": -np.ones((4, 1))}, "edge_features must be 0 or greater"),
        ({"histogram": np.ones((4, 2))}, "histogram must have"),
        ({"histogram": np.zeros((4, 3))}, "no node has a labelled pixel"),
        ({"sizes": np.ones(3)}, r"sizes must be \(4,\)"),
        ({"sizes": np.zeros(4)}, "sizes must be above 0"),
        ({"unary": np.full((4, 3), np.nan)}, "unary must be finite"),
        ({"edges": np.array([[0, 1], [1, 2], [2, 3], [0, 9]])}, "edge"),
    ],
)
def test_examples_are_checked(changed, message):
    example = make_examples(0)[0]
    parts = {
        name: getattr(example, name)
        for name in ("unary", "edges", "edge_features", "histogram", "sizes")
    }
    with pytest.raises(InputError, match=message):
        CRFExample(**{**parts, **changed})
