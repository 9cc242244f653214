"""The batches of a training in order, each a function of the seed and its place alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from rerank.nets.schedule import TrainConfig
from rerank.nets.training_data import Batch, TrainingData


@dataclass(frozen=True, eq=False)
class Step:
    """A batch, its place in the training, and the seed of the dropout masks of its step."""

    phase: int
    epoch: int
    index: int
    batch: Batch
    dropout_seed: int


def iterate_steps(
    data: TrainingData,
    config: TrainConfig,
    n_batches: int,
    start: tuple[int, int, int],
    workers: int,
) -> Iterator[Step]:
    """Yield the steps of a training from a place on.

    Parameters
    ----------
    data : TrainingData
    config : TrainConfig
    n_batches : int
        In an epoch.
    start : (int, int, int)
        Phase, epoch and batch of the first step.
    workers : int
        Threads that prepare batches ahead of their use; the batches are the same for any
        number. With 0 each is prepared when it is asked for.
    """
    places = _places(config, n_batches, start)
    if workers == 0:
        for place in places:
            yield _prepare(data, config, n_batches, place)
        return
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[Future[Step]] = deque()
        try:
            for place in places:
                ahead.append(pool.submit(_prepare, data, config, n_batches, place))
                if len(ahead) > workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def _places(
    config: TrainConfig, n_batches: int, start: tuple[int, int, int]
) -> Iterator[tuple[int, int, int]]:
    for phase in range(start[0], len(config.phases)):
        for epoch in range(config.phases[phase].epochs):
            for index in range(n_batches):
                if (phase, epoch, index) >= start:
                    yield phase, epoch, index


def _prepare(
    data: TrainingData, config: TrainConfig, n_batches: int, place: tuple[int, int, int]
) -> Step:
    phase, epoch, index = place
    order = np.random.default_rng([config.random_state, phase, epoch])
    indices = np.array_split(order.permutation(len(data)), n_batches)[index]
    rng = np.random.default_rng([config.random_state, phase, epoch, index])
    batch = data.batch(indices, rng)
    return Step(phase, epoch, index, batch, int(rng.integers(2**63)))
