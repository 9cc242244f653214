from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rerank.applications.dense_crf_files import DenseCRFSettings, refine_files, refine_map
from rerank.cli import main
from rerank.errors import ConfigError, DataError, InputError
from rerank.layers import BilateralKernel, dense_crf


def picture(height: int = 18, width: int = 26) -> tuple[np.ndarray, np.ndarray]:
    """A bright square, and a noisy map (H, W, 3) of it whose third class is nowhere."""
    rng = np.random.default_rng(0)
    truth = np.zeros((height, width), np.uint8)
    truth[4:12, 6:18] = 1
    image = np.repeat((40 + 170 * truth)[..., None], 3, 2).astype(np.uint8)
    score = np.clip(0.5 + 0.25 * (2.0 * truth - 1) + rng.normal(0, 0.3, truth.shape), 0.02, 0.97)
    return image, np.stack([0.99 - score, score, np.full_like(score, 0.01)], axis=2)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    maps, images = tmp_path / "maps", tmp_path / "images"
    maps.mkdir()
    images.mkdir()
    image, probabilities = picture()
    Image.fromarray(image).save(images / "a.png")
    np.save(maps / "a.npy", probabilities)
    return maps, images, tmp_path / "out"


def test_both_layouts_are_those_of_the_layer() -> None:
    image, maps = picture()
    settings = DenseCRFSettings(3, bilateral_sxy=10.0)
    last, labels = refine_map(maps, image, settings)
    first, same = refine_map(np.moveaxis(maps, 2, 0), image, settings)
    expected = dense_crf(
        np.moveaxis(maps, 2, 0).astype(np.float32),
        image,
        n_iterations=3,
        bilateral=BilateralKernel(position_std=10.0),
    )
    np.testing.assert_allclose(first, np.moveaxis(expected, 0, 2), atol=1e-6)
    np.testing.assert_array_equal(last, first)
    np.testing.assert_array_equal(labels, same)
    truth = image[..., 0] > 100
    assert ((maps.argmax(2) == 1) == truth).mean() < 0.85 < ((labels == 1) == truth).mean()


@pytest.mark.parametrize("mark", [np.nan, 0.0])
def test_void_pixels_influence_nothing_and_stay(mark: float) -> None:
    image, maps = picture()
    settings = DenseCRFSettings(bilateral_sxy=10.0)
    maps[:3, 5:9] = mark
    refined, labels = refine_map(maps, image, settings)
    assert (labels[:3, 5:9] == 255).all() and (labels != 255).sum() == labels.size - 12
    assert not refined[:3, 5:9].any()
    other = image.copy()
    other[:3, 5:9] = 255 - other[:3, 5:9]
    np.testing.assert_array_equal(refine_map(maps, other, settings)[0], refined)


def test_all_void_stays_void() -> None:
    image, maps = picture()
    refined, labels = refine_map(0 * maps, image, DenseCRFSettings())
    assert (labels == 255).all() and not refined.any()


def test_command(folders: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    maps, images, out = folders
    np.savez(maps / "b.npz", np.moveaxis(picture()[1], 2, 0))
    Image.fromarray(picture()[0]).save(images / "b.jpg", quality=95)
    given = ["dense-crf", "--probabilities", str(maps), "--images", str(images)]
    settings = ["--iterations", "2", "--bilateral-sxy", "10", "--gaussian-compat", "0"]
    assert main([*given, "--out", str(out), *settings]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"2 images: ID_segmentation.png in {out}\n" and not shown.err
    assert sorted(p.name for p in out.iterdir()) == ["a_segmentation.png", "b_segmentation.png"]
    expected, labels = refine_map(
        np.load(maps / "a.npy"),
        picture()[0],
        DenseCRFSettings(2, gaussian_compat=0.0, bilateral_sxy=10.0),
    )
    np.testing.assert_array_equal(np.asarray(Image.open(out / "a_segmentation.png")), labels)
    assert main([*given, "--out", str(out), *settings, "--maps", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    refined = np.load(out / "a.npy")
    assert refined.dtype == np.float16 and np.load(out / "b.npy").shape == (18, 26, 3)
    np.testing.assert_array_equal(refined, expected.astype(np.float16))
    assert main([*given, "--out", str(out), "--scale", "2"]) == 2
    assert "scale must be in (0, 1]" in capsys.readouterr().err
    assert main([*given, "--out", str(maps), "--maps"]) == 1
    assert "would be overwritten" in capsys.readouterr().err


@pytest.mark.slow
def test_jobs_do_not_change_the_result(folders: tuple[Path, Path, Path]) -> None:
    maps, images, out = folders
    image, probabilities = picture()
    for name in "bc":
        Image.fromarray(image[::-1]).save(images / f"{name}.png")
        np.save(maps / f"{name}.npy", probabilities[::-1])
    settings = DenseCRFSettings(1)
    one = refine_files(maps, images, out / "1", settings, jobs=1, quiet=True)
    two = refine_files(maps, images, out / "2", settings, jobs=2, quiet=True)
    assert [p.name for p in one] == [p.name for p in two]
    for first, second in zip(one, two):
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda m: m[:, :-4], r"a.npy: expected \(18, 26, C\).*got \(18, 22, 3\); .*padding"),
        (lambda m: m[..., 0], r"got shape \(18, 26\); .*write both"),
        (lambda m: m.astype(np.int64), "a.npy: expected floats.*int64"),
        (lambda m: np.where((m == m.max()), np.inf, m), "a.npy: the value at row"),
        (lambda m: np.where((m == m.max()), np.nan, m), "mark void pixels"),
        (lambda m: np.repeat(m, 100, 2) / 100, "300 classes"),
    ],
)
def test_unusable_maps_are_named(
    folders: tuple[Path, Path, Path], change: Callable[[np.ndarray], np.ndarray], message: str
) -> None:
    maps, images, out = folders
    np.save(maps / "a.npy", change(np.load(maps / "a.npy")))
    with pytest.raises((DataError, InputError), match=message):
        refine_files(maps, images, out, quiet=True)


def test_unusable_folders_are_named(folders: tuple[Path, Path, Path], tmp_path: Path) -> None:
    maps, images, out = folders
    with pytest.raises(DataError, match="nowhere: no such folder"):
        refine_files(tmp_path / "nowhere", images, out)
    with pytest.raises(DataError, match="no probability maps"):
        refine_files(images, images, out)
    np.save(maps / "b.npy", picture()[1])
    with pytest.raises(DataError, match="b.npy: no image called b in"):
        refine_files(maps, images, out)
    (maps / "b.npy").unlink()
    Image.fromarray(picture()[0]).save(images / "c.png")
    with pytest.raises(DataError, match="c.png: no probability map; expected .*c.npy"):
        refine_files(maps, images, out)
    Image.fromarray(picture()[0]).save(images / "c.jpg")
    with pytest.raises(DataError, match="c.png: c.jpg has the same name; keep one of.*\n.*c.jpg"):
        refine_files(maps, images, out)


@pytest.mark.parametrize(
    "changed",
    [
        {"n_iterations": -1},
        {"scale": 0.0},
        {"clip": 1.0},
        {"normalization": "all"},
        {"bilateral_sxy": -1.0},
    ],
)
def test_unusable_settings(changed) -> None:
    with pytest.raises(ConfigError, match="dense CRF"):
        DenseCRFSettings(**changed)
