"""The peers' side of the inference benchmarks, run by the interpreter of their own environment.

gco-wrapper is for research only and PyMaxflow is GPL, so neither is a dependency of this package:

    python -m venv peers
    peers/bin/pip install numpy gco-wrapper PyMaxflow
    python benchmarks/divmbest.py --peers peers/bin/python

This file imports neither rerank nor SciPy. It reads problems from one .npz file and writes
labelings and CPU seconds to another.
"""

from __future__ import annotations

import sys
import time

import gco
import maxflow
import numpy as np


def expansion(unary: np.ndarray, edges: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """gco's alpha-expansion from its own start, in the costs' own type."""
    table = (1 - np.eye(unary.shape[1])).astype(unary.dtype)
    return gco.cut_general_graph(
        edges.astype(np.int32),
        weights,
        np.ascontiguousarray(unary),
        table,
        n_iter=-1,
        algorithm="expansion",
    )


def cut(unary: np.ndarray, edges: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """PyMaxflow's minimum cut for two labels."""
    graph = maxflow.GraphFloat(len(unary), len(edges))
    nodes = graph.add_nodes(len(unary))
    unary, weights = unary.astype(np.float64), weights.astype(np.float64)
    graph.add_edges(edges[:, 0], edges[:, 1], weights, weights)
    # A node on the sink's side has label 1 and pays its capacity from the source.
    graph.add_grid_tedges(nodes, unary[:, 1], unary[:, 0])
    graph.maxflow()
    return graph.get_grid_segments(nodes).astype(np.int64)


def timed(function, *arguments, repeats: int):
    """The answer, and the least CPU time of several runs."""
    best = np.inf
    for _ in range(repeats):
        begin = time.process_time()
        answer = function(*arguments)
        best = min(best, time.process_time() - begin)
    return np.asarray(answer, dtype=np.int64), best


def main(source: str, target: str) -> None:
    problems = np.load(source)
    answers = {}
    for k in range(int(problems["count"])):
        unary, edges, weights = (problems[f"{name}{k}"] for name in ("unary", "edges", "weights"))
        modes, diversity = int(problems[f"modes{k}"]), float(problems[f"diversity{k}"])
        repeats = int(problems["repeats"])
        solvers = {"gco": expansion}
        if unary.shape[1] == 2:
            solvers["maxflow"] = cut
        for name, solver in solvers.items():
            theta = unary.copy()
            labelings = np.empty((modes, len(unary)), dtype=np.int64)
            seconds = np.empty(modes)
            for mode in range(modes):
                labelings[mode], seconds[mode] = timed(
                    solver, theta, edges, weights, repeats=repeats
                )
                # All solvers get the problems of the cold gco run.
                leader = labelings[mode] if name == "gco" else answers[f"gco_labelings{k}"][mode]
                if mode + 1 < modes:
                    theta[np.arange(len(unary)), leader] += diversity
            answers[f"{name}_labelings{k}"] = labelings
            answers[f"{name}_seconds{k}"] = seconds
    np.savez(target, **answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
