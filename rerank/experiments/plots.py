"""Figures of the papers: flipped pixels, a function with a jump, and the energy of CRF-Grad."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from rerank.datasets import open_dataset, read_index_mask
from rerank.errors import ConfigError, DataError, InputError
from rerank.experiments import larsson
from rerank.experiments.dense_network_bench import DenseNetworkBench, load_state
from rerank.experiments.reproduction import result_place
from rerank.experiments.table_definition import Scope
from rerank.layers import BilateralTerm, CRFGrad
from rerank.losses import DiscontinuityFit, FlipSimulation, fit_discontinuity, simulate_flips
from rerank.metrics import confusion_counts, iou_from_counts
from rerank.nets import DenseCRFNet
from rerank.reports import to_png
from rerank.types import VOID, Array, FloatArray

PLOTS = ("flips", "discontinuity", "crfgrad-energy")
_BLUE, _ORANGE, _RED, _INK = "#4269d0", "#e4802b", "#d03b3b", "#30343b"


def draw_flips(found: FlipSimulation) -> Figure:
    """Cogswell et al. 2014, Fig. 2: IoU and UOI as more and more pixels are wrong."""
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    share = found.n_flipped / found.n_flipped[-1]
    for index, (name, values, colour) in enumerate(
        (("IoU", found.iou, _BLUE), ("UOI", found.uoi, _ORANGE))
    ):
        axes = figure.add_subplot(1, 2, index + 1)
        finite = np.isfinite(values)
        axes.plot(100 * share[finite], values[finite], color=colour, lw=2)
        if name == "UOI":
            axes.set_yscale("log")
        _label(axes, "flipped pixels (%)", f"mean {name} over classes")
    return figure


def draw_discontinuity(found: DiscontinuityFit) -> Figure:
    """Nagendar et al. 2018, Fig. 2: a function with a jump, its derivative, a network's fit."""
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    for index, (name, truth, fitted) in enumerate(
        (
            ("f(x)", found.values, found.fitted_values),
            ("df / dx", found.slopes, found.fitted_slopes),
        )
    ):
        axes = figure.add_subplot(1, 2, index + 1)
        for side in (found.x < 1, found.x > 1):
            axes.plot(
                found.x[side], truth[side], color=_INK, lw=1.5, label="exact" if side[0] else None
            )
        axes.plot(found.x, fitted, color=_ORANGE, lw=1.5, ls="--", label="network")
        if name != "f(x)":
            axes.set_ylim(-3, 3)
        axes.legend(frameon=False, fontsize=9)
        _label(axes, "x", name)
    return figure


@dataclass(frozen=True, eq=False)
class EnergyCurves:
    """Energy and IoU per iteration of CRF-Grad.

    Attributes
    ----------
    energies : (n_images, T + 1) float64 array
        Larsson et al. 2017, Eq. 6; the first is that of the net's own probabilities.
    mean_iou : (T + 1,) float64 array
        Over classes, counted over all images.
    """

    energies: FloatArray
    mean_iou: FloatArray


def energy_curves(
    layer: CRFGrad, items: Sequence[tuple[torch.Tensor, torch.Tensor, Array]], n_steps: int = 10
) -> EnergyCurves:
    """Energy and IoU after each iteration of the layer on images, without a leak.

    Parameters
    ----------
    layer : CRFGrad
    items : sequence of (logits (1, L, H, W), image (1, 3, H, W), labels (H, W))
        Labels of 255 are void.
    n_steps : int
        Iterations; may be more than the layer's own.

    Returns
    -------
    EnergyCurves

    Raises
    ------
    InputError
        If there is no image.
    """
    if not items:
        raise InputError("energy curves need at least one image")
    counts = np.zeros((n_steps + 1, layer.n_labels, layer.n_labels), np.int64)
    energies = []
    for logits, image, labels in items:
        path = layer.trajectory(logits, image, n_steps=n_steps)
        energies.append(path.energies[:, 0].numpy())
        for step, q in enumerate(path.q[:, 0]):
            counts[step] += confusion_counts(labels, q.argmax(dim=0).numpy(), layer.n_labels, VOID)
    return EnergyCurves(np.array(energies), np.array([iou_from_counts(c).mean for c in counts]))


def draw_energy(found: EnergyCurves) -> Figure:
    """Larsson et al. 2017, Fig. 6: energies scaled to one start and one end, and mean IoU."""
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    axes = figure.add_subplot(1, 2, 1)
    ends = found.energies[:, -1:]
    fall = found.energies[:, :1] - ends
    scaled = (found.energies - ends) / np.where(fall > 0, fall, 1.0)
    axes.plot(scaled.T, color=_BLUE, lw=0.6, alpha=0.4)
    axes.plot(scaled.mean(axis=0), color=_RED, lw=2.5, label="mean")
    axes.legend(frameon=False, fontsize=9)
    _label(axes, "iteration", "share of the fall in energy left")
    axes = figure.add_subplot(1, 2, 2)
    axes.plot(100 * found.mean_iou, color=_RED, lw=2.5)
    _label(axes, "iteration", "mean IoU (points)")
    return figure


