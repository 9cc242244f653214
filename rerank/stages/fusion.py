"""The fused posterior: superpixels, SegNet, image classifiers and places together.

Each signal gets one weight. The weights are fitted on training images, to signals of models that
were fitted without them: for a fold on images that were held out of an inner fit, for `final` on
all of them, with the signals of each image's fold. Where the recipe holds none out, a fold does as
`final` does, with the images of the other folds. A CRF on the fused posterior is the row `fusion`
of the report, and one of the two sources that proposals are drawn from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import h5py
import numpy as np

from rerank.config import Recipe
from rerank.engine.folds import Part
from rerank.engine.hdf5 import read_arrays, write_arrays
from rerank.engine.stage import Job, read_image
from rerank.evidence import (
    AuxiliaryProbabilities,
    FusedPosterior,
    ImageEvidence,
    ImageScores,
    LocationPrior,
    RegionSignals,
    SegNetMap,
    region_signals,
)
from rerank.nets import cell_overlap
from rerank.stages.auxiliary import read_auxiliary, read_held_out_auxiliary
from rerank.stages.classifiers import load_models, read_scores
from rerank.stages.segnet import read_map
from rerank.stages.stored_probabilities import read_regions, write_regions
from rerank.stages.unaries import held_out, read_held_out, read_held_out_ids, write_held_out
from rerank.types import Array, FloatArray

#: Of recipes without auxiliary models.
NO_AUXILIARY = AuxiliaryProbabilities()
#: Stream of random numbers, apart from those of other draws.
_SIGNALS = 103
#: Arrays of the superpixels that the signals are made from.
REGION_ARRAYS = ("superpixels", "areas", "region_values")


class TrainingPriors(NamedTuple):
    """Priors from the training images, which do not depend on the image.

    Attributes
    ----------
    location : LocationPrior
    class_shares : (C,) float array or None
        Among the training pixels; columns of features do not use them.
    background : int or None
    """

    location: LocationPrior
    class_shares: FloatArray | None
    background: int | None


def image_evidence(
    region_probabilities: FloatArray,
    superpixels: Array,
    segnet_map: FloatArray | None,
    scores: ImageScores | None,
    priors: TrainingPriors,
    auxiliary: AuxiliaryProbabilities = NO_AUXILIARY,
) -> ImageEvidence:
    """The evidence on one image from the models of a fold.

    Parameters
    ----------
    region_probabilities : (n, C) float array
        Of stage 1.
    superpixels : (H, W) int array
    segnet_map : (grid, grid, C) float array or None
        None without a SegNet.
    scores : ImageScores or None
        None without image classifiers.
    priors : TrainingPriors
    auxiliary : AuxiliaryProbabilities

    Returns
    -------
    ImageEvidence
    """
    height, width = priors.location.probabilities_.shape[:2]
    overlap = cell_overlap(superpixels, (int(height), int(width)))
    return ImageEvidence(
        region_probabilities,
        None if segnet_map is None else SegNetMap(segnet_map, overlap),
        scores,
        priors.background,
        location=priors.location.transform(overlap),
        class_shares=priors.class_shares,
        auxiliary=auxiliary,
    )


def load_fusion(file: h5py.Group) -> FusedPosterior:
    """The fitted weights of a fold."""
    return FusedPosterior.from_arrays(read_arrays(file["model"]))


def read_probabilities(files: Mapping[str, h5py.File], index: int) -> dict[str, FloatArray]:
    """Class probabilities of one image's superpixels by source.

    Parameters
    ----------
    files : mapping of source to open file
        Of `open_sources`.
    index : int
        The image's place in the part's `image_ids`.

    Returns
    -------
    mapping of source to (n, C) float array
    """
    return {source: read_regions(opened, index) for source, opened in files.items()}


@contextmanager
def open_sources(job: Job, part: str | None = None) -> Iterator[dict[str, h5py.File]]:
    """The files that hold class probabilities of a part, by source, the main one last.

    Sources are `unary`, and `fusion` where it is enabled.

    Parameters
    ----------
    job : Job
    part : str, optional
        The job's own by default.
    """
    with ExitStack() as stack:
        files = {"unary": stack.enter_context(job.open("unaries", part))}
        if job.recipe.fusion.enabled:
            files["fusion"] = stack.enter_context(job.open("fusion", part))
        yield files


def run(job: Job, file: h5py.File) -> None:
    """Write the weights, `region_probabilities` of each image, and those of the held-out images;
    nothing where the recipe has no fusion."""
    if not job.recipe.fusion.enabled:
        return
    out_of_fold = job.is_final or job.recipe.holdout == 0
    held = () if out_of_fold else held_out(job)
    # Signals of many images do not fit in memory: models are fitted on a random share of them.
    count = sum(len(fold.image_ids) for fold in job.other_folds) if out_of_fold else len(held)
    seen = FittedImages(count, job.recipe)
    for image_id, signal, histogram in (
        _training_signals(job) if out_of_fold else _held_signals(job)
    ):
        seen.add(image_id, signal, histogram)
    signals, histograms = seen.chosen(held)
    model = FusedPosterior(job.recipe.fusion.alpha, random_state=job.recipe.random_state)
    model.fit(signals, histograms)
    if not out_of_fold:
        again = zip(held, signals) if len(signals) == count else _signals_of(_held_signals(job))
        for image_id, signal in again:
            write_held_out(file, held, image_id, model.predict_proba(signal))
    write_arrays(file.create_group("model"), model.to_arrays())
    for index, signal in enumerate(_own_signals(job, job.part)):
        write_regions(file, index, model.predict_proba(signal))


def _own_signals(job: Job, part: Part) -> Iterator[RegionSignals]:
    """Signals of a part's own images, from models that have not seen them."""
    with (
        job.open("superpixels", part.name) as regions,
        job.open("unaries", part.name) as unaries,
        job.open("segnet", part.name) as segnet,
        job.open("classifiers", part.name) as classifiers,
        job.open("auxiliary", part.name) as auxiliary,
    ):
        priors = _priors(job, load_models(classifiers).location, unaries)
        for index in range(len(part.image_ids)):
            arrays = read_image(regions, index, REGION_ARRAYS)
            evidence = image_evidence(
                read_regions(unaries, index),
                arrays["superpixels"],
                read_map(segnet, index),
                read_scores(classifiers, index),
                priors,
                read_auxiliary(auxiliary, index),
            )
            yield _signals(job, evidence, arrays)


