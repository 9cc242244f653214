import numpy as np
import pytest
import torch

from rerank.errors import InputError
from rerank.nets import backbone_activations, build_backbone, multi_layer_activations, warp_image


@pytest.fixture(scope="module")
def backbone():
    return build_backbone("squeezenet1_0", random_state=0)


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def test_maps_of_warped_images(backbone):
    images = [noise(30, 40), noise(227, 227), noise(64, 20)]
    maps = backbone_activations(backbone, images)
    assert maps.shape == (3, 512, 13, 13) and maps.dtype == np.float32
    x = torch.from_numpy(images[1]).permute(2, 0, 1)[None]
    with torch.no_grad():
        np.testing.assert_allclose(maps[1], backbone(x)[0].numpy(), rtol=1e-4, atol=1e-5)


def test_an_images_map_does_not_depend_on_the_others(backbone):
    images = [noise(30, 40, seed) for seed in range(3)]
    whole = backbone_activations(backbone, images, 99)
    assert np.array_equal(whole[1:2], backbone_activations(backbone, images[1:2], 99))
    batched = backbone_activations(backbone, images, (99, 99), batch_size=2)
    np.testing.assert_allclose(whole, batched, rtol=1e-3, atol=1e-4)
    assert backbone_activations(backbone, [], 99).shape == (0, 512, 5, 5)


def test_flip_is_the_map_of_the_mirrored_image(backbone):
    image = noise(99, 99)
    mirrored = backbone_activations(backbone, [image[:, ::-1].copy()], 99)
    assert np.array_equal(backbone_activations(backbone, [image], 99, flip=True), mirrored)


def test_warp_keeps_constants_and_means():
    flat = np.full((31, 17, 3), 77, np.uint8)
    assert (warp_image(flat, (50, 9)) == 77).all()
    # An antialiased filter sees every pixel: a fine checkerboard becomes its mean.
    board = np.indices((120, 160)).sum(0) % 2
    board = np.repeat((board * 255).astype(np.uint8)[..., None], 3, 2)
    assert np.abs(warp_image(board, (20, 20)).astype(int) - 127).max() <= 2
    assert warp_image(flat, (31, 17)) is flat


def test_place_of_cells_follows_the_scale(backbone):
    image = noise(60, 80)
    (native,) = multi_layer_activations(backbone, image, ["fire4"])
    (double,) = multi_layer_activations(backbone, image, ["fire4"], scale=2.0)
    assert native.stride == (4.0, 4.0) and native.image_size == (60, 80)
    assert double.stride == (2.0, 2.0)
    assert double.first_centre[0] == pytest.approx(native.first_centre[0] / 2)
    assert double.values.shape[1] > native.values.shape[1]


def test_a_spot_lights_up_its_own_cell(backbone):
    """The strongest change of a map lies at the cell whose centre is nearest to the spot."""
    image = np.full((128, 160, 3), 120, np.uint8)
    plain = multi_layer_activations(backbone, image, ["conv1", "fire3"])
    image[69:72, 99:102] = 255
    lit = multi_layer_activations(backbone, image, ["conv1", "fire3"])
    for before, after in zip(plain, lit):
        change = np.abs(after.values - before.values).sum(0)
        row, column = (np.indices(change.shape) * change).sum((1, 2)) / change.sum()
        assert after.first_centre[0] + row * after.stride[0] == pytest.approx(70.5, abs=1.5)
        assert after.first_centre[1] + column * after.stride[1] == pytest.approx(100.5, abs=1.5)


def test_torchs_threads_are_put_back(backbone):
    before = torch.get_num_threads()
    backbone_activations(backbone, [noise(20, 20)], 99, n_threads=2)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((5, 5), np.uint8),
        np.zeros((5, 5, 4), np.uint8),
        np.zeros((5, 5, 3)),
        np.zeros((0, 5, 3), np.uint8),
    ],
)
def test_unusable_images(backbone, image):
    with pytest.raises(InputError, match="uint8"):
        backbone_activations(backbone, [image])
    with pytest.raises(InputError, match="uint8"):
        multi_layer_activations(backbone, image, ["conv1"])


def test_unusable_arguments(backbone):
    with pytest.raises(InputError, match="batch_size"):
        backbone_activations(backbone, [noise(9, 9)], batch_size=0)
    with pytest.raises(InputError, match="too small"):
        backbone_activations(backbone, [noise(9, 9)], 5)
    with pytest.raises(InputError, match="scale"):
        multi_layer_activations(backbone, noise(9, 9), ["conv1"], scale=0.0)
    with pytest.raises(InputError, match="scale"):
        multi_layer_activations(backbone, noise(9, 9), ["conv1"], scale=2.0, size=(9, 9))
