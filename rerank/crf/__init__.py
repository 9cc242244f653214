"""Energies over superpixel graphs and the labelings that minimise them.

`PottsEnergy` holds unary and pairwise costs; `map_inference` finds a labeling of low energy with a
lower bound that proves how good it is, by TRW-S, alpha-expansion, ICM or an exact graph cut.
`GraphCutSolver` solves a series of two-label problems, each from the last one's flow; `contract`
joins nodes into regions.
"""

from rerank.crf.contraction import contract
from rerank.crf.expansion import alpha_expansion
from rerank.crf.expansion_series import expand_each
from rerank.crf.graph_cut import GraphCutSolver, graph_cut, is_submodular
from rerank.crf.icm import icm
from rerank.crf.inference import METHODS, map_inference
from rerank.crf.inference_result import InferenceResult
from rerank.crf.potts_energy import PottsEnergy
from rerank.crf.trws import trws

__all__ = [
    "METHODS",
    "GraphCutSolver",
    "InferenceResult",
    "PottsEnergy",
    "alpha_expansion",
    "contract",
    "expand_each",
    "graph_cut",
    "icm",
    "is_submodular",
    "map_inference",
    "trws",
]
