"""Layers for dense labelling that need nothing else of the library: projection onto the simplex."""

from rerank.layers.simplex import project_simplex

__all__ = ["project_simplex"]
