import numpy as np
import pytest
import torch
from torch import nn

from rerank.errors import ConfigError, DataError, InputError
from rerank.losses import CorpusCounts, ExpectedUoILoss, SoftCrossEntropyLoss
from rerank.nets import (
    CoarseData,
    CoarseSegNet,
    Phase,
    SegNetHead,
    TrainConfig,
    loss_from_name,
    train,
)
from rerank.nets.schedule import poly_factor


def coarse_data(n=7, depth=5, n_classes=3, seed=0, **more):
    rng = np.random.default_rng(seed)
    activations = rng.normal(size=(n, depth, 4, 6)).astype(np.float32)
    labels = activations[:, :n_classes].argmax(1)
    targets = np.eye(n_classes, dtype=np.float32)[labels]
    weights = rng.uniform(0.5, 1.0, labels.shape).astype(np.float32)
    return CoarseData(activations, targets, weights, **more)


def new_head(seed=0, depth=5, n_classes=3):
    return SegNetHead(depth, n_classes, kernel_sizes=(1, 3, 1), random_state=seed)


def config(*phases, **more):
    return TrainConfig(
        phases or (Phase("ce", 2, 0.1), Phase("uoi", 2, 0.05)), **{"batch_size": 3, **more}
    )


def states_equal(first, second):
    return set(first) == set(second) and all(torch.equal(first[n], second[n]) for n in first)


def test_learns_what_the_activations_show():
    head = SegNetHead(5, 3, 0.0, (1, 3, 1), random_state=0)
    history = train(head, coarse_data(40), config(Phase("ce", 20, 0.1), batch_size=8))
    losses = [record.loss for record in history.epochs]
    assert losses[0] > 0.8 and losses[-1] < 0.3
    unseen = coarse_data(20, seed=1)
    predicted = head(torch.from_numpy(unseen.inputs)).argmax(1).numpy()
    assert (predicted == unseen.targets.argmax(-1)).mean() > 0.9
    assert not head.training


def test_equal_seeds_give_equal_bits_and_leave_the_global_state():
    runs = []
    for seed in (4, 4, 5):
        before = torch.random.get_rng_state()
        head = new_head()
        train(head, coarse_data(), config(random_state=seed))
        assert torch.equal(before, torch.random.get_rng_state())
        runs.append(head.state_dict())
    assert states_equal(runs[0], runs[1])
    assert not states_equal(runs[0], runs[2])


def test_workers_do_not_change_the_result():
    states = []
    for workers in (0, 1, 3):
        head, seen = new_head(), []
        train(head, coarse_data(), config(), workers=workers, progress=seen.append)
        assert len(seen) == 12
        states.append(head.state_dict())
    assert states_equal(states[0], states[1]) and states_equal(states[0], states[2])


def test_history_holds_each_phase():
    head = new_head()
    history = train(head, coarse_data(), config())
    assert [(r.phase, r.epoch) for r in history.epochs] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert states_equal(history.phase_states[1], head.state_dict())
    assert not states_equal(history.phase_states[0], head.state_dict())


def test_one_step_is_momentum_gradient_descent():
    """Two plain steps by hand: no dropout, one batch, known rates, decay on filters alone."""
    data = coarse_data(3)
    head = SegNetHead(5, 3, 0.0, (1, 1, 1), random_state=0)
    other = SegNetHead(5, 3, 0.0, (1, 1, 1), random_state=0)
    train(
        head,
        data,
        config(Phase("ce", 2, 0.1), warmup=2, power=1.0, clip_norm=None, weight_decay=0.01),
    )
    velocity = {name: torch.zeros_like(p) for name, p in other.named_parameters()}
    x = torch.from_numpy(data.inputs)
    target = torch.from_numpy(data.targets).permute(0, 3, 1, 2)
    for rate in (0.1 * 0.5, 0.1 * 0.5):  # warm-up 1/2, then the poly rule's 1 - 1/2
        other.zero_grad()
        SoftCrossEntropyLoss()(other(x), target, torch.from_numpy(data.weights)).backward()
        with torch.no_grad():
            for name, p in other.named_parameters():
                gradient = p.grad + (0.01 * p if p.ndim > 1 else 0)
                velocity[name] = 0.9 * velocity[name] + gradient
                p -= rate * velocity[name]
    for (name, mine), theirs in zip(head.named_parameters(), other.parameters()):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6, msg=name)


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("stop_at", [1, 4, 6, 7, 11])
def test_an_interrupted_training_ends_in_the_same_bits(tmp_path, stop_at):
    def loss():
        return ExpectedUoILoss(counts=CorpusCounts(3))

    def settings():
        # A module's text is part of what tells one training from another.
        return config(Phase("ce", 2, 0.1), Phase(loss(), 2, 0.05))

    whole = new_head()
    expected = train(whole, coarse_data(), settings())

    def stop(progress):
        if progress.done == stop_at:
            raise Interrupted

    file = tmp_path / "training.ckpt"
    with pytest.raises(Interrupted):
        train(
            new_head(),
            coarse_data(),
            settings(),
            checkpoint=file,
            checkpoint_seconds=0.0,
            progress=stop,
        )
    resumed = new_head(seed=9)
    seen = []
    history = train(
        resumed,
        coarse_data(),
        settings(),
        checkpoint=file,
        checkpoint_seconds=0.0,
        progress=seen.append,
    )
    assert [p.done for p in seen] == list(range(stop_at + 1, 13))
    assert states_equal(whole.state_dict(), resumed.state_dict())
    assert [r.loss for r in history.epochs] == [r.loss for r in expected.epochs]
    assert all(map(states_equal, history.phase_states, expected.phase_states))
    again = new_head(seed=8)
    train(again, coarse_data(), settings(), checkpoint=file, progress=seen.append)
    assert len(seen) == 12 - stop_at and states_equal(again.state_dict(), whole.state_dict())


