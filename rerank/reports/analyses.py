"""The files of the oracle analysis and of the feature ablation, from plain records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from rerank.metrics import IntersectionUnion, OracleCurve, chosen_counts, corpus_iou, image_iou
from rerank.reports.csv_text import to_csv
from rerank.reports.evaluation import Evaluation, evaluate, evaluation_rows
from rerank.reports.figures import draw_bars, draw_oracle_curve, to_png
from rerank.reports.populations import DRAWN, NETWORK_ROW, TITLES, Population
from rerank.types import FloatArray, IntArray


class AblationRow(NamedTuple):
    """The ranker on one subset of its groups of columns.

    Attributes
    ----------
    groups : tuple of str
    choice : (n_images,) int array
        Index of the chosen proposal.
    n_columns : int
    C : float
        That was chosen for it.
    """

    groups: tuple[str, ...]
    choice: IntArray
    n_columns: int
    C: float


def oracle_files(population: Population, curve: OracleCurve, name: str) -> dict[str, bytes]:
    """`oracle_POPULATION.csv` and `oracle_POPULATION.png`.

    Parameters
    ----------
    population : Population
    curve : OracleCurve
        Of that population.
    name : str
        Of the recipe, for the title.

    Returns
    -------
    mapping of file name to bytes
    """
    measures = (
        "image_oracle_miou",
        "corpus_oracle_miou",
        "image_oracle_image_iou",
        "corpus_oracle_image_iou",
    )
    rows = [
        {
            "n_proposals": int(m),
            **{key: round(100 * float(getattr(curve, key)[i]), 3) for key in measures},
        }
        for i, m in enumerate(curve.n_proposals)
    ]
    lines = {}
    if population.network is not None:
        lines[NETWORK_ROW] = _levels(population.network)
    for rule, choice in population.choices.items():
        if rule in DRAWN:
            lines[rule] = _levels(chosen_counts(population.counts, choice))
    title = f"{name}: {TITLES[population.name].lower()}"
    return {
        f"oracle_{population.name}.csv": to_csv(rows).encode(),
        f"oracle_{population.name}.png": to_png(draw_oracle_curve(curve, lines, title)),
    }


def _levels(counts: IntersectionUnion) -> tuple[float, float]:
    return corpus_iou(counts).mean, float(np.nanmean(image_iou(counts)))


def generator_csv(
    names: Sequence[str],
    measures: Sequence[str],
    tables: Mapping[int, FloatArray],
    network: IntersectionUnion | None = None,
) -> str:
    """The oracle of each generator alone as CSV, one line per generator.

    Parameters
    ----------
    names : sequence of str
        Of the generators.
    measures : sequence of str
    tables : mapping of number of proposals to (n_generators, n_measures) float array
    network : IntersectionUnion, optional
        Of the user's own network, one labeling an image: the first line.

    Returns
    -------
    str
    """
    rows: list[dict[str, object]] = []
    if network is not None:
        corpus, image = _levels(network)
        alone = np.array([[image if "image_iou" in name else corpus for name in measures]])
        names = [NETWORK_ROW, *names]
        tables = {place: np.concatenate([alone, table]) for place, table in tables.items()}
    for k, name in enumerate(names):
        row: dict[str, object] = {"generator": name}
        for place, table in tables.items():
            for i, measure in enumerate(measures):
                row[f"{measure}_at_{place}"] = in_points(table[k, i])
        rows.append(row)
    return to_csv(rows)


def ablation_files(
    counts: IntersectionUnion,
    rows: Sequence[AblationRow],
    n_bootstrap: int,
    random_state: int,
    network: IntersectionUnion | None = None,
    groups: IntArray | None = None,
) -> dict[str, bytes]:
    """`ablation.csv` and `ablation.png`; empty without rows.

    Parameters
    ----------
    counts : IntersectionUnion
        Of all proposals, arrays (n_images, n_proposals, n_classes); the first one is MAP.
    rows : sequence of AblationRow
    n_bootstrap : int
        Resamples for the intervals.
    random_state : int
    network : IntersectionUnion, optional
        Of the user's own network, arrays (n_images, n_classes): the first row.
    groups : (n_images,) int array, optional
        Groups of images, such as videos, that are resampled whole.

    Returns
    -------
    mapping of file name to bytes
    """
    if not rows:
        return {}
    baseline = IntersectionUnion(counts.intersections[:, 0], counts.unions[:, 0])
    bars: list[Evaluation] = []
    about: list[dict[str, object]] = []
    if network is not None:
        bars.append(evaluate(NETWORK_ROW, network, baseline, n_bootstrap, random_state, groups))
        about.append({"n_columns": "", "C": ""})
    for row in rows:
        name = " + ".join(row.groups)
        chosen = chosen_counts(counts, row.choice)
        found = evaluate(name, chosen, baseline, n_bootstrap, random_state, groups)
        if network is not None:
            found = found.over_network(
                evaluate(name, chosen, network, n_bootstrap, random_state, groups)
            )
        bars.append(found)
        about.append({"n_columns": row.n_columns, "C": row.C})
    table = evaluation_rows({bar.name: bar for bar in bars})
    lines = [{**row, **more} for row, more in zip(table, about)]
    intervals = [b.corpus_interval for b in bars]
    low = [100 * (b.corpus_iou if i is None else i.low) for b, i in zip(bars, intervals)]
    high = [100 * (b.corpus_iou if i is None else i.high) for b, i in zip(bars, intervals)]
    figure = draw_bars(
        [b.name for b in bars],
        [100 * b.corpus_iou for b in bars],
        low,
        high,
        100 * corpus_iou(baseline if network is None else network).mean,
        f"corpus mIoU (points); the line is {'MAP' if network is None else 'the network'}",
    )
    return {"ablation.csv": to_csv(lines).encode(), "ablation.png": to_png(figure)}


def in_points(value: float) -> object:
    """A share as points for a table: 0.123456 as 12.346, nothing for NaN."""
    return "" if np.isnan(value) else round(100 * float(value), 3)
