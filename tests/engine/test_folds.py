"""Folds, and that nothing leaks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank.engine.folds import Part, assign_folds, check_no_leak, make_parts
from rerank.errors import InputError, LeakError


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 40), st.integers(2, 10), st.sampled_from(["random", "stratified", "contiguous"])
)
def test_folds_are_balanced_and_repeatable(n: int, k: int, scheme: str) -> None:
    strata = np.arange(n) % 3
    if k > n:
        with pytest.raises(InputError, match="n_folds"):
            assign_folds(n, k, scheme, 0, strata)  # type: ignore[arg-type]
        return
    folds = assign_folds(n, k, scheme, 0, strata)  # type: ignore[arg-type]
    sizes = np.bincount(folds, minlength=k)
    assert sizes.max() - sizes.min() <= 1
    again = assign_folds(n, k, scheme, 0, strata)  # type: ignore[arg-type]
    np.testing.assert_array_equal(folds, again)
    if scheme == "contiguous":
        assert (np.diff(folds) >= 0).all()


def test_strata_are_spread() -> None:
    strata = np.repeat([0, 1, 2], 10)
    folds = assign_folds(30, 5, "stratified", 3, strata)
    for stratum in range(3):
        np.testing.assert_array_equal(np.bincount(folds[strata == stratum]), [2] * 5)


def test_parts_never_train_on_their_own_images() -> None:
    ids = [f"i{n}" for n in range(10)]
    parts = make_parts(ids, assign_folds(10, 3, "random", 0), ["v0", "v1"])
    assert [part.name for part in parts] == ["fold-00", "fold-01", "fold-02", "final"]
    assert sorted(i for part in parts[:-1] for i in part.image_ids) == sorted(ids)
    for part in parts:
        assert not set(part.image_ids) & set(part.train_ids)
    assert parts[-1].train_ids == tuple(ids)


def test_leak_is_an_error() -> None:
    with pytest.raises(LeakError, match="1 images.*b"):
        check_no_leak(["a", "b"], ["b", "c"], "somewhere")
    with pytest.raises(LeakError):
        make_parts(["a", "b"], np.array([0, 1]), ["a"])


def test_shards_are_consecutive_images_of_a_fold() -> None:
    ids = tuple("abcdefg")
    whole = Part("fold-01", ids, ("x",))
    assert whole.shards(7) == (whole,)
    shards = whole.shards(3)
    assert [shard.image_ids for shard in shards] == [ids[:3], ids[3:6], ids[6:]]
    assert [shard.first for shard in shards] == [0, 3, 6]
    assert {(shard.fold, shard.train_ids) for shard in shards} == {("fold-01", ("x",))}
    assert whole.fold == whole.name
