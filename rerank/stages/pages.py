"""The report: tables, plots, and what its page shows, made from finished artefacts alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import h5py
import numpy as np

from rerank.config import dump_recipe
from rerank.engine.hdf5 import read_strings, write_array
from rerank.engine.manifest import software_versions
from rerank.engine.stage import Job
from rerank.metrics import IntersectionUnion, OracleCurve
from rerank.reports import Evaluation, analyses, draw_class_iou, evaluation_rows, to_csv, to_png
from rerank.reports.analyses import AblationRow, in_points
from rerank.reports.evaluation import Resampled, resampled_images
from rerank.reports.image_record import gallery_record, thumbnail, view_record
from rerank.reports.populations import (
    CHOICE,
    DENSE_CRF,
    FUSION,
    GATED,
    JOINT,
    NETWORK_ROW,
    RULES,
    Population,
    evaluations,
)
from rerank.reports.run_numbers import ablation_record, gate_record, population_record
from rerank.reports.run_page import NUMBERS, THUMBNAIL, VIEW
from rerank.reports.tallies import Tally
from rerank.reports.templates import to_json
from rerank.stages.calibration import Calibration
from rerank.stages.dense_crf import read_dense_crf
from rerank.stages.generators import MEASURES
from rerank.stages.oracle import POPULATIONS, load_curve, population_parts, read_counts
from rerank.stages.page_facts import run_facts
from rerank.stages.page_images import page_images
from rerank.stages.ranking import load_scores
from rerank.types import BoolArray

#: Images that a page shows at most; its numbers are of all images.
MOST_SHOWN = 1000


def load_population(job: Job, name: str) -> Population:
    """Read counts, choices and baselines of a population.

    Parameters
    ----------
    job : Job
        Of this stage.
    name : {"evaluation", "cross_fitted"}

    Returns
    -------
    Population
    """
    parts = population_parts(job, name)
    counts = read_counts(job, parts)
    choices = {"MAP": np.zeros(len(counts.intersections), dtype=np.int64)}
    if job.recipe.fusion.enabled and counts.intersections.shape[1] > 1:
        choices[FUSION] = np.ones(len(counts.intersections), dtype=np.int64)
    with job.open("ranking") as file:
        scores = [load_scores(file, part) for part in parts]
    for rule in scores[0]:
        choices[RULES.get(rule, rule)] = np.concatenate([s[rule] for s in scores]).argmax(axis=1)
    with job.open("calibration") as file:
        choices[GATED] = np.concatenate([file[f"choices/{part}/choice"][()] for part in parts])
        choices[JOINT] = file[f"populations/{name}/choice"][()]
    with job.open("oracle") as file:
        curve = load_curve(file, name)
    choices["oracle of each image"] = curve.image_oracle_choice[-1]
    choices["oracle of the corpus"] = curve.corpus_oracle_choice[-1]
    fixed = {
        "superpixel bound": read_counts(job, parts, "bound_"),
        "unary alone": read_counts(job, parts, "unary_"),
    }
    with job.open("dense_crf") as file:
        refined = read_dense_crf(file, parts)
    if refined is not None:
        fixed[DENSE_CRF] = refined
    if job.recipe.segnet.enabled:
        fixed.update(_upsampling(job, parts))
    network, drawn = read_network(job, parts), resampled(job, parts)
    return Population(name, parts, counts, choices, fixed, network, drawn)


def resampled(job: Job, parts: Sequence[str]) -> Resampled:
    """What intervals draw of the images of some parts: see `resampled_images`.

    Parameters
    ----------
    job : Job
    parts : sequence of str

    Returns
    -------
    Resampled
    """
    train, evaluate = job.data.train, job.data.evaluate
    moments = {**train.moments, **({} if evaluate is None else evaluate.moments)}
    ids = tuple(image_id for part in parts for image_id in job.ids(part))
    return resampled_images(replace(train, ids=ids, moments=moments))


def read_network(job: Job, parts: tuple[str, ...]) -> IntersectionUnion | None:
    """Counts of the labeling of the user's own network, (n_images, n_classes).

    Parameters
    ----------
    job : Job
    parts : tuple of str

    Returns
    -------
    IntersectionUnion or None
        None where the unaries come from no maps of the user's.
    """
    own_maps = job.recipe.unary.source == "probabilities"
    return read_counts(job, parts, "network_") if own_maps else None


def oracle_files(job: Job) -> dict[str, bytes]:
    """The oracle analysis: `oracle_*.csv` and `oracle_*.png` of each population."""
    files = {}
    for name in _populations(job):
        curve = _read_curve(job, name)
        files.update(analyses.oracle_files(load_population(job, name), curve, job.recipe.name))
    return files


def generator_files(job: Job) -> dict[str, bytes]:
    """`generators.csv`: the oracle of each generator; empty where the recipe leaves it out."""
    with job.open("generators") as file:
        if "names" not in file:
            return {}
        names = read_strings(file["names"])
        places = sorted(int(key[3:]) for key in file if key.startswith("at_"))
        tables = {place: file[f"at_{place}"][()] for place in places}
    # Generators are compared on the evaluation images, and on all where there are none.
    network = read_network(job, population_parts(job, _populations(job)[0]))
    return {"generators.csv": analyses.generator_csv(names, MEASURES, tables, network).encode()}


def read_ablation(job: Job) -> list[AblationRow]:
    """The ranker's choices by its groups of columns; empty where the recipe leaves them out."""
    with job.open("ablation") as file:
        return [
            AblationRow(
                read_strings(group["groups"]),
                group["choice"][()],
                int(group["n_columns"][()]),
                float(group["C"][()]),
            )
            for key, group in file.items()
            if key != "header"
        ]


