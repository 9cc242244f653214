"""The known name that a mistyped one is nearest to."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

#: Least similarity of a suggestion, in 0..1; `difflib.SequenceMatcher.ratio` measures it.
LEAST_SIMILARITY = 0.65


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The name that was meant, if one is near enough.

    Parameters
    ----------
    name : str
        What was typed.
    known : iterable of str

    Returns
    -------
    str or None

    Examples
    --------
    >>> nearest("camvd", ("scenes", "camvid"))
    'camvid'
    >>> nearest("cityscapes", ("camvid", "msrc21")) is None
    True
    """
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=LEAST_SIMILARITY)
    return found[0] if found else None


def did_you_mean(name: str, known: Iterable[str], what: str = "the names are") -> str:
    """The end of a message on an unknown name: the nearest name, or else all names.

    Parameters
    ----------
    name : str
        What was typed.
    known : iterable of str
    what : str
        Stands before the list of all names.

    Returns
    -------
    str

    Examples
    --------
    >>> did_you_mean("camvd", ("scenes", "camvid"))
    'did you mean camvid?'
    >>> did_you_mean("cityscapes", ("camvid", "msrc21"))
    'the names are camvid, msrc21'
    """
    names = list(known)
    found = nearest(name, names)
    return f"did you mean {found}?" if found else f"{what} {', '.join(names)}"