def draw_plot(
    name: str,
    out: Path,
    labels: Path | None = None,
    work: Path | None = None,
    data_root: Path | None = None,
    seed: int = 0,
) -> Path:
    """Draw a figure of the papers into a PNG file; returns its path.

    Parameters
    ----------
    name : {"flips", "discontinuity", "crfgrad-energy"}
    out : Path
        Ends in .png.
    labels : Path, optional
        For flips, a mask whose pixel values are the labels; by default that of a drawn scene.
    work, data_root : Path, optional
        For the energy, the work folder of `rerank reproduce larsson-table1`, whose fully learned
        layer is then followed on the validation images, and the data set. By default a layer
        with Gaussian kernels on drawn scenes.
    seed : int
        Of the simulation, or of the table's row.

    Returns
    -------
    Path

    Raises
    ------
    ConfigError
        If the name is unknown, `out` is no PNG, or an option belongs to another plot.
    DataError
        If a file cannot be read or written, or the table has not been measured.
    """
    if name not in PLOTS:
        raise ConfigError(f"{name}: no such plot; the plots are {', '.join(PLOTS)}")
    if out.suffix.lower() != ".png":
        raise ConfigError(f"--out {out}: a plot is written as .png")
    if labels is not None and name != "flips":
        raise ConfigError(f"--labels goes with flips, not with {name}")
    if (work is not None or data_root is not None) and name != "crfgrad-energy":
        raise ConfigError(f"--work and --data-root go with crfgrad-energy, not with {name}")
    if (work is None) != (data_root is None):
        raise ConfigError("--work and --data-root go together")
    if name == "flips":
        figure = draw_flips(_flips(labels, seed))
    elif name == "discontinuity":
        figure = draw_discontinuity(fit_discontinuity(random_state=seed))
    elif work is not None and data_root is not None:
        figure = draw_energy(energy_curves(*_trained(work, data_root, seed)))
    else:
        figure = draw_energy(energy_curves(*_untrained(seed)))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(to_png(figure))
    except OSError as error:
        raise DataError(
            f"{out}: cannot be written ({error.strerror}); choose another --out"
        ) from None
    return out


def _flips(labels: Path | None, seed: int) -> FlipSimulation:
    if labels is None:
        scenes = open_dataset("scenes", split="val", n_images=1)
        return simulate_flips(scenes[0].labels, scenes.n_classes, random_state=seed)
    mask = read_index_mask(labels)
    known = mask[mask != VOID]
    if len(np.unique(known)) < 2:
        raise DataError(f"{labels}: a mask of at least two classes is needed to flip between")
    return simulate_flips(mask, int(known.max()) + 1, random_state=seed)


Followed = tuple[CRFGrad, list[tuple[torch.Tensor, torch.Tensor, Array]]]


def _untrained(seed: int) -> Followed:
    """Gaussian kernels on drawn scenes, from noisy scores around the truth."""
    scenes = open_dataset("scenes", split="val", n_images=6)
    layer = CRFGrad(
        scenes.n_classes, spatial="gaussian", bilateral=BilateralTerm("gaussian", position_std=20.0)
    ).eval()
    generator = torch.Generator().manual_seed(seed)
    items = []
    for sample in scenes:
        labels = torch.from_numpy(sample.labels.astype(np.int64))
        truth = torch.nn.functional.one_hot(
            labels.clamp(max=scenes.n_classes - 1), scenes.n_classes
        ).permute(2, 0, 1)
        noise = torch.randn(truth.shape, generator=generator)
        items.append(((1.5 * truth + noise)[None], _tensor(sample.image), sample.labels))
    return layer, items


def _trained(work: Path, data_root: Path, seed: int) -> Followed:
    table = larsson.TABLE
    scope = Scope(data_root.resolve(), work / table.name)
    bench = DenseNetworkBench(scope, larsson.SETTING)
    row = table.row("full")
    place = result_place(table, bench, scope, row, seed)
    if not place.with_name(place.name + ".pt").exists():
        raise DataError(
            f"{place}.pt: not measured yet; run `rerank reproduce {table.name} --work {work}` first"
        )
    model: Any = bench.model(row.recipe, seed, None)
    assert isinstance(model, DenseCRFNet)
    load_state(place, model)
    model.eval()
    items = []
    for index in range(len(bench.val)):
        kept = bench.keep("val-0", bench.val, model)
        inputs = kept.inputs(index)
        with torch.inference_mode():
            logits = model.net(inputs)
        items.append((logits.clone(), inputs.images, kept.labels[index]))
    return model.layer, items


def _tensor(image: Array) -> torch.Tensor:
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None]


def _label(axes: Any, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e4e6ea", lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_INK, labelsize=9)
