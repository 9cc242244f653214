from pathlib import Path

import numpy as np
import pytest

from rerank.errors import DataError
from rerank.experiments import TABLES
from rerank.experiments.cogswell import cogswell_bench
from rerank.experiments.pipeline_bench import PipelineBench, PipelineRecipe
from rerank.experiments.rendering import to_text
from rerank.experiments.reproduction import reproduce
from rerank.experiments.table_definition import Row, Scope, Table

TINY = (
    "dataset.options={n_images: 12, size: [64, 48]}",
    "folds.n_folds=3",
    "superpixels.n_segments=40",
    "unary.n_steps=20",
    "unary.hidden=8",
    "unary.max_per_image=20",
    "crf.potts_weights=[0.5, 1.0]",
    "proposals.n_proposals=4",
    "proposals.diversities=[0.1, 0.3]",
    "segnet.grid=5",
    "segnet.epochs_cross_entropy=1",
    "segnet.epochs_mixed=1",
    "ranking.candidates=[0.01]",
    "report.n_examples=2",
)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reproduce")


def bench_of(scope: Scope) -> PipelineBench:
    return cogswell_bench(scope, "scenes", TINY)


@pytest.mark.slow
def test_the_three_tables_share_one_pipeline_a_loss(work: Path) -> None:
    found, stored = {}, {}
    for name in ("cogswell-table2", "cogswell-fig6", "cogswell-ablation"):
        # Four proposals have no oracle of ten.
        rows = [row for row in TABLES[name].rows if not row.recipe.n_proposals]
        table = Table(**{**vars(TABLES[name]), "bench": bench_of, "rows": rows})
        scope = Scope(work, work / name, quiet=True)
        found[name] = reproduce(table, scope, (0,))
        stored[name] = sorted(path for path in scope.pipeline.rglob("*") if path.is_file())
    assert stored["cogswell-fig6"] == stored["cogswell-table2"] == stored["cogswell-ablation"]
    assert found["cogswell-table2"].judged.groups is None
    ours = to_text(found["cogswell-table2"])
    assert "What differs from the paper" in ours and "12 images of train to learn from" in ours
    rows = found["cogswell-table2"].corpus.spreads
    assert all(0 < spread.mean < 100 for spread in rows.values())
    # What a table has from another is read, not made again, and is the same.
    assert found["cogswell-fig6"].corpus.spreads["uoi"].per_seed == rows["uoi"].per_seed
    ablated = found["cogswell-ablation"].corpus.spreads
    assert ablated["segnet-classification-proposal"].per_seed == rows["svm"].per_seed
    assert (
        ablated["segnet-classification-proposal-crossed"].per_seed == rows["svm-crossed"].per_seed
    )
    assert len({spread.per_seed for spread in ablated.values()}) > 1
    bench = bench_of(scope)
    maps = [
        bench.measure(
            Row(loss, loss, None, PipelineRecipe(loss, "MAP")),
            0,
            work / loss,
            None,
            lambda share: None,
        ).counts
        for loss in ("ce", "uoi", "mix")
    ]
    for counts in maps[1:]:
        np.testing.assert_array_equal(counts.intersections, maps[0].intersections)


def test_losses_differ_in_the_second_phase_alone(work: Path) -> None:
    bench = bench_of(Scope(work, work / "recipes"))
    recipes = {loss: bench.recipe(loss, 1).model_dump() for loss in ("ce", "uoi", "mix")}
    weights = [recipes[loss]["segnet"].pop("uoi_weight") for loss in recipes]
    assert weights == [0.0, 1.0, 0.7]
    # The ablation is shown of the mix alone.
    assert [recipes[loss]["report"].pop("ablation") for loss in recipes] == [False, False, True]
    assert recipes["ce"] == recipes["uoi"] == recipes["mix"]
    assert recipes["ce"]["random_state"] == 1
    assert recipes["ce"]["features"]["classification"] == "paper"
    assert bench.recipe("crossed", 1).features.classification == "crossed"
    assert bench.recipe("pool", 1).proposals.generator == "pool"
    other = bench_of(Scope(work, work / "recipes", overrides=("features.kl_smoothing=0.1",)))
    assert other.recipe("mix", 1).features.kl_smoothing == 0.1
    assert "uoi_weight: 0.7" in bench.recipe_text("mix", 1)


def test_settings_tell_rows_and_seeds_apart(work: Path) -> None:
    bench = bench_of(Scope(work, work / "recipes"))
    rows = [
        Row("a", "a", None, PipelineRecipe("ce", "MAP")),
        Row("b", "b", None, PipelineRecipe("uoi", "MAP")),
    ]
    found = [str(bench.settings(row, seed)) for row in rows for seed in (0, 1)]
    assert len(set(found)) == 4


@pytest.mark.slow
def test_an_unknown_rule_is_named(work: Path) -> None:
    bench = bench_of(Scope(work, work / "all", quiet=True))
    with pytest.raises(DataError, match="no rule 'best'"):
        bench.measure(
            Row("a", "a", None, PipelineRecipe("mix", "best")),
            0,
            work / "a",
            None,
            lambda share: None,
        )
    with pytest.raises(DataError, match="no subset summary"):
        bench.measure(
            Row("a", "a", None, PipelineRecipe("mix", groups=("summary",))),
            0,
            work / "a",
            None,
            lambda share: None,
        )
    naive = bench.measure(
        Row("a", "a", None, PipelineRecipe("mix", "SegNet, naive upsampling")),
        0,
        work / "a",
        None,
        lambda share: None,
    )
    assert naive.counts.unions.shape[1] == len(bench.class_names)
    assert np.all(naive.counts.intersections <= naive.counts.unions)
