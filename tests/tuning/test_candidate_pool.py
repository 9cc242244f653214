"""The pool: chosen once on held-out images, run alike on all others."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rerank.crf import PottsEnergy
from rerank.engine.folds import FINAL
from rerank.engine.stage import read_image
from rerank.metrics import IntersectionUnion, oracle_curve, region_intersection_union
from rerank.proposals import ProposalContext, ProposalSet, div_mbest
from rerank.proposals.pool_rows import PoolRow, fill, from_text, run_rows, to_text
from rerank.stages.crf_settings import load_choice
from rerank.tuning.candidate_pool import candidate_generators, choose_pool, evaluate_candidates


def problems(n_images: int) -> tuple[list[dict[str, ProposalContext]], list[np.ndarray]]:
    """Chains of 30 nodes whose truth has whole runs that the unaries get wrong.

    The second source is wrong about another run than the first.
    """
    rng = np.random.default_rng(0)
    contexts, histograms = [], []
    edges = np.stack([np.arange(29), np.arange(1, 30)], axis=1)
    for _ in range(n_images):
        truth = np.repeat(rng.integers(0, 3, 6), 5)
        context = {}
        for source, run in (("unary", slice(5, 10)), ("fusion", slice(15, 20))):
            unary = rng.random((30, 3))
            unary[np.arange(30), truth] -= 0.6
            unary[run, (truth[run] + 1) % 3] -= 0.8
            context[source] = ProposalContext(
                PottsEnergy(unary, edges, np.full(29, 0.3)),
                np.full(30, 4.0),
                appearance=rng.random((30, 2)),
            )
        contexts.append(context)
        histograms.append(4 * np.eye(3, dtype=np.int64)[truth])
    return contexts, histograms


def choose(
    contexts: list[dict[str, ProposalContext]],
    histograms: list[np.ndarray],
    n_proposals: int,
    sources: tuple[str, ...] = ("unary", "fusion"),
) -> tuple[PoolRow, ...]:
    table = evaluate_candidates(contexts, histograms, 0.2, n_proposals, random_state=0)
    return choose_pool(table, n_proposals, sources)


def test_pool_beats_one_generator_and_is_repeatable() -> None:
    contexts, histograms = problems(12)
    chosen = choose(contexts[:8], histograms[:8], 6)
    assert chosen == choose(contexts[:8], histograms[:8], 6)
    assert len(set(chosen)) == len(chosen)
    assert from_text(to_text(chosen)) == chosen

    def oracle(sets: list[ProposalSet], rows: slice) -> float:
        counts = IntersectionUnion.stack(
            [
                region_intersection_union(h, fill(s, 6).labelings)
                for s, h in zip(sets, histograms[rows])
            ]
        )
        return float(oracle_curve(counts.intersections, counts.unions).image_oracle_image_iou[-1])

    pool = [run_rows(chosen, context, 6, 0) for context in contexts]
    plain = [div_mbest(context["unary"].energy, 6, 0.2) for context in contexts]
    assert oracle(pool[:8], slice(0, 8)) > oracle(plain[:8], slice(0, 8))
    for made in pool:
        assert len(np.unique(made.labelings, axis=0)) == len(made) <= 6


def test_the_maps_of_all_sources_come_first() -> None:
    contexts, histograms = problems(3)
    chosen = choose(contexts, histograms, 4)
    assert [row.source for row in chosen[:2]] == ["unary", "fusion"]
    for row in chosen[:2]:
        assert row.candidate.generator == next(iter(candidate_generators(0.2)))
        assert row.candidate.index == 0
    made = run_rows(chosen, contexts[0], 4, 0)
    for k, source in enumerate(("unary", "fusion")):
        np.testing.assert_array_equal(made.labelings[k], contexts[0][source].map_result.labeling)


def test_a_pool_of_one_source_draws_from_no_other() -> None:
    contexts, histograms = problems(3)
    chosen = choose(contexts, histograms, 4, ("unary",))
    assert {row.source for row in chosen} == {"unary"}
    made = run_rows(chosen, {"unary": contexts[0]["unary"]}, 4, 0)
    np.testing.assert_array_equal(made.labelings[0], contexts[0]["unary"].map_result.labeling)


def test_energies_and_bounds_are_those_of_the_main_source() -> None:
    contexts, histograms = problems(3)
    chosen = choose(contexts, histograms, 8)
    energy = contexts[0]["fusion"].energy
    made = run_rows(chosen, contexts[0], 8, 0)
    assert {p["source"] for p in made.parameters} == {"unary", "fusion"}
    np.testing.assert_allclose(made.energies, energy.evaluate(made.labelings))
    assert (made.lower_bounds <= made.energies + 1e-9).all()
    best = contexts[0]["fusion"].map_result
    if best.optimal:
        assert (made.energies >= best.energy - 1e-9).all()


def test_fill_repeats_the_first_labeling() -> None:
    made = ProposalSet.of("x", np.array([[0, 1], [1, 1]]), np.array([1.0, 2.0]))
    filled = fill(made, 4)
    np.testing.assert_array_equal(filled.labelings, [[0, 1], [1, 1], [0, 1], [0, 1]])
    assert len(fill(made, 2)) == 2
    np.testing.assert_array_equal(fill(made, 1).labelings, [[0, 1]])


def test_each_proposal_says_where_it_came_from(finished: Path, make_graph) -> None:
    graph = make_graph(finished)
    with graph.job("proposals", FINAL).open("crf_settings") as file:
        choice = load_choice(file)
    assert choice.pool
    names = {"map", "fusion_map"} | {row.candidate.generator.name for row in choice.pool}
    with graph.job("pages").open("proposals", FINAL) as file:
        found = read_image(file, 0)
    assert len(found["generators"]) == 5 == len(found["parameters"])
    assert set(found["generators"]) <= names
    assert np.isfinite(found["energies"]).all()
    assert (found["lower_bounds"] <= found["energies"] + 1e-9).all()
