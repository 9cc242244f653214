"""Fitting all models of a recipe on labelled images, for predictions without a work folder."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import h5py
import numpy as np

from rerank.config import Recipe, build_recipe
from rerank.engine.contents import Expected, Often, Values
from rerank.engine.folds import ALL, FINAL
from rerank.engine.graph import Graph
from rerank.engine.hdf5 import new_file, read_strings, write_array, write_strings
from rerank.engine.scheduler import ONE_AFTER_ANOTHER, Execution, run_graph
from rerank.engine.sealed_file import check_content
from rerank.engine.store import Store
from rerank.errors import InputError
from rerank.prediction import MODEL_STAGES, OpenStage
from rerank.reports.fit_report import FitReport, fit_evaluations
from rerank.stages.calibration import Calibration
from rerank.stages.crf_settings import load_choice
from rerank.stages.declarations import Sizes, contents_of, sized
from rerank.stages.features import Classes
from rerank.stages.fusion import load_fusion
from rerank.stages.index import make_parts
from rerank.stages.oracle import population_parts, read_counts
from rerank.stages.pipeline import STAGES
from rerank.stages.ranking import load_scores
from rerank.stages.run_data import RunData
from rerank.types import Array

#: The kind of a file of fitted models, and the version of its layout: see `write_sealed`.
KIND = ("reranker", 2)
#: Fewer labelled images say nothing about the choice.
LEAST_IMAGES = 20
#: With fewer, the gain of the ranker over MAP is seldom beyond its interval.
FEW_IMAGES = 60
#: What stages write besides their models.
_OF_SINGLE_IMAGES = {
    "holdout",
    "holdout_maps",
    "images",
    "maps",
    "maps_cross_entropy",
    "choices",
    "populations",
    "scores",
    "size_scores",
}
#: Stages of a run that no model needs: analyses and their report.
_ANALYSES = {"upsampling", "oracle", "dense_crf", "generators", "ablation", "pages"}
#: Stages whose models are of all folds.
_OF_ALL_FOLDS = {"ranking", "calibration"}


class FittedModels(NamedTuple):
    """The models of all stages as the bytes of one HDF5 file, and what the fit found."""

    content: bytes
    report: FitReport


def check_enough_images(n_images: int) -> None:
    """Refuse a fit on fewer images than `LEAST_IMAGES`, with an `InputError`."""
    if n_images < LEAST_IMAGES:
        raise InputError(
            f"a fit needs at least {LEAST_IMAGES} labelled images, got {n_images}; "
            "`rerank propose` needs none"
        )


def fit_models(
    recipe: Recipe, data: RunData, store: Store, execution: Execution = ONE_AFTER_ANOTHER
) -> FittedModels:
    """Compute all stages but the analyses, and collect the models.

    Parameters
    ----------
    recipe : Recipe
        With own maps.
    data : RunData
        Labelled images, and maps of networks that never saw them.
    store : Store
        Gets what the stages write.
    execution : Execution
        Tasks at a time, and whether progress is shown.

    Returns
    -------
    FittedModels

    Raises
    ------
    InputError
        If there are fewer than `LEAST_IMAGES` images.
    ConfigError
        If there are more folds than images.
    """
    check_enough_images(len(data.train))
    wanted = [stage for stage in STAGES if stage.name not in _ANALYSES]
    parts = make_parts(recipe, store, data)
    stages = sized(wanted, data.n_classes, parts)
    graph = Graph(recipe, stages, parts, data, store)
    run_graph(graph, execution=execution)

    @contextmanager
    def open_stage(name: str) -> Iterator[h5py.Group]:
        with store.open(graph.task(name, ALL if name in _OF_ALL_FOLDS else FINAL).ref) as file:
            yield file

    content = _pack(open_stage, recipe, Classes.of(data.train))
    return FittedModels(content, _report(graph, open_stage))


def read_about(file: h5py.File) -> tuple[Recipe, Classes]:
    """The recipe and the classes of a file of fitted models."""
    recipe = build_recipe(json.loads(read_strings(file["recipe"])[0]), "recipe")
    background = int(file["background"][()])
    names = read_strings(file["class_names"])
    return recipe, Classes(names, None if background < 0 else background)


def check_models(file: h5py.File, recipe: Recipe, classes: Classes) -> None:
    """Check that a file of fitted models holds what the stages write, and no value out of range.

    Parameters
    ----------
    file : HDF5 file
    recipe : Recipe
    classes : Classes
        Both of `read_about`.

    Raises
    ------
    ValueError, OSError
        If not.
    """
    once, n_classes = Expected("S", (1,)), classes.n_classes
    contents = {
        "recipe": once,
        "class_names": Expected("S", (n_classes,)),
        "background": Expected("i8", (), values=Values(-1, n_classes - 1)),
    }
    for name in MODEL_STAGES:
        for path, expected in contents_of(name, recipe, Sizes(n_classes)).items():
            if path.partition("/")[0] not in _OF_SINGLE_IMAGES:
                often: Often = "any" if expected.often == "each" else expected.often
                contents[f"{name}/{path}"] = expected._replace(often=often)
    check_content(file, contents)


def _pack(open_stage: OpenStage, recipe: Recipe, classes: Classes) -> bytes:
    """The models of all stages as one HDF5 file, without their results for single images."""
    buffer = io.BytesIO()
    with new_file(buffer) as file:
        write_strings(file, "recipe", [json.dumps(recipe.model_dump(mode="json"))])
        write_array(file, "background", -1 if classes.background is None else classes.background)
        write_strings(file, "class_names", classes.class_names)
        for name in MODEL_STAGES:
            group = file.create_group(name)
            with open_stage(name) as source:
                for key in source:
                    if key not in _OF_SINGLE_IMAGES:
                        source.copy(key, group)
    return buffer.getvalue()


def _report(graph: Graph, open_stage: OpenStage) -> FitReport:
    recipe, job = graph.recipe, graph.job("ranking")
    parts = population_parts(job, "cross_fitted")
    counts = read_counts(job, parts)
    n_images = len(counts.unions)
    choices: dict[str, Array] = {"MAP": np.zeros(n_images, dtype=np.int64)}
    if recipe.fusion.enabled:
        choices["fusion MAP"] = np.ones(n_images, dtype=np.int64)
    with open_stage("ranking") as file:
        scores = [load_scores(file, part)["svm"] for part in parts]
        ranker_c = float(file["C"][()])
    choices["choice"] = np.concatenate(scores).argmax(axis=1)
    with open_stage("calibration") as file:
        choices["gated choice"] = np.concatenate(
            [file[f"choices/{part}/choice"][()] for part in parts]
        )
        calibration = Calibration.load(file["model"], recipe)
    return FitReport(
        n_images,
        recipe.folds.n_folds,
        tuple(graph.data.train.class_names),
        fit_evaluations(
            read_counts(job, parts, "network_"),
            counts,
            choices,
            recipe.report.n_bootstrap,
            recipe.random_state,
        ),
        {
            **_chosen(recipe, open_stage),
            "ranking SVM": {"C": ranker_c},
            "gate": calibration.gate.explanation_,
        },
        _notes(graph),
        recipe.report.n_bootstrap,
    )


def _chosen(recipe: Recipe, open_stage: OpenStage) -> dict[str, Any]:
    """The settings that were chosen on all images, as plain values."""
    found: dict[str, Any] = {}
    with open_stage("crf_settings") as file:
        choice = load_choice(file)
        for source, energy in choice.energies.items():
            name = "CRF on the network's map" if source == "unary" else "CRF on the fused posterior"
            found[name] = {
                "potts_weight": energy.potts_weight,
                "contrast_scale": energy.contrast_scale,
            }
            if "prior_exponent" in file[source]:
                found[name]["prior_exponent"] = float(file[source]["prior_exponent"][()])
        found["diversity"] = choice.diversity
    if recipe.fusion.enabled:
        with open_stage("fusion") as file:
            fusion = load_fusion(file)
        found["weights of the signals"] = {
            name: round(float(weight), 3) for name, weight in zip(fusion.names_, fusion.weights_)
        }
    return found


def _notes(graph: Graph) -> tuple[str, ...]:
    data: RunData = graph.data
    with graph.store.open(graph.task("index").ref) as file:
        held = (file["class_pixels"][()] > 0).sum(axis=0)
    names = data.train.class_names
    notes = []
    if len(data.train) < FEW_IMAGES:
        notes.append(
            f"{len(data.train)} images are few for the ranker; with {FEW_IMAGES} and more its gain "
            "over MAP can be told from chance"
        )
    for count, what in ((0, "no label holds"), (1, "a single image holds")):
        rare = [name for name, images in zip(names, held) if images == count]
        if rare:
            notes.append(f"{what} {', '.join(rare)}: nothing is learned, or judged, of them")
    return tuple(notes)
