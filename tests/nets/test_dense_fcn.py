from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from rerank.errors import ConfigError, InputError
from rerank.nets import AugmentedImages, DenseFCN, Phase, TrainConfig, train
from rerank.nets.architectures import ARCHITECTURES


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_logits_at_image_size(name):
    net = DenseFCN(3, name, random_state=0).eval()
    logits = net(torch.rand(2, 3, 61, 83) * 255)
    assert logits.shape == (2, 3, 61, 83) and torch.isfinite(logits).all()
    strides = [net.backbone.geometry(layer).stride for layer in net.skip_layers]
    assert strides == ([2, 4, 8] if name == "small" else [4, 8, 16])
    trained = {n for n, p in net.named_parameters() if p.requires_grad}
    assert any(n.startswith("backbone.") for n in trained) == (name == "small")


def test_scores_are_summed_at_their_places():
    """With the norms at rest and one skip switched on at a time, the logits add up."""
    net = DenseFCN(2, "small", dropout=0.0, random_state=0).eval()
    image = torch.rand(1, 3, 40, 56) * 255
    for score in net.scores:
        nn.init.normal_(score.weight, generator=torch.Generator().manual_seed(0))
    whole = net(image)
    parts = []
    for on in range(3):
        kept = [score.weight.data.clone() for score in net.scores]
        for index, score in enumerate(net.scores):
            if index != on:
                score.weight.data.zero_()
        parts.append(net(image))
        for score, weight in zip(net.scores, kept):
            score.weight.data.copy_(weight)
    torch.testing.assert_close(sum(parts), whole, rtol=1e-4, atol=1e-4)
    assert all(part.abs().max() > 0.01 for part in parts)


def test_frozen_backbone_keeps_its_state_and_gives_no_gradient():
    net = DenseFCN(2, "small", train_backbone=False, random_state=0).train()
    before = {name: value.clone() for name, value in net.backbone.state_dict().items()}
    net(torch.rand(2, 3, 32, 40) * 255).sum().backward()
    assert all(p.grad is None for p in net.backbone.parameters())
    assert all(torch.equal(before[n], v) for n, v in net.backbone.state_dict().items())
    tuned = DenseFCN(2, "squeezenet1_0", train_backbone=True, random_state=0).train()
    tuned(torch.rand(2, 3, 40, 40) * 255).sum().backward()
    assert tuned.backbone.layers.conv1.weight.grad is not None


def test_learns_in_the_one_loop():
    colours = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]], np.uint8)
    made = []
    for seed in range(8):
        labels = np.random.default_rng(seed).integers(0, 3, (4, 5))
        labels = np.repeat(np.repeat(labels, 8, 0), 8, 1)
        made.append(SimpleNamespace(image=colours[labels], labels=labels))
    net = DenseFCN(3, "small", width=16, dropout=0.1, random_state=0)
    config = TrainConfig((Phase("ce", 15, 0.1),), batch_size=4, backbone_factor=1.0)
    history = train(net, AugmentedImages(made, (32, 40), (0.9, 1.1)), config, workers=1)
    assert history.epochs[-1].loss < 0.5 * history.epochs[0].loss
    shares = [(net.predict_proba(s.image).argmax(-1) == s.labels).mean() for s in made]
    assert np.mean(shares) > 0.9


def test_predict_proba():
    net = DenseFCN(3, "small", random_state=0)
    image = np.random.default_rng(0).integers(0, 256, (30, 44, 3)).astype(np.uint8)
    maps = net.predict_proba(image)
    assert maps.shape == (30, 44, 3) and maps.dtype == np.float32 and net.training
    np.testing.assert_allclose(maps.sum(-1), 1.0, rtol=1e-5)
    assert net.predict_proba(image, (15, 22)).shape == (15, 22, 3)


def test_equal_seeds_give_equal_nets():
    states = [DenseFCN(3, "small", random_state=s).state_dict() for s in (1, 1, 2)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["hidden.weight"], states[2]["hidden.weight"])


def test_unusable_settings():
    with pytest.raises(ConfigError, match="backbone"):
        DenseFCN(3, "vgg")
    with pytest.raises(InputError, match="n_classes"):
        DenseFCN(0, "small")
    with pytest.raises(InputError, match="too small"):
        DenseFCN(3, random_state=0)(torch.zeros(1, 3, 5, 5))


@pytest.mark.gpu
def test_on_a_gpu_with_mixed_precision():
    net = DenseFCN(2, "small", random_state=0)
    labels = np.zeros((24, 32), np.uint8)
    labels[:, 16:] = 1
    image = np.repeat(labels[..., None] * 200, 3, 2)
    data = AugmentedImages([SimpleNamespace(image=image, labels=labels)] * 4, flip=False)
    config = TrainConfig((Phase("ce", 20, 0.1),), batch_size=2, amp=True, backbone_factor=1.0)
    train(net, data, config, device="cuda", workers=2)
    assert (net.predict_proba(image).argmax(-1) == labels).mean() > 0.8
