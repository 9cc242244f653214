"""Maps of all layouts, types and sizes against float64, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from rerank.datasets import fit_map
from rerank.datasets.map_layout import has_aspect, map_layout
from rerank.datasets.map_values import fit_values, resize_map
from rerank.errors import InputError

SIZE = (12, 17)


def scores(size: tuple[int, int] = SIZE, n_classes: int = 5) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(*size, n_classes)) * 3


def softmax(values: np.ndarray) -> np.ndarray:
    found = np.exp(values - values.max(axis=-1, keepdims=True))
    return found / found.sum(axis=-1, keepdims=True)


def bilinear(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Half-pixel centres, one output value at a time, in float64."""
    height, width = values.shape[:2]
    found = np.empty((*size, values.shape[2]))
    for i in range(size[0]):
        y = min(max((i + 0.5) * height / size[0] - 0.5, 0), height - 1)
        top = min(int(y), height - 2)
        for j in range(size[1]):
            x = min(max((j + 0.5) * width / size[1] - 0.5, 0), width - 1)
            left = min(int(x), width - 2)
            a, b = y - top, x - left
            found[i, j] = (1 - a) * (
                (1 - b) * values[top, left] + b * values[top, left + 1]
            ) + a * ((1 - b) * values[top + 1, left] + b * values[top + 1, left + 1])
    return found


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8, np.uint16])
def test_every_layout_and_type(first: bool, batch: bool, dtype: type) -> None:
    p = softmax(scores())
    full = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1
    given = (np.rint(p * full) if full > 1 else p).astype(dtype)
    given = np.moveaxis(given, 2, 0) if first else given
    kept = given.copy()
    found = fit_map(given[None] if batch else given, SIZE)
    np.testing.assert_array_equal(given, kept)
    assert found.values.dtype == np.float32 and not found.scores and not found.resized
    exact = given.astype(np.float64) / full
    exact = np.moveaxis(exact, 0, 2) if first else exact
    np.testing.assert_allclose(found.values, exact / exact.sum(2, keepdims=True), atol=2e-7)
    np.testing.assert_allclose(found.values, p, atol=1e-3 if full != 255 else 1e-2)


@pytest.mark.parametrize("size", [SIZE, (6, 9), (5, 7)])
def test_scores_are_resized_before_the_softmax(size: tuple[int, int]) -> None:
    given = scores(size)
    found = fit_map(np.moveaxis(given, 2, 0).astype(np.float32), SIZE)
    expected = softmax(given if size == SIZE else bilinear(given, SIZE))
    np.testing.assert_allclose(found.values, expected, atol=2e-6)
    assert found.scores and found.resized == (size != SIZE)
    p = softmax(given)
    np.testing.assert_allclose(
        fit_map(p, SIZE).values, p if size == SIZE else bilinear(p, SIZE), atol=2e-6
    )


def test_a_larger_map_is_antialiased() -> None:
    given = scores((48, 68)).astype(np.float32)
    planes = torch.from_numpy(given).permute(2, 0, 1)[None]
    expected = torch.nn.functional.interpolate(planes, size=SIZE, mode="bilinear", antialias=True)
    found = resize_map(given, SIZE)
    np.testing.assert_allclose(found, expected[0].permute(1, 2, 0), atol=1e-6)
    assert found.std() < 0.6 * given[2::4, 2::4].std()


def test_more_classes_than_a_picture_has_channels() -> None:
    given = softmax(scores((4, 5), 700))
    np.testing.assert_allclose(fit_map(given, (8, 10)).values, bilinear(given, (8, 10)), atol=1e-6)


def test_logarithms_of_probabilities_are_scores() -> None:
    p = softmax(scores())
    p[..., 2] = 0
    p /= p.sum(2, keepdims=True)
    with np.errstate(divide="ignore"):
        logs = np.log(p)
    found = fit_map(logs, SIZE)
    np.testing.assert_allclose(found.values, p, atol=1e-6)
    assert np.isfinite(fit_map(logs, (24, 34)).values).all()


def test_an_overshoot_below_0_does_not_make_probabilities_scores() -> None:
    p = softmax(scores())
    p[3, 4] = [1.02, -0.02, 0, 0, 0]
    found = fit_map(p, SIZE)
    assert not found.scores
    np.testing.assert_allclose(found.values[3, 4], [1, 0, 0, 0, 0])


