"""The plots of a report, each a matplotlib figure made from plain numbers."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rerank.metrics import OracleCurve
from rerank.types import Array, FloatArray

_COLOURS = ("#4269d0", "#e4802b", "#3ca951", "#a463f2", "#9c6b4e", "#97bbf5", "#6cc5b0", "#ff8ab7")
_INK = "#30343b"


def to_png(figure: Figure, dpi: int = 110) -> bytes:
    """A figure as the bytes of a PNG file, which hold no date: equal plots have equal bytes.

    Parameters
    ----------
    figure : Figure
    dpi : int
        Pixels an inch.

    Returns
    -------
    bytes
    """
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def draw_oracle_curve(
    curve: OracleCurve, lines: Mapping[str, tuple[float, float]], title: str
) -> Figure:
    """Oracle accuracy against the number of proposals, with each rule as a level line.

    Parameters
    ----------
    curve : OracleCurve
    lines : mapping of name to (corpus IoU, mean image IoU)
        Rules that choose among all proposals, MAP first.
    title : str

    Returns
    -------
    Figure
    """
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    measures = (
        ("corpus mIoU", curve.image_oracle_miou, curve.corpus_oracle_miou),
        ("mean image IoU", curve.image_oracle_image_iou, curve.corpus_oracle_image_iou),
    )
    for index, (label, by_image, by_corpus) in enumerate(measures):
        axes = figure.add_subplot(1, 2, index + 1)
        axes.plot(
            curve.n_proposals,
            100 * by_corpus,
            color=_INK,
            lw=1.4,
            ls="--",
            label="oracle of the corpus" if index == 0 else None,
        )
        axes.plot(
            curve.n_proposals,
            100 * by_image,
            color=_INK,
            lw=2,
            label="oracle of each image" if index == 0 else None,
        )
        for (name, levels), colour in zip(lines.items(), _COLOURS * 3):
            axes.axhline(
                100 * levels[index], color=colour, lw=1.5, label=name if index == 0 else None
            )
        axes.set_xlabel("number of proposals")
        axes.set_ylabel(f"{label} (points)")
        axes.set_xlim(1, max(2, int(curve.n_proposals[-1])))
        _quiet(axes)
    figure.suptitle(title, color=_INK, fontsize=11)
    figure.legend(loc="outside right center", frameon=False, fontsize=9)
    return figure


def draw_bars(
    names: Sequence[str],
    values: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    baseline: float,
    label: str,
) -> Figure:
    """Horizontal bars with intervals against a baseline, all in points.

    Parameters
    ----------
    names, values, low, high : sequences of equal length
        Of each bar: its name, its end, and the ends of its interval.
    baseline : float
        Drawn as a vertical line.
    label : str
        Of the axis.

    Returns
    -------
    Figure
    """
    figure = Figure(figsize=(7.5, 0.9 + 0.38 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    places = np.arange(len(names))[::-1]
    middle = np.asarray(values, dtype=float)
    spread = np.abs(np.array([middle - np.asarray(low), np.asarray(high) - middle]))
    axes.barh(places, middle, height=0.62, color="#9fb6e8")
    axes.errorbar(middle, places, xerr=spread, fmt="none", ecolor=_INK, elinewidth=1, capsize=2)
    axes.axvline(baseline, color=_COLOURS[1], lw=1.5)
    axes.set_yticks(places, names)
    ends = [*np.asarray(low), *np.asarray(high), baseline]
    margin = max(1.0, 0.15 * (max(ends) - min(ends)))
    axes.set_xlim(max(0.0, min(ends) - margin), max(ends) + margin)
    axes.set_xlabel(label)
    _quiet(axes)
    return figure


def draw_class_iou(class_names: Sequence[str], values: Mapping[str, FloatArray]) -> Figure:
    """Bars of the IoU of each class under several rules, in points.

    Parameters
    ----------
    class_names : sequence of n_classes str
    values : mapping of rule to (n_classes,) float array
        IoU in 0..1; NaN, of an absent class, has no bar.

    Returns
    -------
    Figure
    """
    figure = Figure(figsize=(max(7.0, 0.55 * len(class_names) + 2), 3.6), layout="constrained")
    axes = figure.add_subplot()
    width = 0.8 / max(1, len(values))
    for index, (name, ious) in enumerate(values.items()):
        axes.bar(
            np.arange(len(class_names)) + (index - (len(values) - 1) / 2) * width,
            100 * np.nan_to_num(ious),
            width,
            label=name,
            color=_COLOURS[index],
        )
    axes.set_xticks(np.arange(len(class_names)), class_names, rotation=45, ha="right")
    axes.set_ylabel("IoU (points)")
    axes.legend(
        frameon=False, fontsize=9, ncols=len(values), loc="lower left", bbox_to_anchor=(0, 1)
    )
    _quiet(axes)
    return figure


def draw_pictures(pictures: Mapping[str, Array], columns: int = 4, width: float = 2.6) -> Figure:
    """RGB pictures, (H, W, 3) uint8, on a grid, each under its name.

    Parameters
    ----------
    pictures : mapping of name to picture
    columns : int
    width : float
        Of one picture, in inches.

    Returns
    -------
    Figure
    """
    rows = -(-len(pictures) // columns)
    shape = next(iter(pictures.values())).shape
    height = width * shape[0] / shape[1] + 0.3
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    for index, (name, picture) in enumerate(pictures.items()):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.imshow(picture)
        axes.set_title(name, fontsize=10, color=_INK)
        axes.set_axis_off()
    return figure


def _quiet(axes: object) -> None:
    axes.spines[["top", "right"]].set_visible(False)  # type: ignore[attr-defined]
    axes.grid(axis="both", color="#e4e6ea", lw=0.6)  # type: ignore[attr-defined]
    axes.set_axisbelow(True)  # type: ignore[attr-defined]
    axes.tick_params(colors=_INK, labelsize=9)  # type: ignore[attr-defined]
