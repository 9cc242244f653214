import numpy as np
import pytest
import torch
from torch.nn import functional as F

from rerank.errors import ConfigError, DataError, InputError
from rerank.nets import CoarseSegNet, SegNetHead, head_probabilities
from rerank.nets.coarse_segnet import CAFFENET_PARAMETERS
from rerank.nets.dropout import SeededDropout, reseed_dropout


def caffenet_parameters():
    """Filters and biases of CaffeNet's eight layers, counted from its definition."""
    layers = [
        (96, 3 * 121),
        (256, 48 * 25),
        (384, 256 * 9),
        (384, 192 * 9),
        (256, 192 * 9),
        (4096, 256 * 36),
        (4096, 4096),
        (1000, 4096),
    ]
    return sum(out * (fan_in + 1) for out, fan_in in layers)


@pytest.mark.parametrize("kernel_sizes", [(1, 1, 1), (1, 3, 3), (3, 3, 3)])
def test_share_of_caffenets_parameters_is_under_a_tenth(kernel_sizes):
    net = CoarseSegNet(21, "caffenet", kernel_sizes=kernel_sizes, random_state=0)
    assert caffenet_parameters() == CAFFENET_PARAMETERS
    assert sum(p.numel() for p in net.parameters()) / CAFFENET_PARAMETERS < 0.10


def test_the_papers_layers():
    net = CoarseSegNet(21, "caffenet", random_state=0)
    convolutions = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [c.out_channels for c in convolutions] == [96, 256, 384, 384, 256, 128, 128, 21]
    assert sum(isinstance(m, SeededDropout) for m in net.modules()) == 3
    assert not any(isinstance(m, torch.nn.Linear) for m in net.modules())
    assert {n for n, p in net.named_parameters() if p.requires_grad} == {
        f"head.conv{i}.{kind}" for i in (6, 7, 8) for kind in ("weight", "bias")
    }
    assert net(torch.zeros(2, 3, 227, 227)).shape == (2, 21, 13, 13)


def test_a_finer_grid_takes_a_larger_image():
    net = CoarseSegNet(4, "small", grid=(26, 20), random_state=0)
    assert net.input_size == (208, 160)
    assert net(torch.zeros(1, 3, 208, 160)).shape == (1, 4, 26, 20)
    with pytest.raises(InputError, match="26x20 grid takes images of 208x160"):
        net(torch.zeros(1, 3, 104, 104))


