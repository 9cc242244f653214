"""Segmenting images that were in no data set, with the models of a finished run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rerank.config import Recipe, build_recipe
from rerank.datasets import overlay, read_image, save_labels_png
from rerank.errors import ConfigError, DataError, StoreError
from rerank.evidence import ImageScores, region_signals
from rerank.features import similarity_matrix
from rerank.folds import ALL, FINAL
from rerank.hdf5 import read_arrays, read_strings
from rerank.reports import to_csv
from rerank.stages.activations import make_coarse_input
from rerank.stages.base import Classes
from rerank.stages.classifiers import image_vector, load_models
from rerank.stages.crf_settings import load_choice
from rerank.stages.dense import DenseUnary
from rerank.stages.features import describe_proposals, feature_evidence
from rerank.stages.fusion import image_evidence, load_fusion
from rerank.stages.posterior import SecondModels
from rerank.stages.progress import Progress
from rerank.stages.proposals import image_proposals
from rerank.stages.segnet import load_segnet, segnet_maps
from rerank.stages.superpixel_features import make_descriptor, pooled
from rerank.stages.superpixels import graph_of, segment
from rerank.stages.unaries import (
    load_classifier,
    pool_own_map,
    probability_map_path,
    read_probability_map,
)
from rerank.stages.workflow import Workflow
from rerank.store import ArtefactRef, Store, write_text
from rerank.superpixels import to_pixels
from rerank.types import Array, FloatArray

_RUN_FILE = "run.json"
_NEEDED = (
    ("unaries", FINAL),
    ("posterior", FINAL),
    ("segnet", FINAL),
    ("classifiers", FINAL),
    ("fusion", FINAL),
    ("crf_settings", FINAL),
    ("ranking", ALL),
)


@dataclass(frozen=True)
class Prediction:
    """The labelings of one image.

    Attributes
    ----------
    superpixels : (H, W) int array
    labelings : (M, n) uint8 array
        The proposals over superpixels; the first is MAP.
    energies : (M,) float array
        Of the CRF; lower is more probable.
    scores : (M,) float array
        Of the ranker; higher is better.
    chosen : int
        The proposal of the highest score.
    """

    superpixels: Array
    labelings: Array
    energies: FloatArray
    scores: FloatArray
    chosen: int

    def labels(self, proposal: int | None = None) -> Array:
        """Full-resolution labels (H, W) uint8 of a proposal, by default of the chosen one."""
        index = self.chosen if proposal is None else proposal
        return to_pixels(self.labelings[index], self.superpixels)


def write_run_file(workflow: Workflow) -> None:
    """Note in the work folder what was run last, and all that a prediction needs of it."""
    dataset = workflow.train
    write_text(
        workflow.store.root / _RUN_FILE,
        json.dumps(
            {
                "recipe": workflow.recipe.model_dump(mode="json"),
                "data_root": workflow.data_root,
                "weights": workflow.weights,
                "classes": {
                    "class_names": list(dataset.class_names),
                    "palette": np.asarray(dataset.palette).tolist(),
                    "background": dataset.background,
                },
                "artefacts": {
                    f"{stage}/{part}": workflow.task(stage, part).ref.key for stage, part in _NEEDED
                },
            }
        )
        + "\n",
    )


def read_run_file(store: Store) -> dict[str, Any]:
    """What `write_run_file` noted, the recipe as a `Recipe`.

    Raises
    ------
    StoreError
        If it is missing or not readable.
    """
    path = store.root / _RUN_FILE
    try:
        found = json.loads(path.read_text())
        found["recipe"] = build_recipe(found["recipe"], str(path))
        names = {"data_root", "weights", "classes", "artefacts"}
        if not names <= set(found):
            raise KeyError
    except FileNotFoundError:
        raise StoreError(f"{path}: missing; run a recipe in this work folder first") from None
    except (ValueError, KeyError, TypeError):
        raise StoreError(f"{path}: not readable; run the recipe again to write it") from None
    return dict(found)


class Predictor:
    """The models of a finished run, ready for new images.

    Parameters
    ----------
    work : path
        Work folder of a run that came to its end.

    Raises
    ------
    StoreError
        If the folder holds no run, or the run is not finished.
    DataError
        If the backbone's weights are gone.
    """

    def __init__(self, work: str) -> None:
        store = Store(work, create=False)
        run = read_run_file(store)
        self.recipe: Recipe = run["recipe"]
        about = run["classes"]
        self.classes = Classes(
            tuple(about["class_names"]),
            np.array(about["palette"], dtype=np.uint8),
            about["background"],
        )
        refs = {
            (stage, part): ArtefactRef(stage, part, run["artefacts"][f"{stage}/{part}"])
            for stage, part in _NEEDED
        }
        for ref in refs.values():
            if not store.has(ref):
                raise StoreError(
                    f"{store.path(ref)}: missing or damaged; finish the run with "
                    "`rerank run` before predicting"
                )
        weights = run["weights"]
        if weights is not None and not Path(weights).is_file():
            raise DataError(
                f"{weights}: the backbone's weights of this run are gone; put the file back"
            )
        self._coarse_input = make_coarse_input(self.recipe, weights)
        self._describe = make_descriptor(
            self.recipe, weights, self.recipe.unary.features, self.recipe.unary.scales
        )
        with store.open(refs["posterior", FINAL]) as file:
            self._second = SecondModels.load(file, self.recipe, self.classes.n_classes, weights)
        self._classifier, self._dense = None, None
        with store.open(refs["unaries", FINAL]) as file:
            if self.recipe.unary.source == "classifier":
                self._classifier = load_classifier(file)
            elif self.recipe.unary.source == "dense":
                self._dense = DenseUnary.from_arrays(
                    read_arrays(file["model"]), self.classes.n_classes, self.recipe, weights
                )
            self._class_shares = file["class_shares"][()]
        self._fusion = None
        if self.recipe.fusion.enabled:
            with store.open(refs["fusion", FINAL]) as file:
                self._fusion = load_fusion(file)
        with store.open(refs["crf_settings", FINAL]) as file:
            self._choice = load_choice(file)
        with store.open(refs["segnet", FINAL]) as file:
            self._segnet = load_segnet(file)
        with store.open(refs["classifiers", FINAL]) as file:
            self._models = load_models(file)
        with store.open(refs["ranking", ALL]) as file:
            if "lowest" not in file["model"]:
                raise StoreError(
                    f"{store.path(refs['ranking', ALL])}: made by an older rerank, "
                    "whose ranker kept no ranges; finish the run again with "
                    "`rerank run`"
                )
            self._coef = file["model/coef"][()]
            self._range = file["model/lowest"][()], file["model/highest"][()]
            self._columns = read_strings(file["model/columns"])

    def predict(
        self, image: Array, image_id: str = "image", probabilities: Array | None = None
    ) -> Prediction:
        """Segment one RGB image, (H, W, 3) uint8.

        Parameters
        ----------
        image : (H, W, 3) uint8 array
        image_id : str
            Names the image in errors.
        probabilities : (H, W, C) or (C, H, W) float array, optional
            The user's own class probabilities; needed where the run was made from such maps.
        """
        regions = segment(image, self.recipe.superpixels)
        graph = graph_of(regions)
        features = self._describe(image, regions["superpixels"])
        if self._classifier is not None:
            found = self._classifier.predict_proba(features)
        elif self._dense is not None:
            found = self._dense.predict_proba(image, regions["superpixels"])
        elif probabilities is None:
            raise ConfigError(
                "this run was made from probability maps; give those of the new "
                "images with --probabilities"
            )
        else:
            found = pool_own_map(
                self.recipe,
                probabilities,
                image,
                regions["superpixels"],
                self.classes.n_classes,
                where=image_id,
            )
        sources = {"unary": found.astype(np.float32)}
        coarse = np.asarray(self._coarse_input(image))
        segnet_map = segnet_maps(self.recipe, self._segnet, coarse[None], self.classes.n_classes)[0]
        whole = image_vector(self.recipe, pooled(features, regions["areas"]), coarse)[None]
        scores = ImageScores(
            self._models.presence.decision_function(whole)[0],
            self._models.sizes.decision_function(whole)[0],
        )
        if self._fusion is not None:
            evidence = image_evidence(
                sources["unary"],
                regions["superpixels"],
                segnet_map,
                scores,
                self._models.location,
                self._class_shares,
                self.classes.background,
                self._second.ask(image, regions["superpixels"]),
            )
            signals = region_signals(evidence, regions["areas"], regions["region_values"])
            sources["fusion"] = self._fusion.predict_proba(signals).astype(np.float32)
        proposals = image_proposals(
            sources, graph, regions["region_values"], self.recipe, self._choice
        )
        table = describe_proposals(
            image_id,
            self.recipe,
            self.classes.class_names,
            regions,
            proposals,
            feature_evidence(
                self.recipe,
                self._models,
                regions["superpixels"],
                segnet_map,
                scores,
                sources,
                self.classes.background,
                image,
            ),
            similarity_matrix(proposals["labelings"], regions["areas"], self.classes.n_classes),
        )
        values = table.select(columns=self._columns).values.astype(np.float32)
        ranks = np.clip(values, *self._range) @ self._coef
        return Prediction(
            regions["superpixels"].astype(np.int32),
            proposals["labelings"],
            proposals["energies"],
            ranks,
            int(ranks.argmax()),
        )


def predict_files(
    work: str,
    images: Sequence[Path],
    out: Path,
    probabilities: Path | None = None,
    quiet: bool = False,
) -> list[Path]:
    """Segment image files and write `NAME_segmentation.png`, `NAME_overlay.png`, a folder
    `NAME_proposals` and `NAME_scores.csv` for each; returns the segmentations' paths.

    Raises
    ------
    DataError
        If an image is missing or unreadable, or two images have one name.
    """
    stems = [path.stem for path in images]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        raise DataError(
            f"two images are called {twice[0]}; their results would overwrite each "
            "other, so predict them into different folders"
        )
    predictor = Predictor(work)
    written = []
    with Progress(len(images), quiet=quiet) as progress:
        for path in images:
            progress.stage(path.stem)
            image = read_image(path)
            own = (
                None
                if probabilities is None
                else read_probability_map(probability_map_path(str(probabilities), path.stem))
            )
            prediction = predictor.predict(image, path.stem, own)
            written.append(
                write_prediction(prediction, image, path.stem, out, predictor.classes.palette)
            )
            progress.advance(1)
    return written


def write_prediction(
    prediction: Prediction, image: Array, name: str, out: Path, palette: Array
) -> Path:
    """Write one prediction's files; returns the path of the segmentation."""
    folder = out / f"{name}_proposals"
    folder.mkdir(parents=True, exist_ok=True)
    labels = prediction.labels()
    segmentation = out / f"{name}_segmentation.png"
    save_labels_png(segmentation, labels, palette)
    save_rgb_png(out / f"{name}_overlay.png", overlay(image, labels, palette))
    for m in range(len(prediction.labelings)):
        save_labels_png(folder / f"{m:02d}.png", prediction.labels(m), palette)
    rows = [
        {
            "proposal": m,
            "score": float(prediction.scores[m]),
            "energy": float(prediction.energies[m]),
            "chosen": int(m == prediction.chosen),
        }
        for m in range(len(prediction.labelings))
    ]
    write_text(out / f"{name}_scores.csv", to_csv(rows))
    return segmentation


def save_rgb_png(path: Path, image: Array) -> None:
    """Write an RGB image, (H, W, 3) uint8, as PNG."""
    from PIL import Image

    Image.fromarray(np.ascontiguousarray(image)).save(path)
