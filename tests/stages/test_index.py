"""Folds that keep each recording of a video whole."""

import dataclasses

import numpy as np
import pytest

from rerank.datasets import Moment, open_dataset
from rerank.errors import ConfigError
from rerank.stages.index import _sequence_folds


def video(names: str):
    scenes = open_dataset("scenes", n_images=len(names))
    moments = {i: Moment(name, float(k)) for k, (i, name) in enumerate(zip(scenes.ids, names))}
    return dataclasses.replace(scenes, moments=moments)


def test_each_recording_is_one_fold_where_there_are_as_many() -> None:
    folds = _sequence_folds(video("aabbbbccc"), 3)
    assert folds.tolist() == [2, 2, 0, 0, 0, 0, 1, 1, 1]


def test_the_largest_recordings_are_spread_first() -> None:
    folds = _sequence_folds(video("aabbbbccc"), 2)
    assert np.bincount(folds).tolist() == [4, 5]
    assert len(set(folds[2:6])) == 1 and folds[2] != folds[0] == folds[6]


def test_more_folds_than_recordings_and_data_without_video_are_refused() -> None:
    with pytest.raises(ConfigError, match="sequences with 4 folds, but .* has 3 recordings"):
        _sequence_folds(video("abc"), 4)
    with pytest.raises(ConfigError, match="has 0 recordings"):
        _sequence_folds(open_dataset("scenes", n_images=4), 2)
