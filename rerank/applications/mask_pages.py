"""The page about the candidate masks of some images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rerank.applications.mask_set_files import MaskedImage
from rerank.datasets import read_image, read_index_mask, voc_palette
from rerank.datasets.file_names import name_of
from rerank.files import write_text
from rerank.mask_table import MaskTable
from rerank.metrics import image_iou
from rerank.reports import (
    Example,
    Panel,
    TextTable,
    data_uri,
    draw_oracle_curve,
    label_picture,
    photograph,
    to_png,
)
from rerank.reports.mask_comparison import MEANINGS, MaskComparison, measure_rows
from rerank.reports.mask_page import MaskPage, render_mask_page
from rerank.reports.ranked_masks import DIVERSITY, RankedMasks
from rerank.types import FloatArray, IntArray

PANEL_WIDTH, THUMB_WIDTH = 320, 110
#: Rules that are drawn beside the oracle curve.
DRAWN = ("consensus", "majority vote of pixels", "ranker, cross-fitted")
#: Examples under each heading, and masks that are drawn of one image.
N_EXAMPLES, MOST_MASKS = 4, 30


def write_page(
    found: RankedMasks,
    items: Sequence[MaskedImage],
    tables: Sequence[MaskTable],
    scores: Sequence[FloatArray],
    path: Path,
) -> None:
    """Write `report.html`.

    Parameters
    ----------
    found : RankedMasks
    items, tables, scores : sequences, one an image
        Files, what was measured, and the (M,) scores that chose.
    path : Path
        The file.
    """
    write_text(
        path,
        render_mask_page(
            MaskPage(
                "rerank: candidate masks",
                "One of the masks of each image is chosen. IoU is given in points, void left out.",
                _facts(found),
                [] if found.comparison is None else _tables(found.comparison),
                _figures(found),
                {
                    heading: [_example(items[i], tables[i], scores[i]) for i in rows]
                    for heading, rows in _rows(found, tables, scores).items()
                },
            )
        ),
    )


def _facts(found: RankedMasks) -> dict[str, str]:
    facts = {
        "Images": str(len(found.chosen)),
        "Masks per image": f"{found.counts('masks')}, {found.counts('distinct')} different",
        "Chosen by": found.rule,
    }
    for name, label in zip(DIVERSITY, ("Distance", "Energy distance", "Matched IoU")):
        value = found.mean(name)
        if np.isfinite(value):
            facts[label] = f"{value:.3f}: {DIVERSITY[name]}"
    if found.notes:
        facts["Notes"] = "; ".join(found.notes)
    return facts


def _tables(comparison: MaskComparison) -> list[TextTable]:
    tables = []
    for measure, meaning in MEANINGS.items():
        head, *rows = measure_rows(comparison, measure)
        tables.append(TextTable(f"{measure.capitalize()} IoU: {meaning}", head, rows))
    head = ["class", "images", *(e.name for e in comparison.evaluations)]
    per_class = [
        [
            name,
            str(int(comparison.present[:, c].sum())),
            *(_points(float(e.per_class[c])) for e in comparison.evaluations),
        ]
        for c, name in enumerate(comparison.class_names)
    ]
    return [*tables, TextTable("Corpus IoU of each class", head, per_class)]


def _figures(found: RankedMasks) -> list[Panel]:
    if found.curve is None or found.comparison is None:
        return []
    # The baseline, and the rules that use all masks; every source would be too many lines.
    first, *others = found.comparison.evaluations
    lines = {
        e.name: (e.corpus_iou, e.image_iou)
        for e in (first, *others)
        if e is first or e.name in DRAWN
    }
    figure = draw_oracle_curve(found.curve, lines, "masks in the order of their names")
    caption = "Oracle accuracy against the number of masks, with each rule as a line."
    return [Panel(caption, data_uri(to_png(figure)))]


def _rows(
    found: RankedMasks, tables: Sequence[MaskTable], scores: Sequence[FloatArray]
) -> dict[str, IntArray]:
    count = min(N_EXAMPLES, len(tables))
    sample = np.unique(np.linspace(0, len(tables) - 1, count).round().astype(int))
    rows = {"A sample of images": sample}
    if found.comparison is not None:
        chosen = [e.name for e in found.comparison.evaluations].index(found.rule)
        ious = found.comparison.image_ious
        gain = np.nan_to_num(ious[chosen] - ious[0])
        order = np.argsort(-gain, kind="stable")
        over = found.comparison.evaluations[0].name
        for heading, best in (("gained most", order), ("lost most", order[::-1])):
            sign = 1 if best is order else -1
            kept = np.array([i for i in best[:count] if sign * gain[i] > 0], dtype=int)
            if len(kept) and chosen:
                rows[f"Choices that {heading} against {over}"] = kept
    return rows


def _example(item: MaskedImage, table: MaskTable, scores: FloatArray) -> Example:
    palette = voc_palette()
    ious = None if table.counts is None else image_iou(table.counts)
    best = -1 if ious is None else int(np.nan_to_num(ious, nan=-1.0).argmax())
    chosen = int(scores.argmax())

    def drawn(path: Path, width: int = PANEL_WIDTH) -> str:
        return data_uri(label_picture(read_index_mask(path), palette, width))

    def note(m: int) -> str:
        return "" if ious is None else f"IoU {100 * ious[m]:.1f}"

    panels = [Panel("image", data_uri(photograph(read_image(item.image), PANEL_WIDTH)))]
    several = len(item.labels) > 1
    panels += [
        Panel(f"label {name_of(path)}" if several else "label", drawn(path))
        for path in item.labels[:3]
    ]
    name = table.names[chosen]
    panels.append(Panel(f"chosen ({name})", drawn(item.masks[chosen]), note(chosen), "chosen"))
    summary = f"chosen {name}"
    if best >= 0:
        about = f"oracle ({table.names[best]})"
        panels.append(Panel(about, drawn(item.masks[best]), note(best), "oracle"))
        summary = f"chosen {name}: {note(chosen)}; best {table.names[best]}: {note(best)}"
    thumbs = [
        Panel(
            f"{source}: {scores[m]:.3g}",
            drawn(item.masks[m], THUMB_WIDTH),
            note(m),
            _mark(m, chosen, best),
        )
        for m, source in enumerate(table.names[:MOST_MASKS])
    ]
    return Example(item.image_id, summary, panels, thumbs)


def _mark(m: int, chosen: int, best: int) -> str:
    if m == chosen:
        return "both" if m == best else "chosen"
    return "oracle" if m == best else ""


def _points(value: float) -> str:
    return "-" if np.isnan(value) else f"{100 * value:.1f}"
