"""Pictures of what every stage of a run made of one image."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rerank.applications.result_files import save_picture
from rerank.applications.runs import open_run
from rerank.applications.upkeep import unfinished
from rerank.datasets import Dataset, colourize
from rerank.engine.folds import ALL
from rerank.engine.graph import Graph
from rerank.engine.stage import Job, read_image
from rerank.errors import InputError, StoreError
from rerank.evidence.grid_cells import enlarge
from rerank.reports import draw_pictures, to_png
from rerank.stages.proposals import NETWORK
from rerank.stages.ranking import load_scores
from rerank.stages.segnet import read_map
from rerank.stages.stored_probabilities import read_regions
from rerank.superpixels import draw_boundaries, to_pixels
from rerank.types import Array


def find_image(job: Job, image_id: str | None = None) -> tuple[str, int]:
    """The part and the place in it of an image; the first evaluated one by default.

    Parameters
    ----------
    job : Job
        Of any stage of the run.
    image_id : str, optional

    Returns
    -------
    part : str
    index : int
        Its place in the part's `image_ids`.

    Raises
    ------
    InputError
        If the run has no such image.
    """
    for part in reversed(job.parts):
        if image_id is None and part.image_ids:
            return part.name, 0
        if image_id in part.image_ids:
            return part.name, part.image_ids.index(image_id)
    raise InputError(
        f"no image {image_id} in this run; its ids are like {', '.join(job.data.train.ids[:3])}"
    )


def stage_pictures(graph: Graph, image_id: str | None = None) -> dict[str, Array]:
    """What each stage made of one image, as RGB pictures by name, (H, W, 3) uint8.

    Parameters
    ----------
    graph : Graph
        Of a finished run.
    image_id : str, optional
        The first evaluated image by default.

    Returns
    -------
    mapping of name to (H, W, 3) uint8 array
    """
    job = graph.reader()
    part, index = find_image(job, image_id)
    dataset: Dataset = job.data.train
    name = job.ids(part)[index]
    if name not in dataset.ids and job.data.evaluate is not None:
        dataset = job.data.evaluate
    sample = dataset[name]
    with job.open("superpixels", part) as file:
        superpixels = read_image(file, index, ("superpixels",))["superpixels"].astype(np.int32)
    with job.open("unaries", part) as file:
        probabilities = read_regions(file, index)
    with job.open("proposals", part) as file:
        proposals = read_image(file, index)
    labelings, generators = proposals["labelings"], list(proposals["generators"])
    with job.open("segnet", part) as file:
        coarse = read_map(file, index)
    with job.open("ranking", ALL) as file:
        chosen = int(load_scores(file, part)["svm"][index].argmax())

    def drawn(labels: Array) -> Array:
        return colourize(labels, dataset.palette)

    def labeling(values: Array) -> Array:
        return drawn(to_pixels(values.astype(np.uint8), superpixels))

    confidence = to_pixels(np.rint(255 * probabilities.max(axis=1)).astype(np.uint8), superpixels)
    pictures = {
        "image": sample.image,
        "ground truth": drawn(sample.labels),
        "superpixels": draw_boundaries(superpixels, sample.image),
        "unary": labeling(probabilities.argmax(axis=1)),
        "confidence of the unary": np.repeat(confidence[..., None], 3, axis=2),
        "MAP": labeling(labelings[0]),
    }
    if NETWORK in generators:
        pictures["network"] = labeling(labelings[generators.index(NETWORK)])
    if coarse is not None:
        found = enlarge(coarse.argmax(axis=-1), sample.labels.shape).astype(np.uint8)
        pictures["coarse SegNet"] = drawn(found)
    pictures["chosen"] = labeling(labelings[chosen])
    for m in range(len(labelings)):
        pictures[f"proposal {m}"] = labeling(labelings[m])
    return pictures


def draw_image(work: str | Path, image_id: str | None, out: Path) -> list[Path]:
    """Write each picture of `stage_pictures` as PNG, and `overview.png` with the first of them.

    Parameters
    ----------
    work : path
        Work folder of a finished run.
    image_id : str or None
        The first evaluated image by default.
    out : Path
        Folder for the pictures.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    StoreError
        If the run is not finished.
    InputError
        If the run has no such image.
    """
    graph = open_run(work)
    missing = unfinished(graph)
    if missing:
        raise StoreError(f"{work}: {missing[0]} is not computed; finish the run with `rerank run`")
    out.mkdir(parents=True, exist_ok=True)
    pictures = stage_pictures(graph, image_id)
    written = []
    for name, picture in pictures.items():
        path = out / f"{name.replace(' ', '_')}.png"
        save_picture(path, picture)
        written.append(path)
    overview = out / "overview.png"
    first = dict(list(pictures.items())[:12])
    overview.write_bytes(to_png(draw_pictures(first, columns=4)))
    return [*written, overview]
