from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rerank.cli import main
from rerank.errors import ConfigError, DataError, InputError
from rerank.experiments import PLOTS, draw_plot, energy_curves
from rerank.experiments.plots import draw_energy, draw_flips
from rerank.layers import CRFGrad
from rerank.losses import simulate_flips


@pytest.mark.slow
@pytest.mark.parametrize("name", PLOTS)
def test_each_plot_is_a_picture(name: str, tmp_path: Path, capsys) -> None:
    path = tmp_path / "new" / f"{name}.png"
    assert main(["plot", name, "--out", str(path)]) == 0
    assert capsys.readouterr().out.strip() == str(path)
    pixels = np.asarray(Image.open(path).convert("L"))
    assert pixels.shape[1] > pixels.shape[0] > 200 and (pixels < 128).mean() > 0.002


def test_flips_of_ones_own_mask(tmp_path: Path) -> None:
    mask = np.zeros((8, 10), np.uint8)
    mask[2:5] = 3
    Image.fromarray(mask).save(tmp_path / "mask.png")
    drawn = draw_plot("flips", tmp_path / "a.png", labels=tmp_path / "mask.png", seed=1)
    assert drawn.stat().st_size > 1000
    figure = draw_flips(simulate_flips(mask, 4, random_state=1))
    iou, uoi = (axes.get_lines()[0].get_ydata() for axes in figure.axes)
    assert iou[0] == 1.0 and iou[-1] == 0.0 and (np.diff(iou) <= 0).all()
    assert uoi[0] == 1.0 and np.isfinite(uoi).all() and (np.diff(uoi) >= 0).all()
    Image.fromarray(0 * mask).save(tmp_path / "mask.png")
    with pytest.raises(DataError, match="mask.png: a mask of at least two classes"):
        draw_plot("flips", tmp_path / "a.png", labels=tmp_path / "mask.png")


def test_energy_curves_are_those_of_the_layer() -> None:
    generator = torch.Generator().manual_seed(0)
    layer = CRFGrad(3, spatial="gaussian", bilateral="none").eval()
    labels = np.zeros((6, 9), np.uint8)
    labels[:, 4:] = 2
    labels[0] = 255
    logits = torch.randn(1, 3, 6, 9, generator=generator)
    image = torch.zeros(1, 3, 6, 9)
    found = energy_curves(layer, [(logits, image, labels)] * 2, n_steps=5)
    assert found.energies.shape == (2, 6) and found.mean_iou.shape == (6,)
    assert found.energies[0, 0] == pytest.approx(
        layer.energy(logits.softmax(1), logits, image).item()
    )
    q = layer(logits, image)
    assert found.energies[1, 5] == pytest.approx(layer.energy(q, logits, image).item(), rel=1e-5)
    prediction = q.argmax(1)[0].numpy()[1:]
    truth = labels[1:]
    ious = [
        ((prediction == k) & (truth == k)).sum() / ((prediction == k) | (truth == k)).sum()
        for k in range(3)
    ]
    assert found.mean_iou[5] == pytest.approx(np.mean(ious))
    lines = draw_energy(found).axes[0].get_lines()
    assert lines[-1].get_ydata()[0] == 1.0 and lines[-1].get_ydata()[-1] == 0.0
    with pytest.raises(InputError, match="at least one image"):
        energy_curves(layer, [])


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"name": "fig9"}, "no such plot"),
        ({"out": Path("a.svg")}, ".png"),
        ({"name": "discontinuity", "labels": Path("m.png")}, "--labels goes with flips"),
        ({"name": "flips", "work": Path("w")}, "--work and --data-root go with"),
        ({"name": "crfgrad-energy", "work": Path("w")}, "go together"),
    ],
)
def test_unusable_arguments(changed, message) -> None:
    with pytest.raises(ConfigError, match=message):
        draw_plot(**{"name": "flips", "out": Path("a.png"), **changed})


@pytest.mark.shared
def test_energy_needs_a_measured_table(shared_root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="rerank reproduce larsson-table1"):
        draw_plot(
            "crfgrad-energy",
            tmp_path / "a.png",
            work=tmp_path,
            data_root=shared_root / "datasets" / "weizmann_horse",
        )
