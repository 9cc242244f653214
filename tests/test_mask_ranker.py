"""Candidate masks in memory: exact regions, measures against pixels, ragged numbers, the ranker."""

from __future__ import annotations

import io
from pathlib import Path

import h5py
import numpy as np
import pytest

from rerank.datasets import open_dataset
from rerank.engine.sealed_file import read_sealed, write_sealed
from rerank.errors import DataError, InputError, NotFittedError
from rerank.mask_ranker import KIND, MaskRanker, common_sources, padded_counts
from rerank.mask_table import MaskTable, describe_masks, joint_regions
from rerank.metrics import (
    confusion_counts,
    generalised_energy_distance,
    image_iou,
    intersection_union,
    matched_iou,
    oracle_curve,
    pairwise_image_iou,
)
from rerank.superpixels import slic_superpixels, to_pixels
from rerank.types import Array

SCENES = open_dataset("scenes", None, "test", n_images=24, size=(40, 56))
CLASSES = SCENES.class_names


def spoiled(labels: Array, rng: np.random.Generator, amount: int) -> Array:
    """Labels without void, shifted, with some rectangles of other classes."""
    found = np.where(labels == 255, 0, labels).astype(np.uint8)
    found = np.roll(found, amount // 2, axis=1)
    for _ in range(amount):
        y, x = rng.integers(0, 30), rng.integers(0, 44)
        found[y : y + 10, x : x + 12] = rng.integers(0, len(CLASSES))
    return found


def described(index: int, ragged: bool = False) -> MaskTable:
    sample, rng = SCENES[index], np.random.default_rng(index)
    names = ["good", "middle", "bad", "worst"][: 1 + index % 4 if ragged else 4]
    masks = [spoiled(sample.labels, rng, 2 * k) for k in range(len(names))]
    order = rng.permutation(len(masks)) if ragged else np.arange(len(masks))
    return describe_masks(
        sample.image,
        [masks[k] for k in order],
        CLASSES,
        names=[f"{index}_{k}" for k in order] if ragged else names,
        labels=[sample.labels],
        image_id=f"s{index}",
    )


@pytest.fixture(scope="module")
def tables() -> list[MaskTable]:
    return [described(index) for index in range(len(SCENES))]


@pytest.fixture(scope="module")
def ragged() -> list[MaskTable]:
    return [described(index, ragged=True) for index in range(len(SCENES))]


def test_every_mask_is_a_labeling_of_the_regions() -> None:
    sample, rng = SCENES[0], np.random.default_rng(0)
    masks = [spoiled(sample.labels, rng, k) for k in range(30)]
    superpixels = slic_superpixels(sample.image, 60)
    regions, labelings = joint_regions(masks, superpixels)
    for mask, labeling in zip(masks, labelings):
        np.testing.assert_array_equal(to_pixels(labeling, regions), mask)
    joint = np.stack([superpixels, *masks]).reshape(31, -1)
    assert regions.max() + 1 == len(np.unique(joint, axis=1).T)


def test_counts_and_diversity_are_those_of_the_pixels() -> None:
    sample, rng = SCENES[1], np.random.default_rng(1)
    masks = [spoiled(sample.labels, rng, k) for k in (0, 4, 9)]
    second = np.roll(sample.labels, 2, axis=0)
    labels, n = [sample.labels, second], len(CLASSES)
    table = describe_masks(sample.image, masks, CLASSES, labels=labels)
    each = [
        intersection_union(np.stack([confusion_counts(t, m, n) for m in masks])) for t in labels
    ]
    assert table.counts is not None and table.vote is not None
    np.testing.assert_array_equal(table.counts.unions, each[0].unions + each[1].unions)
    np.testing.assert_array_equal(
        table.counts.intersections, each[0].intersections + each[1].intersections
    )
    valid = (sample.labels != 255) & (second != 255)
    pixels = np.stack(masks)
    own, cross = (
        pairwise_image_iou(pixels, other, n, valid) for other in (pixels, np.stack(labels))
    )
    truths = pairwise_image_iou(np.stack(labels), np.stack(labels), n, valid)
    assert table.diversity.energy_distance == pytest.approx(
        generalised_energy_distance(1 - cross, 1 - own, 1 - truths)
    )
    assert table.diversity.matched_iou == pytest.approx(matched_iou(cross))
    assert table.diversity.distance == pytest.approx((1 - own)[~np.eye(3, dtype=bool)].mean())
    votes = np.array([[(m == c) for c in range(n)] for m in masks]).sum(axis=0).argmax(axis=0)
    voted = [intersection_union(confusion_counts(t, votes, n)) for t in labels]
    np.testing.assert_array_equal(table.vote.unions, voted[0].unions + voted[1].unions)


def test_the_consensus_is_the_weighted_mean_agreement() -> None:
    sample, rng = SCENES[2], np.random.default_rng(2)
    masks = [spoiled(sample.labels, rng, k) for k in (1, 1, 5)]
    weights = np.array([1.0, 2.0, 5.0])
    similarity = pairwise_image_iou(np.stack(masks), np.stack(masks), len(CLASSES))
    equal = describe_masks(sample.image, masks, CLASSES)
    assert equal.consensus == pytest.approx(similarity.mean(axis=1))
    weighed = describe_masks(sample.image, masks, CLASSES, weights=weights)
    assert weighed.consensus == pytest.approx(similarity @ weights / 8)
    assert equal.counts is None and np.isnan(equal.diversity.matched_iou)


def test_one_mask_and_equal_masks() -> None:
    sample = SCENES[3]
    mask = spoiled(sample.labels, np.random.default_rng(0), 1)
    alone = describe_masks(sample.image, [mask], CLASSES, labels=[sample.labels])
    assert (alone.diversity.n_distinct, alone.diversity.distance) == (1, 0.0)
    three = describe_masks(sample.image, [mask] * 3, CLASSES, labels=[sample.labels])
    assert (three.diversity.n_distinct, three.diversity.distance) == (1, 0.0)
    assert three.diversity.energy_distance == pytest.approx(alone.diversity.energy_distance)
    void = describe_masks(
        sample.image, [mask], CLASSES, labels=[np.full(mask.shape, 255, np.uint8)]
    )
    assert void.counts is not None and not void.counts.unions.any()
    assert np.isnan(void.diversity.energy_distance)


def test_the_ranker_finds_the_better_masks(tables: list[MaskTable]) -> None:
    ranker = MaskRanker(random_state=3)
    scores = ranker.cross_fit(tables)
    ious = [image_iou(t.counts) for t in tables if t.counts is not None]
    chosen = np.mean([iou[s.argmax()] for iou, s in zip(ious, scores)])
    assert chosen > np.mean([iou.mean() for iou in ious]) + 0.05
    assert common_sources(tables) == ("good", "middle", "bad", "worst")
    ranker.fit(tables)
    assert {"source.good", "source.worst"} <= set(ranker.columns_)
    again = MaskRanker(random_state=3).cross_fit(tables)
    for one, other in zip(scores, again):
        np.testing.assert_array_equal(one, other)


def test_images_may_have_different_numbers_of_masks(ragged: list[MaskTable]) -> None:
    assert common_sources(ragged) == ()
    scores = MaskRanker().cross_fit(ragged)
    assert [len(s) for s in scores] == [len(t.names) for t in ragged]
    ranker = MaskRanker().fit(ragged)
    assert all(column.startswith("summary.") for column in ranker.columns_)
    counts = padded_counts(ragged)
    curve = oracle_curve(counts.intersections, counts.unions)
    for choice in (curve.image_oracle_choice[-1], curve.corpus_oracle_choice[-1]):
        assert all(c < len(t.names) for c, t in zip(choice, ragged))
    best = [np.nanmax(image_iou(t.counts)) for t in ragged if t.counts is not None]
    assert curve.image_oracle_image_iou[-1] == pytest.approx(np.mean(best))


def test_saving_changes_no_score(tables: list[MaskTable], tmp_path: Path) -> None:
    ranker = MaskRanker().fit(tables)
    ranker.save(tmp_path / "r.h5", CLASSES)
    loaded, names = MaskRanker.load(tmp_path / "r.h5")
    assert names == CLASSES and loaded.C_ == ranker.C_
    for table in tables[:3]:
        np.testing.assert_array_equal(
            loaded.decision_function(table), ranker.decision_function(table)
        )


def test_bad_input_is_refused(tables: list[MaskTable], tmp_path: Path) -> None:
    image = SCENES[0].image
    mask = np.zeros((40, 56), np.uint8)
    with pytest.raises(InputError, match="x: there is no mask"):
        describe_masks(image, [], CLASSES, image_id="x")
    with pytest.raises(InputError, match=r"mask 1 must be integers of the image's size \(40, 56\)"):
        describe_masks(image, [mask, mask[1:]], CLASSES)
    with pytest.raises(InputError, match="mask 0 holds 0..200"):
        describe_masks(image, [mask + 200 * (np.arange(56) > 3).astype(np.uint8)], CLASSES)
    with pytest.raises(InputError, match="weights must be 1 numbers above 0"):
        describe_masks(image, [mask], CLASSES, weights=np.array([0.0]))
    with pytest.raises(InputError, match="at least 20 labelled images, got 19"):
        MaskRanker().fit(tables[:19])
    with pytest.raises(InputError, match="has no labelled pixel"):
        MaskRanker().fit([*tables[:20], describe_masks(image, [mask], CLASSES)])
    same = [describe_masks(image, [mask], CLASSES, labels=[SCENES[0].labels]) for _ in range(20)]
    with pytest.raises(InputError, match="nothing to choose"):
        MaskRanker().fit(same)
    with pytest.raises(NotFittedError):
        MaskRanker().decision_function(tables[0])
    with pytest.raises(NotFittedError):
        MaskRanker().save(tmp_path / "r.h5", CLASSES)


@pytest.mark.parametrize("spoil", ["missing", "text", "other", "lengths", "strange"])
def test_files_that_are_no_ranker(spoil: str, tables: list[MaskTable], tmp_path: Path) -> None:
    path = tmp_path / "r.h5"
    if spoil == "text":
        path.write_text("no HDF5")
    elif spoil == "other":
        with h5py.File(path, "w") as file:
            file["coef"] = 1
    elif spoil == "lengths":
        MaskRanker().fit(tables).save(path, CLASSES)
        with h5py.File(path, "a") as file:
            del file["coef"]
            file["coef"] = np.zeros(2)
    elif spoil == "strange":
        MaskRanker().fit(tables).save(path, CLASSES)
        content = io.BytesIO(read_sealed(path, *KIND))
        with h5py.File(content, "a") as file:
            del file["coef"]
            file["coef"] = np.zeros(2)
        write_sealed(path, *KIND, content.getvalue())
    problem = {
        "missing": "cannot be read",
        "text": "not a saved mask_ranker",
        "other": "an earlier version",
        "lengths": "damaged",
        "strange": "not a ranker that `rerank rank --labels` wrote",
    }
    with pytest.raises(DataError, match=rf"r\.h5: .*{problem[spoil]}"):
        MaskRanker.load(path)
