"""Diverse segmentation proposals from a CRF, and learned re-ranking that picks among them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rerank._version import __version__

if TYPE_CHECKING:
    from rerank.applications.runs import open_run, run
    from rerank.config import Recipe, load_recipe
    from rerank.prediction import Proposals, Result
    from rerank.reranker import Reranker, propose

#: Where each name is defined; imported when it is first used, so that `import rerank` is quick.
_HOMES = {
    "Proposals": "rerank.prediction",
    "Recipe": "rerank.config",
    "Reranker": "rerank.reranker",
    "Result": "rerank.prediction",
    "load_recipe": "rerank.config",
    "open_run": "rerank.applications.runs",
    "propose": "rerank.reranker",
    "run": "rerank.applications.runs",
}

__all__ = [
    "Proposals",
    "Recipe",
    "Reranker",
    "Result",
    "__version__",
    "load_recipe",
    "open_run",
    "propose",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'rerank' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
