"""A finished table as text, as Markdown, as JSON and as a self-contained HTML page."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rerank.engine.manifest import software_versions
from rerank.experiments.reproduction import Figures, Reproduction
from rerank.experiments.table_definition import Row
from rerank.files import write_text
from rerank.reports import TextTable, render_text_tables

#: The note that tables of mean image IoU hold already.
_IMAGE_NOTE = "mean image IoU"


def headlines(found: Reproduction) -> list[TextTable]:
    """The measured rows and their gains."""
    source = found.table.source
    made = [_measured(f"{source}, measured here" if source else "Measured here", found)]
    if found.corpus.gains:
        made.append(_compared("Gains between rows (points)", found))
    if found.image is not None:
        made += [
            _measured("Mean image IoU", found, found.image),
            _compared("Gains in mean image IoU (points)", found, found.image),
        ]
    return made


def all_tables(found: Reproduction) -> list[TextTable]:
    """The tables of a page: those of `headlines`, then the details."""
    table, spreads = found.table, found.corpus.spreads
    made = headlines(found)
    made.append(
        TextTable(
            "IoU of each class, mean over seeds",
            ("row", *found.class_names),
            [[r.name, *(_number(v) for v in spreads[r.key].per_class)] for r in table.shown],
        )
    )
    if table.paper is not None:
        made.append(
            TextTable(
                f"As printed: {table.source}, {table.paper.data}",
                table.paper.columns,
                [[line.name, *(_cell(v) for v in line.values)] for line in table.paper.lines],
            )
        )
    names = {name for notes in found.notes.values() for name in notes}
    if found.image is not None:
        names.discard(_IMAGE_NOTE)
    if names:
        made.append(
            TextTable(
                "Notes of the runs, mean over seeds",
                ("row", *sorted(names)),
                [
                    [table.row(key).name, *(_number(notes.get(n), 3) for n in sorted(names))]
                    for key, notes in found.notes.items()
                ],
            )
        )
    return made


def to_markdown(found: Reproduction) -> str:
    """The page as Markdown."""
    lines = [f"# {found.table.title}", "", _lead(found), ""]
    for table in all_tables(found):
        lines += [
            f"## {table.title}",
            "",
            "| " + " | ".join(table.head) + " |",
            "|" + "|".join(["---"] + ["---:"] * (len(table.head) - 1)) + "|",
        ]
        lines += ["| " + " | ".join(row) + " |" for row in table.rows]
        lines.append("")
    lines += [f"- {note}" for note in found.table.notes]
    return "\n".join([*lines, f"- {_versions()}", ""])


def to_text(found: Reproduction) -> str:
    """The measured table and the gains, for a terminal."""
    source = found.table.source
    parts = [f"{found.table.title} ({source})" if source else found.table.title, _lead(found)]
    for table in headlines(found):
        rows = [table.head, *table.rows]
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = [table.title]
        for first, *others in rows:
            cells = [first.ljust(widths[0])]
            cells += [cell.rjust(width) for cell, width in zip(others, widths[1:])]
            lines.append("  ".join(cells).rstrip())
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def to_html(found: Reproduction) -> str:
    """The page as HTML without anything from elsewhere."""
    notes = (*found.table.notes, _versions())
    return render_text_tables(found.table.title, _lead(found), all_tables(found), notes)


def to_json(found: Reproduction) -> str:
    """All figures, unrounded; null stands for a figure that does not exist."""
    table, paper = found.table, found.table.paper
    tree = {
        "table": table.name,
        "source": table.source,
        "paper_data": "" if paper is None else paper.data,
        "data": table.data,
        "images": found.judged.images,
        "unit": found.judged.unit,
        "n_units": found.judged.n_units,
        "differs": list(table.differs),
        "overrides": list(found.scope.overrides),
        "full": found.scope.full,
        "device": found.scope.device,
        "seeds": list(found.seeds),
        "classes": list(found.class_names),
        "versions": software_versions(),
        "rows": [_row_tree(found, row) for row in table.shown],
        "gains": _gain_trees(found, found.corpus),
        "image_gains": [] if found.image is None else _gain_trees(found, found.image),
        "printed": {
            "columns": [] if paper is None else list(paper.columns),
            "lines": [] if paper is None else [[line.name, *line.values] for line in paper.lines],
        },
        "notes": list(table.notes),
    }
    return json.dumps(tree, indent=1) + "\n"


def _row_tree(found: Reproduction, row: Row) -> dict[str, Any]:
    spread = found.corpus.spreads[row.key]
    tree = {
        "key": row.key,
        "name": row.name,
        "paper": row.paper,
        "mean": spread.mean,
        "deviation": _finite(spread.deviation),
        "per_seed": list(spread.per_seed),
        "per_class": [_finite(v) for v in spread.per_class],
        "seconds": found.seconds[row.key],
        "notes": found.notes.get(row.key, {}),
    }
    if found.image is not None:
        image = found.image.spreads[row.key]
        tree["image_mean"] = image.mean
        tree["image_deviation"] = _finite(image.deviation)
        tree["image_per_seed"] = list(image.per_seed)
    return tree


def _gain_trees(found: Reproduction, figures: Figures) -> list[dict[str, Any]]:
    return [
        {
            "row": pair[0],
            "over": pair[1],
            "paper": _paper_gain(found, pair) if figures is found.corpus else None,
            "aim": figures.aims.get(pair),
            "mean": gain.mean,
            "low": gain.low,
            "high": gain.high,
            "p_images": gain.p_images,
            "p_seeds": _finite(gain.p_seeds),
        }
        for pair, gain in figures.gains.items()
    ]


def write_reproduction(found: Reproduction, folder: Path) -> list[Path]:
    """Write `NAME.html`, `NAME.md` and `NAME.json`.

    Parameters
    ----------
    found : Reproduction
    folder : Path
        Is made where it does not exist.

    Returns
    -------
    list of Path
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for ending, text in (
        ("html", to_html(found)),
        ("md", to_markdown(found)),
        ("json", to_json(found)),
    ):
        path = folder / f"{found.table.name}.{ending}"
        write_text(path, text)
        paths.append(path)
    return paths


