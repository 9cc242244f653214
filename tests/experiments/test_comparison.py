import dataclasses

import numpy as np
import pytest
from scipy import stats

from rerank.datasets import Moment, open_dataset
from rerank.errors import DataError, InputError
from rerank.experiments.comparison import gain, judged_images, spread
from rerank.experiments.seed_result import (
    SeedResult,
    read_seed_result,
    settings_digest,
    write_seed_result,
)
from rerank.metrics import IntersectionUnion


def outcome(seed: int, lift: float = 0.0, n_images: int = 12, n_classes: int = 3) -> SeedResult:
    """Counts whose IoU is about one half, higher by `lift`."""
    rng = np.random.default_rng(seed)
    unions = rng.integers(50, 100, (n_images, n_classes))
    shares = np.clip(rng.normal(0.5 + lift, 0.1, unions.shape), 0, 1)
    return SeedResult(
        IntersectionUnion((unions * shares).astype(np.int64), unions), 1.5, {"fit": 0.5}
    )


def by_loops(item: SeedResult, images: np.ndarray) -> float:
    ious = []
    for k in range(item.counts.unions.shape[1]):
        union = sum(int(item.counts.unions[i, k]) for i in images)
        if union:
            ious.append(sum(int(item.counts.intersections[i, k]) for i in images) / union)
    return 100 * float(np.mean(ious))


def images_by_loops(item: SeedResult, images: np.ndarray) -> float:
    ious = []
    for i in images:
        there = item.counts.unions[i] > 0
        if there.any():
            ious.append((item.counts.intersections[i, there] / item.counts.unions[i, there]).mean())
    return 100 * float(np.mean(ious))


def test_spread_over_seeds() -> None:
    items = [outcome(seed) for seed in range(3)]
    items[0].counts.unions[:, 2] = items[0].counts.intersections[:, 2] = 0
    found = spread(items)
    values = [by_loops(item, np.arange(12)) for item in items]
    assert found.per_seed == pytest.approx(values)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.deviation == pytest.approx(np.std(values, ddof=1))
    expected = 100 * np.mean(
        [
            item.counts.intersections[:, 2].sum() / item.counts.unions[:, 2].sum()
            for item in items[1:]
        ]
    )
    assert found.per_class[2] == pytest.approx(expected)
    assert np.isnan(spread(items[:1]).deviation) and np.isnan(spread(items[:1]).per_class[2])


def test_spread_by_image() -> None:
    items = [outcome(seed) for seed in range(2)]
    items[0].counts.unions[3] = items[0].counts.intersections[3] = 0
    found = spread(items, "image")
    assert found.per_seed == pytest.approx([images_by_loops(i, np.arange(12)) for i in items])
    np.testing.assert_array_equal(found.per_class, spread(items).per_class)


@pytest.mark.parametrize("measure, value", [("corpus", by_loops), ("image", images_by_loops)])
def test_gain_is_paired(measure, value) -> None:
    """The interval's ends are quantiles of resamples that draw one set of images for all."""
    items, base = [outcome(s, 0.1) for s in range(3)], [outcome(s + 10) for s in range(3)]
    # An image without any class, as where all of it is void.
    for item in (*items, *base):
        item.counts.unions[5] = item.counts.intersections[5] = 0
    found = gain(items, base, n_resamples=400, random_state=3, measure=measure)
    every = np.arange(12)
    differences = [value(a, every) - value(b, every) for a, b in zip(items, base)]
    assert found.mean == pytest.approx(np.mean(differences))
    rng = np.random.default_rng(3)
    resampled = []
    for size in (256, 144):
        for draw in rng.multinomial(12, np.full(12, 1 / 12), size=size):
            images = np.repeat(every, draw)
            resampled.append(
                np.mean([value(a, images) - value(b, images) for a, b in zip(items, base)])
            )
    low, high = np.quantile(resampled, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.p_images == 1 / 400
    t = stats.ttest_1samp(differences, 0.0)
    assert found.p_seeds == pytest.approx(t.pvalue)


def test_a_row_has_nothing_over_itself() -> None:
    items = [outcome(s) for s in range(3)]
    found = gain(items, items, n_resamples=50)
    assert (found.mean, found.low, found.high) == (0, 0, 0)
    assert found.p_images == found.p_seeds == 1.0
    assert np.isnan(gain(items[:1], items[1:2], n_resamples=50).p_seeds)


def test_no_difference_is_seldom_found_significant() -> None:
    """Of rows that differ by chance alone, few have a small p over images."""
    ps = [gain([outcome(3 * s)], [outcome(3 * s + 1)], n_resamples=200).p_images for s in range(60)]
    assert np.mean(np.array(ps) < 0.05) < 0.2 < np.mean(np.array(ps) > 0.2)


def test_what_cannot_be_paired() -> None:
    with pytest.raises(InputError, match="2 results cannot be paired with 1"):
        gain([outcome(0), outcome(1)], [outcome(0)])
    with pytest.raises(InputError, match="one shape"):
        gain([outcome(0)], [outcome(0, n_images=11)])


def test_results_are_kept(tmp_path) -> None:
    path = tmp_path / "a" / "row.h5"
    assert read_seed_result(path) is None
    write_seed_result(path, outcome(0))
    found = read_seed_result(path)
    assert found is not None and found.notes == {"fit": 0.5} and found.seconds == 1.5
    np.testing.assert_array_equal(found.counts.unions, outcome(0).counts.unions)
    assert list(path.parent.iterdir()) == [path]
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="row.h5: unreadable.*delete it"):
        read_seed_result(path)


def test_digests_tell_settings_apart() -> None:
    assert settings_digest({"a": 1, "b": (2, 3)}) == settings_digest({"b": [2, 3], "a": 1})
    assert settings_digest({"a": 1}) != settings_digest({"a": 2})


def test_groups_are_drawn_whole():
    """Groups of equal images: as if each stood once, and a wider interval than over images."""
    rng = np.random.default_rng(0)
    unions = np.full((10, 2), 100)
    first, second = (IntersectionUnion(rng.integers(20, 90, (10, 2)), unions) for _ in range(2))

    def result(counts, times):
        repeated = [
            np.repeat(values, times, axis=0) for values in (counts.intersections, counts.unions)
        ]
        return [SeedResult(IntersectionUnion(*repeated), 1.0)]

    once = gain(result(first, 1), result(second, 1))
    groups = np.repeat(np.arange(10), 4)
    whole = gain(result(first, 4), result(second, 4), groups=groups)
    alone = gain(result(first, 4), result(second, 4))
    assert (whole.mean, whole.low, whole.high) == pytest.approx((once.mean, once.low, once.high))
    assert whole.high - whole.low > 1.5 * (alone.high - alone.low)


def test_video_is_drawn_by_blocks():
    scenes = open_dataset("scenes", n_images=3)
    assert judged_images(scenes, "three").n_units is None
    moments = {i: Moment("a", 4.0 * k) for k, i in enumerate(scenes.ids)}
    video = judged_images(dataclasses.replace(scenes, moments=moments), "three")
    assert video.unit == "blocks of 5 s of video" and video.groups.tolist() == [0, 0, 1]
    assert video.n_units == 2
