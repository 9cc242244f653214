from ._version import __version__
from .applications.runs import open_run, run
from .config import Recipe, load_recipe
from .prediction import Proposals, Result
from .reranker import Reranker, propose

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
