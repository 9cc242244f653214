from ._version import __version__
from .applications.runs import open_run, run
from .config import Recipe, load_recipe
from .reranker import Reranker
from .result import Proposals, Result
from .untrained import propose

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
