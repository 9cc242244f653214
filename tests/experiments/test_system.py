from __future__ import annotations

import json
from pathlib import Path

import pytest

from rerank.experiments import TABLES
from rerank.experiments.pipeline_bench import PipelineBench
from rerank.experiments.rendering import to_json, to_markdown, to_text
from rerank.experiments.reproduction import reproduce
from rerank.experiments.system import system_bench
from rerank.experiments.table_definition import Scope, Table

TINY = (
    "dataset.options={n_images: 12, size: [64, 48]}",
    "folds.n_folds=3",
    "superpixels.n_segments=40",
    "unary.n_steps=20",
    "unary.hidden=8",
    "unary.max_per_image=20",
    "crf.potts_weights=[0.5, 1.0]",
    "proposals.n_proposals=30",
    "proposals.diversities=[0.1, 0.3]",
    "segnet.grid=5",
    "segnet.epochs_cross_entropy=1",
    "segnet.epochs_mixed=1",
    "ranking.candidates=[0.01]",
    "report.n_examples=1",
    "classifiers.features=appearance",
    "auxiliary.features=appearance",
    "auxiliary.scales=null",
)


def bench_of(scope: Scope) -> PipelineBench:
    return system_bench(scope, "scenes", "appearance", TINY)


def test_every_data_set_and_feature_set_has_a_table() -> None:
    names = {name for name in TABLES if name.startswith("system-")}
    assert names == {
        f"system-{data}-{features}"
        for data in ("weizmann-horse", "msrc21", "camvid", "voc2012")
        for features in ("appearance", "deep")
    }


@pytest.mark.slow
def test_every_rule_is_measured_and_no_paper_is_named(tmp_path: Path) -> None:
    table = Table(**{**vars(TABLES["system-camvid-appearance"]), "bench": bench_of})
    found = reproduce(table, Scope(tmp_path, tmp_path / "work", quiet=True), (0, 1))
    means = {key: spread.mean for key, spread in found.corpus.spreads.items()}
    assert set(means) == {row.key for row in table.rows}
    assert means["map"] <= means["oracle-10"] <= means["oracle-30"] <= means["superpixel-bound"]
    assert found.notes["svm"]["mean image IoU"] > 0
    for text in (to_text(found), to_markdown(found)):
        assert "aper" not in text.replace("superpixel bound", "")
        assert "at least 1.5" in text
        assert "Gains in mean image IoU (points)" in text
    tree = json.loads(to_json(found))
    # Rows of one run share what its stages took, whichever of them ran first.
    assert len({row["seconds"] for row in tree["rows"]}) == 1 and tree["rows"][0]["seconds"] > 0
    for row in tree["rows"]:
        assert row["image_mean"] == pytest.approx(found.notes[row["key"]]["mean image IoU"])
    over_map = next(g for g in tree["image_gains"] if (g["row"], g["over"]) == ("svm", "map"))
    by_key = {row["key"]: row["image_mean"] for row in tree["rows"]}
    assert over_map["mean"] == pytest.approx(by_key["svm"] - by_key["map"])
    assert '"paper": null' in to_json(found)
