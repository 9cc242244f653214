import numpy as np
import pytest

from rerank.errors import InputError
from rerank.metrics import IntersectionUnion, bootstrap_interval, corpus_iou, mean_image_iou


def counted(seed, n_images=40, n_classes=3, quality=0.6):
    rng = np.random.default_rng(seed)
    unions = rng.integers(5, 50, (n_images, n_classes))
    shares = np.clip(rng.normal(quality, 0.15, unions.shape), 0, 1)
    return IntersectionUnion((unions * shares).astype(int), unions)


@pytest.mark.parametrize(
    "measure, function", [("corpus", lambda both: corpus_iou(both).mean), ("image", mean_image_iou)]
)
def test_the_interval_agrees_with_resampling_image_by_image(measure, function):
    both = counted(0)
    interval = bootstrap_interval(both, measure=measure, n_resamples=4000, random_state=1)
    rng = np.random.default_rng(99)
    values = []
    for _ in range(4000):
        drawn = rng.integers(0, 40, 40)
        values.append(function(IntersectionUnion(both.intersections[drawn], both.unions[drawn])))
    low, high = np.quantile(values, [0.025, 0.975])
    assert interval.estimate == pytest.approx(function(both))
    assert interval.low == pytest.approx(low, abs=0.004)
    assert interval.high == pytest.approx(high, abs=0.004)
    assert interval.confidence == 0.95


@pytest.mark.parametrize("measure", ["corpus", "image"])
def test_a_paired_difference_draws_the_same_images_for_both(measure):
    baseline = counted(2)
    better = IntersectionUnion(
        np.minimum(baseline.intersections + 1, baseline.unions), baseline.unions
    )
    paired = bootstrap_interval(better, baseline, measure=measure)
    alone = bootstrap_interval(better, measure=measure)
    assert 0 < paired.low <= paired.estimate <= paired.high
    assert paired.high - paired.low < (alone.high - alone.low) / 4
    nothing = bootstrap_interval(baseline, baseline, measure=measure)
    assert (nothing.estimate, nothing.low, nothing.high) == (0.0, 0.0, 0.0)


def test_equal_seeds_give_equal_intervals():
    both = counted(4)
    first = bootstrap_interval(both, n_resamples=700, random_state=5)
    assert first == bootstrap_interval(both, n_resamples=700, random_state=5)
    assert first != bootstrap_interval(both, n_resamples=700, random_state=6)


def test_a_wider_confidence_gives_a_wider_interval():
    both = counted(6)
    narrow = bootstrap_interval(both, confidence=0.5)
    wide = bootstrap_interval(both, confidence=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_images_and_classes_without_pixels_are_left_out():
    both = counted(7, n_images=6)
    both.intersections[2:] = both.unions[2:] = 0
    both.intersections[:, 1] = both.unions[:, 1] = 0
    for measure in ("corpus", "image"):
        interval = bootstrap_interval(both, measure=measure)
        assert 0 < interval.low <= interval.estimate <= interval.high < 1


def test_errors_name_what_came():
    both = counted(0, n_images=3)
    with pytest.raises(InputError, match="corpus or image, got 'mean'"):
        bootstrap_interval(both, measure="mean")
    with pytest.raises(InputError, match="n_resamples must be at least 1, got 0"):
        bootstrap_interval(both, n_resamples=0)
    with pytest.raises(InputError, match="between 0 and 1, got 1.0"):
        bootstrap_interval(both, confidence=1.0)
    with pytest.raises(InputError, match=r"\(3, 3\).*\(2, 3\)"):
        bootstrap_interval(both, counted(0, n_images=2))
    with pytest.raises(InputError, match=r"\(N, C\)"):
        bootstrap_interval(IntersectionUnion(both.intersections[0], both.unions[0]))
    zeros = np.zeros((2, 3), int)
    with pytest.raises(InputError, match="no image holds a labelled pixel"):
        bootstrap_interval(IntersectionUnion(zeros, zeros))


@pytest.mark.parametrize("measure", ["corpus", "image"])
def test_groups_agree_with_resampling_group_by_group(measure):
    both = counted(8)
    groups = np.random.default_rng(3).permutation(np.repeat(np.arange(8), 5))
    interval = bootstrap_interval(both, measure=measure, n_resamples=4000, groups=3 * groups)
    function = mean_image_iou if measure == "image" else lambda counts: corpus_iou(counts).mean
    rng, values = np.random.default_rng(4), []
    for _ in range(4000):
        drawn = np.concatenate([np.flatnonzero(groups == g) for g in rng.integers(0, 8, 8)])
        values.append(function(IntersectionUnion(both.intersections[drawn], both.unions[drawn])))
    low, high = np.quantile(values, [0.025, 0.975])
    assert (interval.low, interval.high) == (
        pytest.approx(low, abs=0.006),
        pytest.approx(high, abs=0.006),
    )
    alone = bootstrap_interval(both, measure=measure, n_resamples=300)
    assert alone == bootstrap_interval(both, measure=measure, n_resamples=300, groups=np.arange(40))


def test_bad_groups_are_refused():
    both = counted(0, n_images=3)
    with pytest.raises(InputError, match="3 integers, one an image"):
        bootstrap_interval(both, groups=np.zeros(2, int))
    with pytest.raises(InputError, match="at least 0, found -1"):
        bootstrap_interval(both, groups=np.array([0, -1, 0]))
