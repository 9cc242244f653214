"""Energies that look like those of superpixel graphs, for the benchmarks of inference.

Nodes are points on a jittered grid, edges their Delaunay triangulation, the truth a map of blobs;
unary costs are minus log probabilities of noisy scores, weights fall across the edges of blobs.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import Delaunay


def superpixel_problem(
    n_nodes: int, n_labels: int, strength: float = 1.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw one problem.

    Parameters
    ----------
    n_nodes, n_labels : int
    strength : float
        Mean weight of an edge within a blob, in nats.
    seed : int

    Returns
    -------
    unary (n, L), edges (m, 2), weights (m,)
    """
    rng = np.random.default_rng([seed, n_nodes, n_labels])
    width = int(np.ceil(np.sqrt(1.3 * n_nodes)))
    row, column = np.divmod(np.arange(n_nodes), width)
    points = np.stack([column, row], axis=1) + 0.7 * rng.random((n_nodes, 2))
    corners = Delaunay(points).simplices
    edges = np.unique(
        np.sort(
            np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [0, 2]]]), axis=1
        ),
        axis=0,
    )
    length = np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1)
    edges = edges[length < 2.5]
    n_blobs = max(4, n_nodes // 40)
    centres = rng.random((n_blobs, 2)) * points.max(axis=0)
    blob = ((points[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    shown = rng.permutation(n_labels)[: max(2, min(n_labels, 7))]
    truth = rng.choice(shown, size=n_blobs)[blob]
    # Scores err together within a blob, as classifiers do, and alone at each node.
    score = rng.normal(size=(n_nodes, n_labels)) + rng.normal(size=(n_blobs, n_labels))[blob]
    score[np.arange(n_nodes), truth] += 2.0
    peak = score.max(axis=1, keepdims=True)
    unary = peak + np.log(np.exp(score - peak).sum(axis=1, keepdims=True)) - score
    contrast = np.where(blob[edges[:, 0]] == blob[edges[:, 1]], 1.0, 0.3)
    weights = strength * contrast * rng.uniform(0.3, 1.7, size=len(edges))
    return unary, edges, weights


def node_cost(unary: np.ndarray) -> float:
    """Average over the nodes of their cheapest label's cost, by which diversity is scaled."""
    return float(unary.min(axis=1).mean())
