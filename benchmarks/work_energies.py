"""Energies of real images, read from the work folder of a finished `rerank run`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rerank.crf import PottsEnergy
from rerank.engine.manifest import ArtefactRef
from rerank.engine.stage import read_image
from rerank.engine.store import Store
from rerank.potentials.energy_settings import EnergySettings, potts_energy
from rerank.stages.superpixels import graph_of


@dataclass(frozen=True)
class RealEnergy:
    """The CRF of one image on its classifier's probabilities, and its ground truth.

    Attributes
    ----------
    image_id : str
    energy : PottsEnergy
    areas : (n,) int
        Pixels of each superpixel.
    histogram : (n, C) int
        Pixels of each class in each superpixel.
    diversity : float
        Of DivMBest, as the run chose it.
    """

    image_id: str
    energy: PottsEnergy
    areas: np.ndarray
    histogram: np.ndarray
    diversity: float


def read_energies(work: str, limit: int, part: str = "final") -> list[RealEnergy]:
    """Up to `limit` energies, spread evenly over the images of a part."""
    store = Store(work, create=False)
    runs = [ref for ref in store.artefacts() if ref.stage == "proposals" and ref.part == part]
    last = max(runs, key=lambda ref: store.path(ref).stat().st_mtime)
    sources = {}
    for name in store.header(last).inputs:
        stage, of_part, key = name.split("/")
        sources[stage] = ArtefactRef(stage, of_part, key)
    with (
        store.open(sources["superpixels"]) as regions,
        store.open(sources["unaries"]) as unaries,
        store.open(sources["crf_settings"]) as settings,
    ):
        group = settings["unary"]
        weight, scale, base = (
            float(group[name][()]) for name in ("potts_weight", "contrast_scale", "base")
        )
        chosen = EnergySettings(weight, scale, base, tuple(group["class_bias"][()].tolist()))
        diversity = float(settings["diversity"][()])
        ids = store.header(sources["superpixels"]).image_ids
        found = []
        for index in np.unique(np.linspace(0, len(ids) - 1, limit).astype(int)):
            arrays = read_image(regions, index)
            graph = graph_of(arrays)
            probabilities = read_image(unaries, index)["probabilities"]
            found.append(
                RealEnergy(
                    ids[index],
                    potts_energy(probabilities, graph, chosen),
                    graph.areas,
                    arrays["histogram"],
                    diversity,
                )
            )
    return found


def name_of(work: str) -> str:
    """What tables call a work folder."""
    return Path(work).name
