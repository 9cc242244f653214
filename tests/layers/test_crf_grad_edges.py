"""CRF-Grad at its edges: void, precisions, extreme logits, one of everything, bad arguments."""

from __future__ import annotations

import pytest
import torch

from rerank.errors import InputError
from rerank.layers import BilateralTerm, CRFGrad, SpatialTerm, UnaryTerm

H, W = 3, 4


def test_void_pixels_influence_nothing_and_keep_their_probabilities(
    inputs, layer, pair_matrix, explicit_energy
):
    crf = layer()
    logits, image = inputs()
    valid = torch.ones(1, H, W, dtype=torch.bool)
    valid[0, 1, 1] = valid[0, 0, 3] = False
    q = crf(logits, image, valid)
    torch.testing.assert_close(q[:, :, 1, 1], logits.softmax(dim=1)[:, :, 1, 1])
    other_logits, other_image = logits.clone(), image.clone().float()
    other_logits[:, :, 1, 1] = torch.nan
    other_image[:, :, 1, 1] = torch.inf
    again = crf(other_logits, other_image, valid)
    inside = valid[:, None].expand_as(q)
    torch.testing.assert_close(again[inside], q[inside], rtol=0, atol=0)
    assert torch.isnan(again[:, :, 1, 1]).all()
    matrix = pair_matrix(crf, image[0], valid[0].numpy())
    expected = explicit_energy(
        crf, q[0].detach().numpy(), logits[0].numpy(), matrix, valid[0].numpy()
    )
    assert crf.energy(q, logits, image, valid).item() == pytest.approx(expected)
    nothing = torch.zeros(1, H, W, dtype=torch.bool)
    torch.testing.assert_close(crf(logits, image, nothing), logits.softmax(dim=1))
    assert crf.energy(q, logits, image, nothing).item() == 0
    assert (crf.round_labeling(q, logits, image, nothing) == 255).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_precisions_and_autocast(dtype, inputs, layer):
    crf = layer().float()
    logits, image = inputs()
    expected = layer()(logits, image)
    given_ = logits.to(dtype)
    q = crf(given_, image)
    assert q.dtype == dtype
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(q.double(), layer()(given_.double(), image), rtol=0, atol=tolerance)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = crf(logits.float(), image)
    assert inside.dtype == torch.float32
    torch.testing.assert_close(inside.double(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_logits_stay_on_the_simplex_with_finite_gradients(dtype, inputs, layer):
    crf = layer().to(dtype).train()
    logits = torch.tensor([1e4, -1e4, 0.0], dtype=dtype).view(1, 3, 1, 1).repeat(1, 1, H, W)
    logits[:, :, 1] = logits[:, [1, 0, 2], 1]
    logits.requires_grad_()
    image = inputs()[1]
    q = crf(logits, image)
    crf.log_scores(q).sum().backward()
    assert logits.grad is not None and torch.isfinite(logits.grad).all()
    for parameter in crf.parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all()
    q = crf.eval()(logits, image)
    assert (q >= 0).all()
    torch.testing.assert_close(q.sum(dim=1), torch.ones(1, H, W, dtype=dtype))


def test_one_label_one_pixel_and_grey_images():
    assert (CRFGrad(1).eval()(torch.randn(2, 1, 2, 5), torch.zeros(2, 3, 2, 5)) == 1).all()
    single = CRFGrad(2).eval()(torch.tensor([2.0, 0.0]).view(1, 2, 1, 1), torch.zeros(1, 3, 1, 1))
    assert single.flatten().tolist() == pytest.approx([1.0, 0.0])
    grey = CRFGrad(2, bilateral=BilateralTerm(n_channels=1)).eval()
    assert grey.bilateral is not None and grey.bilateral.weight is not None
    assert grey.bilateral.weight.shape[2] == 15
    assert grey(torch.randn(1, 2, 3, 4), torch.zeros(1, 1, 3, 4)).shape == (1, 2, 3, 4)


def test_log_scores_are_a_smooth_logarithm():
    crf = CRFGrad(3, bilateral="none")
    q = torch.tensor([0.6, 0.25, 0.15], dtype=torch.float64).view(1, 3, 1, 1)
    torch.testing.assert_close(crf.log_scores(q).softmax(dim=1), q)
    line = torch.linspace(-0.5, 0.5, 1001, dtype=torch.float64).requires_grad_()
    scores = crf.log_scores(line, floor=0.1)
    (slope,) = torch.autograd.grad(scores.sum(), line)
    assert (slope > 0).all() and (slope.diff().abs() < 0.2).all()
    assert (slope[line < 0.09] == 10).all()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda *_: CRFGrad(0), "n_labels must be at least 1"),
        (lambda *_: CRFGrad(2, n_steps=0), "n_steps must be at least 1"),
        (lambda *_: CRFGrad(2, spatial="potts"), "spatial must be one of learned, gaussian, none"),
        (lambda *_: CRFGrad(2, bilateral=None), "bilateral must be one of"),
        (lambda *_: CRFGrad(2, step_size=0.0), "step_size"),
        (lambda *_: CRFGrad(2, leak=2.0), "leak"),
        (lambda *_: SpatialTerm(radius=0), "spatial radius must be at least 1, got 0"),
        (lambda *_: SpatialTerm("gaussian", std=0.0), "spatial std must be positive, got 0.0"),
        (lambda *_: SpatialTerm("potts"), "spatial must be one of learned, gaussian, none"),
        (lambda *_: BilateralTerm(radius=0), "bilateral radius must be at least 1, got 0"),
        (lambda *_: BilateralTerm(n_channels=0), "n_channels must be at least 1, got 0"),
        (lambda *_: UnaryTerm(eps=0.0), "eps must be positive, got 0.0"),
        (
            lambda crf, logits, image: crf(logits[:, :2], image),
            r"\(B, 3, H, W\).*got \(1, 2, 3, 4\)",
        ),
        (lambda crf, logits, image: crf(logits[0], image), r"got \(3, 3, 4\)"),
        (lambda crf, logits, image: crf(logits.long(), image), "floating point"),
        (lambda crf, logits, image: crf(logits), "image is needed"),
        (
            lambda crf, logits, image: crf(logits, image[:, :, :2]),
            r"shape \(1, 3, 3, 4\), got \(1, 3, 2, 4\)",
        ),
        (lambda crf, logits, image: crf(logits, image[:, :1]), "image must have 3 channels"),
        (lambda crf, logits, image: crf(logits, image * torch.nan), "image must be finite"),
        (
            lambda crf, logits, image: crf(logits, image, torch.ones(1, 4, 3, dtype=torch.bool)),
            r"valid must be bool and of shape \(1, 3, 4\)",
        ),
        (lambda crf, logits, image: crf(logits, image, torch.ones(1, H, W)), "got torch.float32"),
        (
            lambda crf, logits, image: crf.energy(logits[:, :2], logits, image),
            r"q must be.*\(1, 2, 3, 4\)",
        ),
        (
            lambda crf, logits, image: crf.energy(torch.full((1, H, W), 3), logits, image),
            "labels must be 0..2",
        ),
        (
            lambda crf, logits, image: crf.round_labeling(logits, logits, image),
            "q must be on the simplex",
        ),
        (
            lambda crf, logits, image: crf.round_labeling(logits * torch.nan, logits, image),
            "on the simplex",
        ),
        (lambda crf, logits, image: crf.trajectory(logits, image, n_steps=-1), "n_steps"),
        (lambda crf, logits, image: crf.log_scores(logits, floor=0.0), "floor"),
    ],
)
def test_unusable_arguments_are_named(call, message, inputs, layer):
    with pytest.raises(InputError, match=message):
        call(layer(), *inputs())
