from types import SimpleNamespace

import numpy as np
import pytest

from rerank.errors import InputError
from rerank.nets import AugmentedImages


def samples(n=6, height=20, width=30):
    """The red channel says the label, so that image and labels can be told to agree."""
    made = []
    for seed in range(n):
        labels = np.random.default_rng(seed).integers(0, 4, (height // 5, width // 5))
        labels = np.repeat(np.repeat(labels, 5, 0), 5, 1).astype(np.uint8)
        image = np.stack([labels * 60, np.full_like(labels, seed), labels * 0], -1)
        made.append(SimpleNamespace(image=image, labels=labels))
    return made


def test_whole_images_without_chance():
    made = samples()
    batch = AugmentedImages(made, flip=False).batch(np.array([2, 0]), np.random.default_rng(0))
    assert batch.inputs.shape == (2, 3, 20, 30) and batch.weights is None
    assert np.array_equal(batch.inputs[1].permute(1, 2, 0).numpy(), made[0].image)
    assert np.array_equal(batch.targets[0].numpy(), made[2].labels)


def test_mirroring_takes_the_labels_along():
    made = samples(40)
    batch = AugmentedImages(made).batch(np.arange(40), np.random.default_rng(0))
    mirrored = 0
    for sample, x, y in zip(made, batch.inputs, batch.targets):
        assert np.array_equal(x[0].numpy(), y.numpy() * 60)
        mirrored += bool(np.array_equal(y.numpy(), sample.labels[:, ::-1]))
        assert np.array_equal(y.numpy(), sample.labels) or mirrored
    assert 10 < mirrored < 30


@pytest.mark.parametrize("crop", [(8, 9), (20, 30), (33, 12), (40, 50)])
def test_windows_agree_with_their_labels(crop):
    data = AugmentedImages(samples(), crop, (1.0, 1.0))
    batch = data.batch(np.arange(6), np.random.default_rng(1))
    assert batch.inputs.shape[2:] == crop and batch.targets.shape[1:] == crop
    known = batch.targets != 255
    assert int(known[0].sum()) == min(crop[0], 20) * min(crop[1], 30)
    assert np.array_equal(batch.inputs[:, 0][known], batch.targets[known] * 60)


def test_windows_lie_everywhere():
    data = AugmentedImages(samples(1), (19, 28), flip=False)
    labels = data.samples[0].labels
    places = set()
    for seed in range(60):
        batch = data.batch(np.array([0]), np.random.default_rng(seed))
        for row in range(2):
            for column in range(3):
                if np.array_equal(labels[row : row + 19, column : column + 28], batch.targets[0]):
                    places.add((row, column))
    assert places == {(row, column) for row in range(2) for column in range(3)}


def test_scaled_labels_keep_their_classes_and_their_place():
    data = AugmentedImages(samples(), (40, 60), (2.0, 2.0), flip=False)
    batch = data.batch(np.arange(6), np.random.default_rng(0))
    for sample, y in zip(samples(), batch.targets):
        assert np.array_equal(y.numpy(), np.repeat(np.repeat(sample.labels, 2, 0), 2, 1))
    away = np.abs(batch.inputs[:, 0].numpy() - batch.targets.numpy() * 60)
    assert np.median(away) == 0 and (away < 1).mean() > 0.6


def test_scales_are_spread_and_equal_generators_give_equal_batches():
    data = AugmentedImages(samples(1), (20, 30), (0.5, 0.99), flip=False)
    sizes = []
    for seed in range(30):
        batch = data.batch(np.array([0]), np.random.default_rng(seed))
        again = data.batch(np.array([0]), np.random.default_rng(seed))
        assert np.array_equal(batch.inputs, again.inputs)
        sizes.append(int((batch.targets != 255).sum()))
    assert min(sizes) < 0.35 * 600 and max(sizes) > 0.8 * 600


def test_another_void_label():
    batch = AugmentedImages(samples(1), (25, 30), ignore_index=9).batch(
        np.array([0]), np.random.default_rng(0)
    )
    assert int((batch.targets == 9).sum()) == 5 * 30


def test_unusable_settings():
    for arguments, message in (
        (([],), "no sample"),
        ((samples(), (0, 3)), "crop"),
        ((samples(), (3, 3), (0.0, 1.0)), "scale"),
        ((samples(), (3, 3), (2.0, 1.0)), "scale"),
        ((samples(), None, (0.5, 1.0)), "needs a crop"),
    ):
        with pytest.raises(InputError, match=message):
            AugmentedImages(*arguments)


def test_unusable_samples():
    wrong = [SimpleNamespace(image=np.zeros((4, 5, 3), np.uint8), labels=np.zeros((5, 4), int))]
    with pytest.raises(InputError, match=r"sample 0: the image is \(4, 5\)"):
        AugmentedImages(wrong).batch(np.array([0]), np.random.default_rng(0))
    mixed = samples(1) + samples(1, 25, 30)
    with pytest.raises(InputError, match="equal size"):
        AugmentedImages(mixed).batch(np.array([0, 1]), np.random.default_rng(0))
