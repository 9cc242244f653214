"""The images of a report, read from finished artefacts one after another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from rerank.engine.stage import Job, read_image
from rerank.metrics import image_iou, region_confusion
from rerank.ranking import proposal_beliefs
from rerank.reports.image_record import SeenImage
from rerank.reports.tallies import Tally, label_beliefs
from rerank.stages.calibration import Calibration
from rerank.stages.judged_images import RULE
from rerank.stages.proposals import NETWORK
from rerank.stages.ranking import load_ranking
from rerank.stages.ranking_rows import read_ranked
from rerank.stages.stored_probabilities import read_regions
from rerank.types import Array, BoolArray, FloatArray


class PageImage(NamedTuple):
    """An image as a report shows it, with the proposal of the ranking SVM and its colours."""

    seen: SeenImage
    chosen: int
    palette: Array


def page_images(
    job: Job, part: str, promises: Calibration, tally: Tally, shown: BoolArray
) -> Iterator[PageImage]:
    """The images of a part that are shown, and what is added up over all.

    Parameters
    ----------
    job : Job
        Of the stage `pages`.
    part : str
        A fold or `final`.
    promises : Calibration
    tally : Tally
        The counts of each image are added to it.
    shown : (N,) bool array

    Yields
    ------
    PageImage
    """
    with job.open("ranking") as file:
        scores = file[f"scores/{part}/{RULE}"][()]
        ranking = load_ranking(file, part)
    with job.open("calibration") as file:
        confidence = file[f"choices/{part}/confidence"][()]
        kept = file[f"choices/{part}/kept"][()]
    with (
        job.open("superpixels", part) as regions,
        job.open("proposals", part) as proposals,
        job.open("unaries", part) as unaries,
    ):
        for index, ranked in enumerate(read_ranked(job, part, ranking.columns)):
            image_id, dataset = ranked.image_id, job.data.train
            arrays = read_image(regions, index, ("superpixels", "histogram"))
            drawn = read_image(proposals, index)
            names = drawn["generators"]
            reference = names.index(NETWORK) if NETWORK in names else 0
            chosen = int(scores[index].argmax())
            own = read_regions(unaries, index)
            weights = proposal_beliefs(scores[index], promises.beliefs.temperature)
            doubt = _add(tally, own, drawn, arrays["histogram"], (reference, chosen), weights)
            if not shown[index]:
                continue
            ious = image_iou(ranked.counts)
            in_set = promises.sets.sets(scores[index : index + 1], ranked.similarity[None])[0]
            if image_id not in dataset.ids:
                dataset = job.data.evaluate
            sample = dataset[image_id]
            yield PageImage(
                SeenImage(
                    image_id=image_id,
                    part=part,
                    image=sample.image,
                    labels=sample.labels,
                    superpixels=arrays["superpixels"],
                    histogram=arrays["histogram"],
                    labelings=drawn["labelings"],
                    energies=drawn["energies"],
                    lower_bounds=drawn["lower_bounds"],
                    scores=scores[index],
                    ious=ious,
                    generators=names,
                    parameters=drawn["parameters"],
                    families=ranking.score(ranked.values)[1],
                    reference=reference,
                    oracle=int(np.nan_to_num(ious, nan=-1.0).argmax()),
                    in_set=in_set,
                    doubt=doubt,
                    confidence=float(confidence[index]),
                    kept=bool(kept[index]),
                ),
                chosen,
                dataset.palette,
            )


def _add(
    tally: Tally,
    probabilities: Array,
    drawn: dict[str, Any],
    histogram: Array,
    pair: tuple[int, int],
    weights: FloatArray,
) -> FloatArray:
    """Add an image to the tally; returns the belief that a region's label is wrong, (n,).

    `pair` holds the proposals that are compared; `weights` are beliefs in all proposals.
    """
    before, after = drawn["labelings"][list(pair)]
    both = region_confusion(histogram, np.stack([before, after]))
    tally.before += both[0]
    tally.after += both[1]
    tally.sure_before.add(probabilities.max(axis=1), probabilities.argmax(axis=1), histogram)
    possible, weight = drawn["labelings"], weights
    if "samples" in drawn:
        possible, weight = drawn["samples"], np.ones(len(drawn["samples"]))
    beliefs = label_beliefs(possible, weight, after)
    tally.sure_after.add(beliefs, after, histogram)
    return 1.0 - beliefs
