"""Diverse segmentation proposals from a CRF, and learned re-ranking that picks among them."""

from rerank._version import __version__

__all__ = ["__version__"]
