"""What a second classifier of other features says of superpixels: a signal of stage 2.

Stage 1 does not see it. It reaches the fusion, and through the fused posterior the ranker.
"""

from __future__ import annotations

from typing import Any, Optional

import h5py

from rerank.config import Recipe
from rerank.stages.base import Job, Stage, read_image
from rerank.stages.unaries import held_out, write_classified
from rerank.types import FloatArray


def _settings(recipe: Recipe) -> dict[str, Any]:
    if recipe.posterior.features is None:
        return {}
    names = ("hidden", "n_steps", "weight_decay", "class_balance", "n_members", "holdout")
    return {**{name: getattr(recipe.unary, name) for name in names},
            "random_state": recipe.random_state}


def _run(job: Job, file: h5py.File) -> None:
    if job.recipe.posterior.features is not None:
        write_classified(job, file, held_out(job), "posterior_features")


def read_posterior(file: h5py.File, index: int) -> Optional[FloatArray]:
    """Its class probabilities of one image's superpixels, (n, C); None if there is none."""
    return read_image(file, index)["probabilities"] if "model" in file else None


STAGE = Stage("posterior", 1, _settings,
              (("superpixels", "fit"), ("posterior_features", "fit")), _run,
              "the second classifier", fits=True, cost=0.4)
