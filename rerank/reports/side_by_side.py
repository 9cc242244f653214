"""The numbers of runs side by side as plain values, with paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from rerank.errors import InputError
from rerank.metrics import IntersectionUnion, OracleCurve, bootstrap_interval
from rerank.reports.populations import CHOICE, GATED, Population, evaluations
from rerank.reports.rule_numbers import interval_record, reference_name, rule_record
from rerank.reports.run_numbers import curve_record
from rerank.types import Array, FloatArray, IntArray

#: Rules whose differences between runs are shown.
COMPARED = (CHOICE, GATED, "MAP", "oracle of each image")


class ComparedRun(NamedTuple):
    """A run as it is compared.

    Attributes
    ----------
    label, recipe : str
        What the page calls it, and the name of its recipe.
    image_ids : tuple of str
        In the order of the population.
    population : Population
    curve : OracleCurve
    scores : sequence of (n, M) float arrays
        Of the ranking SVM, part by part.
    settings : mapping of name to text
        All leaves of the recipe.
    n_bootstrap : int
    """

    label: str
    recipe: str
    image_ids: tuple[str, ...]
    population: Population
    curve: OracleCurve
    scores: Sequence[FloatArray]
    settings: Mapping[str, str]
    n_bootstrap: int


def comparison_record(
    runs: Sequence[ComparedRun], class_names: Sequence[str], palette: Array
) -> dict[str, Any]:
    """All numbers of a comparison.

    Parameters
    ----------
    runs : sequence of ComparedRun
        The first is what the others are compared with.
    class_names : sequence of str
    palette : (256, 3) uint8 array

    Returns
    -------
    dict
        IoU in points.

    Raises
    ------
    InputError
        If a run has no image in common with the first.
    """
    names = sorted({name for run in runs for name in run.settings})
    settings = [[name, [run.settings.get(name, "") for run in runs]] for name in names]
    return {
        "classes": list(class_names),
        "palette": np.asarray(palette)[: len(class_names)].tolist(),
        "population": runs[0].population.name,
        "runs": [_run(run) for run in runs],
        "differences": [differences(runs[0], run) for run in runs[1:]],
        "settings": [row for row in settings if len(set(row[1])) > 1],
    }


def differences(first: ComparedRun, second: ComparedRun) -> dict[str, Any]:
    """What one run has above another, on the images that both have.

    Parameters
    ----------
    first, second : ComparedRun
        The difference is of the second less the first.

    Returns
    -------
    dict
        `n_images`, and for each of `COMPARED` the paired differences of both measures.

    Raises
    ------
    InputError
        If they have no image in common.
    """
    places = {image_id: k for k, image_id in enumerate(first.image_ids)}
    both = [(places[i], k) for k, i in enumerate(second.image_ids) if i in places]
    if not both:
        raise InputError(f"{second.label} and {first.label} have no image in common")
    ours, theirs = (np.array(rows) for rows in zip(*both))
    found: dict[str, Any] = {"n_images": len(both), "rules": {}}
    groups = first.population.resampled.of(ours).groups
    for rule in COMPARED:
        one = _rows(first.population.counts_of(rule), ours)
        other = _rows(second.population.counts_of(rule), theirs)
        found["rules"][rule] = {
            measure: interval_record(
                bootstrap_interval(other, one, measure, first.n_bootstrap, groups=groups)
            )
            for measure in ("corpus", "image")
        }
    return found


def _run(run: ComparedRun) -> dict[str, Any]:
    population = run.population
    found = evaluations(population, run.n_bootstrap, 0)
    return {
        "label": run.label,
        "recipe": run.recipe,
        "reference": reference_name(population),
        "n_images": len(run.image_ids),
        "rules": [rule_record(e, population) for e in found],
        "curve": curve_record(population.counts, run.curve, np.concatenate(list(run.scores))),
    }


def _rows(counts: IntersectionUnion, rows: IntArray) -> IntersectionUnion:
    return IntersectionUnion(counts.intersections[rows], counts.unions[rows])
