"""What a run chose for each image, as files that other tools read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rerank.applications.result_files import save_picture
from rerank.applications.runs import open_run
from rerank.applications.upkeep import unfinished
from rerank.datasets import Dataset, painted_classes, save_labels_png
from rerank.datasets.coco_format import categories, class_masks, class_segments, panoptic_picture
from rerank.engine.graph import Graph
from rerank.engine.progress import Progress
from rerank.engine.stage import Job, read_image
from rerank.errors import InputError, StoreError
from rerank.files import replace_file, write_text
from rerank.reports import to_csv
from rerank.reports.populations import CHOICE, GATED, JOINT
from rerank.reports.templates import to_json
from rerank.stages.fusion import open_sources, read_probabilities
from rerank.stages.pages import load_population
from rerank.stages.proposals import NETWORK
from rerank.stages.ranking import load_scores
from rerank.superpixels import to_pixels
from rerank.types import Array

#: Whose labelings are exported, and the rule of the report that each is.
RULES = {
    "choice": CHOICE,
    "gated": GATED,
    "joint": JOINT,
    "map": "MAP",
    "network": NETWORK,
    "oracle": "oracle of each image",
}
#: What is written, and which of it by default.
KINDS = ("segmentations", "overlays", "probabilities", "panoptic", "rle", "images")
USUAL = ("segmentations", "overlays")


class _Exported(NamedTuple):
    """One image and its labeling."""

    image_id: str
    part: str
    dataset: Dataset
    image: Array
    proposal: int
    generator: str
    score: float
    labels: Array
    probabilities: Array | None


@dataclass
class Export:
    """What is exported.

    Attributes
    ----------
    rule : str
        One of `RULES`. `choice` is what predictions give: the gated choice where the recipe's gate
        is enabled.
    images : {"evaluation", "all"} or None
        None for the evaluation images, and for all where there are none.
    kinds : sequence of str
        Of `KINDS`.
    """

    rule: str = "choice"
    images: str | None = None
    kinds: Sequence[str] = field(default=USUAL)


def export_run(work: str | Path, out: Path, wanted: Export, quiet: bool = False) -> dict[str, Any]:
    """Write the labelings of a finished run as files.

    Parameters
    ----------
    work : path
    out : Path
        Folder. It gets `choices.csv` and, by kind: `segmentations/ID.png` whose pixels are labels,
        `overlays/ID.png`, `probabilities/ID.npz` ((H, W, C) float16, what `rerank propose` reads),
        `panoptic.json` with `panoptic/ID.png`, `labels.json` with run-length encoded masks, and
        `images/ID.png`.
    wanted : Export
    quiet : bool
        Show no progress.

    Returns
    -------
    dict
        The rule, the number of images, and the files and folders that were written.

    Raises
    ------
    StoreError
        If the run is not finished.
    InputError
        If the run has no such labeling or no evaluation images.
    """
    graph = open_run(work)
    missing = unfinished(graph)
    if missing:
        raise StoreError(f"{work}: {missing[0]} is not computed; finish the run with `rerank run`")
    name, places = _places(graph, wanted)
    out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, object]] = []
    coco = _Coco()
    with Progress(len(places), quiet=quiet) as progress:
        progress.stage("exporting")
        for found in _labelings(graph, name, wanted):
            _write_image(found, out, wanted.kinds)
            coco.add(found, wanted.kinds)
            rows.append(
                {
                    "image": found.image_id,
                    "part": found.part,
                    "proposal": found.proposal,
                    "generator": found.generator,
                    "score": float(f"{found.score:.6g}"),
                }
            )
            progress.advance(1)
    write_text(out / "choices.csv", to_csv(rows))
    written = ["choices.csv", *(k for k in wanted.kinds if k not in ("panoptic", "rle"))]
    for file, content in coco.files(graph.data.train, wanted.kinds).items():
        write_text(out / file, to_json(content).decode())
        written.append(file)
    return {"rule": wanted.rule, "images": len(rows), "out": str(out), "written": written}


def _places(graph: Graph, wanted: Export) -> tuple[str, Sequence[str]]:
    has_final = bool(graph.parts[-1].image_ids)
    if wanted.images == "evaluation" and not has_final:
        raise InputError("this run has no evaluation images; export all with --images all")
    name = "cross_fitted" if wanted.images == "all" or not has_final else "evaluation"
    own_maps = graph.recipe.unary.source == "probabilities"
    if wanted.rule == "network" and not own_maps:
        raise InputError("this run was not made from a network's maps; export --rule map instead")
    parts = graph.parts if name == "cross_fitted" else graph.parts[-1:]
    return name, [i for part in parts for i in part.image_ids]


def _labelings(graph: Graph, population: str, wanted: Export) -> Iterator[_Exported]:
    job = graph.job("pages")
    found = load_population(job, population)
    choices = dict(found.choices)
    if wanted.rule == "choice" and graph.recipe.gate.enabled:
        choices[CHOICE] = choices[GATED]
    row = 0
    for part in found.parts:
        with job.open("ranking") as file:
            scores = load_scores(file, part)["svm"]
        for index, image_id in enumerate(job.ids(part)):
            drawn = _read(job, part, index)
            names = list(drawn["generators"])
            proposal = names.index(NETWORK) if wanted.rule == "network" else None
            if proposal is None:
                proposal = int(choices[RULES[wanted.rule]][row])
            dataset = job.data.train if image_id in job.data.train.ids else job.data.evaluate
            superpixels = drawn["superpixels"]
            probabilities = None
            if "probabilities" in wanted.kinds:
                with open_sources(graph.reader(), part) as sources:
                    regions = list(read_probabilities(sources, index).values())[-1]
                probabilities = regions.astype(np.float16)[superpixels]
            yield _Exported(
                image_id,
                part,
                dataset,
                dataset.image(image_id),
                proposal,
                names[proposal],
                float(scores[index, proposal]),
                to_pixels(drawn["labelings"][proposal], superpixels),
                probabilities,
            )
            row += 1


def _read(job: Job, part: str, index: int) -> dict[str, Any]:
    with job.open("proposals", part) as file:
        drawn = read_image(file, index, ("labelings",))
        drawn["generators"] = read_image(file, index)["generators"]
    with job.open("superpixels", part) as file:
        drawn["superpixels"] = read_image(file, index, ("superpixels",))["superpixels"]
    return drawn


def _write_image(found: _Exported, out: Path, kinds: Sequence[str]) -> None:
    palette = found.dataset.palette

    def place(kind: str, ending: str = ".png") -> Path:
        path = out / kind / f"{found.image_id}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    if "segmentations" in kinds:
        save_labels_png(place("segmentations"), found.labels, palette)
    if "overlays" in kinds:
        save_picture(place("overlays"), painted_classes(found.image, found.labels, palette))
    if "panoptic" in kinds:
        save_picture(place("panoptic"), panoptic_picture(found.labels))
    if "images" in kinds:
        save_picture(place("images"), found.image)
    if found.probabilities is not None:
        path = place("probabilities", ".npz")
        with replace_file(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, probabilities=found.probabilities)


class _Coco:
    """The annotations of both COCO files, as they grow."""

    def __init__(self) -> None:
        self.images: list[dict[str, Any]] = []
        self.masks: list[dict[str, Any]] = []
        self.segments: list[dict[str, Any]] = []

    def add(self, found: _Exported, kinds: Sequence[str]) -> None:
        """Add an image."""
        number = len(self.images) + 1
        height, width = (int(v) for v in found.labels.shape)
        name = f"{found.image_id}.png"
        self.images.append({"id": number, "file_name": name, "width": width, "height": height})
        if "rle" in kinds:
            self.masks += class_masks(found.labels, number, len(self.masks) + 1)
        if "panoptic" in kinds:
            segments = class_segments(found.labels)
            self.segments.append({"image_id": number, "file_name": name, "segments_info": segments})

    def files(self, dataset: Dataset, kinds: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Contents of the JSON files by name."""
        classes = categories(dataset.class_names, dataset.palette, dataset.background)
        found = {"rle": ("labels.json", self.masks), "panoptic": ("panoptic.json", self.segments)}
        return {
            name: {"images": self.images, "annotations": rows, "categories": classes}
            for kind, (name, rows) in found.items()
            if kind in kinds
        }
