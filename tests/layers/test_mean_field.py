"""The dense CRF: known answers, a mean field on explicit matrices, void, shapes, gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rerank.errors import InputError
from rerank.layers import (
    BilateralKernel,
    GaussianKernel,
    LatticeCache,
    PermutohedralLattice,
    UnaryFromSoftmax,
    dense_crf,
    lattice_graph,
)

H, W = 4, 6
NO_GAUSSIAN = GaussianKernel(compatibility=0)


def scene() -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (3, 4, 6) and an image (4, 6, 3) that need no random numbers."""
    y, x = np.mgrid[:H, :W]
    image = np.stack([40 * x + 5 * y, 200 - 30 * x, (x * y * 17) % 60], -1).astype(np.uint8)
    scores = np.stack([np.sin(x + 2 * y), np.cos(3 * x - y), np.sin(x * y) * 0.5])
    probabilities = np.exp(scores)
    return probabilities / probabilities.sum(axis=0), image


def as_tensors(probabilities: np.ndarray, image: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(probabilities), torch.from_numpy(image.transpose(2, 0, 1).copy())


def mean_field_on_matrices(probabilities, image, kernels, n_iterations):
    """Krähenbühl and Koltun 2011, Algorithm 1, with kernels and costs as matrices."""
    unary = -np.log(np.clip(probabilities, 1e-5, 1)).reshape(len(probabilities), -1)
    q = np.exp(-unary) / np.exp(-unary).sum(axis=0)
    for _ in range(n_iterations):
        energy = unary.copy()
        for kernel, cost in kernels:
            energy += cost @ q @ kernel.T
        q = np.exp(-energy - (-energy).max(axis=0))
        q /= q.sum(axis=0)
    return q.reshape(probabilities.shape)


def pixel_features(image, sxy, srgb):
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    position = np.stack([x, y], -1).reshape(-1, 2) / sxy
    return np.concatenate([position, image.reshape(len(position), -1) / srgb], axis=1)


# The first rows of the map of label 0 that pydensecrf2 1.1 gives for `scene()`.
@pytest.mark.parametrize(
    "settings, first_row",
    [
        ({}, [0.00001, 0.99997, 0.99986, 0.99995, 0.00015, 0.00142]),
        (
            dict(
                gaussian=GaussianKernel(compatibility=1),
                bilateral=BilateralKernel(10, 40, 1.5),
                n_iterations=3,
            ),
            [0.22485, 0.66569, 0.45038, 0.47886, 0.11553, 0.19526],
        ),
        (
            dict(
                gaussian=GaussianKernel(2, 1, "before"),
                bilateral=BilateralKernel(10, 40, 1.5, "before"),
            ),
            [0.22555, 0.67633, 0.45455, 0.48002, 0.10928, 0.18863],
        ),
        (
            dict(
                gaussian=GaussianKernel(2, 1, "after"),
                bilateral=BilateralKernel(10, 40, 1.5, "after"),
            ),
            [0.23911, 0.67793, 0.46588, 0.4902, 0.11826, 0.19944],
        ),
        (
            dict(
                gaussian=GaussianKernel((2, 2), [-1, -2, 0]),
                bilateral=BilateralKernel(10, [40, 40, 40], [[0, 1, 2], [0.5, 0, 1], [1, 2, 0]]),
            ),
            [0.0954, 0.57354, 0.18457, 0.34871, 0.04171, 0.13917],
        ),
    ],
)
def test_known_answers_of_pydensecrf(settings, first_row):
    probabilities, image = scene()
    np.testing.assert_allclose(
        dense_crf(probabilities, image, **settings)[0, 0], first_row, atol=1.1e-5
    )


@pytest.mark.parametrize("n_iterations", [0, 1, 4])
def test_agrees_with_mean_field_on_the_lattice_matrices(n_iterations):
    probabilities, image = scene()
    cost = np.array([[0, 1, 2], [1, 0, 0.5], [2, 0.5, -0.3]])
    features = pixel_features(image, 2.0, 50.0)
    kernel = PermutohedralLattice(features).filter(np.eye(H * W))
    expected = mean_field_on_matrices(probabilities, image, [(kernel, cost)], n_iterations)
    ours = dense_crf(
        probabilities,
        image,
        n_iterations=n_iterations,
        gaussian=NO_GAUSSIAN,
        bilateral=BilateralKernel(2.0, 50.0, cost, "none"),
    )
    np.testing.assert_allclose(ours, expected, atol=1e-10)


def test_comes_near_mean_field_on_dense_gaussians():
    probabilities, image = scene()
    kernels = []
    for features, weight in (
        (pixel_features(image[..., :0], 2.0, 1.0), 1.0),
        (pixel_features(image, 5.0, 60.0), 1.5),
    ):
        apart = features[:, None] - features[None]
        kernel = np.exp(-(apart**2).sum(axis=2) / 2)
        sums = kernel.sum(axis=1)
        kernels.append((kernel / np.sqrt(np.outer(sums, sums)), -weight * np.eye(3)))
    expected = mean_field_on_matrices(probabilities, image, kernels, 5)
    ours = dense_crf(
        probabilities, image, gaussian=GaussianKernel(2, 1), bilateral=BilateralKernel(5, 60, 1.5)
    )
    assert np.abs(ours - expected).mean() < 0.02
    # One of the 24 pixels is nearly tied.
    assert (ours.argmax(axis=0) == expected.argmax(axis=0)).sum() >= 23


def test_the_three_forms_of_a_potts_cost_agree():
    probabilities, image = scene()

    def refined(compatibility, gaussian=NO_GAUSSIAN):
        bilateral = BilateralKernel(compatibility=compatibility)
        return dense_crf(probabilities, image, gaussian=gaussian, bilateral=bilateral)

    as_number = refined(2)
    as_vector = refined(np.full(3, -2.0), GaussianKernel(compatibility=np.zeros(3)))
    np.testing.assert_allclose(as_number, as_vector, atol=1e-12)
    # Off the diagonal the same cost differs by a constant only if all rows sum alike.
    as_matrix = refined(-2 * np.eye(3))
    np.testing.assert_allclose(as_number, as_matrix, atol=1e-12)


def test_no_terms_give_the_clipped_probabilities():
    probabilities, image = scene()
    probabilities[:, 0, 0] = [1, 0, 0]
    refined = dense_crf(
        probabilities,
        image,
        gaussian=NO_GAUSSIAN,
        bilateral=BilateralKernel(compatibility=0),
        unary=UnaryFromSoftmax(clip=1e-3),
    )
    clipped = np.clip(probabilities, 1e-3, 1)
    np.testing.assert_allclose(refined, clipped / clipped.sum(axis=0), atol=1e-12)
    np.testing.assert_allclose(
        dense_crf(probabilities, image, n_iterations=0, unary=UnaryFromSoftmax(0.7))[:, 0, 0],
        [0.8, 0.1, 0.1],
        atol=1e-12,
    )
    # Only the ratios within a pixel matter.
    np.testing.assert_allclose(
        dense_crf(probabilities * 0.5, image), dense_crf(probabilities, image), atol=1e-4
    )


def test_arrays_tensors_and_batches_agree():
    probabilities, image = scene()
    expected = dense_crf(probabilities, image)
    assert isinstance(expected, np.ndarray) and expected.dtype == np.float64
    maps, picture = as_tensors(probabilities, image)
    torch.testing.assert_close(dense_crf(maps, picture), torch.from_numpy(expected))
    other = image[::-1, ::-1].copy()
    both = dense_crf(np.stack([probabilities, probabilities]), np.stack([image, other]))
    np.testing.assert_allclose(both[0], expected, atol=1e-12)
    np.testing.assert_allclose(both[1], dense_crf(probabilities, other), atol=1e-12)
    tensors = dense_crf(
        torch.stack([maps, maps]),
        torch.stack([picture, as_tensors(probabilities, other)[1]]).float(),
    )
    np.testing.assert_allclose(tensors.numpy(), both, atol=1e-12)


@pytest.mark.parametrize(
    "dtype, tolerance", [(torch.float32, 1e-4), (torch.float16, 1e-2), (torch.bfloat16, 2e-2)]
)
def test_precisions(dtype, tolerance):
    probabilities, image = scene()
    maps, picture = as_tensors(probabilities, image)
    weak = dict(
        gaussian=GaussianKernel(compatibility=1), bilateral=BilateralKernel(compatibility=2)
    )
    refined = dense_crf(maps.to(dtype), picture, **weak)
    assert refined.dtype == dtype
    torch.testing.assert_close(
        refined.double(), dense_crf(maps, picture, **weak), rtol=0, atol=tolerance
    )


def test_void_pixels_influence_nothing_and_stay_as_they_are():
    probabilities, image = scene()
    padded = np.full((3, H + 2, W + 3), np.nan)
    padded[:, 1:-1, 2:-1] = probabilities
    picture = np.full((H + 2, W + 3, 3), np.inf)
    picture[1:-1, 2:-1] = image
    valid = np.zeros((H + 2, W + 3), bool)
    valid[1:-1, 2:-1] = True
    refined = dense_crf(padded, picture, valid=valid)
    assert np.isnan(refined[:, ~valid]).all()
    assert np.isfinite(refined[:, valid]).all()
    # The lattice's origin moves with the border, so that only other void values change nothing.
    again = dense_crf(
        np.where(valid, padded, 7.0), np.where(valid[..., None], picture, 3.0), valid=valid
    )
    np.testing.assert_array_equal(again[:, valid], refined[:, valid])
    assert (again[:, ~valid] == 7.0).all()
    rows = np.flatnonzero(valid)
    assert (
        np.abs(
            refined.reshape(3, -1)[:, rows].reshape(3, H, W) - dense_crf(probabilities, image)
        ).mean()
        < 0.05
    )


def test_padding_below_and_right_changes_nothing():
    probabilities, image = scene()
    padded = np.pad(probabilities, ((0, 0), (0, 2), (0, 3)))
    picture = np.pad(image, ((0, 2), (0, 3), (0, 0)), mode="edge")
    valid = np.pad(np.ones((H, W), bool), ((0, 2), (0, 3)))
    both = dense_crf(
        np.stack([padded, padded]), np.stack([picture, picture]), valid=np.stack([valid, valid])
    )
    for refined in both:
        np.testing.assert_allclose(refined[:, :H, :W], dense_crf(probabilities, image), atol=1e-12)
        assert (refined[:, H:] == 0).all() and (refined[:, :, W:] == 0).all()


def test_all_void_comes_back_unchanged():
    probabilities, image = scene()
    refined = dense_crf(probabilities, image, valid=np.zeros((H, W), bool))
    np.testing.assert_array_equal(refined, probabilities)


def test_one_class_one_pixel_and_any_number_of_channels():
    assert (dense_crf(np.ones((1, 3, 5)), np.zeros((3, 5, 3))) == 1).all()
    single = dense_crf(np.array([[[0.3]], [[0.7]]]), np.zeros((1, 1, 3)))
    assert single.shape == (2, 1, 1) and single[1] > 0.7
    probabilities, image = scene()
    for channels in (1, 4):
        picture = np.resize(image, (H, W, channels))
        assert np.isfinite(dense_crf(probabilities, picture)).all()


def test_certain_probabilities_stay_finite():
    hard = np.zeros((3, H, W), np.float32)
    hard[0] = 1.0
    hard[:, 2, 3] = [0, 1, 0]
    refined = dense_crf(hard, scene()[1], bilateral=BilateralKernel(compatibility=1e4))
    assert np.isfinite(refined).all()
    np.testing.assert_allclose(refined.sum(axis=0), 1, atol=1e-6)


@pytest.mark.parametrize("compiled", [True, False])
def test_gradients_flow_to_the_probabilities(compiled, monkeypatch):
    monkeypatch.setattr(lattice_graph, "_compiled", lambda values: compiled)
    probabilities, image = scene()
    maps, picture = as_tensors(probabilities[:, :2, :3], image[:2, :3])
    valid = torch.tensor([[True, True, False], [True, True, True]])
    assert torch.autograd.gradcheck(
        lambda p: dense_crf(
            p,
            picture,
            n_iterations=2,
            gaussian=GaussianKernel(compatibility=0.5),
            bilateral=BilateralKernel(2.0, 60.0, [[0, 1, 2], [1, 0, 1], [2, 1, 0]]),
            valid=valid,
        ),
        (maps.requires_grad_(),),
    )


def test_the_cache_knows_images_by_their_content():
    probabilities, image = scene()
    cache = LatticeCache(3)
    expected = dense_crf(probabilities, image)
    for _repeat in range(2):
        np.testing.assert_array_equal(dense_crf(probabilities, image.copy(), cache=cache), expected)
    assert (cache.misses, cache.hits, len(cache)) == (2, 2, 2)
    changed = image.copy()
    changed[0, 0, 0] += 1
    dense_crf(probabilities, changed, cache=cache)
    assert (cache.misses, cache.hits) == (3, 3)
    dense_crf(probabilities, image, bilateral=BilateralKernel(50.0), cache=cache)
    assert (cache.misses, len(cache)) == (4, 3)


PROBABILITIES, IMAGE = scene()


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(probabilities=PROBABILITIES[0]), r"\(B, L, H, W\).*got \(4, 6\)"),
        (dict(probabilities=PROBABILITIES.astype(int)), "floating point"),
        (dict(image=IMAGE[:3]), r"shape \(3, 4, 6\), got \(3, 6, 3\)"),
        (dict(image=IMAGE.transpose(2, 0, 1)), r"\(H, W, C\).*got \(3, 4, 6\)"),
        (dict(image=torch.from_numpy(IMAGE)), "both be tensors or both be arrays"),
        (dict(probabilities=-PROBABILITIES), "not negative; 72 are not"),
        (dict(probabilities=PROBABILITIES * np.nan), "the first is nan"),
        (dict(image=np.full(IMAGE.shape, np.inf)), "image must be finite"),
        (dict(valid=np.ones((3, 6), bool)), r"valid must be bool and of shape \(4, 6\)"),
        (dict(valid=np.ones((4, 6))), "valid must be bool.*got float64"),
        (dict(n_iterations=-1), "n_iterations"),
        (dict(gaussian=GaussianKernel(0.0)), "position_std must be"),
        (
            dict(bilateral=BilateralKernel(colour_std=(1.0, 2.0))),
            "colour_std must be a positive number or 3",
        ),
        (
            dict(bilateral=BilateralKernel(compatibility=np.zeros(2))),
            r"bilateral compatibility must be a number, \(3,\)",
        ),
        (
            dict(gaussian=GaussianKernel(compatibility=float("nan"))),
            "gaussian compatibility must be finite",
        ),
    ],
)
def test_unusable_arguments_are_named(change, message):
    arguments = dict(probabilities=PROBABILITIES, image=IMAGE)
    arguments.update(change)
    with pytest.raises(InputError, match=message):
        dense_crf(**arguments)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: GaussianKernel(normalization="both"), "normalization must be one of symmetric"),
        (lambda: BilateralKernel(normalization="both"), "normalization must be one of symmetric"),
        (lambda: UnaryFromSoftmax(scale=0.0), r"scale must be in \(0, 1\], got 0.0"),
        (lambda: UnaryFromSoftmax(clip=0.0), r"clip must be in \(0, 1\), got 0.0"),
    ],
)
def test_unusable_settings_are_named(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.gpu
def test_cuda_agrees_with_the_cpu():
    maps, picture = as_tensors(*scene())
    refined = dense_crf(maps.cuda(), picture.cuda())
    assert refined.is_cuda
    torch.testing.assert_close(refined.cpu(), dense_crf(maps, picture))