def _text_table(title: str, head: Sequence[str], rows: list[list[str]]) -> TextTable:
    """A table without the columns in which no row has anything, such as those of a paper."""
    kept = [k for k in range(len(head)) if any(row[k] for row in rows)]
    return TextTable(title, [head[k] for k in kept], [[row[k] for k in kept] for row in rows])


def _measured(title: str, found: Reproduction, image: Figures | None = None) -> TextTable:
    """The rows; what papers print, and the time, stand beside corpus IoU alone."""
    figures = image or found.corpus
    head = (
        "row",
        "paper",
        "here",
        "sd",
        *(f"seed {seed}" for seed in found.seeds),
        "gain",
        "paper's gain",
        "seconds",
    )
    rows = []
    for row in found.table.shown:
        pair = (row.key, found.table.comparisons.baseline)
        spread, over = figures.spreads[row.key], figures.gains.get(pair)
        paper = papers_gain = seconds = ""
        if image is None:
            paper, seconds = _number(row.paper), f"{found.seconds[row.key]:.0f}"
            papers_gain = "" if over is None else _signed(_paper_gain(found, pair))
        rows.append(
            [
                row.name,
                paper,
                _number(spread.mean, 2),
                _number(spread.deviation, 2),
                *(_number(v, 2) for v in spread.per_seed),
                "" if over is None else f"{over.mean:+.2f}",
                papers_gain,
                seconds,
            ]
        )
    return _text_table(title, head, rows)


def _compared(title: str, found: Reproduction, image: Figures | None = None) -> TextTable:
    figures = image or found.corpus
    rows = []
    for pair, gain in figures.gains.items():
        aim = figures.aims.get(pair)
        first, second = (found.table.row(key).name for key in pair)
        met = "" if aim is None else "yes" if gain.mean >= aim and (aim or gain.mean > 0) else "no"
        rows.append(
            [
                first,
                second,
                _signed(_paper_gain(found, pair)) if image is None else "",
                "" if aim is None else f"at least {aim:g}" if aim else "above",
                f"{gain.mean:+.2f}",
                f"{gain.low:+.2f} to {gain.high:+.2f}",
                _probability(gain.p_images),
                _probability(gain.p_seeds),
                met,
            ]
        )
    head = (
        "row",
        "over",
        "paper",
        "aim",
        "here",
        f"95% over {found.judged.unit}",
        f"p over {found.judged.unit}",
        "p over seeds",
        "aim met",
    )
    return _text_table(title, head, rows)


def _paper_gain(found: Reproduction, pair: tuple[str, str]) -> float | None:
    first, second = (found.table.row(key).paper for key in pair)
    return None if first is None or second is None else round(first - second, 6)


def _lead(found: Reproduction) -> str:
    size = "at full size" if found.scope.full else "at the small size"
    many = (
        f"seeds {', '.join(map(str, found.seeds))}"
        if len(found.seeds) > 1
        else f"seed {found.seeds[0]} alone, hence no spread and no test over seeds"
    )
    judged, table = found.judged, found.table
    units = "" if judged.n_units is None else f", {judged.n_units} of them"
    parts = [
        f"Here: {table.data}{f' ({judged.images})' if judged.images else ''}, {size} on "
        f"{found.scope.device}, {many}.",
        "Mean IoU over classes in points, counted over all images; intervals are those of a "
        f"bootstrap over {judged.unit}{units}.",
    ]
    if found.scope.overrides:
        parts.append(f"With --set {' --set '.join(found.scope.overrides)}.")
    if table.paper is not None:
        parts.append(f"Paper: {table.paper.data}.")
    if table.differs:
        parts.append(f"What differs from the paper: {'; '.join(table.differs)}.")
    return " ".join(parts)


def _versions() -> str:
    return "Made with " + ", ".join(f"{k} {v}" for k, v in software_versions().items()) + "."


def _cell(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _number(value: float | None, digits: int = 1) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def _probability(value: float) -> str:
    return "< 0.001" if value < 0.0005 else _number(value, 3)


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.1f}"


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
