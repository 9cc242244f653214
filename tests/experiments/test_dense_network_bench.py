from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rerank.errors import DataError
from rerank.experiments.dense_network_bench import DenseNetworkBench, DenseNetworkRecipe
from rerank.experiments.dense_network_data import DenseNetworkSetting
from rerank.experiments.reproduction import reproduce, result_place
from rerank.experiments.table_definition import Comparisons, Row, Scope, Table
from rerank.metrics import corpus_iou
from rerank.nets import Phase

SETTING = DenseNetworkSetting(
    "scenes",
    (24, 36),
    (24, 36),
    batch_size=4,
    architecture="small",
    options={"n_images": 8, "size": (32, 48)},
    full_factor=0.5,
)
KERNELS = {"spatial_radius": 2, "position_std": 0.2}


def table() -> Table:
    rows = (
        Row("base", "start", None, DenseNetworkRecipe((Phase("ce", 6, 0.05),)), shown=False),
        Row("net", "net", None, DenseNetworkRecipe((Phase("ce", 1, 0.01),)), start="base"),
        Row(
            "crf",
            "net + CRF",
            None,
            DenseNetworkRecipe((Phase("ce", 1, 0.01),), layer=KERNELS),
            start="base",
        ),
        Row(
            "dense",
            "net + dense CRF",
            None,
            DenseNetworkRecipe(dense_crf={"n_iterations": 1}),
            start="net",
        ),
        Row(
            "neuro",
            "NeuroIoU",
            None,
            DenseNetworkRecipe((Phase("neuro(first_steps=20, batch_size=32)", 1, 0.01),)),
            start="base",
        ),
    )
    return Table(
        "dense",
        "Dense",
        "scenes",
        rows,
        Comparisons("net"),
        lambda scope: DenseNetworkBench(scope, SETTING),
    )


def test_rows_go_on_from_each_other_and_are_kept(tmp_path: Path) -> None:
    scope = Scope(tmp_path, tmp_path / "work", quiet=True)
    found = reproduce(table(), scope, (0,))
    files = {p.name.split("-seed")[0] + p.suffix for p in scope.work.iterdir()}
    assert files == {
        "base.h5",
        "base.pt",
        "net.h5",
        "net.pt",
        "crf.h5",
        "crf.pt",
        "dense.h5",
        "neuro.h5",
        "neuro.pt",
    }
    assert "surrogate fit (held out)" in found.notes["neuro"]
    assert "surrogate fit (held out)" not in found.notes["net"]
    assert all(0 < found.corpus.spreads[key].mean < 100 for key in ("net", "crf", "dense", "neuro"))
    assert found.corpus.spreads["net"].per_seed != found.corpus.spreads["crf"].per_seed
    again = reproduce(table(), Scope(tmp_path, tmp_path / "other", quiet=True), (0,))
    for key in ("net", "crf", "dense", "neuro"):
        assert again.corpus.spreads[key].per_seed == found.corpus.spreads[key].per_seed


def test_judged_at_the_labels_own_size(tmp_path: Path) -> None:
    """A finer second implementation of the counts, by hand, from the kept state."""
    scope = Scope(tmp_path, tmp_path / "work", quiet=True)
    bench = DenseNetworkBench(
        scope,
        DenseNetworkSetting(
            "scenes",
            (16, 24),
            (16, 24),
            architecture="small",
            options={"n_images": 3, "size": (32, 48)},
        ),
    )
    row = Row("a", "a", None, DenseNetworkRecipe((Phase("ce", 1, 0.05),)))
    outcome = bench.measure(row, 0, tmp_path / "a", None, lambda share: None)
    labelled = [(sample.labels != 255).sum() for sample in bench.val]
    truth = [np.bincount(sample.labels[sample.labels != 255], minlength=12) for sample in bench.val]
    assert bench.val[0].labels.shape == (32, 48)
    assert (outcome.counts.unions >= truth).all()
    assert (outcome.counts.unions.sum(1) <= 2 * np.array(labelled)).all()
    assert corpus_iou(outcome.counts).mean > 0


def test_an_interrupted_training_ends_the_same(tmp_path: Path) -> None:
    row = Row("a", "a", None, DenseNetworkRecipe((Phase("ce", 2, 0.05),)))
    scope = Scope(tmp_path, tmp_path, quiet=True)
    expected = DenseNetworkBench(scope, SETTING).measure(
        row, 0, tmp_path / "a", None, lambda share: None
    )

    def stop(share: float) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    bench = DenseNetworkBench(scope, SETTING)
    with pytest.raises(KeyboardInterrupt):
        bench.measure(row, 0, tmp_path / "b", None, stop)
    found = bench.measure(row, 0, tmp_path / "b", None, lambda share: None)
    np.testing.assert_array_equal(found.counts.intersections, expected.counts.intersections)


def test_full_size_trains_the_backbone_too(tmp_path: Path) -> None:
    scope = Scope(tmp_path, tmp_path / "work", full=True, quiet=True)
    bench = DenseNetworkBench(scope, SETTING)
    row = Row("a", "a", None, DenseNetworkRecipe((Phase("ce", 2, 0.05),)))
    frozen = DenseNetworkBench(Scope(tmp_path, tmp_path), SETTING)
    assert result_place(table(), bench, scope, row, 0) != result_place(
        table(), frozen, Scope(tmp_path, tmp_path / "work"), row, 0
    )
    before = bench.model(row.recipe, 0, None)
    assert any(p.requires_grad for p in before.backbone.parameters())
    outcome = bench.measure(row, 0, tmp_path / "a", None, lambda share: None)
    assert corpus_iou(outcome.counts).mean > 0


def test_the_backbone_can_be_trained_at_the_small_size(tmp_path: Path) -> None:
    setting = replace(SETTING, train_backbone=True, backbone_factor=1.0)
    bench = DenseNetworkBench(Scope(tmp_path, tmp_path, quiet=True), setting)
    row = Row("a", "a", None, DenseNetworkRecipe((Phase("ce", 2, 0.05),)))
    before = bench.model(row.recipe, 0, None).state_dict()
    outcome = bench.measure(row, 0, tmp_path / "a", None, lambda share: None)
    after = bench.model(row.recipe, 0, tmp_path / "a").state_dict()
    name = next(name for name in before if name.startswith("backbone."))
    assert not before[name].equal(after[name])
    assert corpus_iou(outcome.counts).mean > 0
    frozen = DenseNetworkBench(Scope(tmp_path, tmp_path, quiet=True), SETTING)
    assert frozen.settings(row, 0) != bench.settings(row, 0)


def test_a_lost_state_is_named(tmp_path: Path) -> None:
    scope = Scope(tmp_path, tmp_path / "work", quiet=True)
    reproduce(Table(**{**vars(table()), "rows": table().rows[:2]}), scope, (0,))
    for path in scope.work.glob("base-*.pt"):
        path.unlink()
    with pytest.raises(DataError, match=r"base-seed0-\w+.pt: cannot be read.*delete base-seed0"):
        reproduce(table(), scope, (0,))
