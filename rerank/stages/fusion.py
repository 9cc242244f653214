"""The fused posterior of each part: superpixels, SegNet, image classifiers and places together.

One weight a signal is learnt on training images, from signals of models that were fitted without
them: for a fold on images that were held out of an inner fit, for `final` on all of them, since
each has been out of its fold. So the posterior of a part's images owes them nothing. A CRF on it is
the `fusion` row of the report, and one of the two sources that proposals are drawn from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import h5py
import numpy as np

from rerank.config import Recipe
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
from rerank.folds import Part
from rerank.hdf5 import read_arrays, read_strings, write_arrays
from rerank.nets import cell_overlap
from rerank.stages.base import Inputs, Job, Stage, read_image, write_image
from rerank.stages.classifiers import load_models
from rerank.stages.posterior import read_held_out, read_posterior
from rerank.stages.unaries import image_id_key, write_probabilities
from rerank.types import Array, FloatArray

#: Arrays of the superpixels that the signals are made from.
REGION_ARRAYS = ("superpixels", "areas", "region_values")


def image_evidence(
    region_probabilities: FloatArray,
    superpixels: Array,
    segnet_map: FloatArray,
    scores: ImageScores,
    location: LocationPrior,
    class_shares: FloatArray,
    background: int | None,
    auxiliary: AuxiliaryProbabilities,
) -> ImageEvidence:
    """What the models of a part say of one image.

    Parameters
    ----------
    region_probabilities : (n, C) float array
        Of stage 1.
    superpixels : (H, W) int array
    segnet_map : (grid, grid, C) float array
    scores : ImageScores
    location : LocationPrior
    class_shares : (C,) float array
        Among the training pixels.
    background : int or None
    auxiliary : AuxiliaryProbabilities

    Returns
    -------
    ImageEvidence
    """
    overlap = cell_overlap(superpixels, (int(segnet_map.shape[0]), int(segnet_map.shape[1])))
    return ImageEvidence(
        region_probabilities,
        SegNetMap(segnet_map, overlap),
        scores,
        background,
        location=location.transform(overlap),
        class_shares=class_shares,
        auxiliary=auxiliary,
    )


def load_fusion(file: h5py.File) -> FusedPosterior:
    """The fitted weights of a part."""
    return FusedPosterior.from_arrays(read_arrays(file["model"]))


def read_probabilities(files: Mapping[str, h5py.File], index: int) -> dict[str, FloatArray]:
    """Class probabilities of one image by source, from the open files of the sources."""
    return {source: read_image(opened, index)["probabilities"] for source, opened in files.items()}


@contextmanager
def open_sources(job: Job, part: str | None = None) -> Iterator[dict[str, h5py.File]]:
    """The files that hold class probabilities of a part, by source, the main one last.

    Sources are `unary`, and `fusion` where it is enabled; the part is the job's own by default.
    """
    with ExitStack() as stack:
        files = {"unary": stack.enter_context(job.open("unaries", part))}
        if job.recipe.fusion.enabled:
            files["fusion"] = stack.enter_context(job.open("fusion", part))
        yield files


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {"fusion": recipe.fusion.model_dump(mode="json"), "random_state": recipe.random_state}


def _run(job: Job, file: h5py.File) -> None:
    if not job.recipe.fusion.enabled:
        return
    model = FusedPosterior(job.recipe.fusion.alpha, random_state=job.recipe.random_state)
    if job.is_final:
        signals, histograms = [], []
        for fold in job.folds:
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
            write_probabilities(
                file, f"holdout/{image_id_key(held, image_id)}", model.predict_proba(signal)
            )
    write_arrays(file.create_group("model"), model.to_arrays())
    for index, signal in enumerate(_own_signals(job, job.part)):
        write_image(file, index, {"probabilities": model.predict_proba(signal).astype(np.float32)})


def _own_signals(job: Job, part: Part) -> Iterator[RegionSignals]:
    """Signals of a part's own images, from models that have not seen them."""
    with (
        job.open("superpixels", part.name) as regions,
        job.open("unaries", part.name) as unaries,
        job.open("segnet", part.name) as segnet,
        job.open("classifiers", part.name) as classifiers,
        job.open("posterior", part.name) as posterior,
    ):
        location, shares = load_models(classifiers).location, unaries["class_shares"][()]
        for index in range(len(part.image_ids)):
            arrays = read_image(regions, index, REGION_ARRAYS)
            evidence = image_evidence(
                read_image(unaries, index)["probabilities"],
                arrays["superpixels"],
                segnet["maps"][index],
                ImageScores(classifiers["scores"][index], classifiers["size_scores"][index]),
                location,
                shares,
                job.train.background,
                read_posterior(posterior, index),
            )
            yield region_signals(evidence, arrays["areas"], arrays["region_values"])


def _held_out_signals(job: Job) -> tuple[tuple[str, ...], list[RegionSignals], list[Array]]:
    """Signals and truth of the held-out images, sorted as the unaries name them."""
    found: dict[str, tuple[RegionSignals, Array]] = {}
    with (
        job.open("unaries") as unaries,
        job.open("segnet") as segnet,
        job.open("classifiers") as classifiers,
        job.open("posterior") as posterior,
    ):
        held = read_strings(unaries["holdout_ids"])
        inner = classifiers["holdout"]
        location = LocationPrior.from_arrays({"probabilities": inner["location"][()]})
        shares = unaries["class_shares"][()]
        for fold in job.other_folds:
            with job.open("superpixels", fold.name) as regions:
                for index, image_id in enumerate(fold.image_ids):
                    if image_id not in held:
                        continue
                    # Inner models wrote their images in the folds' order.
                    row = len(found)
                    name = f"holdout/{image_id_key(held, image_id)}/probabilities"
                    arrays = read_image(regions, index, (*REGION_ARRAYS, "histogram"))
                    evidence = image_evidence(
                        unaries[name][()],
                        arrays["superpixels"],
                        segnet["holdout_maps"][row],
                        ImageScores(inner["scores"][row], inner["size_scores"][row]),
                        location,
                        shares,
                        job.train.background,
                        read_held_out(posterior, name),
                    )
                    signals = region_signals(evidence, arrays["areas"], arrays["region_values"])
                    found[image_id] = signals, arrays["histogram"]
    return held, [found[i][0] for i in held], [found[i][1] for i in held]


def _inputs(recipe: Recipe) -> Inputs:
    # Without fusion nothing of stage 2 reaches the proposals, which need not be made anew for it.
    return (
        (
            ("superpixels", "fit"),
            ("unaries", "out_of_fold"),
            ("segnet", "out_of_fold"),
            ("classifiers", "out_of_fold"),
            ("posterior", "out_of_fold"),
        )
        if recipe.fusion.enabled
        else ()
    )


STAGE = Stage("fusion", 4, _settings, _inputs, _run, "joining the signals", fits=True, cost=0.1)
