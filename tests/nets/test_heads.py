import numpy as np
import pytest
import torch

from rerank.errors import InputError
from rerank.nets import (
    CoarseData,
    Phase,
    backbone_activations,
    build_backbone,
    head_probabilities,
    labelled_share,
    soft_target,
    train_head,
)


def sample(n=12, depth=6, n_classes=3, seed=0, scale=30.0):
    rng = np.random.default_rng(seed)
    activations = np.maximum(rng.normal(size=(n, depth, 5, 4)), 0).astype(np.float32) * scale
    targets = np.eye(n_classes, dtype=np.float32)[activations[:, :n_classes].argmax(1)]
    return activations, targets, np.ones(targets.shape[:3], np.float32)


def expected_iou(maps, targets):
    intersection = (maps * targets).sum((0, 1, 2))
    return (intersection / (maps + targets - maps * targets).sum((0, 1, 2))).mean()


def test_phases_and_continuations():
    activations, targets, weights = sample(60)
    first = train_head(
        CoarseData(activations, targets, weights),
        phases=[Phase("ce", 15, 0.05)],
        kernel_sizes=(1, 1, 1),
        dropout=0.1,
    )
    both = train_head(
        CoarseData(activations, targets, weights),
        phases=[Phase("ce", 15, 0.05), Phase("uoi", 4, 0.02)],
        kernel_sizes=(1, 1, 1),
        dropout=0.1,
    )
    assert len(both.phase_heads) == 2 and both.head is both.phase_heads[-1]
    for name, value in first.head.state_dict().items():
        assert torch.equal(value, both.phase_heads[0].state_dict()[name])
    kept = {name: value.copy() for name, value in first.head.to_arrays().items()}
    unseen, truth, _ = sample(30, seed=1)
    before = expected_iou(head_probabilities(first.head, unseen), truth)
    assert before > 0.5
    continued = train_head(
        CoarseData(activations, targets, weights), phases=[Phase("uoi", 4, 0.02)], start=first.head
    )
    assert expected_iou(head_probabilities(continued.head, unseen), truth) > before
    assert all(np.array_equal(kept[n], v) for n, v in first.head.to_arrays().items())


def test_equal_seeds_give_equal_bits_whatever_torchs_threads():
    activations, targets, weights = sample()
    results, before = [], torch.get_num_threads()
    for threads, seed in ((1, 3), (2, 3), (1, 4)):
        torch.set_num_threads(threads)
        trained = train_head(
            CoarseData(activations, targets, weights),
            random_state=seed,
            phases=[Phase("ce", 2, 0.05), Phase("0.7 uoi + 0.3 ce", 1, 0.02)],
        )
        results.append(trained.head.to_arrays())
    torch.set_num_threads(before)
    assert all(np.array_equal(results[0][n], results[1][n]) for n in results[0])
    assert not np.array_equal(results[0]["conv6.weight"], results[2]["conv6.weight"])


def test_the_unit_of_the_activations_does_not_matter():
    maps = []
    for scale in (1.0, 1024.0):
        activations, targets, weights = sample(scale=scale)
        trained = train_head(
            CoarseData(activations, targets, weights), phases=[Phase("ce", 3, 0.05)]
        )
        maps.append(head_probabilities(trained.head, activations))
    np.testing.assert_allclose(maps[0], maps[1], rtol=1e-4)


def test_cells_without_weight_teach_nothing():
    activations, targets, weights = sample()
    weights[:, :2] = 0
    other = targets.copy()
    other[:, :2] = np.eye(3)[0]
    heads = [
        train_head(
            CoarseData(activations, t, weights), phases=[Phase("0.7 uoi + 0.3 ce", 2, 0.05)]
        ).head
        for t in (targets, other)
    ]
    for name, value in heads[0].to_arrays().items():
        np.testing.assert_allclose(value, heads[1].to_arrays()[name], rtol=1e-5, atol=1e-7)


def test_unusable_activations():
    activations, targets, weights = sample()
    with pytest.raises(InputError, match="not all zero"):
        train_head(CoarseData(activations * 0, targets, weights))
    with pytest.raises(InputError, match="finite"):
        train_head(CoarseData(activations * np.nan, targets, weights))
    head = train_head(CoarseData(activations, targets, weights), phases=[Phase("ce", 1, 0.05)]).head
    with pytest.raises(InputError, match="start takes 6 channels and gives 3"):
        train_head(CoarseData(activations[:, :5], targets, weights), start=head)


@pytest.mark.shared
@pytest.mark.slow
def test_a_head_on_trained_activations_beats_the_prior(shared_root):
    """Twenty photographs suffice to label held-out cells far better than the commonest class."""
    from PIL import Image

    root = shared_root / "datasets" / "weizmann_horse"
    names = (root / "train.txt").read_text().split()[:30]
    images, targets, weights = [], [], []
    for name in names:
        stem = name.split("/")[-1].rsplit(".", 1)[0]
        images.append(np.asarray(Image.open(root / "rgb" / f"{stem}.jpg").convert("RGB")))
        mask = np.asarray(Image.open(root / "figure_ground" / f"{stem}.jpg").convert("L"))
        labels = (mask > 127).astype(np.uint8)
        targets.append(soft_target(labels, n_classes=2))
        weights.append(labelled_share(labels))
    backbone = build_backbone(
        "squeezenet1_0", shared_root / "weights" / "squeezenet1_0_imagenet_caffe.npz"
    )
    activations = backbone_activations(backbone, images)
    targets, weights = np.array(targets, np.float32), np.array(weights, np.float32)
    trained = train_head(
        CoarseData(activations[:20], targets[:20], weights[:20]), phases=[Phase("ce", 25, 0.05)]
    )
    maps = head_probabilities(trained.head, activations[20:])
    accuracy = (maps.argmax(-1) == targets[20:].argmax(-1)).mean()
    assert accuracy > (targets[20:].argmax(-1) == 0).mean() + 0.08
