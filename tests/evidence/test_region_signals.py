from dataclasses import replace

import numpy as np
import pytest

from rerank.errors import InputError
from rerank.evidence import (
    AuxiliaryProbabilities,
    ImageEvidence,
    ImageScores,
    RegionSignals,
    SegNetMap,
    colour_evidence,
    region_signals,
)
from rerank.potentials import affinity_weights

N, N_CLASSES, GRID = 30, 4, (3, 4)


def make_evidence(seed=0, n_sizes=4):
    """Evidence about an image of 30 regions in 4 classes, with a background."""
    rng = np.random.default_rng(seed)
    overlap = rng.dirichlet(np.full(N, 0.2), GRID[0] * GRID[1])
    evidence = ImageEvidence(
        rng.dirichlet(np.full(N_CLASSES, 0.3), N),
        SegNetMap(rng.dirichlet(np.full(N_CLASSES, 0.5), GRID), overlap),
        ImageScores(rng.normal(size=3), rng.normal(size=3 * n_sizes)),
        background=0,
        location=rng.dirichlet(np.full(N_CLASSES, 2.0), N),
        class_shares=np.array([0.4, 0.3, 0.2, 0.1]),
    )
    return evidence, rng.random(N) + 0.5, rng.normal(size=(N, 3))


def planes_of(signals):
    return {name: signals.values[:, :, k] for k, name in enumerate(signals.names)}


def log(p):
    return np.log(np.maximum(p, 1e-4))


@pytest.mark.parametrize("n_sizes", [1, 2, 4, 5])
def test_signals_by_hand(n_sizes):
    e, areas, values = make_evidence(n_sizes=n_sizes)
    found = region_signals(e, areas, values, colours=True)
    share = areas / areas.sum()
    kernel = affinity_weights(values, areas)
    overlap = e.segnet.cell_overlap / e.segnet.cell_overlap.sum(axis=0)
    segnet = overlap.T @ e.segnet.probabilities.reshape(-1, N_CLASSES)
    expected = {
        "superpixel": log(e.region_probabilities),
        "image": log(share @ e.region_probabilities),
        "highest": log(e.region_probabilities.max(axis=0)),
        "segnet": log(segnet),
        "segnet_image": log(share @ segnet),
        "classifier": [0, *e.scores.presence],
        "denied": [0, *np.minimum(e.scores.presence, 0)],
        "size": [0, *e.scores.sizes.reshape(3, n_sizes).mean(axis=1)],
        "location": log(e.location),
        "prior": log(e.class_shares),
        "similar": log(kernel @ kernel @ e.region_probabilities),
        "segnet_similar": log(kernel @ kernel @ np.maximum(segnet, 1e-4)),
        "colours": colour_evidence(e.region_probabilities, kernel, areas),
    }
    assert set(found.names) == set(expected)
    assert set(expected) - set(region_signals(e, areas, values).names) == {"colours"}
    for name, plane in planes_of(found).items():
        np.testing.assert_allclose(
            plane,
            np.broadcast_to(expected[name], (N, N_CLASSES)),
            rtol=1e-5,
            atol=1e-5,
            err_msg=name,
        )


def test_signals_of_stage_one_alone():
    e, areas, _ = make_evidence()
    found = region_signals(ImageEvidence(e.region_probabilities), areas)
    assert found.names == ("superpixel", "image", "highest")


@pytest.mark.parametrize(
    "source, field", [("auxiliary", "classifier"), ("auxiliary_dense_network", "dense_network")]
)
def test_an_auxiliary_model_gives_signals_of_its_own(source, field):
    e, areas, values = make_evidence()
    second = np.random.default_rng(1).dirichlet(np.ones(N_CLASSES), N)
    with_second = replace(e, auxiliary=AuxiliaryProbabilities(**{field: second}))
    found = region_signals(with_second, areas, values)
    planes = planes_of(found)
    kernel = affinity_weights(values, areas)
    mean = np.average(second, axis=0, weights=areas)
    for name, expected in (
        (source, second),
        (f"{source}_image", mean[None]),
        (f"{source}_similar", kernel @ kernel @ second),
    ):
        expected = np.broadcast_to(log(expected), second.shape)
        np.testing.assert_allclose(planes[name], expected, rtol=1e-5)
    alone = region_signals(e, areas, values)
    assert set(found.names) - set(alone.names) == {source, f"{source}_image", f"{source}_similar"}
    kept = [found.names.index(name) for name in alone.names]
    np.testing.assert_array_equal(found.values[:, :, kept], alone.values)


def test_bad_signals_are_refused():
    with pytest.raises(InputError, match="'b' is not finite"):
        RegionSignals(("a", "b"), np.array([[[1.0, np.nan]]]))
    with pytest.raises(InputError, match="must be \\(n, C, 1\\)"):
        RegionSignals(("a",), np.ones((2, 2)))
