"""A network that is nearly right comes out no lower than it went in."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

import rerank
from rerank.datasets import open_dataset
from rerank.metrics import confusion_counts, intersection_union, majority_labels, region_histogram

N_IMAGES, N_CLASSES, SIZE = 24, 12, (96, 128)
#: Points of mean image IoU that a choice may lose on such a network.
TOLERANCE = 0.5


class Given(NamedTuple):
    images: list[np.ndarray]
    maps: list[np.ndarray]
    labels: list[np.ndarray]


def with_errors(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A map that is sure of the truth: half have moved borders, all have two wrong blobs."""
    near = np.where(labels == 255, 0, labels)
    mine = np.roll(near, int(rng.integers(2)), axis=int(rng.integers(2)))
    rows, columns = np.mgrid[: labels.shape[0], : labels.shape[1]]
    confidence = np.full(labels.shape, 0.97)
    for _ in range(2):
        y, x = rng.integers(labels.shape[0]), rng.integers(labels.shape[1])
        blob = (rows - y) ** 2 + (columns - x) ** 2 <= 2
        mine[blob], confidence[blob] = rng.choice(np.unique(near)), 0.7
    truth = np.eye(N_CLASSES)[mine]
    rest = (1 - confidence)[..., None] / N_CLASSES
    return (confidence[..., None] * truth + rest).astype(np.float32)


@pytest.fixture(scope="module")
def given() -> Given:
    rng = np.random.default_rng(0)
    samples = list(open_dataset("scenes", None, "train", n_images=N_IMAGES, size=SIZE))
    return Given(
        [s.image for s in samples],
        [with_errors(s.labels, rng) for s in samples],
        [s.labels for s in samples],
    )


def iou(labels: np.ndarray, found: np.ndarray) -> float:
    counts = intersection_union(confusion_counts(labels, found, N_CLASSES, 255))
    present = counts.unions > 0
    return 100 * float(np.mean(counts.intersections[present] / counts.unions[present]))


def test_the_choice_of_propose_loses_nothing(given: Given) -> None:
    own, chosen = [], []
    for image, network_map, labels in zip(*given):
        found = rerank.propose(image, network_map)
        proposals = found.proposals
        argmax = network_map.argmax(axis=2)
        network = proposals.labelings[proposals.network][proposals.superpixels]
        np.testing.assert_array_equal(network, argmax)
        histogram = region_histogram(proposals.superpixels, labels, N_CLASSES, 255)
        bound = majority_labels(histogram, void=0)[proposals.superpixels]
        own.append(iou(labels, argmax))
        chosen.append(iou(labels, found.labels))
        assert iou(labels, bound) >= own[-1] - 1e-9
    assert 90 < np.mean(own) < 99
    assert np.mean(chosen) >= np.mean(own) - TOLERANCE


def test_with_the_gate_a_fit_loses_nothing(given: Given) -> None:
    settings = (
        "gate.enabled=true",
        "superpixels.n_segments=150",
        "crf.potts_weights=[0.5, 1.5]",
        "proposals.diversities=[0.3]",
        "ranking.candidates=[0.01, 0.1]",
    )
    fitted = rerank.Reranker(8, n_folds=2, settings=settings).fit(*given)
    rng = np.random.default_rng(7)
    own, chosen = [], []
    for sample in open_dataset("scenes", None, "val", n_images=20, size=SIZE):
        network_map = with_errors(sample.labels, rng)
        own.append(iou(sample.labels, network_map.argmax(axis=2)))
        chosen.append(iou(sample.labels, fitted.predict(sample.image, network_map).labels))
    assert np.mean(chosen) >= np.mean(own) - TOLERANCE
