import math
from dataclasses import fields

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from rerank.errors import InputError
from rerank.losses import (
    RMILoss,
    RMISettings,
    region_mutual_information,
    rmi_loss,
    soft_cross_entropy,
)
from rerank.losses.mutual_information import region_information


def arguments(**given):
    """Arguments of the loss, of which some belong into its settings."""
    inner = {f.name for f in fields(RMISettings)}
    settings = RMISettings(**{key: value for key, value in given.items() if key in inner})
    return {key: value for key, value in given.items() if key not in inner} | {"settings": settings}


def direct_pool(maps, factor, pooling, mask=None, target=False):
    """Cells by loops over pixels that are not void; NaN where a cell has none."""
    if pooling == "interpolation":
        options = {"mode": "nearest"} if target else {"mode": "bilinear", "align_corners": False}
        if mask is None:
            h, w = maps.shape[-2] // factor * factor, maps.shape[-1] // factor * factor
            return F.interpolate(maps[None, :, :h, :w], scale_factor=1 / factor, **options)[0]
    cells = []
    for i in range(maps.shape[1] // factor):
        for j in range(maps.shape[2] // factor):
            rows = slice(i * factor, (i + 1) * factor)
            columns = slice(j * factor, (j + 1) * factor)
            pixels = maps[:, rows, columns].reshape(len(maps), -1)
            if mask is not None:
                pixels = pixels[:, mask[rows, columns].reshape(-1)]
            if pixels.shape[1] == 0:
                cells.append(torch.full((len(maps),), math.nan, dtype=maps.dtype))
            else:
                cells.append(
                    pixels.mean(dim=1) if pooling == "average" else pixels.max(dim=1).values
                )
    return torch.stack(cells, dim=1).reshape(
        len(maps), maps.shape[1] // factor, maps.shape[2] // factor
    )


def direct_points(channel, size):
    h, w = channel.shape
    return torch.stack(
        [
            channel[i : i + size, j : j + size].reshape(-1)
            for i in range(h - size + 1)
            for j in range(w - size + 1)
        ]
    )


def direct_information(logits, labels, size=3, factor=4, pooling="average", xi=1e-6):
    """Eq. 12 to 15 read off the page: means, outer products, an inverse, a matrix logarithm."""
    b, c = logits.shape[:2]
    information = torch.zeros(b, c, dtype=torch.float64)
    for n in range(b):
        seen = labels[n] != 255
        mask = None if seen.all() else seen
        truth = F.one_hot(labels[n].masked_fill(~seen, 0), c).permute(2, 0, 1).double()
        truth = direct_pool(truth, factor, pooling, mask, target=True)
        predicted = direct_pool(torch.sigmoid(logits[n]), factor, pooling, mask)
        for k in range(c):
            y, p = direct_points(truth[k], size), direct_points(predicted[k], size)
            keep = ~torch.isnan(y).any(dim=1)
            y, p = y[keep], p[keep]
            n_points, d = y.shape
            y_mean, p_mean = y.sum(dim=0) / n_points, p.sum(dim=0) / n_points
            s_y = sum(torch.outer(v - y_mean, v - y_mean) for v in y) / n_points
            s_p = sum(torch.outer(v - p_mean, v - p_mean) for v in p) / n_points
            cov = sum(torch.outer(v - y_mean, u - p_mean) for v, u in zip(y, p)) / n_points
            m = s_y - cov @ torch.linalg.inv(s_p).T @ cov.T
            eigenvalues = torch.linalg.eigvalsh(m + xi * torch.eye(d, dtype=torch.float64))
            information[n, k] = -torch.log(eigenvalues).sum() / (2 * d)
    return information


def direct_loss(logits, labels, weight=0.5, **options):
    """Eq. 16 with the cross-entropy of sigmoid channels."""
    b, c = logits.shape[:2]
    information = direct_information(logits, labels, **options)
    seen = labels != 255
    truth = F.one_hot(labels.masked_fill(~seen, 0), c).bool()
    z = logits.permute(0, 2, 3, 1)
    entropy = -torch.where(truth, F.logsigmoid(z), F.logsigmoid(-z))[seen].sum() / seen.sum()
    return weight * entropy - (1 - weight) * information.sum() / b


def draw(scale=1.0, shape=(2, 3, 26, 33), seed=0, smooth=False, dtype=torch.float64):
    """Logits that know something of blocky labels, so that the information is not nothing."""
    generator = torch.Generator().manual_seed(seed)
    b, c, h, w = shape
    coarse = torch.randint(0, c, (b, 1, h // 3 + 1, w // 3 + 1), generator=generator).double()
    labels = F.interpolate(coarse, size=(h, w), mode="nearest")[:, 0].long()
    noise = torch.randn(shape, generator=generator, dtype=torch.float64)
    if smooth:
        noise = 3 * F.avg_pool2d(F.pad(noise, (4, 4, 4, 4), mode="reflect"), 9, stride=1)
    truth = F.one_hot(labels, c).permute(0, 3, 1, 2).double()
    logits = scale * (noise + truth - 0.5)
    return logits.to(dtype).requires_grad_(), labels


def with_gradient(loss, logits):
    (gradient,) = torch.autograd.grad(loss, logits)
    return loss.item(), gradient


def relative(left, right):
    return ((left - right).norm() / right.norm()).item()


@pytest.mark.parametrize("scale", [0.2, 1.0, 8.0])
@pytest.mark.parametrize(
    "options",
    [
        {"size": 3, "factor": 4},
        {"size": 2, "factor": 3, "pooling": "maximum"},
        {"size": 3, "factor": 3, "pooling": "interpolation"},
        {"size": 2, "factor": 4, "pooling": "interpolation"},
        {"size": 4, "factor": 2},
        {"size": 1, "factor": 5},
        {"size": 3, "factor": 1, "pooling": "maximum"},
    ],
    ids=lambda o: "-".join(str(v) for v in o.values()),
)
def test_value_and_gradient_are_those_of_the_formulas(scale, options):
    shape = (2, 3, 26, 33) if options["factor"] * options["size"] > 5 else (1, 2, 14, 17)
    logits, labels = draw(scale, shape)
    expected, expected_gradient = with_gradient(direct_loss(logits, labels, **options), logits)
    ours = {"region_size" if k == "size" else k: v for k, v in options.items()}
    value, gradient = with_gradient(rmi_loss(logits, labels, **arguments(**ours)), logits)
    assert value == pytest.approx(expected, rel=1e-6)
    assert relative(gradient, expected_gradient) < 1e-6
    information = region_mutual_information(logits, labels, **arguments(**ours))
    torch.testing.assert_close(
        information, direct_information(logits, labels, **options), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("pooling", ["average", "maximum"])
@pytest.mark.parametrize("scale", [0.2, 1.0, 8.0])
def test_void_is_no_part_of_a_cell_and_a_cell_of_void_is_in_no_region(pooling, scale):
    logits, labels = draw(scale, (2, 2, 30, 41), seed=1)
    labels[0, 3:6, :] = 255
    labels[1, 12:24, 20:29] = 255
    labels[1, 0, 0] = 255
    options = {"pooling": pooling, "factor": 3}
    expected, expected_gradient = with_gradient(
        direct_loss(logits, labels, size=2, **options), logits
    )
    value, gradient = with_gradient(
        rmi_loss(logits, labels, region_size=2, **arguments(**options)), logits
    )
    assert value == pytest.approx(expected, rel=1e-6)
    assert relative(gradient, expected_gradient) < 1e-6
    void = (labels == 255).unsqueeze(1).expand_as(logits)
    assert not gradient[void].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("scale", [0.2, 1.0, 8.0])
def test_float32_has_the_error_that_the_docstring_states(scale, smooth, dtype):
    logits, labels = draw(scale, (2, 4, 120, 161), smooth=smooth)
    exact, exact_gradient = with_gradient(rmi_loss(logits, labels), logits)
    narrow = logits.detach().float().requires_grad_()
    value, gradient = with_gradient(
        rmi_loss(narrow, labels, settings=RMISettings(dtype=dtype)), narrow
    )
    assert value == pytest.approx(exact, rel=1e-5)
    assert relative(gradient.double(), exact_gradient) < 1e-4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_maps_of_constant_pieces_are_finite_although_their_covariance_is_singular(dtype):
    generator = torch.Generator().manual_seed(2)
    for scale in (1.0, 30.0, 1e4):
        coarse = scale * torch.randn(1, 5, 4, 5, generator=generator)
        logits = F.interpolate(coarse, size=(120, 160), mode="nearest").requires_grad_()
        labels = logits.argmax(dim=1).roll((9, 7), dims=(1, 2))
        value, gradient = with_gradient(
            rmi_loss(logits, labels, settings=RMISettings(dtype=dtype)), logits
        )
        exact = rmi_loss(logits.detach().double(), labels).item()
        assert value == pytest.approx(exact, rel=1e-4)
        assert gradient.isfinite().all()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pooling": "maximum"},
        {"pooling": "interpolation"},
        {"cross_entropy_weight": 0.0},
        {"cross_entropy": "softmax"},
        {"reduction": "mean"},
        {"factor": 1, "region_size": 3},
    ],
)
def test_gradcheck(options):
    logits, labels = draw(1.0, (2, 2, 13, 14))
    labels[0, :2, :3] = 255
    options = {"factor": 2, "region_size": 2, **options}

    def check(function, options):
        return torch.autograd.gradcheck(
            lambda z: function(z, labels, **options), (logits,), fast_mode=True
        )

    assert check(rmi_loss, arguments(**options))
    assert check(region_mutual_information, {"factor": 2, "region_size": 2})


def test_the_parts_add_up_as_equation_16_says():
    logits, labels = draw()
    information = region_mutual_information(logits, labels).sum(dim=1).mean()
    alone = rmi_loss(logits, labels, settings=RMISettings(cross_entropy_weight=0.0))
    assert alone.item() == pytest.approx(-information.item())
    mean = rmi_loss(
        logits, labels, settings=RMISettings(cross_entropy_weight=0.0), reduction="mean"
    )
    assert mean.item() == pytest.approx(-information.item() / 3)
    with_softmax = rmi_loss(
        logits, labels, settings=RMISettings(cross_entropy_weight=0.3, cross_entropy="softmax")
    )
    assert with_softmax.item() == pytest.approx(
        0.3 * soft_cross_entropy(logits, labels).item() - 0.7 * information.item()
    )
    binary = (
        F.binary_cross_entropy_with_logits(
            logits, F.one_hot(labels, 3).permute(0, 3, 1, 2).double(), reduction="none"
        )
        .sum(dim=1)
        .mean()
    )
    assert rmi_loss(
        logits, labels, settings=RMISettings(cross_entropy_weight=1.0)
    ).item() == pytest.approx(binary.item())


def test_a_soft_target_that_is_one_hot_gives_what_labels_give():
    logits, labels = draw(seed=4)
    labels[0, :7, :9] = 255
    seen = (labels != 255).unsqueeze(1)
    soft = F.one_hot(labels.masked_fill(labels == 255, 0), 3).permute(0, 3, 1, 2) * seen.double()
    for pooling in ("average", "maximum", "interpolation"):
        by_labels, first = with_gradient(
            rmi_loss(logits, labels, settings=RMISettings(pooling)), logits
        )
        by_soft, second = with_gradient(
            rmi_loss(logits, soft, settings=RMISettings(pooling)), logits
        )
        assert by_soft == pytest.approx(by_labels, rel=1e-12)
        torch.testing.assert_close(first, second)


def test_weights_of_zero_are_void():
    logits, labels = draw(seed=5)
    weights = torch.ones(labels.shape)
    weights[:, 5:15, 4:20] = 0
    masked = labels.masked_fill(weights == 0, 255)
    for pooling in ("average", "maximum", "interpolation"):
        value, first = with_gradient(
            rmi_loss(logits, labels, weights=2 * weights, factor=3, settings=RMISettings(pooling)),
            logits,
        )
        expected, second = with_gradient(
            rmi_loss(logits, masked, factor=3, settings=RMISettings(pooling)), logits
        )
        assert value == pytest.approx(expected, rel=1e-10)
        torch.testing.assert_close(first, second)


def test_an_absent_class_is_a_constant_of_largest_information():
    logits, labels = draw(shape=(1, 3, 26, 33))
    labels[labels == 2] = 1
    information = region_mutual_information(logits, labels)
    assert information[0, 2].item() == pytest.approx(-0.5 * math.log(1e-6))
    (gradient,) = torch.autograd.grad(information.sum(), logits)
    assert gradient[:, 2].abs().max() < 1e-9 < gradient[:, 1].abs().max()


def test_a_perfect_prediction_has_more_information_than_a_noisy_one():
    _, labels = draw()
    truth = F.one_hot(labels, 3).permute(0, 3, 1, 2).double()
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(0)).double()
    values = [region_mutual_information(20 * truth - 10 + s * noise, labels) for s in (0, 5, 20)]
    assert (values[0] > values[1]).all() and (values[1] > values[2]).all()


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (11, 11), (12, 11)])
def test_an_image_smaller_than_a_region_leaves_the_cross_entropy(size):
    logits, labels = draw(shape=(2, 3) + size)
    assert not region_mutual_information(logits, labels).any()
    assert rmi_loss(logits, labels).item() == pytest.approx(
        0.5 * rmi_loss(logits, labels, settings=RMISettings(cross_entropy_weight=1.0)).item()
    )


