"""A finished table as text, as Markdown, as JSON and as a self-contained HTML page."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rerank.engine.store import software_versions
from rerank.experiments.comparison import Gain, Spread
from rerank.experiments.reproduction import Reproduction

_STYLE = """body{font:15px/1.5 system-ui,sans-serif;color:#30343b;max-width:70rem;margin:2rem auto;
padding:0 1rem}table{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .7rem;text-align:right;border-bottom:1px solid #e4e6ea}
th:first-child,td:first-child{text-align:left}th{font-weight:600}.wide{overflow-x:auto}"""

Block = tuple[str, Sequence[str], list[list[str]]]

#: The note that tables by image say more about.
_IMAGE_NOTE = "mean image IoU"


@dataclass(frozen=True)
class _Figures:
    """What one measure of IoU says of the rows and of their gains.

    Attributes
    ----------
    spreads : mapping of row to Spread
    gains : mapping of (row, row) to Gain
    aims : mapping of (row, row) to float
    printed : bool
        Whether they stand beside what the paper prints, which is of the whole corpus, and beside
        what a seed took.
    """

    spreads: Mapping[str, Spread]
    gains: Mapping[tuple[str, str], Gain]
    aims: Mapping[tuple[str, str], float]
    printed: bool


def _of_corpus(found: Reproduction) -> _Figures:
    return _Figures(found.spreads, found.gains, found.table.aims, printed=True)


def _of_images(found: Reproduction) -> _Figures:
    return _Figures(found.image_spreads, found.image_gains, found.table.image_aims, printed=False)


def headlines(found: Reproduction) -> list[Block]:
    """The measured rows and their gains: title, head and rows of text."""
    table = found.table
    made = [
        _measured(
            f"{table.source}, measured here" if table.source else "Measured here",
            found,
            _of_corpus(found),
        )
    ]
    if table.all_pairs:
        made.append(_compared("Gains between rows (points)", found, _of_corpus(found)))
    if table.by_image:
        made += [
            _measured("Mean image IoU", found, _of_images(found)),
            _compared("Gains in mean image IoU (points)", found, _of_images(found)),
        ]
    return made


def blocks(found: Reproduction) -> list[Block]:
    """The tables of a page: those of `headlines`, then the details."""
    table = found.table
    made = headlines(found)
    made.append(
        (
            "IoU of each class, mean over seeds",
            ("row", *found.class_names),
            [[row.name, *(_number(v) for v in found.per_class(row.key))] for row in table.shown],
        )
    )
    if table.printed:
        made.append(
            (
                f"As printed: {table.source}, {table.paper_data}",
                list(table.columns),
                [[line.name, *(_cell(v) for v in line.values)] for line in table.printed],
            )
        )
    names = sorted(
        {name for notes in found.notes.values() for name in notes}
        - ({_IMAGE_NOTE} if table.by_image else set())
    )
    if names:
        made.append(
            (
                "Notes of the runs, mean over seeds",
                ("row", *names),
                [
                    [table.row(key).name, *(_number(notes.get(name), 3) for name in names)]
                    for key, notes in found.notes.items()
                ],
            )
        )
    return made


def to_markdown(found: Reproduction) -> str:
    """The page as Markdown."""
    lines = [f"# {found.table.title}", "", _lead(found), ""]
    for title, head, rows in blocks(found):
        lines += [
            f"## {title}",
            "",
            "| " + " | ".join(head) + " |",
            "|" + "|".join(["---"] + ["---:"] * (len(head) - 1)) + "|",
        ]
        lines += ["| " + " | ".join(row) + " |" for row in rows]
        lines.append("")
    lines += [f"- {note}" for note in found.table.notes]
    return "\n".join([*lines, f"- {_versions()}", ""])


def to_text(found: Reproduction) -> str:
    """The measured table and the gains, for a terminal."""
    source = found.table.source
    parts = [f"{found.table.title} ({source})" if source else found.table.title, _lead(found)]
    for title, head, rows in headlines(found):
        widths = [max(len(row[i]) for row in [list(head), *rows]) for i in range(len(head))]
        parts.append(
            "\n".join(
                [
                    title,
                    *(
                        "  ".join(
                            cell.ljust(w) if i == 0 else cell.rjust(w)
                            for i, (cell, w) in enumerate(zip(row, widths))
                        ).rstrip()
                        for row in [list(head), *rows]
                    ),
                ]
            )
        )
    return "\n\n".join(parts)


def to_html(found: Reproduction) -> str:
    """The page as HTML without anything from elsewhere."""
    body = [f"<h1>{html.escape(found.table.title)}</h1><p>{html.escape(_lead(found))}</p>"]
    for title, head, rows in blocks(found):
        body.append(
            f"<h2>{html.escape(title)}</h2><div class=wide><table><tr>"
            + "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
            + "</tr>"
            + "".join(
                "<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>"
                for row in rows
            )
            + "</table></div>"
        )
    body.append(
        "<ul>"
        + "".join(f"<li>{html.escape(note)}</li>" for note in (*found.table.notes, _versions()))
        + "</ul>"
    )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>"
        f"{html.escape(found.table.name)}</title><style>{_STYLE}</style>"
        f"<body>{''.join(body)}</body></html>\n"
    )


def to_json(found: Reproduction) -> str:
    """All figures, unrounded; a figure that there is none of is null."""
    table = found.table
    tree = {
        "table": table.name,
        "source": table.source,
        "paper_data": table.paper_data,
        "data": table.data,
        "full": found.full,
        "device": found.device,
        "seeds": list(found.seeds),
        "classes": list(found.class_names),
        "versions": software_versions(),
        "rows": [
            {
                "key": row.key,
                "name": row.name,
                "paper": row.paper,
                "mean": found.spreads[row.key].mean,
                "deviation": _finite(found.spreads[row.key].deviation),
                "per_seed": list(found.spreads[row.key].per_seed),
                "per_class": [_finite(v) for v in found.per_class(row.key)],
                "seconds": found.seconds[row.key],
                "notes": found.notes.get(row.key, {}),
                **_image_tree(found, row.key),
            }
            for row in table.shown
        ],
        "gains": _gain_trees(found, _of_corpus(found)),
        "image_gains": _gain_trees(found, _of_images(found)),
        "printed": {
            "columns": list(table.columns),
            "lines": [[line.name, *line.values] for line in table.printed],
        },
        "notes": list(table.notes),
    }
    return json.dumps(tree, indent=1) + "\n"


def _gain_trees(found: Reproduction, figures: _Figures) -> list[dict[str, Any]]:
    return [
        {
            "row": pair[0],
            "over": pair[1],
            "paper": _paper_gain(found, pair) if figures.printed else None,
            "aim": figures.aims.get(pair),
            "mean": gain.mean,
            "low": gain.low,
            "high": gain.high,
            "p_images": gain.p_images,
            "p_seeds": _finite(gain.p_seeds),
        }
        for pair, gain in figures.gains.items()
    ]


def _image_tree(found: Reproduction, key: str) -> dict[str, Any]:
    if key not in found.image_spreads:
        return {}
    spread = found.image_spreads[key]
    return {
        "image_mean": spread.mean,
        "image_deviation": _finite(spread.deviation),
        "image_per_seed": list(spread.per_seed),
    }


def write_reproduction(found: Reproduction, folder: Path) -> list[Path]:
    """Write `NAME.html`, `NAME.md` and `NAME.json`; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for ending, text in (
        ("html", to_html(found)),
        ("md", to_markdown(found)),
        ("json", to_json(found)),
    ):
        path = folder / f"{found.table.name}.{ending}"
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


def _without_empty(head: Sequence[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """Leave out the columns that no row has anything in, such as those of a paper."""
    kept = [k for k in range(len(head)) if any(row[k] for row in rows)]
    return [head[k] for k in kept], [[row[k] for k in kept] for row in rows]


def _measured(title: str, found: Reproduction, figures: _Figures) -> Block:
    head = (
        "row",
        "paper",
        "here",
        "sd",
        *(f"seed {seed}" for seed in found.seeds),
        "gain",
        "paper's gain",
        "s a seed",
    )
    rows = []
    for row in found.table.shown:
        pair = (row.key, found.table.baseline)
        spread, over = figures.spreads[row.key], figures.gains.get(pair)
        paper = papers_gain = seconds = ""
        if figures.printed:
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
    return (title, *_without_empty(head, rows))


def _compared(title: str, found: Reproduction, figures: _Figures) -> Block:
    rows = []
    for pair, gain in figures.gains.items():
        aim = figures.aims.get(pair)
        first, second = (found.table.row(key).name for key in pair)
        met = "" if aim is None else "yes" if gain.mean >= aim and (aim or gain.mean > 0) else "no"
        rows.append(
            [
                first,
                second,
                _signed(_paper_gain(found, pair)) if figures.printed else "",
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
        "95% over images",
        "p over images",
        "p over seeds",
        "aim met",
    )
    return (title, *_without_empty(head, rows))


def _paper_gain(found: Reproduction, pair: tuple[str, str]) -> float | None:
    first, second = (found.table.row(key).paper for key in pair)
    return None if first is None or second is None else round(first - second, 6)


def _lead(found: Reproduction) -> str:
    size = "at full size" if found.full else "at the small size"
    many = (
        f"seeds {', '.join(map(str, found.seeds))}"
        if len(found.seeds) > 1
        else f"seed {found.seeds[0]} alone, so that spread and test over seeds are missing"
    )
    return (
        f"Here: {found.table.data}, {size} on {found.device}, {many}. Mean IoU over classes "
        "in points, counted over all images."
        + (f" Paper: {found.table.paper_data}." if found.table.paper_data else "")
    )


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
