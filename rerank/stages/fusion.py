"""The fused posterior of each part: superpixels, SegNet, image classifiers and places together.

One weight a signal is learnt on training images that are held out for it, from signals of models
that were fitted without them, so that the posterior of a part's images owes them nothing. A CRF on
it is the `fusion` row of the report, and one of the two sources that proposals are drawn from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Optional

import h5py
import numpy as np

from rerank.config import Recipe
from rerank.features import LocationPrior, PosteriorSignals, StackedPosterior, region_signals
from rerank.hdf5 import read_arrays, read_strings, write_arrays
from rerank.nets import cell_overlap
from rerank.stages.base import Job, Stage, read_image, write_image
from rerank.stages.classifiers import load_models
from rerank.stages.unaries import image_id_key, write_probabilities
from rerank.types import Array, FloatArray


def fusion_signals(probabilities: FloatArray, regions: Mapping[str, Array],
                   segnet_map: FloatArray, scores: FloatArray, size_scores: FloatArray,
                   location: LocationPrior, class_shares: FloatArray,
                   background: Optional[int]) -> PosteriorSignals:
    """What the sources say of each superpixel of one image, see `region_signals`.

    Parameters
    ----------
    probabilities : (n, C) float array
        Of the superpixel classifier.
    regions : mapping
        Arrays of the stage `superpixels`.
    segnet_map : (grid, grid, C) float array
    scores, size_scores : (K,), (K * P,) float arrays
        Of the image classifiers.
    location : LocationPrior
    class_shares : (C,) float array
        Among the training pixels.
    background : int or None
    """
    grid = segnet_map.shape[:2]
    overlap = cell_overlap(regions["superpixels"], (int(grid[0]), int(grid[1])))
    return region_signals(
        probabilities, regions["areas"], segnet_map=segnet_map, cell_overlap=overlap,
        scores=scores, size_scores=size_scores, location=location.transform(overlap),
        prior=class_shares, appearance=regions["region_values"], background=background)


def load_fusion(file: h5py.File) -> StackedPosterior:
    """The fitted weights of a part."""
    return StackedPosterior.from_arrays(read_arrays(file["model"]))


def read_probabilities(files: Mapping[str, h5py.File], index: int) -> dict[str, FloatArray]:
    """Class probabilities of one image by source, from the open files of the sources."""
    return {source: read_image(opened, index)["probabilities"]
            for source, opened in files.items()}


@contextmanager
def open_sources(job: Job, part: Optional[str] = None) -> Iterator[dict[str, h5py.File]]:
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
    with job.open("unaries") as unaries, job.open("segnet") as segnet, \
            job.open("classifiers") as classifiers:
        held, signals, histograms = _held_out_signals(job, unaries, segnet, classifiers)
        model = StackedPosterior(job.recipe.fusion.alpha,
                                 random_state=job.recipe.random_state).fit(signals, histograms)
        write_arrays(file.create_group("model"), model.to_arrays())
        for image_id, signal in zip(held, signals):
            write_probabilities(file, f"holdout/{image_id_key(held, image_id)}",
                                model.predict_proba(signal))
        location = load_models(classifiers).location
        shares = unaries["class_shares"][()]
        with job.open("superpixels") as regions:
            for index in range(len(job.part.image_ids)):
                arrays = read_image(regions, index, ("superpixels", "areas", "region_values"))
                found = model.predict_proba(fusion_signals(
                    read_image(unaries, index)["probabilities"], arrays, segnet["maps"][index],
                    classifiers["scores"][index], classifiers["size_scores"][index], location,
                    shares, job.train.background))
                write_image(file, index, {"probabilities": found.astype(np.float32)})


def _held_out_signals(job: Job, unaries: h5py.File, segnet: h5py.File, classifiers: h5py.File
                      ) -> tuple[tuple[str, ...], list[PosteriorSignals], list[Array]]:
    """Signals and truth of the held-out images, sorted as the unaries name them."""
    held = read_strings(unaries["holdout_ids"])
    inner = classifiers["holdout"]
    location = LocationPrior.from_arrays({"probabilities": inner["location"][()]})
    shares = unaries["class_shares"][()]
    found: dict[str, tuple[PosteriorSignals, Array]] = {}
    for fold in job.other_folds:
        with job.open("superpixels", fold.name) as regions:
            for index, image_id in enumerate(fold.image_ids):
                if image_id not in held:
                    continue
                # Inner models wrote their images in the folds' order.
                row = len(found)
                arrays = read_image(regions, index, ("superpixels", "areas", "region_values",
                                                     "histogram"))
                found[image_id] = (fusion_signals(
                    unaries[f"holdout/{image_id_key(held, image_id)}/probabilities"][()],
                    arrays, segnet["holdout_maps"][row],
                    inner["scores"][row], inner["size_scores"][row], location, shares,
                    job.train.background), arrays["histogram"])
    return held, [found[i][0] for i in held], [found[i][1] for i in held]


STAGE = Stage("fusion", 1, _settings,
              (("superpixels", "fit"), ("unaries", "own"), ("segnet", "own"),
               ("classifiers", "own")), _run, "joining the signals", fits=True, cost=0.1)
