import json
import math
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from rerank.cli import main
from rerank.errors import ConfigError
from rerank.experiments import TABLES, paper_tables, reproduction, table_on
from rerank.experiments.comparison import Judged, gain
from rerank.experiments.rendering import to_html, to_json, to_markdown, to_text
from rerank.experiments.reproduction import reproduce
from rerank.experiments.seed_result import SeedResult
from rerank.experiments.table_definition import (
    Comparisons,
    PaperLine,
    PaperTable,
    Row,
    Scope,
    Table,
)
from rerank.metrics import IntersectionUnion


class FakeBench:
    """Rows whose IoU is what their recipe says, plus a hundredth a seed."""

    class_names = ("sky", "<road>")
    judged = Judged("three of val", "pairs", np.arange(6) // 2)
    takes_overrides = False

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.calls: list[tuple[str, int]] = []
        self.starts: list[str] = []
        self.stop_at: tuple[str, int] | None = None

    def settings(self, row, seed):
        return {"recipe": row.recipe, "seed": seed}

    def measure(self, row, seed, place, start, progress):
        if (row.key, seed) == self.stop_at:
            raise KeyboardInterrupt
        self.calls.append((row.key, seed))
        self.starts.append("" if start is None else start.name)
        for share in (0.5, 1.0):
            progress(share)
        unions = np.full((6, 2), 100)
        share = row.recipe + 0.01 * seed + 0.005 * np.arange(6)[:, None] * (seed + 1)
        intersections = np.round(unions * share).astype(np.int64) + np.zeros_like(unions)
        return SeedResult(IntersectionUnion(intersections, unions), 2.0, {"training loss": 0.25})


def make(scope_bench: list[FakeBench], better: float = 0.6) -> Table:
    def bench(scope: Scope) -> FakeBench:
        scope_bench.append(FakeBench(scope))
        return scope_bench[-1]

    return Table(
        "fake-table",
        "A fake",
        "few images",
        (
            Row("base", "start", None, 0.4, shown=False),
            Row("ce", "CE", 70.5, 0.5, start="base"),
            Row("better", "Better", 72.0, better, start="base"),
            Row("own", "Own row", None, 0.3),
        ),
        Comparisons(
            "ce", pairs=(("better", "own"),), aims={("better", "ce"): 2.0, ("better", "own"): 40.0}
        ),
        bench,
        PaperTable(
            "Nobody 2020, Table 9",
            "paper images",
            ("Method", "Mean"),
            (PaperLine("CE", (70.5,)), PaperLine("Better", (72.0,))),
        ),
        notes=("A note.",),
    )


def test_every_row_is_measured_once(tmp_path: Path) -> None:
    benches: list[FakeBench] = []
    scope = Scope(tmp_path, tmp_path / "work")
    first = reproduce(make(benches), scope, (0, 1, 2))
    assert len(benches[0].calls) == 12 and benches[0].calls[0] == ("base", 0)
    assert all(
        name.startswith(f"base-seed{seed}-") == (row in ("ce", "better"))
        for (row, seed), name in zip(benches[0].calls, benches[0].starts)
    )
    again = reproduce(make(benches), scope, (0, 1, 2))
    assert benches[1].calls == []
    assert first.corpus.spreads["ce"].per_seed == again.corpus.spreads["ce"].per_seed
    more = reproduce(make(benches), scope, (0, 1, 2, 7))
    assert benches[2].calls == [(key, 7) for key in ("base", "ce", "better", "own")]
    assert len(more.corpus.spreads["ce"].per_seed) == 4
    reproduce(make(benches, better=0.65), scope, (0, 1, 2))
    assert benches[3].calls == [("better", seed) for seed in range(3)]


def test_a_changed_start_measures_what_goes_on_from_it(tmp_path: Path) -> None:
    benches: list[FakeBench] = []
    table = make(benches)
    scope = Scope(tmp_path, tmp_path / "work")
    reproduce(table, scope, (0,))
    rows = (Row("base", "start", None, 0.41, shown=False), *table.rows[1:])
    changed = Table(**{**vars(table), "rows": rows})
    reproduce(changed, scope, (0,))
    assert benches[1].calls == [("base", 0), ("ce", 0), ("better", 0)]


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    benches: list[FakeBench] = []
    table = make(benches)
    made = table.bench

    def stopping(scope: Scope) -> FakeBench:
        bench = made(scope)
        bench.stop_at = ("better", 1)
        return bench

    scope = Scope(tmp_path, tmp_path / "work")
    with pytest.raises(KeyboardInterrupt):
        reproduce(Table(**{**vars(table), "bench": stopping}), scope, (0, 1))
    reproduce(table, scope, (0, 1))
    assert benches[0].calls + benches[1].calls == [
        (key, seed) for seed in (0, 1) for key in ("base", "ce", "better", "own")
    ]


@pytest.mark.parametrize("seeds", [(), (1, 1), (-1,)])
def test_unusable_seeds(tmp_path: Path, seeds) -> None:
    with pytest.raises(ConfigError, match="seeds"):
        reproduce(make([]), Scope(tmp_path, tmp_path), seeds)


def test_the_page_holds_both_papers_and_own_figures(tmp_path: Path) -> None:
    found = reproduce(make([]), Scope(tmp_path, tmp_path / "work"), (0, 1, 2))
    tree = json.loads(to_json(found))
    row = {r["key"]: r for r in tree["rows"]}
    assert list(row) == ["ce", "better", "own"] and row["own"]["paper"] is None
    assert row["better"]["mean"] == pytest.approx(np.mean(row["better"]["per_seed"]))
    gains = {(g["row"], g["over"]): g for g in tree["gains"]}
    assert set(gains) == {("better", "ce"), ("own", "ce"), ("better", "own")}
    assert gains["better", "ce"]["mean"] == pytest.approx(10.0, abs=0.1)
    assert gains["better", "ce"]["paper"] == 1.5 and gains["own", "ce"]["paper"] is None
    markdown, text, page = to_markdown(found), to_text(found), to_html(found)
    for shown in (markdown, text, page):
        assert "Nobody 2020, Table 9" in shown and "+9.9" in shown and "70.5" in shown
    line = next(x for x in text.splitlines() if x.startswith("Better") and "Own row" in x)
    assert line.split()[-1] == "no"
    line = next(x for x in text.splitlines() if x.startswith("Better") and "CE" in x)
    assert line.split()[-1] == "yes" and "at least 2" in line
    assert "&lt;road&gt;" in page and "<road>" not in page and "src=" not in page
    HTMLParser().feed(page)
    for block in markdown.split("\n\n"):
        if block.startswith("|"):
            assert len({row.count("|") for row in block.splitlines()}) == 1


def test_what_is_resampled_is_named_and_drawn_whole(tmp_path: Path, monkeypatch) -> None:
    drawn = []

    def noted(*results, **given):
        drawn.append(given["groups"])
        return gain(*results, **given)

    monkeypatch.setattr(reproduction, "gain", noted)
    found = reproduce(make([]), Scope(tmp_path, tmp_path / "work"), (0, 1))
    for shown in (to_markdown(found), to_text(found), to_html(found)):
        assert "95% over pairs" in shown and "bootstrap over pairs, 3 of them" in shown
    assert all(groups is FakeBench.judged.groups for groups in drawn) and drawn


def test_settings_of_a_recipe_are_refused_without_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="fake-table is not measured by a recipe"):
        reproduce(make([]), Scope(tmp_path, tmp_path / "work", overrides=("a.b=1",)), (0,))