def ablation_files(job: Job) -> dict[str, bytes]:
    """The ablation: `ablation.csv` and `ablation.png`; empty where the recipe leaves it out."""
    parts = population_parts(job, _populations(job)[0])
    return analyses.ablation_files(
        read_counts(job, parts),
        read_ablation(job),
        job.recipe.report.n_bootstrap,
        job.recipe.random_state,
        read_network(job, parts),
        resampled(job, parts).groups,
    )


def _tables(job: Job, population: Population, found: Sequence[Evaluation]) -> dict[str, bytes]:
    names = job.data.train.class_names
    first = "unary alone" if population.network is None else NETWORK_ROW
    drawn = {
        e.name: e.per_class
        for e in found
        if e.name in (first, "MAP", CHOICE, "oracle of each image")
    }
    classes = [
        {"class": name, **{e.name: in_points(e.per_class[k]) for e in found}}
        for k, name in enumerate(names)
    ]
    return {
        f"rules_{population.name}.csv": to_csv(
            evaluation_rows({e.name: e for e in found})
        ).encode(),
        f"classes_{population.name}.csv": to_csv(classes).encode(),
        f"classes_{population.name}.png": to_png(draw_class_iou(names, drawn)),
    }


def _populations(job: Job) -> list[str]:
    return [name for name in POPULATIONS if population_parts(job, name)]


def _read_curve(job: Job, name: str) -> OracleCurve:
    with job.open("oracle") as file:
        return load_curve(file, name)


def _upsampling(job: Job, parts: Sequence[str]) -> dict[str, IntersectionUnion]:
    names = {"naive": "SegNet, naive upsampling", "superpixel": "SegNet, superpixel upsampling"}
    found: dict[str, list[IntersectionUnion]] = {name: [] for name in names}
    for part in parts:
        for file in job.files("upsampling", part):
            for name in names:
                found[name].append(
                    IntersectionUnion(file[f"{name}/intersections"][()], file[f"{name}/unions"][()])
                )
    return {names[name]: IntersectionUnion.concatenate(counts) for name, counts in found.items()}


