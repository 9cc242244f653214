"""Layers for dense labelling that need nothing else of the library: projection onto the simplex
and filtering on the permutohedral lattice."""

from rerank.layers.lattice import PermutohedralLattice
from rerank.layers.simplex import project_simplex

__all__ = ["PermutohedralLattice", "project_simplex"]