@pytest.mark.parametrize("mark", [math.nan, 0.0, -math.inf])
@pytest.mark.parametrize("as_scores", [False, True])
def test_void_pixels(mark: float, as_scores: bool) -> None:
    given = scores() if as_scores else softmax(scores())
    expected = fit_map(given, SIZE).values
    given[:6, 2:10] = mark
    found = fit_map(given, SIZE)
    assert found.void is not None and found.void.sum() == 48 and found.void[:6, 2:10].all()
    assert found.scores == as_scores
    np.testing.assert_allclose(found.values[:6, 2:10], 0.2)
    np.testing.assert_allclose(found.values[~found.void], expected[~found.void], atol=1e-6)
    larger = fit_map(given, (24, 34))
    assert larger.void is not None and larger.void.sum() == 4 * 48
    np.testing.assert_allclose(larger.values.sum(2), 1, atol=1e-5)
    everywhere = fit_map(np.full_like(given, mark), SIZE)
    assert everywhere.void is not None and everywhere.void.all()


def changed(change: object) -> np.ndarray:
    p = softmax(scores())
    p[2, 3, 1] = change
    return p


@pytest.mark.parametrize(
    "given, message",
    [
        (changed(math.nan), "m: the value at row 2, column 3 is NaN"),
        (changed(math.inf), "m: the value at row 2, column 3 is NaN"),
        (softmax(scores()) * 255, "m: each pixel's classes sum to 255, not 1; divide"),
        (1 / (1 + np.exp(-scores())), "values are in 0..1.*before the sigmoid"),
        (np.eye(5, dtype=np.uint8)[np.zeros(SIZE, int)], "n / 255.*sum to 0.003922"),
        (np.zeros((*SIZE, 5), np.int64), "m: expected floats.*int64; .*not the labels"),
        (np.zeros((*SIZE, 5), bool), "expected floats.*bool"),
        (np.zeros((*SIZE, 1)), "map of one class.*numpy.stack"),
        (np.zeros(SIZE), r"got shape \(12, 17\); .*numpy.stack"),
        (np.zeros((2, *SIZE, 5)), "one array of three axes"),
        (np.zeros((17, 12, 5)), "height and width are swapped.*EXIF"),
        (np.zeros((65, 65, 5)), "aspect is another: cut padding off.*rerank maps"),
        (np.zeros((12, 17, 4)), "has 4 classes and 5 are wanted"),
    ],
)
def test_what_is_refused(given: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit_map(given, SIZE, 5, "m")


@pytest.mark.parametrize(
    "shape, size, n_classes, first",
    [
        ((21, 21, 30), (21, 30), None, True),
        ((21, 30, 21), (21, 30), None, False),
        ((21, 21, 30), (21, 21), None, False),
        ((21, 64, 64), (100, 100), None, True),
        ((65, 65, 64), (130, 130), 64, False),
        ((64, 65, 65), (130, 130), None, True),
        ((1, 65, 65, 3), (513, 513), None, False),
    ],
)
def test_the_class_axis_is_found_by_the_size(
    shape: tuple[int, ...], size: tuple[int, int], n_classes: int | None, first: bool
) -> None:
    found = map_layout(shape, size, n_classes)
    assert found.classes_first == first and found.n_classes == (shape[-3] if first else shape[-1])


@pytest.mark.parametrize("shape, size", [((21, 21, 21), (21, 21)), ((8, 8, 8), (64, 64))])
def test_an_axis_that_cannot_be_told_is_refused(
    shape: tuple[int, ...], size: tuple[int, int]
) -> None:
    with pytest.raises(InputError, match="could both be the classes"):
        map_layout(shape, size)


@pytest.mark.parametrize("stride", [2, 4, 8, 16, 32])
@pytest.mark.parametrize("size", [(375, 500), (500, 333), (224, 224), (97, 1000)])
def test_outputs_of_strides_have_their_images_aspect(size: tuple[int, int], stride: int) -> None:
    for rounded in (math.floor, math.ceil, round):
        given = (max(rounded(size[0] / stride), 1), max(rounded(size[1] / stride), 1))
        assert has_aspect(given, size)
    assert not has_aspect((65, 65), (375, 500)) and not has_aspect((0, 4), size)


def test_values_of_a_stretched_map_are_resized_as_asked() -> None:
    given = softmax(scores((9, 9)))
    np.testing.assert_allclose(fit_values(given, SIZE).values, bilinear(given, SIZE), atol=1e-6)
