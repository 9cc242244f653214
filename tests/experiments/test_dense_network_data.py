"""What dense networks learn from: recordings left out, void as a class, shares of classes."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from rerank.datasets import Moment, open_dataset
from rerank.errors import DataError
from rerank.experiments import dense_network_data
from rerank.experiments.dense_network_bench import DenseNetworkBench, DenseNetworkRecipe
from rerank.experiments.dense_network_data import (
    DenseNetworkSetting,
    PreparedSamples,
    log_odds,
    rounds_of,
)
from rerank.experiments.table_definition import Row, Scope
from rerank.metrics import corpus_iou
from rerank.nets import KeptActivations, Phase, soft_target

SETTING = DenseNetworkSetting(
    "scenes",
    (24, 36),
    (24, 36),
    batch_size=4,
    architecture="small",
    by_sequences=True,
    void_class=True,
    soft_labels=True,
    options={"n_images": 5, "size": (32, 48)},
)


@pytest.fixture
def video(monkeypatch: pytest.MonkeyPatch):
    """Scenes of three recordings, one with a void band."""

    def opened(name, root, split, **options):
        scenes = open_dataset(name, root, "train", **options)
        times = {i: Moment("aabbc"[k], float(k)) for k, i in enumerate(scenes.ids)}
        return dataclasses.replace(scenes, moments=times)

    monkeypatch.setattr(dense_network_data, "open_dataset", opened)


def test_each_recording_is_judged_by_a_network_of_the_others(tmp_path: Path, video) -> None:
    rounds = rounds_of(Scope(tmp_path, tmp_path), SETTING)
    assert [len(r.judge) for r in rounds] == [2, 2, 1]
    for learn, judge in rounds:
        assert not set(learn.ids) & set(judge.ids) and len(learn) + len(judge) == 5
    scope = Scope(tmp_path, tmp_path / "work", quiet=True)
    bench = DenseNetworkBench(scope, SETTING)
    row = Row("a", "a", None, DenseNetworkRecipe((Phase("ce", 1, 0.05),)))
    shares: list[float] = []
    outcome = bench.measure(row, 0, tmp_path / "a", None, shares.append)
    assert outcome.counts.unions.shape == (5, len(bench.class_names))
    assert bench.judged.groups is not None and len(bench.judged.groups) == 5
    assert sorted(p.name for p in tmp_path.glob("a-*.pt")) == ["a-0.pt", "a-1.pt", "a-2.pt"]
    assert shares == sorted(shares) and shares[-1] == 1.0
    # A row that goes on takes each round's own network.
    later = Row("b", "b", None, DenseNetworkRecipe(), start="a")
    again = bench.measure(later, 0, tmp_path / "b", tmp_path / "a", shares.append)
    np.testing.assert_array_equal(again.counts.intersections, outcome.counts.intersections)
    assert corpus_iou(outcome.counts).mean > 0


def test_data_without_recordings_are_refused(tmp_path: Path) -> None:
    setting = dataclasses.replace(SETTING, dataset="voc2012", options={})
    with pytest.raises(DataError):
        rounds_of(Scope(tmp_path, tmp_path), setting)


def test_void_is_the_last_class_and_labels_are_shares() -> None:
    scenes = open_dataset("scenes", n_images=2, size=(32, 48))
    n_classes = scenes.n_classes
    plain = PreparedSamples(scenes, None, void_class=True)[0].labels
    truth = scenes[0].labels
    assert (plain[truth == 255] == n_classes).all() and (plain[truth != 255] < n_classes).all()
    found = PreparedSamples(scenes, (16, 24), void_class=True, soft_labels=True)[0]
    assert found.image.shape == (16, 24, 3) and found.labels.dtype == np.float16
    expected = soft_target(plain, (16, 24), n_classes + 1, None)
    np.testing.assert_allclose(found.labels, expected, atol=1e-3)
    assert PreparedSamples(scenes, (16, 24))[0].labels.shape == (16, 24)


def test_kept_activations_take_shares(tmp_path: Path) -> None:
    scope = Scope(tmp_path, tmp_path, quiet=True)
    setting = dataclasses.replace(SETTING, by_sequences=False)
    bench = DenseNetworkBench(scope, setting)
    net = bench.model(DenseNetworkRecipe((Phase("ce", 1, 0.1),)), 0, None)
    net.requires_grad_(False)
    samples = PreparedSamples(bench.train, (24, 36), True, True)
    kept = KeptActivations(net, samples, (24, 36))
    batch = kept.batch(np.array([0, 1]), np.random.default_rng(0))
    assert tuple(batch.targets.shape) == (2, len(bench.class_names) + 1, 24, 36)
    np.testing.assert_allclose(batch.targets.sum(dim=1), 1.0, atol=1e-5)


def test_biases_start_at_the_log_odds(tmp_path: Path) -> None:
    scope = Scope(tmp_path, tmp_path, quiet=True)
    bench = DenseNetworkBench(scope, dataclasses.replace(SETTING, by_sequences=False))
    phases = (Phase("bce", 1, 0.1),)
    net = bench.model(DenseNetworkRecipe(phases, prior_bias=True), 0, None)
    plain = bench.model(DenseNetworkRecipe(phases), 0, None)
    pixels = np.zeros(bench.train.n_classes)
    for sample in bench.train:
        kept = sample.labels[sample.labels != 255]
        pixels += np.bincount(kept, minlength=len(pixels))
    share = np.clip(pixels / pixels.sum(), 1e-6, 1 - 1e-6)
    np.testing.assert_allclose(log_odds(bench.train), np.log(share / (1 - share)))
    bias = net.scores[-1].bias.detach().numpy()
    np.testing.assert_allclose(bias[:-1], np.log(share / (1 - share)), rtol=1e-5)
    assert bias[-1] == 0 and not plain.scores[-1].bias.any()


def test_full_size_has_phases_of_its_own(tmp_path: Path) -> None:
    recipe = DenseNetworkRecipe((Phase("rmi(factor=2)", 4, 0.1),), (Phase("rmi", 4, 0.1),))
    setting = dataclasses.replace(SETTING, by_sequences=False, full_factor=2.0)
    for full, loss, epochs in ((False, "rmi(factor=2)", 4), (True, "rmi", 8)):
        bench = DenseNetworkBench(Scope(tmp_path, tmp_path, full), setting)
        (phase,) = bench._config(recipe, 0).phases
        assert (phase.loss, phase.epochs) == (loss, epochs)
