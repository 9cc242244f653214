"""Candidate masks from anywhere: measured, ranked, and one of them chosen for each image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rerank.applications.mask_pages import write_page
from rerank.applications.mask_set_files import (
    MaskedImage,
    check_masked_images,
    pair_masks,
    read_labels,
)
from rerank.applications.out_folder import open_out
from rerank.applications.result_files import LONGEST_ENDING
from rerank.datasets import read_image, read_index_mask, save_labels_png, voc_palette
from rerank.datasets.file_pairs import read_lines
from rerank.datasets.mask_folders import difference, read_class_names
from rerank.datasets.mask_sets import source_names
from rerank.datasets.problems import file_error, some_names
from rerank.engine.parallel import run_tasks
from rerank.engine.progress import Progress
from rerank.errors import ConfigError, DataError
from rerank.files import write_text
from rerank.mask_ranker import FEWEST_IMAGES, MaskRanker, common_sources, padded_counts
from rerank.mask_table import MaskTable, describe_masks
from rerank.metrics import (
    IntersectionUnion,
    OracleCurve,
    chosen_counts,
    corpus_iou,
    image_iou,
    mean_image_iou,
    oracle_curve,
)
from rerank.reports import evaluate, to_csv
from rerank.reports.mask_comparison import MaskComparison, comparison_csv
from rerank.reports.ranked_masks import DiversityRow, RankedMasks, curve_csv, diversity_csv
from rerank.types import VOID, FloatArray, IntArray

CONSENSUS = "consensus"
CROSS_FITTED = "ranker, cross-fitted"
RANKER = "ranker"
VOTE = "majority vote of pixels"
ORACLES = ("oracle of each image", "oracle of the corpus")
#: Sources that have rows of their own in the tables.
MOST_SOURCES = 12


class MaskRanking(NamedTuple):
    """How candidate masks are ranked and judged.

    Attributes
    ----------
    labels : Path or None
        Folder of labels, `ID.png` or, of several annotators, `ID/NAME.png`.
    model : Path or None
        A ranker that an earlier call with labels wrote. Without both, the consensus chooses.
    classes : str or None
        Number of classes or a file of their names.
    void : int or None
        The value in labels that means void.
    weights : Path or None
        Lines `name weight`: of the masks, by their names, in the consensus.
    baseline : str or None
        Name of the masks that gains are over; the best single source by default.
    only : Path or None
        A list of the images to take.
    common : bool
        Take the images that all folders have.
    n_resamples : int
        Of the bootstrap; 0 leaves the intervals out.
    random_state : int
    """

    labels: Path | None = None
    model: Path | None = None
    classes: str | None = None
    void: int | None = VOID
    weights: Path | None = None
    baseline: str | None = None
    only: Path | None = None
    common: bool = False
    n_resamples: int = 2000
    random_state: int = 0


def rank_files(
    masks: Path,
    images: Path,
    out: Path,
    settings: MaskRanking | None = None,
    jobs: int = 1,
    quiet: bool = False,
) -> RankedMasks:
    """Choose one of the candidate masks of each image, and say what the choice is worth.

    Writes `ID_segmentation.png` and `ID_scores.csv` for each image, `diversity.csv` and
    `report.html`. With labels also `rules.csv`, `classes.csv`, `images.csv`, `oracle.csv` and,
    where there are at least 20 images, `ranker.h5`; the choices are then cross-fitted.

    Parameters
    ----------
    masks : Path
        Folder of `ID/NAME.png`: any number of masks per image, whose pixel values are classes.
    images : Path
        Folder of the images, by the same names.
    out : Path
        Folder for the results; none of the others.
    settings : MaskRanking, optional
    jobs : int
        Images at a time.
    quiet : bool
        Show no progress.

    Returns
    -------
    RankedMasks

    Raises
    ------
    ConfigError
        If labels and a model are given, or `baseline` is no name of masks.
    DataError
        If a folder or a file cannot be used, or `out` cannot be written.
    ManyProblemsError
        If several files cannot be used: a line for each, of twenty at most.
    """
    chosen = MaskRanking() if settings is None else settings
    if chosen.labels is not None and chosen.model is not None:
        raise ConfigError("give --labels or --model: a model is fitted, or one is used")
    for folder in (masks, images, chosen.labels):
        if folder is not None and folder.resolve() == out.resolve():
            raise DataError(f"{out}: holds what is read; give --out another folder")
    ranker: MaskRanker | None = None
    names: Sequence[str] | None = None
    if chosen.model is not None:
        ranker, names = MaskRanker.load(chosen.model)
    items, n_left_out = pair_masks(masks, images, chosen.labels, chosen.only, chosen.common)
    if names is None:
        names = read_class_names(chosen.labels or masks, chosen.classes)
    n_classes = check_masked_images(items, chosen.void, None if names is None else len(names), jobs)
    class_names = tuple(str(k) for k in range(n_classes)) if names is None else tuple(names)
    open_out(out, (item.image_id for item in items), LONGEST_ENDING)
    tables = _describe_all(items, class_names, chosen, jobs, quiet)
    notes: list[str] = []
    rule, scores = CONSENSUS, [table.consensus for table in tables]
    if ranker is not None:
        rule, scores = RANKER, [ranker.decision_function(table) for table in tables]
        notes += _unknown_sources(ranker, tables)
    elif chosen.labels is not None:
        why = _why_not_fitted(tables)
        if why:
            notes.append(why)
        else:
            ranker = MaskRanker(random_state=chosen.random_state)
            rule, scores = CROSS_FITTED, ranker.cross_fit(tables)
            ranker.fit(tables).save(out / "ranker.h5", class_names)
            notes.append(f"{out / 'ranker.h5'}: for new images, with --model")
    choice = np.array([int(values.argmax()) for values in scores])
    comparison = curve = None
    if chosen.labels is not None:
        comparison, curve = _compare(tables, items, choice, rule, class_names, chosen, n_left_out)
    found = RankedMasks(
        rule,
        [(t.image_id, t.names[c]) for t, c in zip(tables, choice)],
        n_classes,
        [
            DiversityRow(
                t.image_id,
                len(t.names),
                t.diversity.n_distinct,
                len(item.labels),
                t.diversity.distance,
                t.diversity.energy_distance,
                t.diversity.matched_iou,
            )
            for t, item in zip(tables, items)
        ],
        comparison,
        curve,
        notes,
    )
    _write_images(items, tables, scores, out)
    _write_tables(found, out)
    write_page(found, items, tables, scores, out / "report.html")
    return found


def _describe_all(
    items: Sequence[MaskedImage],
    class_names: tuple[str, ...],
    settings: MaskRanking,
    jobs: int,
    quiet: bool,
) -> list[MaskTable]:
    weights = None if settings.weights is None else _read_weights(settings.weights, items)
    tasks = [
        (k, item, class_names, _weights_of(item, weights), settings.void)
        for k, item in enumerate(items)
    ]
    found: list[tuple[int, MaskTable]] = []
    with Progress(len(items), quiet=quiet) as progress:
        for place, table in run_tasks(_describe, tasks, jobs):
            progress.item(table.image_id)
            progress.advance(1)
            found.append((place, table))
    return [table for _, table in sorted(found, key=lambda pair: pair[0])]


def _describe(
    place: int,
    item: MaskedImage,
    class_names: tuple[str, ...],
    weights: FloatArray | None,
    void: int | None,
) -> tuple[int, MaskTable]:
    return place, describe_masks(
        read_image(item.image),
        [read_index_mask(path) for path in item.masks],
        class_names,
        names=source_names(item.masks),
        weights=weights,
        labels=[read_labels(path, void) for path in item.labels],
        image_id=item.image_id,
    )


def _read_weights(path: Path, items: Sequence[MaskedImage]) -> Mapping[str, float]:
    lines, problems = read_lines([path])
    if problems:
        raise DataError(problems[0])
    found: dict[str, float] = {}
    for line in lines:
        name, _, text = line.rpartition(" ")
        try:
            weight = float(text)
        except ValueError:
            weight = -1.0
        if not name.strip() or not 0 < weight < np.inf:
            raise file_error(
                path, f"the line {line!r} is not `name weight`", "write a name and a number above 0"
            )
        found[name.strip()] = weight
    used = sorted({name for item in items for name in source_names(item.masks)})
    missing = difference(used, found)
    if missing:
        raise file_error(path, f"no weight for the masks {some_names(missing)}", "add their lines")
    return found


def _weights_of(item: MaskedImage, weights: Mapping[str, float] | None) -> FloatArray | None:
    if weights is None:
        return None
    return np.array([weights[name] for name in source_names(item.masks)])


def _why_not_fitted(tables: Sequence[MaskTable]) -> str:
    """Why labels are too few for a ranker; nothing where they are enough."""
    if len(tables) < FEWEST_IMAGES:
        return (
            f"no ranker is fitted: it needs {FEWEST_IMAGES} labelled images and there are "
            f"{len(tables)}"
        )
    if all(table.diversity.n_distinct == 1 for table in tables):
        return "no ranker is fitted: no image has two different masks"
    void = [t.image_id for t in tables if t.counts is None or not t.counts.unions.any()]
    return f"no ranker is fitted: {some_names(void)} have no labelled pixel" if void else ""


def _unknown_sources(ranker: MaskRanker, tables: Sequence[MaskTable]) -> list[str]:
    unknown = sorted({name for t in tables for name in t.names} - set(ranker.sources_))
    if not ranker.sources_ or not unknown:
        return []
    return [
        f"the ranker was fitted on masks called {some_names(ranker.sources_)}; it does not know "
        f"{some_names(unknown)}, and judges them by their other features"
    ]


def _compare(
    tables: Sequence[MaskTable],
    items: Sequence[MaskedImage],
    choice: IntArray,
    rule: str,
    class_names: tuple[str, ...],
    settings: MaskRanking,
    n_left_out: int,
) -> tuple[MaskComparison, OracleCurve]:
    counts = padded_counts(tables)
    curve = oracle_curve(counts.intersections, counts.unions)
    rules = _source_rules(tables, counts)
    baseline = _baseline(rules, settings.baseline)
    rules = {**({} if baseline is None else {baseline: rules[baseline]}), **rules}
    consensus = np.array([int(table.consensus.argmax()) for table in tables])
    rules[CONSENSUS] = chosen_counts(counts, consensus)
    rules[VOTE] = IntersectionUnion.stack([t.vote for t in tables if t.vote is not None])
    if rule != CONSENSUS:
        rules[rule] = chosen_counts(counts, choice)
    for name, best in zip(ORACLES, (curve.image_oracle_choice, curve.corpus_oracle_choice)):
        rules[name] = chosen_counts(counts, best[-1])
    first = next(iter(rules))
    evaluations = [
        evaluate(
            name,
            own,
            None if name == first else rules[first],
            settings.n_resamples,
            settings.random_state,
        )
        for name, own in rules.items()
    ]
    present, n_void, n_pixels = _present(items, len(class_names), settings.void)
    comparison = MaskComparison(
        tuple(table.image_id for table in tables),
        class_names,
        tuple(evaluations),
        tuple(rules.values()),
        present,
        settings.void,
        n_void / n_pixels,
        n_left_out,
        settings.n_resamples,
        settings.random_state,
        0,
        "rule",
    )
    return comparison, curve


def _source_rules(
    tables: Sequence[MaskTable], counts: IntersectionUnion
) -> dict[str, IntersectionUnion]:
    """The masks of each source that all images have, as rules that always choose it."""
    return {
        source: chosen_counts(counts, np.array([t.names.index(source) for t in tables]))
        for source in common_sources(tables)[:MOST_SOURCES]
    }


def _baseline(rules: Mapping[str, IntersectionUnion], wanted: str | None) -> str | None:
    if wanted is not None and wanted not in rules:
        there = some_names(list(rules), MOST_SOURCES) if rules else "none"
        raise ConfigError(f"--baseline {wanted}: names that all images have are {there}")
    if wanted is not None or not rules:
        return wanted
    return max(rules, key=lambda name: corpus_iou(rules[name]).mean + mean_image_iou(rules[name]))


def _present(
    items: Sequence[MaskedImage], n_classes: int, void: int | None
) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.bool_]], int, int]:
    """Classes in the labels of each image, and void and all pixels of the labels."""
    found = np.zeros((len(items), n_classes), dtype=bool)
    n_void = n_pixels = 0
    for row, item in zip(found, items):
        for path in item.labels:
            labels = read_labels(path, void)
            n_void += int((labels == VOID).sum())
            n_pixels += labels.size
            row[np.unique(labels[labels != VOID])] = True
    return found, n_void, n_pixels


def _write_images(
    items: Sequence[MaskedImage],
    tables: Sequence[MaskTable],
    scores: Sequence[FloatArray],
    out: Path,
) -> None:
    for item, table, values in zip(items, tables, scores):
        best = int(values.argmax())
        labels = read_index_mask(item.masks[best])
        save_labels_png(out / f"{item.image_id}_segmentation.png", labels, voc_palette())
        ious = None if table.counts is None else image_iou(table.counts)
        rows = [
            {
                "mask": name,
                "score": float(values[m]),
                "consensus": float(table.consensus[m]),
                **({} if ious is None else {"iou": round(100 * float(ious[m]), 3)}),
                "chosen": int(m == best),
            }
            for m, name in enumerate(table.names)
        ]
        write_text(out / f"{item.image_id}_scores.csv", to_csv(rows))


def _write_tables(found: RankedMasks, out: Path) -> None:
    write_text(out / "diversity.csv", diversity_csv(found))
    if found.comparison is not None and found.curve is not None:
        for name, text in comparison_csv(found.comparison).items():
            write_text(out / name, text)
        write_text(out / "oracle.csv", curve_csv(found.curve))
