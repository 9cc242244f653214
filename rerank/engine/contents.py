"""What the file of a stage must hold, and the check that it does, so that absence is seen.

`stored_values` beside it checks the numbers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Literal, NamedTuple

from rerank.engine.hdf5 import StoredArray

#: How often a data set comes: once for each image of the part, once, or any number of times.
Often = Literal["each", "once", "any"]
_NUMBER = re.compile(r"\b\d{6}\b")
_KINDS = {"f": ("f2", "f4", "f8"), "i": ("i4", "i8"), "u": ("u1", "u2", "u4"), "*": ()}


class Values(NamedTuple):
    """What the numbers of a data set may be; without more, finite floats, and integers from 0.

    Attributes
    ----------
    low, high : float or None
        The lowest and the highest value.
    below : int, str or None
        Of labels and indices: they lie in 0..below-1. A name is one of a length.
    shares : bool
        Whether they are probabilities, whose last axis sums to 1.
    infinite : bool
        Whether infinity and NaN are among them.
    counted : str or None
        Of labels: the array beside it that says how often each occurs.
    """

    low: float | None = None
    high: float | None = None
    below: int | str | None = None
    shares: bool = False
    infinite: bool = False
    counted: str | None = None


class Expected(NamedTuple):
    """The type, shape, number and values of the data sets of one path.

    Attributes
    ----------
    kind : str
        As of `StoredArray`, or several, such as `u2|u4`; `f`, `i` and `u` are of any size, `*` is
        any kind.
    shape : tuple of int, str or None, or None
        A length, a name of one, or None for any. A name in capitals is one length in the whole
        file (`N` is the number of images), another in one group. None for any shape.
    often : {"each", "once", "any"}
    values : Values
    """

    kind: str
    shape: tuple[int | str | None, ...] | None = None
    often: Often = "once"
    values: Values = Values()


#: What a file holds by path. In a path, `#` is a number of six digits, such as an image's, and `*`
#: any name; a path that ends in `/**` is for all that lies below.
Contents = Mapping[str, Expected]
#: Lengths by their names, and by the group that they are of; `""` for the whole file.
Lengths = dict[tuple[str, str], int]


class Layout(NamedTuple):
    """What `check_contents` found: lengths by name, and what each data set is and must be."""

    lengths: Lengths
    arrays: dict[str, tuple[StoredArray, Expected]]


def check_contents(found: Mapping[str, StoredArray], contents: Contents, n_images: int) -> Layout:
    """Check that a file holds what it must, and nothing else.

    Parameters
    ----------
    found : mapping of path to StoredArray
        See `check_structure`.
    contents : mapping of path to Expected
    n_images : int
        Images of the part.

    Returns
    -------
    Layout

    Raises
    ------
    ValueError
        If a data set is missing, is too much, or has another type or shape; it names the first.
    """
    layout = Layout({("", "N"): n_images}, {})
    counts: Counter[str] = Counter()
    for path, array in found.items():
        pattern = _pattern_of(path, contents)
        if pattern is None:
            raise ValueError(f"{path} does not belong there")
        counts[pattern] += 1
        _check_array(path, array, contents[pattern], layout.lengths)
        layout.arrays[path] = (array, contents[pattern])
    for pattern, expected in contents.items():
        wanted = {"each": n_images, "once": 1, "any": counts[pattern]}[expected.often]
        if counts[pattern] != wanted:
            raise ValueError(f"{pattern} comes {counts[pattern]} times, expected {wanted}")
    return layout


def _pattern_of(path: str, contents: Contents) -> str | None:
    if path in contents:
        return path
    numbered = _NUMBER.sub("#", path)
    if numbered in contents:
        return numbered
    parts = numbered.split("/")
    for pattern in contents:
        wanted = pattern.split("/")
        if wanted[-1] == "**":
            same = parts[: len(wanted) - 1]
            wanted = wanted[:-1]
        else:
            same = parts
        if len(same) == len(wanted) and all(w in ("*", p) for w, p in zip(wanted, same)):
            return pattern
    return None


def _check_array(path: str, array: StoredArray, expected: Expected, lengths: Lengths) -> None:
    kinds = [k for name in expected.kind.split("|") for k in _KINDS.get(name, (name,))]
    if kinds and array.kind not in kinds:
        raise ValueError(f"{path} is of type {array.kind}, expected {expected.kind}")
    if expected.shape is None:
        return
    if lengths["", "N"] == 0 and expected.shape[:1] == ("N",) and array.shape[:1] == (0,):
        # Nothing says how long the other axes are.
        return
    group = path.rpartition("/")[0]
    right = len(array.shape) == len(expected.shape)
    for length, wanted in zip(array.shape, expected.shape):
        if isinstance(wanted, str):
            where = "" if wanted.isupper() else group
            right &= lengths.setdefault((where, wanted), length) == length
        elif wanted is not None:
            right &= length == wanted
    if not right:
        shape = ", ".join("any" if s is None else str(s) for s in expected.shape)
        raise ValueError(f"{path} has shape {array.shape}, expected ({shape})")
