"""What turns one network map into a labeling: the peers, and rerank without any training."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from image_sets import Counts, Example, stacked

from rerank.config import build_propose_settings
from rerank.layers import dense_crf
from rerank.layers.image_lattice import LatticeCache
from rerank.metrics import image_iou
from rerank.potentials.dense_crf_settings import DenseCRFSettings

Answer = TypeVar("Answer")

#: Parameters that the fully connected CRF is tuned over: the customary ones, weaker and stronger.
DENSE_CRF_GRID = (
    DenseCRFSettings(),
    *(
        DenseCRFSettings(
            gaussian_compat=1.0, bilateral_sxy=sxy, bilateral_srgb=srgb, bilateral_compat=compat
        )
        for sxy, srgb, compat in itertools.product((40.0, 80.0), (5.0, 13.0), (2.0, 4.0))
    ),
    DenseCRFSettings(bilateral_compat=20.0),
    DenseCRFSettings(bilateral_srgb=20.0, bilateral_compat=20.0),
)


def timed(function: Callable[[], Answer]) -> tuple[Answer, float]:
    """The answer and its CPU seconds."""
    begin = time.process_time()
    return function(), time.process_time() - begin


def argmax(example: Example) -> dict[str, Counts]:
    """The network's own labeling."""
    labels, seconds = timed(lambda: example.probabilities.argmax(axis=2))
    return {"argmax": example.counts(labels, seconds)}


def dense_crfs(example: Example, settings: Sequence[DenseCRFSettings]) -> dict[str, Counts]:
    """The fully connected CRF with each of some settings, by the settings' position."""
    maps = np.ascontiguousarray(np.moveaxis(example.probabilities, 2, 0))
    cache = LatticeCache(4 if len(settings) > 1 else 0)
    found = {}
    for k, chosen in enumerate(settings):
        refined, seconds = timed(
            lambda: dense_crf(maps, example.image, cache=cache, **chosen.arguments())
        )
        found[str(k)] = example.counts(refined.argmax(axis=0), seconds)
    return found


def customary_dense_crf(example: Example) -> dict[str, Counts]:
    """The fully connected CRF with pydensecrf's customary parameters."""
    return {"dense_crf": dense_crfs(example, DENSE_CRF_GRID[:1])["0"]}


def rankseg(example: Example) -> dict[str, Counts]:
    """RankSEG's labeling for IoU (Wang and Dai 2025; extra `rankseg`)."""
    try:
        from rankseg import RankSEG
    except ImportError:
        raise SystemExit("RankSEG is missing: pip install 'rerank[rankseg]'") from None
    maps = torch.from_numpy(np.ascontiguousarray(np.moveaxis(example.probabilities, 2, 0)))
    solver = RankSEG(metric="IoU", output_mode="multiclass", solver="RMA")
    labels, seconds = timed(lambda: solver.predict(maps[None])[0].numpy())
    return {"rankseg": example.counts(labels, seconds)}


def proposed(overrides: Sequence[str] = ()) -> Callable[[Example], dict[str, Counts]]:
    """The MAP, the choice and the oracle of `rerank.propose`."""
    import rerank

    settings = build_propose_settings(overrides)

    def method(example: Example) -> dict[str, Counts]:
        result, seconds = timed(
            lambda: rerank.propose(example.image, example.probabilities, settings)
        )
        found = counts_of_result(example, result, seconds)
        return {"map": found["map"], "choice": found["chosen"], "oracle": found["oracle"]}

    return method


def counts_of_result(example: Example, result: Any, seconds: float) -> dict[str, Counts]:
    """Counts of MAP, the proposal of the highest score, the one that is taken, and the oracle.

    The last is the proposal of the highest image IoU.
    """
    proposals = [
        example.counts(result.proposals.labels(m), seconds) for m in range(len(result.proposals))
    ]
    quality = image_iou(stacked(proposals))
    best = 0 if np.isnan(quality).all() else int(np.nanargmax(quality))
    return {
        "map": proposals[0],
        "preferred": proposals[result.preferred],
        "chosen": proposals[result.chosen],
        "oracle": proposals[best],
    }
