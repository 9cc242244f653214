"""The fused posterior: superpixels, SegNet, image classifiers and places together.

Each signal gets one weight. The weights are fitted on training images, to signals of models that
were fitted without them: for a fold on images that were held out of an inner fit, for `final` on
all of them, with the signals of each image's fold. Where the recipe holds none out, a fold does as
`final` does, with the images of the other folds. A CRF on the fused posterior is the row `fusion`
of the report, and one of the two sources that proposals are drawn from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import h5py
import numpy as np

from rerank.engine.folds import Part
from rerank.engine.hdf5 import read_arrays, write_arrays
from rerank.engine.stage import Job, read_image, write_image
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
from rerank.stages.unaries import read_held_out, read_held_out_ids, write_held_out
from rerank.types import Array, FloatArray

#: Of recipes without auxiliary models.
NO_AUXILIARY = AuxiliaryProbabilities()
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
    return {
        source: read_image(opened, index)["region_probabilities"]
        for source, opened in files.items()
    }


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
    model = FusedPosterior(job.recipe.fusion.alpha, random_state=job.recipe.random_state)
    if job.is_final or job.recipe.holdout == 0:
        signals, histograms = [], []
        for fold in job.other_folds:
            signals += list(_own_signals(job, fold))
            with job.open("superpixels", fold.name) as regions:
                histograms += [
                    read_image(regions, index, ("histogram",))["histogram"]
                    for index in range(len(fold.image_ids))
                ]
        model.fit(signals, histograms)
    else:
        held, signals, histograms = _held_out_signals(job)
        model.fit(signals, histograms)
        for image_id, signal in zip(held, signals):
            write_held_out(file, held, image_id, model.predict_proba(signal))
    write_arrays(file.create_group("model"), model.to_arrays())
    for index, signal in enumerate(_own_signals(job, job.part)):
        found = model.predict_proba(signal).astype(np.float32)
        write_image(file, index, {"region_probabilities": found})


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
                read_image(unaries, index)["region_probabilities"],
                arrays["superpixels"],
                read_map(segnet, index),
                read_scores(classifiers, index),
                priors,
                read_auxiliary(auxiliary, index),
            )
            yield _signals(job, evidence, arrays)


def _held_out_signals(job: Job) -> tuple[tuple[str, ...], list[RegionSignals], list[Array]]:
    """Signals and truth of the held-out images, sorted as the unaries name them."""
    found: dict[str, tuple[RegionSignals, Array]] = {}
    with (
        job.open("unaries") as unaries,
        job.open("segnet") as segnet,
        job.open("classifiers") as classifiers,
        job.open("auxiliary") as auxiliary,
    ):
        held = read_held_out_ids(job, unaries)
        inner = classifiers["holdout"]
        location = LocationPrior.from_arrays({"probabilities": inner["location"][()]})
        priors = _priors(job, location, unaries)
        for fold in job.other_folds:
            with job.open("superpixels", fold.name) as regions:
                for index, image_id in enumerate(fold.image_ids):
                    if image_id not in held:
                        continue
                    # Inner models wrote their images in the folds' order.
                    row = len(found)
                    arrays = read_image(regions, index, (*REGION_ARRAYS, "histogram"))
                    evidence = image_evidence(
                        read_held_out(unaries, held, image_id),
                        arrays["superpixels"],
                        read_map(segnet, row, "holdout_maps"),
                        read_scores(inner, row),
                        priors,
                        read_held_out_auxiliary(auxiliary, held, image_id),
                    )
                    signals = _signals(job, evidence, arrays)
                    found[image_id] = (signals, arrays["histogram"])
    return held, [found[i][0] for i in held], [found[i][1] for i in held]


def _signals(job: Job, evidence: ImageEvidence, arrays: Mapping[str, Array]) -> RegionSignals:
    colours = job.recipe.fusion.colours
    return region_signals(evidence, arrays["areas"], arrays["region_values"], colours)


def _priors(job: Job, location: LocationPrior, unaries: h5py.File) -> TrainingPriors:
    return TrainingPriors(location, unaries["class_shares"][()], job.data.train.background)