def test_an_image_without_a_region_is_left_out_of_the_mean_over_images():
    logits, labels = draw(shape=(2, 3, 26, 33))
    labels[1] = 255
    alone = rmi_loss(logits[:1], labels[:1], settings=RMISettings(cross_entropy_weight=0.0))
    both = rmi_loss(logits, labels, settings=RMISettings(cross_entropy_weight=0.0))
    assert both.item() == pytest.approx(alone.item())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("value", [0.0, 1e4, -1e4])
def test_a_constant_prediction_is_finite(dtype, value):
    _, labels = draw()
    logits = torch.full((2, 3, 26, 33), value, requires_grad=True)
    loss = rmi_loss(logits, labels, settings=RMISettings(dtype=dtype))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.isfinite() and gradient.isfinite().all()


def test_nothing_but_the_gradient_is_kept_and_no_gradient_means_none_is_computed():
    logits, labels = draw()
    loss = rmi_loss(logits, labels)
    saved = loss.grad_fn.next_functions[0][0].saved_tensors
    assert [t.shape for t in saved] == [logits.shape]
    with torch.no_grad():
        assert rmi_loss(logits, labels).item() == loss.item()
    loss.backward(retain_graph=True)
    first = logits.grad.clone()
    loss.backward()
    torch.testing.assert_close(logits.grad, 2 * first)


