"""Cross-validation folds over images, and the check that no image leaks between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rerank.errors import InputError, LeakError
from rerank.types import Array

Scheme = Literal["random", "stratified", "contiguous"]

#: Name of the part whose models saw all training images; it holds the evaluation images.
FINAL = "final"
#: Name of the one part of a stage that is not split.
ALL = "all"


@dataclass(frozen=True)
class Part:
    """Images that one job works on, and the images that its models are fitted on.

    Attributes
    ----------
    name : str
        `fold-00`, `fold-01`, ... or `final`.
    image_ids : tuple of str
        Images that results are made for.
    train_ids : tuple of str
        Images that the models of this part are fitted on; disjoint from `image_ids`.
    first : int
        Of a shard: the place of its first image among those of its fold.
    shard_of : str
        Of a shard: the name of its fold; else nothing.
    """

    name: str
    image_ids: tuple[str, ...]
    train_ids: tuple[str, ...]
    first: int = 0
    shard_of: str = ""

    @property
    def fold(self) -> str:
        """Name of the fold, or `final`, of which it is the whole or a shard."""
        return self.shard_of or self.name

    def shards(self, size: int) -> tuple[Part, ...]:
        """Cut it into shards of consecutive images; one shard is the part itself.

        Parameters
        ----------
        size : int
            The most images of a shard, at least 1.

        Returns
        -------
        tuple of Part

        Examples
        --------
        >>> [shard.name for shard in Part("final", ("a", "b", "c"), ()).shards(2)]
        ['final-shard-000', 'final-shard-001']
        """
        if len(self.image_ids) <= size:
            return (self,)
        return tuple(
            Part(
                f"{self.name}-shard-{number:03d}",
                self.image_ids[first : first + size],
                self.train_ids,
                first,
                self.name,
            )
            for number, first in enumerate(range(0, len(self.image_ids), size))
        )


def fold_name(index: int) -> str:
    """Name of the fold of that index, from 0."""
    return f"fold-{index:02d}"


def assign_folds(
    n_images: int, n_folds: int, scheme: Scheme, random_state: int, strata: Array | None = None
) -> Array:
    """Give each image a fold.

    Parameters
    ----------
    n_images, n_folds : int
        At least 2 folds, and no more folds than images.
    scheme : {"random", "stratified", "contiguous"}
        `contiguous` cuts the images in their given order into blocks: for video, where
        neighbours look alike. `stratified` spreads each stratum over the folds.
    random_state : int
        Seed of the shuffling; `contiguous` does not use it.
    strata : (n_images,) int array
        Group of each image; needed by `stratified`.

    Returns
    -------
    folds : (n_images,) int array
        In 0..n_folds-1; sizes differ by at most one.

    Raises
    ------
    InputError
        If `n_folds` is out of range, or there is not one stratum for each image.

    Examples
    --------
    >>> assign_folds(5, 2, "contiguous", 0)
    array([0, 0, 0, 1, 1])
    """
    if not 2 <= n_folds <= n_images:
        raise InputError(
            f"n_folds must lie between 2 and the number of training images "
            f"({n_images}), got {n_folds}"
        )
    if scheme == "contiguous":
        sizes = [len(block) for block in np.array_split(np.arange(n_images), n_folds)]
        return np.repeat(np.arange(n_folds), sizes)
    order = np.random.default_rng(random_state).permutation(n_images)
    if scheme == "stratified":
        if strata is None or len(strata) != n_images:
            raise InputError("stratified folds need one stratum for each image")
        order = order[np.argsort(np.asarray(strata)[order], kind="stable")]
    folds = np.empty(n_images, dtype=np.int64)
    folds[order] = np.arange(n_images) % n_folds
    return folds


def make_parts(
    train_ids: Sequence[str], folds: Array, evaluate_ids: Sequence[str]
) -> tuple[Part, ...]:
    """The folds of the training images, then the part `final` with the evaluation images.

    Parameters
    ----------
    train_ids : sequence of N str
        Ids of the training images.
    folds : (N,) int array
        Fold of each training image, from 0: see `assign_folds`.
    evaluate_ids : sequence of str
        Ids of the evaluation images; may be empty.

    Returns
    -------
    tuple of Part

    Raises
    ------
    LeakError
        If an image is both a training and an evaluation image.
    """
    check_no_leak(evaluate_ids, train_ids, "the evaluation split")
    parts = []
    for index in range(int(folds.max()) + 1):
        held = tuple(i for i, f in zip(train_ids, folds) if f == index)
        rest = tuple(i for i, f in zip(train_ids, folds) if f != index)
        parts.append(Part(fold_name(index), held, rest))
    parts.append(Part(FINAL, tuple(evaluate_ids), tuple(train_ids)))
    return tuple(parts)


def check_no_leak(image_ids: Sequence[str], trained_on: Sequence[str], where: str) -> None:
    """Refuse images that results are made for by models that were trained on them.

    Parameters
    ----------
    image_ids : sequence of str
        Images that results are made for.
    trained_on : sequence of str
        Images that models were fitted on.
    where : str
        What the message begins with.

    Raises
    ------
    LeakError
        If an image is in both.
    """
    both = set(image_ids) & set(trained_on)
    if both:
        shown = ", ".join(sorted(both)[:3])
        raise LeakError(
            f"{where}: {len(both)} images are judged by models that were trained on "
            f"them ({shown}); folds and splits must be disjoint"
        )