def test_tables_on_other_data_sets() -> None:
    assert table_on("cogswell-table2", "voc2012") == "cogswell-table2-voc2012"
    assert TABLES["cogswell-table2-voc2012"].differs
    with pytest.raises(ConfigError, match="cogswell-fig6 is not measured on x; there is voc2012"):
        table_on("cogswell-fig6", "x")
    with pytest.raises(ConfigError, match="larsson-table1 is not measured on voc2012$"):
        table_on("larsson-table1", "voc2012")


def test_one_seed_says_what_is_missing(tmp_path: Path) -> None:
    found = reproduce(make([]), Scope(tmp_path, tmp_path / "work"), (4,))
    assert "seed 4 alone" in to_text(found) and "nan" not in to_text(found)
    tree = json.loads(to_json(found))
    assert tree["rows"][0]["deviation"] is None and tree["gains"][0]["p_seeds"] is None


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_tables_are_whole(table: Table) -> None:
    """Rows go on from earlier ones; pairs and aims name rows; lines fit their head."""
    keys = [row.key for row in table.rows]
    assert len(set(keys)) == len(keys) and table.comparisons.baseline in keys
    for index, row in enumerate(table.rows):
        assert row.start is None or row.start in keys[:index]
    assert set(table.comparisons.aims) <= set(table.all_pairs)
    assert {key for pair in table.all_pairs for key in pair} <= {r.key for r in table.shown}
    printed = () if table.paper is None else table.paper.lines
    for line in printed:
        assert table.paper is not None and 1 + len(line.values) == len(table.paper.columns)
        assert all(isinstance(v, float) and 0 < v < 100 for v in line.values)
    for row in table.shown:
        if row.paper is not None and len(printed) > 1:
            assert any(math.isclose(row.paper, line.values[-1]) for line in printed)


@pytest.mark.parametrize("line", [0, 1, 2, 4])
def test_nagendars_classes_average_to_the_printed_mean(line: int) -> None:
    """A slip of the pen in a class's figure would show."""
    values = TABLES["nagendar-table1"].paper.lines[line].values
    assert np.mean(values[:-1]) == pytest.approx(values[-1], abs=0.35)


def test_zhaos_mean_counts_a_twelfth_class() -> None:
    """As the table's note says: with a class of IoU 31 to 33 more, all lines but one add up."""
    lines = TABLES["zhao-table4"].paper.lines
    left_over = [12 * line.values[-1] - sum(line.values[:-1]) for line in lines]
    assert [30 < value < 34 for value in left_over] == [
        line.name != "DeepLabv3+ CE & CRF" for line in lines
    ]


def test_command(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setitem(paper_tables.TABLES, "fake-table", make([]))
    assert main(["reproduce", "list"]) == 0
    assert "larsson-table1" in capsys.readouterr().out
    work = tmp_path / "w"
    assert (
        main(
            [
                "reproduce",
                "fake-table",
                "--data-root",
                str(tmp_path),
                "--work",
                str(work),
                "--seeds",
                "0,3",
            ]
        )
        == 0
    )
    out = capsys.readouterr().out
    assert "seed 3" in out and str(work / "fake-table" / "fake-table.html") in out
    assert {p.suffix for p in (work / "fake-table").iterdir()} == {".h5", ".html", ".md", ".json"}
    assert main(["reproduce", "xyz", "--data-root", "x"]) == 2
    assert "the tables are" in capsys.readouterr().err
    assert main(["reproduce", "fake-table"]) == 2
    assert "--data-root" in capsys.readouterr().err
    assert main(["reproduce", "fake-table", "--seeds", "one"]) == 2
