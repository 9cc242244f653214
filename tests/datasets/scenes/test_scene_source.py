from __future__ import annotations

import cv2
import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier

from rerank.datasets import Sample, dataset_splits, open_dataset
from rerank.errors import InputError

PAIRS = {4: 5, 6: 7, 8: 9, 10: 11}

Drawn = dict[str, list[Sample]]


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    """The images of the default splits, drawn once."""
    return {split: list(open_dataset("scenes", split=split)) for split in ("train", "val")}


def test_what_is_promised_of_them() -> None:
    assert dataset_splits("scenes") == ("train", "val", "test")
    train, val = open_dataset("scenes", split="train"), open_dataset("scenes", split="val")
    assert (len(train), len(val)) == (80, 40)
    assert train[0].image.shape == (120, 160, 3)
    assert train.class_names == (
        "background",
        "grass",
        "water",
        "road",
        "tree",
        "bush",
        "house",
        "wall",
        "car",
        "boat",
        "cow",
        "dog",
    )
    assert train.background == 0 and not train.ordered
    assert open_dataset("scenes", size=(48, 33), n_images=1)[0].labels.shape == (48, 33)


def test_an_image_is_the_same_however_many_there_are() -> None:
    few = open_dataset("scenes", n_images=3)
    many = open_dataset("scenes", n_images=200)
    assert many.ids[:3] == few.ids and len(set(many.ids)) == 200
    for image_id in few.ids:
        np.testing.assert_array_equal(few[image_id].image, many[image_id].image)
        np.testing.assert_array_equal(few[image_id].labels, many[image_id].labels)
        assert few.content_digest(image_id) == many.content_digest(image_id)


def test_seeds_splits_and_sizes_differ_in_pixels_and_digests() -> None:
    variants = [
        open_dataset("scenes", split=split, n_images=2, seed=seed, size=size)
        for split, seed, size in (
            ("train", 0, (60, 80)),
            ("train", 1, (60, 80)),
            ("val", 0, (60, 80)),
            ("train", 0, (80, 60)),
        )
    ]
    samples = [sample for data in variants for sample in data]
    assert len({sample.image.tobytes() for sample in samples}) == len(samples)
    digests = {data.content_digest(i) for data in variants for i in data.ids}
    assert len(digests) == len(samples)


@pytest.mark.parametrize("split", ["train", "val"])
def test_every_class_occurs_often_and_none_everywhere(split: str, drawn: Drawn) -> None:
    present = np.array([np.bincount(s.labels.ravel(), minlength=12) > 20 for s in drawn[split]])
    often = present.mean(axis=0)
    assert often[0] == 1.0
    assert (often[1:] >= 0.1).all() and (often[1:] <= 0.9).all()
    # Several things in a picture, so that they hide and neighbour each other.
    assert 2.0 < present[:, 4:].sum(axis=1).mean() < 5.0


def iou(truth: np.ndarray, guess: np.ndarray, n_classes: int = 12) -> np.ndarray:
    counts = np.bincount(truth * n_classes + guess, minlength=n_classes**2)
    counts = counts.reshape(n_classes, n_classes)
    both = np.diag(counts)
    return both / (counts.sum(axis=0) + counts.sum(axis=1) - both)


def test_a_colour_look_up_fails(drawn: Drawn) -> None:
    """The best label of each of 4,096 colours, learnt from 80 images."""

    def colours(image: np.ndarray) -> np.ndarray:
        return ((image >> 4).astype(int) @ [256, 16, 1]).ravel()

    counts = np.full((4096, 12), 0.1)
    for sample in drawn["train"]:
        np.add.at(counts, (colours(sample.image), sample.labels.ravel()), 1)
    best = counts.argmax(axis=1)
    truth, guess = [], []
    for sample in drawn["val"]:
        truth.append(sample.labels.ravel().astype(int))
        guess.append(best[colours(sample.image)])
    assert iou(np.concatenate(truth), np.concatenate(guess)).mean() < 0.25


def cells(data: list[Sample], side: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Colour, grain and place of square cells, and the label that most of each has."""
    rows, labels = [], []
    for sample in data:
        height, width = sample.labels.shape
        lab = cv2.cvtColor(sample.image, cv2.COLOR_RGB2LAB).astype(np.float32)
        maps = [*np.moveaxis(lab, 2, 0)]
        for sigma in (0.8, 1.6, 3.2):
            light = cv2.GaussianBlur(lab[:, :, 0], (0, 0), sigma)
            maps += [
                np.abs(cv2.Sobel(light, cv2.CV_32F, 1, 0)),
                np.abs(cv2.Sobel(light, cv2.CV_32F, 0, 1)),
                np.abs(cv2.Laplacian(light, cv2.CV_32F)),
                (lab[:, :, 0] - light) ** 2,
            ]
        maps += [*np.mgrid[:height, :width].astype(np.float32)]
        stack = np.stack(maps, axis=2).reshape(height // side, side, width // side, side, -1)
        rows.append(stack.mean(axis=(1, 3)).reshape(-1, len(maps)))
        blocks = sample.labels.reshape(height // side, side, width // side, side)
        blocks = blocks.swapaxes(1, 2).reshape(-1, side * side)
        labels.append(np.array([np.bincount(block).argmax() for block in blocks]))
    return np.concatenate(rows), np.concatenate(labels)


def test_grain_helps_and_what_is_left_is_one_of_a_pair(drawn: Drawn) -> None:
    """A small window learns the surfaces, but takes a thing for its counterpart."""
    classifier = ExtraTreesClassifier(
        30, min_samples_leaf=2, class_weight="balanced", random_state=0
    )
    classifier.fit(*cells(drawn["train"]))
    values, truth = cells(drawn["val"])
    guess = classifier.predict(values)
    alone = iou(truth, guess).mean()
    assert 0.38 < alone < 0.75
    counterpart = {**PAIRS, **{right: left for left, right in PAIRS.items()}}
    swapped = np.array([counterpart.get(int(label), -1) for label in truth])
    things = truth >= 4
    confused = (guess == swapped)[things].mean()
    assert confused > 0.12
    resolved = np.where(guess == swapped, truth, guess)
    assert iou(truth, resolved).mean() > alone + 0.08


@pytest.mark.parametrize(
    "options, match",
    [
        ({"split": "dev"}, "splits train, val, test, not 'dev'"),
        ({"n_images": 0}, "n_images must be at least 1, got 0"),
        ({"size": (31, 64)}, r"\(height, width\) of at least 32 pixels, got \(31, 64\)"),
        ({"size": (64, 64, 3)}, r"got \(64, 64, 3\)"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
    ],
)
def test_options_out_of_range(options: dict[str, object], match: str) -> None:
    with pytest.raises(InputError, match=match):
        open_dataset("scenes", **options)  # type: ignore[arg-type]