@pytest.mark.parametrize("first", [1, 3])
def test_groups_and_scale_are_those_of_plain_convolutions(first: int) -> None:
    head = SegNetHead(6, 3, 0.5, (first, 3, 3), random_state=1, groups=4).eval()
    head.activation_scale.fill_(0.5)
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 6, 4, 5)).astype(np.float32))
    blocks = torch.zeros(128, 128, 3, 3)
    for group, weight in enumerate(head.conv7.weight.detach().split(32)):
        own = slice(32 * group, 32 * group + 32)
        blocks[own, own] = weight
    expected = F.relu(F.conv2d(0.5 * x, head.conv6.weight, head.conv6.bias, padding=first // 2))
    expected = F.relu(F.conv2d(expected, blocks, head.conv7.bias, padding=1))
    expected = head.conv8(expected)
    assert torch.allclose(head(x), expected, atol=1e-5)
    again = SegNetHead.from_arrays(head.to_arrays())
    assert again.groups == 4 and torch.equal(again(x), head(x))


def test_groups_that_do_not_divide_the_filters_are_refused() -> None:
    with pytest.raises(InputError, match="groups must divide 128, got 3"):
        SegNetHead(6, 3, groups=3)


def test_head_by_hand():
    """A 1x1 head is an affine map per cell with two rectifiers in it."""
    head = SegNetHead(6, 3, 0.5, (1, 1, 1), random_state=1, groups=1).eval()
    head.activation_scale.fill_(0.5)
    activations = np.random.default_rng(0).normal(size=(2, 6, 4, 5)).astype(np.float32)
    x = 0.5 * activations.transpose(0, 2, 3, 1)
    for i, layer in enumerate((head.conv6, head.conv7, head.conv8)):
        x = x @ layer.weight.detach().numpy()[:, :, 0, 0].T + layer.bias.detach().numpy()
        x = np.maximum(x, 0) if i < 2 else x
    expected = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    np.testing.assert_allclose(head_probabilities(head, activations), expected, rtol=1e-5)


def test_an_images_map_does_not_depend_on_the_others():
    head = SegNetHead(16, 3, random_state=1)
    activations = np.random.default_rng(0).normal(size=(5, 16, 13, 13)).astype(np.float32)
    whole = head_probabilities(head, activations)
    assert np.array_equal(whole[2:4], head_probabilities(head, activations[2:4]))
    np.testing.assert_allclose(
        whole, head_probabilities(head, activations, batch_size=3), rtol=1e-4
    )
    assert head_probabilities(head, activations[:0]).shape == (0, 13, 13, 3)
    assert head.training


def test_predict_proba_is_the_softmax_of_forward_on_warped_images():
    net = CoarseSegNet(3, "small", random_state=0)
    image = np.random.default_rng(0).integers(0, 256, (104, 104, 3)).astype(np.uint8)
    logits = net.eval()(torch.from_numpy(image).permute(2, 0, 1)[None])
    maps = net.predict_proba([image, image[:50, :70]])
    assert maps.shape == (2, 13, 13, 3) and maps.dtype == np.float32
    expected = torch.softmax(logits, 1)[0].permute(1, 2, 0).detach()
    np.testing.assert_allclose(maps[0], expected, rtol=1e-4)
    np.testing.assert_allclose(maps.sum(-1), 1.0, rtol=1e-5)
    assert net.predict_proba([]).shape == (0, 13, 13, 3)


def test_arrays_round_trip():
    head = SegNetHead(7, 3, kernel_sizes=(3, 1, 3), random_state=2)
    head.activation_scale.fill_(0.25)
    again = SegNetHead.from_arrays(head.to_arrays())
    activations = np.random.default_rng(0).normal(size=(1, 7, 4, 4)).astype(np.float32)
    assert np.array_equal(
        head_probabilities(head, activations), head_probabilities(again, activations)
    )
    arrays = head.to_arrays()
    del arrays["conv7.bias"]
    with pytest.raises(DataError, match="conv7.bias"):
        SegNetHead.from_arrays(arrays)


def test_seeded_dropout():
    dropout, x = SeededDropout(0.25), torch.ones(40, 50)
    dropout.reseed(3)
    first, second = dropout(x), dropout(x)
    dropout.reseed(3)
    assert torch.equal(first, dropout(x)) and not torch.equal(first, second)
    assert first.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert (first == 0).float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert torch.equal(dropout.eval()(x), x)
    with pytest.raises(InputError, match="dropout"):
        SeededDropout(1.0)


def test_dropout_layers_of_a_model_differ():
    model = torch.nn.ModuleList([SeededDropout(), SeededDropout()])
    reseed_dropout(model, 5)
    masks = [layer(torch.ones(100)) for layer in model]
    assert not torch.equal(*masks)


def test_equal_seeds_give_equal_nets():
    states = [CoarseSegNet(3, "small", random_state=s).state_dict() for s in (1, 1, 2)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["head.conv6.weight"], states[2]["head.conv6.weight"])


@pytest.mark.parametrize(
    "arguments, error",
    [
        ({"backbone": "vgg"}, ConfigError),
        ({"grid": (0, 13)}, ConfigError),
        ({"n_classes": 0}, InputError),
        ({"dropout": -0.1}, InputError),
        ({"kernel_sizes": (2, 3, 3)}, InputError),
        ({"kernel_sizes": (3, 3)}, InputError),
    ],
)
def test_unusable_settings(arguments, error):
    with pytest.raises(error):
        CoarseSegNet(**{"n_classes": 3, "backbone": "small", **arguments})


def test_head_checks_the_depth():
    with pytest.raises(InputError, match=r"\(B, 5, h, w\)"):
        SegNetHead(5, 2)(torch.zeros(1, 4, 3, 3))
