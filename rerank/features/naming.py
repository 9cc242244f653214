"""Names of columns: `group.feature`, `group.feature[class]`, `group.feature[class,class]`."""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations

from rerank.errors import InputError


@lru_cache(maxsize=256)
def scalar_names(group: str, features: tuple[str, ...]) -> tuple[str, ...]:
    """One name for each feature.

    Parameters
    ----------
    group : str
    features : tuple of str

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> scalar_names("proposal", ("rank", "energy"))
    ('proposal.rank', 'proposal.energy')
    """
    return tuple(f"{group}.{feature}" for feature in features)


@lru_cache(maxsize=256)
def class_names(group: str, features: tuple[str, ...], classes: tuple[str, ...]) -> tuple[str, ...]:
    """One name for each feature and class, feature by feature.

    Parameters
    ----------
    group : str
    features : tuple of str
    classes : tuple of str

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> class_names("segnet", ("iou",), ("void-free", "cow"))
    ('segnet.iou[void-free]', 'segnet.iou[cow]')
    """
    return tuple(f"{group}.{feature}[{c}]" for feature in features for c in classes)


@lru_cache(maxsize=256)
def pair_names(group: str, features: tuple[str, ...], classes: tuple[str, ...]) -> tuple[str, ...]:
    """One name for each feature and unordered pair of classes, feature by feature.

    Parameters
    ----------
    group : str
    features : tuple of str
    classes : tuple of str

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> pair_names("proposal", ("both",), ("sky", "cow", "grass"))
    ('proposal.both[sky,cow]', 'proposal.both[sky,grass]', 'proposal.both[cow,grass]')
    """
    return tuple(
        f"{group}.{feature}[{a},{b}]" for feature in features for a, b in combinations(classes, 2)
    )


def check_class_names(names: tuple[str, ...], n_classes: int) -> tuple[str, ...]:
    """The names, or "0", "1", ... if none are given.

    Parameters
    ----------
    names : tuple of str
        Empty, or one for each class.
    n_classes : int

    Returns
    -------
    tuple of str

    Raises
    ------
    InputError
        If there is another number of names, or a name comes twice.
    """
    if not names:
        return tuple(str(c) for c in range(n_classes))
    names = tuple(names)
    if len(names) != n_classes:
        raise InputError(f"there are {len(names)} class names for {n_classes} classes")
    if len(set(names)) < len(names):
        raise InputError("a class name comes twice")
    return names