def shown_images(counts: Mapping[str, int], most: int) -> dict[str, BoolArray]:
    """Which images of each part the page shows: all, or as many evenly over the parts.

    Parameters
    ----------
    counts : mapping of part to int
        Images of each.
    most : int
        That are shown of all parts together.

    Returns
    -------
    mapping of part to (N,) bool array

    Examples
    --------
    >>> [int(rows.sum()) for rows in shown_images({"fold-00": 30, "final": 10}, 8).values()]
    [6, 2]
    """
    total = sum(counts.values())
    places = np.arange(total)
    shown = places * min(most, total) // total != (places - 1) * min(most, total) // total
    ends = np.cumsum(list(counts.values()))
    return {name: shown[end - n : end] for (name, n), end in zip(counts.items(), ends)}


def run(job: Job, file: h5py.File) -> None:
    """Write the report's files as bytes (`files`), and a picture and a view of each image that
    the page shows (`images`)."""
    with job.open("calibration") as calibration:
        promises = Calibration.load(calibration["model"], job.recipe)
    group, images = file.create_group("files"), file.create_group("images")
    tallies: dict[str, Tally] = {}
    gallery: list[dict[str, Any]] = []
    shown_of = shown_images({part.name: len(part.image_ids) for part in job.parts}, MOST_SHOWN)
    for part in population_parts(job, "cross_fitted"):
        tallies[part] = Tally.empty(job.data.n_classes)
        for shown in page_images(job, part, promises, tallies[part], shown_of[part]):
            own = images.create_group(f"{len(gallery):06d}")
            _write(own, THUMBNAIL, thumbnail(shown.seen, shown.chosen, shown.palette))
            _write(own, VIEW, to_json(view_record(shown.seen)))
            gallery.append(gallery_record(shown.seen, shown.chosen))
    files = {}
    populations = []
    for name in _populations(job):
        population = load_population(job, name)
        found = evaluations(population, job.recipe.report.n_bootstrap, job.recipe.random_state)
        files.update(_tables(job, population, found))
        tally = Tally.empty(job.data.n_classes)
        for part in population.parts:
            tally.merge(tallies[part])
        with job.open("ranking") as ranking:
            scores = [load_scores(ranking, part)["svm"] for part in population.parts]
        record = population_record(
            population, found, _read_curve(job, name), np.concatenate(scores), tally
        )
        rows = np.concatenate([shown_of[part] for part in population.parts])
        for rule, choice in population.choices.items():
            record["choices"][rule] = choice[rows].tolist()
        # The evaluation images are the last of all.
        n_shown = int(rows.sum())
        populations.append({**record, "n_shown": n_shown, "first": len(gallery) - n_shown})
    files.update({**oracle_files(job), **generator_files(job), **ablation_files(job)})
    files[NUMBERS] = to_json(_numbers(job, promises, populations, gallery))
    for name, content in files.items():
        _write(group, name, content)


def _numbers(
    job: Job,
    promises: Calibration,
    populations: Sequence[dict[str, Any]],
    gallery: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    train, report = job.data.train, job.recipe.report
    counts = read_counts(job, population_parts(job, populations[0]["name"]))
    own_maps = job.recipe.unary.source == "probabilities"
    network = read_network(job, population_parts(job, populations[0]["name"]))
    baseline = IntersectionUnion(counts.intersections[:, 0], counts.unions[:, 0])
    return {
        "name": job.recipe.name,
        "reference": "the network" if own_maps else "MAP",
        "classes": list(train.class_names),
        "palette": np.asarray(train.palette)[: train.n_classes].tolist(),
        "void": train.ignore_index,
        "n_proposals": job.recipe.proposals.n_proposals,
        "choice": GATED if job.recipe.gate.enabled else CHOICE,
        "n_worst": report.n_examples,
        "facts": run_facts(job, promises),
        "gate": gate_record(promises.gate, job.recipe.gate.enabled),
        "populations": populations,
        "ablation": ablation_record(
            read_ablation(job),
            counts,
            baseline if network is None else network,
            report.n_bootstrap,
            job.recipe.random_state,
            resampled(job, population_parts(job, populations[0]["name"])).groups,
        ),
        "images": gallery,
        "recipe": dump_recipe(job.recipe),
        "versions": software_versions(),
    }


def _write(group: h5py.Group, name: str, content: bytes) -> None:
    write_array(group, name, np.frombuffer(content, dtype=np.uint8))
