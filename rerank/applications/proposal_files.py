"""Proposals from a folder of network maps, without any training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rerank.applications.dense_crf_files import DEFAULTS, refine_map
from rerank.applications.image_pairs import ImagePair, check_pairs
from rerank.applications.label_files import class_names_of, find_labels
from rerank.applications.out_folder import open_out
from rerank.applications.result_files import LONGEST_ENDING, write_result, write_summary
from rerank.config import ProposeSettings, build_propose_settings
from rerank.crf.compiled import compiler_notes
from rerank.datasets import read_image, read_index_mask, voc_palette
from rerank.datasets.file_names import name_of
from rerank.datasets.map_files import read_values
from rerank.engine.parallel import run_tasks
from rerank.engine.progress import Progress
from rerank.metrics import (
    IntersectionUnion,
    confusion_counts,
    intersection_union,
    region_histogram,
    region_intersection_union,
)
from rerank.reports.proposal_report import ProposalReport, judge_proposals
from rerank.result import Result
from rerank.types import VOID, Array
from rerank.untrained import propose


class ProposedFiles(NamedTuple):
    """What was written, and how good it is.

    Attributes
    ----------
    segmentations : list of Path
        The choices, one per image, by name.
    report : ProposalReport or None
        Where there are labels.
    """

    segmentations: list[Path]
    report: ProposalReport | None = None


class _Counts(NamedTuple):
    """Of one image: counts of the proposals (M, C) and of the dense CRF (C,), and two proposals."""

    proposals: IntersectionUnion
    dense_crf: IntersectionUnion
    network: int
    chosen: int


class _Task(NamedTuple):
    """What is the same for all images."""

    out: Path
    settings: ProposeSettings
    class_names: tuple[str, ...]
    void: int | None


class _Done(NamedTuple):
    place: int
    segmentation: Path
    row: dict[str, object]
    counts: _Counts | None


def propose_files(
    probabilities: Path,
    images: Path,
    out: Path,
    overrides: Sequence[str] = (),
    quiet: bool = False,
    *,
    jobs: int = 1,
    labels: Path | None = None,
    void: int | None = VOID,
) -> ProposedFiles:
    """Write proposals and a choice for each image of a folder, and judge them by labels.

    Parameters
    ----------
    probabilities, images, out : Path
        Folders; `probabilities` may be one HDF5 file. See `write_result` and `write_summary` for
        what is written.
    overrides : sequence of str
        `a.b=value` settings of `ProposeSettings`.
    quiet : bool
        Show no progress.
    jobs : int
        Images at a time.
    labels : Path, optional
        Folder of masks, by the images' names, for the report. A `classes.txt` in it or beside it
        names the classes.
    void : int or None
        The label of pixels that are not counted.

    Returns
    -------
    ProposedFiles

    Raises
    ------
    ConfigError
        If a setting is unknown or out of range.
    DataError
        If `out` cannot be written, a folder is missing or empty, an image has no map or label or
        a map no image, or a file cannot be used. Maps are checked by their headers first, then
        labels, before anything is computed, and all problems are listed.
    """
    settings = build_propose_settings(overrides)
    pairs, found = check_pairs(probabilities, images)
    truths: dict[Path, Path] = {}
    if labels is not None:
        truths = find_labels(labels, [pair.image for pair in pairs], found.n_classes, void)
    names = class_names_of(labels, found.n_classes)
    open_out(out, (name_of(pair.image) for pair in pairs), LONGEST_ENDING)
    task = _Task(out, settings, names, void)
    done: list[_Done] = []
    with Progress(len(pairs), quiet=quiet) as progress:
        for note in (*found.notes(), *compiler_notes()):
            progress.note(note)
        arguments = [(k, pair, truths.get(pair.image), task) for k, pair in enumerate(pairs)]
        for item in run_tasks(_propose_file, arguments, jobs):
            progress.item(str(item.row["image"]))
            progress.advance(1)
            done.append(item)
    done.sort(key=lambda item: item.place)
    write_summary([item.row for item in done], out)
    counts = [item.counts for item in done if item.counts is not None]
    report = _report(counts, names) if counts else None
    return ProposedFiles([item.segmentation for item in done], report)


def _propose_file(place: int, pair: ImagePair, label: Path | None, task: _Task) -> _Done:
    image, name = read_image(pair.image), name_of(pair.image)
    network_map, where = read_values(pair.probabilities), str(pair.probabilities)
    result = propose(image, network_map, task.settings, where)
    written = write_result(result, image, name, task.out, voc_palette(), task.class_names)
    counts = None
    if label is not None:
        refined = refine_map(network_map, image, DEFAULTS, where)[1]
        counts = _count(result, refined, read_index_mask(label), task)
    return _Done(place, *written, counts)


def _count(result: Result, refined: Array, truth: Array, task: _Task) -> _Counts:
    proposals, n_classes = result.proposals, len(task.class_names)
    own = proposals.labels(result.reference)
    # The dense CRF leaves void pixels of a map void; like the network, it must answer there too.
    refined = np.where(refined == VOID, own, refined)
    seen = region_histogram(proposals.superpixels, truth, n_classes, task.void)
    confusion = confusion_counts(truth, refined, n_classes, ignore_index=task.void)
    return _Counts(
        region_intersection_union(seen, proposals.labelings.astype(np.int64)),
        intersection_union(confusion),
        result.reference,
        result.chosen,
    )


def _report(counts: Sequence[_Counts], class_names: tuple[str, ...]) -> ProposalReport:
    return judge_proposals(
        IntersectionUnion.stack([found.proposals for found in counts]),
        np.array([found.network for found in counts]),
        np.array([found.chosen for found in counts]),
        IntersectionUnion.stack([found.dense_crf for found in counts]),
        class_names,
    )
