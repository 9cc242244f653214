"""Oracle curves of the proposals, on the evaluation images and across the folds."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from rerank.engine.folds import FINAL
from rerank.engine.hdf5 import write_arrays
from rerank.engine.stage import Job, read_image
from rerank.metrics import IntersectionUnion, OracleCurve, oracle_curve

#: Images that analyses are made on: the evaluation split, and all images, each with the results of
#: models that never saw it.
POPULATIONS = ("evaluation", "cross_fitted")


def population_parts(job: Job, population: str) -> tuple[str, ...]:
    """The parts whose images a population holds; empty where there is no evaluation split.

    Parameters
    ----------
    job : Job
    population : str
        One of `POPULATIONS`.

    Returns
    -------
    tuple of str
        Names of parts.
    """
    parts = job.parts if population == "cross_fitted" else job.parts[-1:]
    return tuple(
        part.name
        for part in parts
        if part.image_ids and (population == "cross_fitted" or part.name == FINAL)
    )


def read_counts(job: Job, parts: tuple[str, ...], prefix: str = "") -> IntersectionUnion:
    """Counts of the proposals of several parts.

    Parameters
    ----------
    job : Job
    parts : tuple of str
    prefix : {"", "unary_", "bound_", "network_"}
        Counts of other labelings: those of the unaries alone, the best that superpixels allow, or
        the network's own.

    Returns
    -------
    IntersectionUnion
        (n_images, M, n_classes) int32, or (n_images, n_classes) with a prefix.
    """
    arrays: dict[str, list[Any]] = {"intersections": [], "unions": []}
    for name in parts:
        with job.open("quality", name) as file:
            for index in range(len(job.ids(name))):
                found = read_image(file, index, [f"{prefix}{key}" for key in arrays])
                for key in arrays:
                    arrays[key].append(found[f"{prefix}{key}"].astype(np.int32))
    return IntersectionUnion(*(np.array(arrays.pop(key)) for key in list(arrays)))


def load_curve(file: h5py.File, population: str) -> OracleCurve:
    """The oracle curve of a population.

    Parameters
    ----------
    file : HDF5 file
        Of the stage `oracle`.
    population : str
        One of `POPULATIONS`.

    Returns
    -------
    OracleCurve
    """
    group = file[population]
    return OracleCurve(**{name: group[name][()] for name in group})


def run(job: Job, file: h5py.File) -> None:
    """Write the oracle curve of each population."""
    for population in POPULATIONS:
        parts = population_parts(job, population)
        if parts:
            counts = read_counts(job, parts)
            curve = oracle_curve(counts.intersections, counts.unions)
            write_arrays(file.create_group(population), vars(curve))