def test_checkpoint_of_another_training(tmp_path):
    file = tmp_path / "t.ckpt"
    train(new_head(), coarse_data(), config(), checkpoint=file)
    with pytest.raises(DataError, match="t.ckpt: is of another training"):
        train(new_head(), coarse_data(), config(random_state=1), checkpoint=file)
    file.write_bytes(b"nonsense")
    with pytest.raises(DataError, match="t.ckpt: unreadable"):
        train(new_head(), coarse_data(), config(), checkpoint=file)
    assert list(tmp_path.iterdir()) == [file]


def test_progress_counts_to_the_end():
    seen = []
    train(new_head(), coarse_data(), config(), progress=seen.append)
    assert [p.done for p in seen] == list(range(1, 13))
    assert seen[0].total == 12 and seen[-1].seconds_left == 0.0
    assert seen[0].seconds_left > 0 and np.isfinite(seen[0].loss)


def test_mirrored_samples():
    data = coarse_data(30, flipped=None)
    flipped = -data.inputs
    mirrored = CoarseData(data.inputs, data.targets, data.weights, flipped=flipped)
    batch = mirrored.batch(np.arange(30), np.random.default_rng(0))
    was = [torch.equal(x, torch.from_numpy(-f)) for x, f in zip(batch.inputs, flipped)]
    assert 5 < sum(was) < 25
    for i, plain in enumerate(was):
        target = data.targets[i] if plain else data.targets[i][:, ::-1]
        weight = data.weights[i] if plain else data.weights[i][:, ::-1]
        assert np.array_equal(batch.targets[i].permute(1, 2, 0).numpy(), target)
        assert np.array_equal(batch.weights[i].numpy(), weight)
    assert np.array_equal(data.inputs, -flipped)


def test_images_are_mirrored_with_their_targets():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 8, 10, 3)).astype(np.uint8)
    targets = images[:, ::4, ::5, :].astype(np.float32)
    targets /= targets.sum(-1, keepdims=True)
    batch = CoarseData(images, targets, flip=True).batch(np.arange(12), rng)
    assert batch.weights is None and batch.inputs.shape == (12, 3, 8, 10)
    mirrored = 0
    for i in range(12):
        x = batch.inputs[i].permute(1, 2, 0).numpy()
        if np.array_equal(x, images[i, :, ::-1]):
            mirrored += 1
            assert np.array_equal(batch.targets[i].permute(1, 2, 0), targets[i, :, ::-1])
        else:
            assert np.array_equal(x, images[i])
    assert 0 < mirrored < 12


def test_small_net_trains_end_to_end():
    rng = np.random.default_rng(0)
    colours = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]])
    labels = rng.integers(0, 3, (10, 3, 4))
    images = np.repeat(np.repeat(colours[labels], 8, 1), 8, 2)
    images = (images + rng.integers(-30, 30, images.shape)).astype(np.uint8)
    targets = np.eye(3, dtype=np.float32)[labels]
    net = CoarseSegNet(3, "small", grid=(3, 4), dropout=0.1, random_state=0)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    train(
        net,
        CoarseData(images, targets, flip=True),
        config(Phase("ce", 25, 0.1), batch_size=5, backbone_factor=1.0),
    )
    assert not torch.equal(
        net.backbone.layers.conv1.conv.weight, before["backbone.layers.conv1.conv.weight"]
    )
    maps = net.predict_proba(list(images))
    assert (maps.argmax(-1) == labels).mean() > 0.9


