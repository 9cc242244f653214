"""Layers for dense labelling: projection onto the simplex, filtering on the permutohedral lattice,
and two CRFs built on them, the fully connected CRF by mean field and CRF-Grad, whose pairwise
potentials can be learned."""

from rerank.layers.crf_grad import CRFGrad
from rerank.layers.crf_terms import BilateralTerm, SpatialTerm, UnaryTerm
from rerank.layers.image_lattice import LatticeCache
from rerank.layers.lattice import PermutohedralLattice
from rerank.layers.mean_field import BilateralKernel, GaussianKernel, UnaryFromSoftmax, dense_crf
from rerank.layers.simplex import project_simplex

__all__ = [
    "BilateralKernel",
    "BilateralTerm",
    "CRFGrad",
    "GaussianKernel",
    "LatticeCache",
    "PermutohedralLattice",
    "SpatialTerm",
    "UnaryFromSoftmax",
    "UnaryTerm",
    "dense_crf",
    "project_simplex",
]