def test_a_ridge_on_the_sums_is_one_over_the_points_on_the_covariance():
    """Void takes regions away, so that each image has its own number of points."""
    logits, labels = draw()
    labels[1, :6, :6] = 255
    ridge = 5e-4
    found = region_mutual_information(
        logits,
        labels,
        region_size=2,
        factor=2,
        settings=RMISettings(prediction_ridge=ridge, ridge_scale="sum"),
    )
    for index in range(len(labels)):
        seen = labels[index : index + 1]
        cells = F.max_pool2d((seen != 255).float(), 2)[0] > 0
        points = int((cells[:-1, :-1] & cells[1:, :-1] & cells[:-1, 1:] & cells[1:, 1:]).sum())
        expected = region_mutual_information(
            logits[index : index + 1],
            seen,
            region_size=2,
            factor=2,
            settings=RMISettings(prediction_ridge=ridge / points),
        )
        torch.testing.assert_close(found[index : index + 1], expected)
    assert len({int(c) for c in (labels == 255).sum(dim=(1, 2))}) > 1


def test_only_a_large_ridge_sees_the_level_of_a_class():
    """A map a thousand times lower tells the same with the default, and nothing with 1e-4."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.zeros(1, 24, 32, dtype=torch.float64)
    truth[0, 5:15, 10:22] = 1
    prediction = 0.6 * truth + 0.2 * torch.rand(1, 24, 32, generator=generator).double()
    valid = torch.ones(24, 32, dtype=torch.bool)
    for ridge, apart in ((RMISettings().prediction_ridge, False), (1e-4, True)):
        high, low = (
            float(region_information(p, truth, valid, 3, 1e-6, ridge, False).values[0])
            for p in (prediction, 1e-3 * prediction)
        )
        assert (abs(high - low) > 0.3) == apart, (ridge, high, low)
        assert apart or high == pytest.approx(low, abs=1e-3)


def test_nan_logits_give_nan():
    logits, labels = draw()
    logits.data[0, 1, 3, 4] = math.nan
    assert rmi_loss(logits, labels).isnan()


def test_the_module_and_the_function_agree():
    logits, labels = draw()
    given = arguments(
        region_size=2,
        factor=3,
        pooling="maximum",
        cross_entropy_weight=0.2,
        cross_entropy="softmax",
        xi=1e-4,
        prediction_ridge=1e-5,
        dtype=torch.float32,
        reduction="mean",
    )
    module, expected = RMILoss(**given), rmi_loss(logits, labels, **given)
    assert module(logits, labels).item() == expected.item()
    assert np.isfinite(expected.item())


@pytest.mark.parametrize(
    "options, message",
    [
        ({"pooling": "min"}, "average, maximum, interpolation; got 'min'"),
        ({"cross_entropy": "focal"}, "binary, softmax; got 'focal'"),
        ({"reduction": "none"}, "sum, mean; got 'none'"),
        ({"region_size": 0}, "region_size must be a whole number of at least 1, got 0"),
        ({"factor": 2.5}, "factor must be a whole number of at least 1, got 2.5"),
        ({"xi": 0.0}, "xi must be positive and finite, got 0.0"),
        ({"prediction_ridge": -1.0}, "prediction_ridge must be positive and finite, got -1.0"),
        ({"ridge_scale": "n"}, "mean, sum; got 'n'"),
        ({"cross_entropy_weight": 1.5}, r"\[0, 1\], got 1.5"),
        ({"dtype": torch.float16}, "torch.float64 or torch.float32, got torch.float16"),
    ],
)
def test_unusable_settings_are_named(options, message):
    logits, labels = draw()
    with pytest.raises(InputError, match=message):
        rmi_loss(logits, labels, **arguments(**options))
    with pytest.raises(InputError, match=message):
        RMILoss(**arguments(**options))
