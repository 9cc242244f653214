import numpy as np
import pytest
import torch

from rerank.errors import ConfigError, DataError, InputError
from rerank.nets import BackboneWeights, Preprocessing, build_backbone, preprocessing_by_name
from rerank.nets.architectures import ARCHITECTURES

# name, filters of the convolutions, output at the native size, parameters counted by hand
KNOWN = [
    ("caffenet", (96, 256, 384, 384, 256), (256, 13, 13), 2_334_080),
    ("alexnet", (64, 192, 384, 256, 256), (256, 13, 13), 2_469_696),
    ("squeezenet1_0", None, (512, 13, 13), 735_424),
    ("small", (24, 48, 96, 128), (128, 13, 13), None),
]


@pytest.mark.parametrize("name, filters, shape, n_parameters", KNOWN)
def test_shapes_are_the_published_ones(name, filters, shape, n_parameters):
    backbone = build_backbone(name, random_state=0)
    height, width = backbone.input_size()
    assert (height, width) == ((104, 104) if name == "small" else (227, 227))
    assert backbone(torch.zeros(1, 3, height, width)).shape == (1, *shape)
    assert backbone.n_channels == shape[0]
    if filters is not None:
        convolutions = [m for m in backbone.modules() if isinstance(m, torch.nn.Conv2d)]
        assert tuple(c.out_channels for c in convolutions) == filters
    if n_parameters is not None:
        assert sum(p.numel() for p in backbone.parameters()) == n_parameters


def test_caffenet_has_groups_and_pools_before_it_normalises():
    backbone = build_backbone("caffenet", random_state=0)
    groups = {
        name: layer.groups
        for name, layer in backbone.layers.named_children()
        if name.startswith("conv")
    }
    assert groups == {"conv1": 1, "conv2": 2, "conv3": 1, "conv4": 2, "conv5": 2}
    assert backbone.layer_names[:3] == ("conv1", "pool1", "norm1")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_any_grid_has_an_input_size(name):
    backbone = build_backbone(name, random_state=0)
    for grid in ((26, 26), (5, 9), (1, 2)):
        assert backbone.output_size(backbone.input_size(grid)) == grid
    assert backbone(torch.zeros(1, 3, *backbone.input_size((5, 9)))).shape[2:] == (5, 9)
    with pytest.raises(ConfigError, match="grid"):
        backbone.input_size((0, 3))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_output_sizes_are_predicted_for_every_layer(name):
    backbone = build_backbone(name, random_state=0)
    images = torch.zeros(1, 3, 97, 122)
    outputs = backbone.activations(images, backbone.layer_names)
    for layer, output in outputs.items():
        assert backbone.output_size((97, 122), layer) == tuple(output.shape[2:])
    torch.testing.assert_close(outputs[backbone.layer_names[-1]], backbone(images))


@pytest.mark.parametrize("name", ["caffenet", "alexnet", "squeezenet1_0"])
def test_geometry_is_the_centre_of_the_receptive_field(name):
    """The gradient of a cell of a linearised network is symmetric about its centre."""
    backbone = build_backbone(name, random_state=0)
    for layer in backbone.layer_names:
        image = torch.rand(1, 3, 179, 179, generator=torch.Generator().manual_seed(0))
        place = backbone.geometry(layer)
        rows, _ = backbone.output_size((179, 179), layer)
        cell = rows // 2
        image = (image * 255).requires_grad_()
        # Every pixel in the field has some path; the field's extent gives its centre.
        output = backbone.activations(image, [layer])[layer]
        output[0, :, cell, cell].sum().backward()
        touched = torch.nonzero(image.grad.abs().sum((0, 1, 3))).flatten()
        centre = (touched.min() + touched.max() + 1).item() / 2
        assert centre == pytest.approx(place.first_centre + cell * place.stride, abs=3.0)


def test_frozen_but_for_the_small_one():
    assert not any(p.requires_grad for p in build_backbone("alexnet").parameters())
    assert all(p.requires_grad for p in build_backbone("small").parameters())
    assert not build_backbone("small").training


def test_equal_seeds_give_equal_filters_and_leave_the_global_state():
    before = torch.random.get_rng_state()
    first, second, other = (build_backbone("small", random_state=s) for s in (5, 5, 6))
    assert torch.equal(before, torch.random.get_rng_state())
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
    assert not torch.equal(first.layers.conv1.conv.weight, other.layers.conv1.conv.weight)


def test_random_filters_follow_he():
    layer = build_backbone("alexnet", random_state=0).layers.conv3
    assert layer.weight.std().item() == pytest.approx((2 / (192 * 9)) ** 0.5, rel=0.01)
    assert not layer.bias.any()


def test_preprocessing_happens_inside():
    image = np.random.default_rng(0).integers(0, 256, (1, 3, 40, 50)).astype(np.float32)
    own = Preprocessing("BGR", 0.5, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
    weights = build_backbone("small", random_state=0)
    backbone = build_backbone(
        "small", BackboneWeights("small", weights.layers.state_dict(), own, "argument", "-")
    )
    expected = (image[:, ::-1] * 0.5 - np.array([1, 2, 3])[:, None, None]) / np.array([4, 5, 6])[
        :, None, None
    ]
    result = backbone.preprocess(torch.from_numpy(image).to(torch.uint8))
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-5)


def test_unusable_input_is_named():
    backbone = build_backbone("squeezenet1_0", random_state=0)
    with pytest.raises(InputError, match=r"\(B, 3, H, W\)"):
        backbone(torch.zeros(1, 1, 50, 50))
    with pytest.raises(InputError, match="too small for layer fire9"):
        backbone(torch.zeros(1, 3, 5, 50))
    with pytest.raises(InputError, match="fire99"):
        backbone.activations(torch.zeros(1, 3, 50, 50), ["fire99"])
    with pytest.raises(InputError, match="none"):
        backbone.activations(torch.zeros(1, 3, 50, 50), [])
    with pytest.raises(ConfigError, match="vgg"):
        build_backbone("vgg")


def test_weights_of_another_architecture():
    state = build_backbone("small", random_state=0).layers.state_dict()
    weights = BackboneWeights("small", state, preprocessing_by_name("caffe"), "argument", "x.npz")
    with pytest.raises(DataError, match="x.npz: holds weights of small, expected alexnet"):
        build_backbone("alexnet", weights)


@pytest.mark.parametrize(
    "changed",
    [
        {"channel_order": "GBR"},
        {"scale": 0.0},
        {"mean": (1.0, 2.0)},
        {"std": (1.0, 0.0, 1.0)},
        {"mean": (float("nan"), 0.0, 0.0)},
    ],
)
def test_unusable_preprocessing(changed):
    record = {"channel_order": "RGB", "scale": 1.0, "mean": (0.0,) * 3, "std": (1.0,) * 3}
    with pytest.raises(ConfigError, match=next(iter(changed))):
        Preprocessing(**{**record, **changed})


def test_preprocessing_survives_json():
    own = preprocessing_by_name("torchvision")
    assert Preprocessing.from_json(own.to_json()) == own
    with pytest.raises(ConfigError, match="expected the keys"):
        Preprocessing.from_json('{"scale": 1}')
    with pytest.raises(ConfigError, match="not JSON"):
        Preprocessing.from_json("caffe")
    with pytest.raises(ConfigError, match="caffe, torchvision"):
        preprocessing_by_name("tf")