def test_frozen_parameters_stay():
    net = CoarseSegNet(3, "alexnet", grid=(1, 1), random_state=0)
    before = {name: value.clone() for name, value in net.backbone.state_dict().items()}
    images = np.random.default_rng(0).integers(0, 256, (2, *net.input_size, 3)).astype(np.uint8)
    targets = np.eye(3, dtype=np.float32)[np.array([[[0]], [[1]]])]
    train(net, CoarseData(images, targets), config(Phase("ce", 1, 0.1)))
    assert states_equal(before, net.backbone.state_dict())
    assert not net.backbone.layers.conv1.weight.requires_grad


@pytest.mark.parametrize(
    "name, expected",
    [("ce", 1.0), ("uoi", 0.0), ("0.7 uoi + 0.3 ce", 0.3), ("0.7*UOI+0.3*CE", 0.3), ("2 ce", 2.0)],
)
def test_losses_by_name(name, expected):
    """The share of cross-entropy in a named loss, read off against the parts."""
    logits = torch.randn(2, 3, 2, 4, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([[[0, 1, 2, 255], [2, 2, 1, 0]]] * 2)
    ce, uoi = loss_from_name("ce")(logits, target), loss_from_name("uoi")(logits, target)
    uoi_share = {1.0: 0.0, 0.0: 1.0, 0.3: 0.7, 2.0: 0.0}[expected]
    value = loss_from_name(name)(logits, target)
    assert value.item() == pytest.approx((expected * ce + uoi_share * uoi).item(), rel=1e-5)


@pytest.mark.parametrize("name", ["dice", "", "ce +", "0.7 uoi - 0.3 ce", "rmi(factor=2"])
def test_unknown_losses(name):
    with pytest.raises(ConfigError, match="loss must be"):
        loss_from_name(name)


@pytest.mark.parametrize(
    "name, message",
    [
        ("rmi(facto=2)", "KEY among region_size, factor.*got 'facto=2'"),
        ("rmi(2)", "got '2'"),
        ("rmi(factor=0)", "factor must be a whole number of at least 1"),
        ("rmi(pooling=median)", "median"),
        ("neuro(n_inputs=4)", "3 or 6"),
        ("neuro-hinge(counts=probability)", "KEY among n_inputs"),
        ("iou(counts=3)", "KEY among absent"),
        ("ce(ignore_index=0)", "KEY among reduction"),
        ("neuro(steps=many)", "loss neuro"),
    ],
)
def test_arguments_that_do_not_fit(name, message):
    with pytest.raises(ConfigError, match=message):
        loss_from_name(name)


def test_arguments_reach_their_loss():
    losses = loss_from_name("rmi(factor=2, pooling=maximum) + 0.1 neuro-hinge(n_inputs=3)", 7, 5)
    rmi, neuro = losses.losses
    assert losses.factors == (1.0, 0.1)
    assert (rmi.factor, rmi.settings.pooling) == (2, "maximum")
    assert (neuro.counts, neuro.surrogate.n_inputs, neuro.ignore_index) == ("hinge", 3, 7)
    other = loss_from_name("neuro(n_inputs=3)", random_state=5)
    assert states_equal(dict(other.surrogate.state_dict()), dict(neuro.surrogate.state_dict()))


def test_binary_cross_entropy_is_that_of_sigmoids():
    logits = torch.randn(2, 3, 2, 4, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([[[0, 1, 2, 1], [2, 2, 1, 0]]] * 2)
    one_hot = torch.nn.functional.one_hot(target, 3).permute(0, 3, 1, 2).float()
    expected = (
        torch.nn.functional.binary_cross_entropy_with_logits(logits, one_hot, reduction="none")
        .sum(1)
        .mean()
    )
    assert loss_from_name("bce")(logits, target).item() == pytest.approx(expected.item(), rel=1e-5)


QUICK = {
    "neuro": "neuro(first_steps=30, batch_size=32)",
    "rmi": "rmi(factor=1)",
    "neuro-hinge": "neuro-hinge(first_steps=30, batch_size=32)",
    "affinity": "ce + affinity",
}


@pytest.mark.parametrize("name", ["bce", "iou", "uoi", "neuro", "neuro-hinge", "rmi", "affinity"])
def test_every_named_loss_trains_a_head(name):
    """From a few epochs of cross-entropy on, each loss keeps labelling better than chance."""
    head = SegNetHead(5, 3, 0.0, (1, 3, 1), random_state=0, groups=1)
    loss = QUICK.get(name, name)
    history = train(
        head, coarse_data(24), config(Phase("ce", 3, 0.1), Phase(loss, 8, 0.03), batch_size=8)
    )
    unseen = coarse_data(20, seed=1)
    predicted = head(torch.from_numpy(unseen.inputs)).argmax(1).numpy()
    assert (predicted == unseen.targets.argmax(-1)).mean() > 0.7
    fits = [record.surrogate_fit for record in history.epochs]
    assert fits[:3] == [None] * 3
    assert all(("neuro" in name) == (fit is not None) for fit in fits[3:])


def test_surrogate_and_network_go_on_in_turns_from_a_checkpoint(tmp_path):
    def settings():
        return config(Phase("ce", 1, 0.1), Phase(QUICK["neuro"], 3, 0.05))

    def stop(progress):
        if progress.done == 7:
            raise Interrupted

    whole, resumed = new_head(), new_head(seed=9)
    expected = train(whole, coarse_data(), settings())
    file = tmp_path / "training.ckpt"
    with pytest.raises(Interrupted):
        train(
            new_head(),
            coarse_data(),
            settings(),
            checkpoint=file,
            checkpoint_seconds=0.0,
            progress=stop,
        )
    history = train(resumed, coarse_data(), settings(), checkpoint=file)
    assert states_equal(whole.state_dict(), resumed.state_dict())
    assert [record.surrogate_fit for record in history.epochs] == [
        record.surrogate_fit for record in expected.epochs
    ]


def test_schedule():
    assert [poly_factor(s, 10, 0.9) for s in (0, 5)] == [1.0, pytest.approx(0.5**0.9)]
    assert poly_factor(0, 10, 0.0, warmup=4) == 0.25
    assert poly_factor(9, 10, 1.0, warmup=4) == pytest.approx(0.1)


@pytest.mark.parametrize(
    "changed",
    [
        {"phases": ()},
        {"batch_size": 0},
        {"momentum": 1.0},
        {"weight_decay": -1.0},
        {"power": -1.0},
        {"warmup": -1},
        {"clip_norm": 0.0},
        {"backbone_factor": -1.0},
        {"random_state": -1},
    ],
)
def test_unusable_settings(changed):
    with pytest.raises(ConfigError, match=next(iter(changed))):
        TrainConfig(**{"phases": (Phase("ce", 1, 0.1),), **changed})


def test_unusable_phases():
    with pytest.raises(ConfigError, match="epochs"):
        Phase("ce", 0, 0.1)
    with pytest.raises(ConfigError, match="learning_rate"):
        Phase("ce", 1, 0.0)


def test_nothing_to_train_and_amp_on_a_cpu():
    with pytest.raises(ConfigError, match="nothing to train"):
        train(nn.Conv2d(5, 3, 1).requires_grad_(False), coarse_data(), config())
    with pytest.raises(ConfigError, match="CUDA"):
        train(new_head(), coarse_data(), config(amp=True))
    with pytest.raises(ConfigError, match="workers"):
        train(new_head(), coarse_data(), config(), workers=-1)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((np.zeros((0, 2, 3, 3), np.float32), np.zeros((0, 3, 3, 2))), "N at least 1"),
        ((np.zeros((2, 2, 3, 3), np.float32), np.zeros((1, 3, 3, 2))), "targets"),
        ((np.zeros((2, 2, 3, 3), np.float32), np.zeros((2, 3, 4, 2))), "grid"),
        ((np.zeros((2, 2, 3, 3), np.float32), np.zeros((2, 3, 3, 2)), np.zeros((2, 3))), "weights"),
        (
            (
                np.zeros((2, 2, 3, 3), np.float32),
                np.zeros((2, 3, 3, 2)),
                None,
                np.zeros((1, 2, 3, 3)),
            ),
            "flipped",
        ),
        (
            (np.zeros((2, 2, 3, 3), np.float32), np.zeros((2, 3, 3, 2)), None, None, True),
            "mirrored",
        ),
    ],
)
def test_unusable_data(arguments, message):
    with pytest.raises(InputError, match=message):
        CoarseData(*arguments)


@pytest.mark.gpu
def test_training_on_a_gpu_with_mixed_precision():
    head = new_head()
    history = train(
        head, coarse_data(40), config(Phase("ce", 30, 0.1), batch_size=8, amp=True), device="cuda"
    )
    assert history.epochs[-1].loss < 0.4
    assert next(head.parameters()).device.type == "cuda"
