"""Every error that rerank raises on purpose.

All of them derive from `RerankError`, so that a caller can tell "the input is wrong" from
"the program is wrong". A message says what was expected, what came, and where.
"""

from __future__ import annotations

from typing import TYPE_CHECKING


class RerankError(Exception):
    """Base of all errors raised on purpose."""


class InputError(RerankError, ValueError):
    """An array or argument that the called function cannot take."""


class DataError(RerankError):
    """A file of the user's (image, mask, weights, probability map) that cannot be used."""


class ManyProblemsError(DataError):
    """Several files of the user's that cannot be used; the message has one line for each."""


class ConfigError(RerankError, ValueError):
    """A recipe or setting that is unknown, of the wrong type, or out of range."""


class StoreError(RerankError):
    """A work folder or artefact that cannot be read or written."""


class DamagedArtefactError(StoreError):
    """An artefact whose bytes or manifest are not what was written."""


class MissingArtefactError(StoreError):
    """An artefact that is not there."""


class UnreadableArtefactError(StoreError):
    """An artefact that cannot be read now, for a reason that says nothing about its bytes."""


class LeakError(RerankError):
    """Something that a ranker would be trained on comes from a model that saw that image."""


class WorkerError(RerankError):
    """A worker process that died."""


if TYPE_CHECKING:

    class NotFittedError(RerankError, ValueError, AttributeError):
        """An estimator that is used before `fit`; scikit-learn's error of this name too."""

else:

    def __getattr__(name: str) -> type[Exception]:
        # scikit-learn takes long to import, so that the class is made when it is asked for.
        if name != "NotFittedError":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from sklearn.exceptions import NotFittedError

        text = "An estimator that is used before `fit`; scikit-learn's error of this name too."
        members = {"__doc__": text, "__module__": __name__}
        return globals().setdefault(name, type(name, (RerankError, NotFittedError), members))
