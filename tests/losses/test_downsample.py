import pytest
import torch
from torch.nn import functional as F

from rerank.losses.downsample import DOWNSAMPLERS

SIZE = (14, 19)


def draw(seed=0, void=False):
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand((3,) + SIZE, generator=generator, dtype=torch.float64)
    if not void:
        return maps, None
    weights = torch.rand(SIZE, generator=generator, dtype=torch.float64)
    weights[weights < 0.4] = 0.0
    weights[:5, 3:9] = 0.0
    return maps, weights


every_way = pytest.mark.parametrize("name", DOWNSAMPLERS)
every_factor = pytest.mark.parametrize("factor", [1, 2, 3, 4, 5])


@every_factor
def test_without_void_they_are_the_operations_of_torch(factor):
    maps, _ = draw()
    h, w = (s // factor * factor for s in SIZE)
    cropped = maps[None, :, :h, :w]
    expected = {
        "average": F.avg_pool2d(maps[None], factor),
        "maximum": F.max_pool2d(maps[None], factor),
        "interpolation": F.interpolate(
            cropped, scale_factor=1 / factor, mode="bilinear", align_corners=False
        ),
    }
    for name, make in DOWNSAMPLERS.items():
        sampler = make(factor, *SIZE, None, maps)
        torch.testing.assert_close(sampler.down(maps), expected[name][0])
        assert sampler.valid.all() and sampler.valid.shape == expected[name].shape[2:]
    nearest = F.interpolate(cropped, scale_factor=1 / factor, mode="nearest")[0]
    sampler = DOWNSAMPLERS["interpolation"](factor, *SIZE, None, maps)
    torch.testing.assert_close(sampler.down_target(maps), nearest)


@every_way
@every_factor
@pytest.mark.parametrize("void", [False, True])
def test_up_is_the_derivative_of_down(name, factor, void):
    maps, weights = draw(1, void)
    sampler = DOWNSAMPLERS[name](factor, *SIZE, weights, maps)
    down = sampler.down(maps)
    gradient = torch.randn(down.shape, dtype=torch.float64) * sampler.valid
    step = 1e-6 * torch.randn(maps.shape, dtype=torch.float64)
    up = torch.full_like(maps, 7.0)
    sampler.up(gradient, up)
    change = DOWNSAMPLERS[name](factor, *SIZE, weights, maps).down(maps + step) - down
    torch.testing.assert_close((up * step).sum(), (gradient * change).sum(), rtol=1e-6, atol=1e-12)


@every_way
@every_factor
def test_void_pixels_are_not_looked_at(name, factor):
    maps, weights = draw(2, void=True)
    sampler = DOWNSAMPLERS[name](factor, *SIZE, weights, maps)
    other = torch.where(weights > 0, maps, torch.full_like(maps, 9.0))
    torch.testing.assert_close(sampler.down(other), sampler.down(maps))
    cells = F.max_pool2d(weights[None, None], factor)[0, 0] > 0
    if name == "interpolation":
        assert (sampler.valid <= cells).all()
    else:
        assert torch.equal(sampler.valid, cells)
    equal = torch.full_like(maps, 0.3)
    assert torch.allclose(sampler.down(equal)[:, sampler.valid], torch.tensor(0.3).double())


@every_way
def test_weights_of_one_are_no_weights(name):
    maps, _ = draw(3)
    ones = torch.ones(SIZE, dtype=torch.float64)
    with_weights = DOWNSAMPLERS[name](3, *SIZE, ones, maps)
    without = DOWNSAMPLERS[name](3, *SIZE, None, maps)
    torch.testing.assert_close(with_weights.down(maps), without.down(maps))
    torch.testing.assert_close(with_weights.down_target(maps), without.down_target(maps))


@every_way
@pytest.mark.parametrize("void", [False, True])
def test_an_image_smaller_than_a_cell_has_none(name, void):
    maps, weights = draw(4, void)
    sampler = DOWNSAMPLERS[name](15, *SIZE, weights, maps)
    assert sampler.down(maps).shape == (3, 0, 1)
    assert sampler.valid.numel() == 0


@every_way
@every_factor
@pytest.mark.parametrize("void", [False, True])
def test_labels_come_down_as_their_one_hot_maps(name, factor, void):
    labels = torch.randint(0, 4, SIZE, generator=torch.Generator().manual_seed(5))
    weights = None
    if void:
        weights = torch.ones(SIZE, dtype=torch.float64)
        weights[2:9, 5:12] = 0.0
    one_hot = (labels == torch.arange(4)[:, None, None]).double()
    sampler = DOWNSAMPLERS[name](factor, *SIZE, weights, one_hot)
    torch.testing.assert_close(sampler.down_labels(labels, 4), sampler.down_target(one_hot))
