"""The minimum cut against SciPy's maximum flow on integer capacities."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from rerank.crf.adjacency import Adjacency
from rerank.crf.maxflow import FlowNetwork, minimum_cut, shortest_path_cut


def random_network(rng: np.random.Generator):
    n = int(rng.integers(1, 40))
    pairs = np.array(list(itertools.combinations(range(n), 2)), dtype=int).reshape(-1, 2)
    edges = pairs[rng.random(len(pairs)) < rng.choice([0.05, 0.2, 0.8])]
    highest = int(rng.choice([2, 10, 1000]))
    forth = rng.integers(highest, size=len(edges))
    back = rng.integers(highest, size=len(edges))
    return n, edges, forth, back, rng.integers(-highest, highest + 1, size=n)


def scipy_flow(n, edges, forth, back, excess) -> int:
    nodes = np.arange(n)
    rows = np.concatenate([edges[:, 0], edges[:, 1], np.full(n, n), nodes])
    columns = np.concatenate([edges[:, 1], edges[:, 0], nodes, np.full(n, n + 1)])
    values = np.concatenate([forth, back, np.maximum(excess, 0), np.maximum(-excess, 0)])
    some = values > 0
    graph = csr_array(
        (values[some].astype(np.int32), (rows[some], columns[some])), shape=(n + 2, n + 2)
    )
    return int(maximum_flow(graph, n, n + 1).flow_value)


def cut_value(edges, forth, back, excess, in_sink) -> float:
    left, right = in_sink[edges[:, 0]], in_sink[edges[:, 1]]
    return (
        forth[~left & right].sum()
        + back[left & ~right].sum()
        + np.maximum(excess, 0)[in_sink].sum()
        + np.maximum(-excess, 0)[~in_sink].sum()
    )


def run(n, edges, forth, back, excess, budget):
    graph = Adjacency.from_edges(n, edges)
    residual = np.where(graph.first, forth[graph.edge], back[graph.edge]).astype(float)
    left = excess.astype(float)
    in_sink = np.empty(n, dtype=bool)
    minimum_cut(FlowNetwork.on(graph, residual, left), in_sink, budget)
    return in_sink, residual, left


@pytest.mark.parametrize("budget", [0, 3, 10**9])
def test_value_equals_scipys_flow(budget):
    # A budget of 0 is the shortest-path method alone, one of 3 changes over on the way.
    rng = np.random.default_rng(0)
    for _ in range(200):
        n, edges, forth, back, excess = random_network(rng)
        in_sink, residual, left = run(n, edges, forth, back, excess, budget)
        assert cut_value(edges, forth, back, excess, in_sink) == scipy_flow(
            n, edges, forth, back, excess
        )
        assert (residual >= 0).all()
        assert np.maximum(excess, 0).sum() - np.maximum(left, 0).sum() == scipy_flow(
            n, edges, forth, back, excess
        )


def test_both_searches_find_the_smallest_sink_side():
    rng = np.random.default_rng(1)
    for _ in range(200):
        problem = random_network(rng)
        trees, _, _ = run(*problem, budget=10**9)
        paths, _, _ = run(*problem, budget=0)
        np.testing.assert_array_equal(trees, paths)


def test_float_capacities_of_very_different_size_end():
    rng = np.random.default_rng(2)
    for _ in range(200):
        n, edges, forth, back, excess = random_network(rng)
        scale = 10.0 ** rng.integers(-12, 7, size=len(edges))
        forth, back = forth * scale * rng.random(len(edges)), back * scale / 3
        excess = excess * 10.0 ** rng.integers(-12, 7, size=n) * rng.random(n)
        trees, _, _ = run(n, edges, forth, back, excess, budget=10**9)
        paths, _, _ = run(n, edges, forth, back, excess, budget=0)
        assert cut_value(edges, forth, back, excess, trees) == pytest.approx(
            cut_value(edges, forth, back, excess, paths), rel=1e-13, abs=1e-18
        )


def test_shortest_paths_count_their_augmentations():
    # A chain from the source to the sink with two unit bottlenecks takes one augmentation.
    graph = Adjacency.from_edges(3, np.array([[0, 1], [1, 2]]))
    excess = np.array([2.0, 0.0, -1.0])
    in_sink = np.empty(3, dtype=bool)
    count = shortest_path_cut(FlowNetwork.on(graph, np.ones(4), excess), in_sink)
    assert count == 1
    assert excess.tolist() == [1.0, 0.0, 0.0]
    assert in_sink.tolist() == [False, False, False]
