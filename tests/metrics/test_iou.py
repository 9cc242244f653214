import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank.errors import InputError
from rerank.metrics import (
    IOU_SEMANTICS,
    IntersectionUnion,
    confusion_counts,
    corpus_iou,
    image_iou,
    iou_from_counts,
    mean_image_iou,
)


def devkit_accuracies(counts):
    """VOCevalseg's loop over classes, in which 0/0 is NaN."""
    accuracies = []
    for j in range(len(counts)):
        truth, result, both = counts[j, :].sum(), counts[:, j].sum(), counts[j, j]
        denominator = truth + result - both
        accuracies.append(both / denominator if denominator else float("nan"))
    return np.array(accuracies)


def slow_per_image(labels, predictions, n_classes):
    images = []
    for truth, guess in zip(labels, predictions):
        seen = truth != 255
        ratios = []
        for k in range(n_classes):
            a, b = (truth == k) & seen, (guess == k) & seen
            if (a | b).any():
                ratios.append((a & b).sum() / (a | b).sum())
        if ratios:
            images.append(np.mean(ratios))
    return np.mean(images) if images else float("nan")


def corpus(seed, n_images=4, n_classes=5, shape=(5, 7)):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, (n_images,) + shape)
    labels[rng.random(labels.shape) < 0.2] = 255
    predictions = rng.integers(0, n_classes, (n_images,) + shape)
    labels[labels == 3] = 2
    predictions[predictions == 3] = 1
    counts = np.stack([confusion_counts(a, b, n_classes) for a, b in zip(labels, predictions)])
    return labels, predictions, counts


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_voc_devkit_agrees_with_its_loop_and_leaves_an_absent_class_out_of_the_mean(seed):
    _, _, counts = corpus(seed)
    expected = devkit_accuracies(counts.sum(axis=0))
    iou = iou_from_counts(counts)
    np.testing.assert_allclose(iou.per_class, expected, rtol=1e-15)
    assert np.isnan(iou.per_class[3])
    assert iou.mean == pytest.approx(np.mean(expected[[0, 1, 2, 4]]), rel=1e-15)


def test_voc_devkit_is_the_devkits_mean_where_every_class_is_present():
    counts = np.array([[50, 3, 2], [4, 30, 1], [0, 6, 9]])
    assert iou_from_counts(counts).mean == pytest.approx(np.mean(devkit_accuracies(counts)))


def test_a_class_predicted_but_never_true_counts_as_zero():
    counts = np.array([[6, 2], [0, 0]])
    assert iou_from_counts(counts).per_class.tolist() == [0.75, 0.0]
    assert iou_from_counts(counts).mean == 0.375


def test_torchmetrics_macro_gives_the_figures_of_torchmetrics():
    # MulticlassJaccardIndex(5, average="none" and "macro", ignore_index=255) of torchmetrics
    # 1.9.0 on these counts, in its float32.
    counts = np.array(
        [[4, 6, 3, 0, 4], [5, 12, 2, 0, 2], [11, 16, 10, 0, 10], [0, 0, 0, 0, 0], [1, 14, 6, 0, 4]]
    )
    iou = iou_from_counts(counts, "torchmetrics_macro")
    theirs = [
        0.11764705926179886,
        0.21052631735801697,
        0.17241379618644714,
        0.0,
        0.09756097197532654,
    ]
    np.testing.assert_allclose(iou.per_class, theirs, rtol=1e-7)
    assert iou.mean == pytest.approx(0.14953702688217163, rel=1e-7)


def test_torchmetrics_macro_agrees_with_an_installed_torchmetrics():
    classification = pytest.importorskip("torchmetrics.classification")
    import torch

    labels, predictions, counts = corpus(11)
    for average in ("none", "macro"):
        metric = classification.MulticlassJaccardIndex(5, average=average, ignore_index=255)
        theirs = metric(torch.from_numpy(predictions), torch.from_numpy(labels)).numpy()
        ours = iou_from_counts(counts, "torchmetrics_macro")
        np.testing.assert_allclose(
            ours.per_class if average == "none" else ours.mean, theirs, rtol=1e-6
        )


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_per_image_agrees_with_a_loop_over_images(seed):
    labels, predictions, counts = corpus(seed)
    iou = iou_from_counts(counts, "per_image")
    assert iou.mean == pytest.approx(slow_per_image(labels, predictions, 5), rel=1e-12)
    assert np.isnan(iou.per_class[3])


def test_per_image_leaves_out_images_and_classes_that_are_not_there():
    counts = np.array([[[4, 0], [4, 0]], [[0, 0], [0, 0]], [[3, 0], [0, 0]]])
    iou = iou_from_counts(counts, "per_image")
    assert iou.mean == pytest.approx((0.25 + 1.0) / 2)
    assert iou.per_class.tolist() == [0.75, 0.0]


def test_corpus_and_image_measures_are_what_the_semantics_name():
    _, _, counts = corpus(5)
    inter = np.diagonal(counts, axis1=1, axis2=2)
    both = IntersectionUnion(inter, counts.sum(1) + counts.sum(2) - inter)
    assert corpus_iou(both).mean == iou_from_counts(counts).mean
    assert mean_image_iou(both) == iou_from_counts(counts, "per_image").mean
    assert image_iou(both).shape == (4,)
    assert image_iou(both).mean() == pytest.approx(mean_image_iou(both))


@pytest.mark.parametrize("semantics", IOU_SEMANTICS)
def test_nothing_counted_has_no_mean(semantics):
    assert np.isnan(iou_from_counts(np.zeros((3, 3), int), semantics).mean)


@pytest.mark.parametrize("semantics", IOU_SEMANTICS)
def test_a_perfect_prediction_scores_one(semantics):
    assert iou_from_counts(np.diag([3, 5, 0]), semantics).mean == 1.0


def test_the_record_reads_as_an_array_and_as_a_number():
    iou = iou_from_counts(np.array([[6, 2], [0, 4]]))
    np.testing.assert_array_equal(np.asarray(iou), iou.per_class)
    assert np.asarray(iou, dtype=np.float32).dtype == np.float32
    assert float(iou) == iou.mean


def test_errors_name_the_shape_and_the_semantics():
    with pytest.raises(InputError, match=r"got \(2, 2, 2, 2\)"):
        iou_from_counts(np.zeros((2, 2, 2, 2), int))
    with pytest.raises(InputError, match="voc_devkit, torchmetrics_macro, per_image, got 'macro'"):
        iou_from_counts(np.eye(2, dtype=int), "macro")
    with pytest.raises(InputError, match="at least 0, found -1"):
        iou_from_counts(-np.eye(2, dtype=int))