def _training_signals(job: Job) -> Iterator[tuple[str, RegionSignals, Array]]:
    """Signals and truth of all training images, from models that have not seen them."""
    for fold in job.other_folds:
        with job.open("superpixels", fold.name) as regions:
            for index, signal in enumerate(_own_signals(job, fold)):
                histogram = read_image(regions, index, ("histogram",))["histogram"]
                yield fold.image_ids[index], signal, histogram


def _held_signals(job: Job) -> Iterator[tuple[str, RegionSignals, Array]]:
    """Signals and truth of the held-out images, in the folds' order."""
    with (
        job.open("unaries") as unaries,
        job.open("segnet") as segnet,
        job.open("classifiers") as classifiers,
        job.open("auxiliary") as auxiliary,
    ):
        held = read_held_out_ids(job, unaries)
        inner, row, wanted = classifiers["holdout"], 0, set(held)
        location = LocationPrior.from_arrays({"probabilities": inner["location"][()]})
        priors = _priors(job, location, unaries)
        for fold in job.other_folds:
            with job.open("superpixels", fold.name) as regions:
                for index, image_id in enumerate(fold.image_ids):
                    if image_id not in wanted:
                        continue
                    arrays = read_image(regions, index, (*REGION_ARRAYS, "histogram"))
                    # Inner models wrote their images in the folds' order.
                    evidence = image_evidence(
                        read_held_out(unaries, held, image_id),
                        arrays["superpixels"],
                        read_map(segnet, row, "holdout_maps"),
                        read_scores(inner, row),
                        priors,
                        read_held_out_auxiliary(auxiliary, held, image_id),
                    )
                    signals = _signals(job, evidence, arrays)
                    yield image_id, signals, arrays["histogram"]
                    row += 1


def _signals_of(
    images: Iterator[tuple[str, RegionSignals, Array]],
) -> Iterator[tuple[str, RegionSignals]]:
    for image_id, signals, _ in images:
        yield image_id, signals


class FittedImages:
    """Images that a model is fitted on: all, or as many as fit in memory.

    Parameters
    ----------
    count : int
        Images that will be added.
    recipe : Recipe
        For `training_memory`, and the seed of the draw.
    """

    def __init__(self, count: int, recipe: Recipe) -> None:
        self._order = np.random.default_rng([_SIGNALS, recipe.random_state]).permutation(count)
        self._most, self._bytes = recipe.training_memory << 20, 0
        self._place, self._limit = 0, count
        self._found: dict[int, tuple[str, RegionSignals, Array]] = {}

    def add(self, image_id: str, signals: RegionSignals, histogram: Array) -> None:
        """Keep an image if it is among the first in a random order of which all fit.

        Parameters
        ----------
        image_id : str
        signals : RegionSignals
        histogram : (n, C) int array
        """
        rank, self._place = int(self._order[self._place]), self._place + 1
        if rank >= self._limit:
            return
        self._found[rank] = (image_id, signals, histogram)
        self._bytes += signals.values.nbytes + histogram.nbytes
        while self._bytes > self._most and len(self._found) > 1:
            self._limit = max(self._found)
            _, dropped, truth = self._found.pop(self._limit)
            self._bytes -= dropped.values.nbytes + truth.nbytes

    def chosen(self, order: Sequence[str]) -> tuple[list[RegionSignals], list[Array]]:
        """Signals and truth of what was kept, sorted as in `order`, or else as it came."""
        places = {image_id: place for place, image_id in enumerate(order)}
        came = {int(rank): place for place, rank in enumerate(self._order)}
        rows = sorted(self._found.items(), key=lambda r: places.get(r[1][0], came[r[0]]))
        return [row[1][1] for row in rows], [row[1][2] for row in rows]


def _signals(job: Job, evidence: ImageEvidence, arrays: Mapping[str, Array]) -> RegionSignals:
    colours = job.recipe.fusion.colours
    return region_signals(evidence, arrays["areas"], arrays["region_values"], colours)


def _priors(job: Job, location: LocationPrior, unaries: h5py.File) -> TrainingPriors:
    return TrainingPriors(location, unaries["class_shares"][()], job.data.train.background)
