"""What a report says about its run: the data, the models of both stages, and the promises."""

from __future__ import annotations

from rerank.config import Recipe
from rerank.engine.stage import Job
from rerank.stages.calibration import Calibration


def run_facts(job: Job, promises: Calibration) -> dict[str, str]:
    """The run in sentences, by what each is about.

    Parameters
    ----------
    job : Job
        Of the stage `pages`.
    promises : Calibration

    Returns
    -------
    mapping of name to text
    """
    recipe = job.recipe
    own = recipe.unary.architecture
    of_backbone = "" if own is None else f" of {own}"
    unaries = {
        "classifier": _features(recipe.unary.features) + of_backbone,
        "dense_network": _dense_network(recipe),
        "probabilities": "the network's maps",
    }[recipe.unary.source]
    own_maps = recipe.unary.source == "probabilities"
    split = ", split along the borders of the network's labels" if own_maps else ""
    if recipe.unary.dense_crf:
        unaries += ", refined by the dense CRF"
    drawn_by = {
        "pool": "from a pool of all generators",
        "mixed": "by DivMBest and as samples of the CRF",
        "div_mbest": "by DivMBest",
    }[recipe.proposals.generator]
    grid = recipe.segnet.grid
    segnet = f"SegNet on {recipe.backbone.architecture}, {grid}x{grid} grid; "
    if not recipe.segnet.enabled:
        segnet = ""
    n_segments = recipe.superpixels.n_segments
    superpixels = "superpixels" if n_segments is None else f"about {n_segments} superpixels"
    evaluate_images = 0 if job.data.evaluate is None else len(job.data.evaluate)
    return {
        "Data set": f"{recipe.dataset.name}, {len(job.data.train)} training and {evaluate_images} "
        f"evaluation images, {job.data.train.n_classes} classes",
        "Stage 1": f"{superpixels}{split}; unaries from {unaries}; "
        f"{recipe.proposals.n_proposals} proposals {drawn_by}",
        "Stage 2": f"{segnet}{_auxiliary(recipe)}ranking SVM on {', '.join(recipe.ranking.groups)}",
        "Folds": f"{recipe.folds.n_folds}",
        "Gate": promises.gate.explanation_,
        "Sets of proposals": promises.sets.explanation_,
    }


def _auxiliary(recipe: Recipe) -> str:
    found = ""
    if recipe.auxiliary.features is not None:
        found = f"an auxiliary classifier on {_features(recipe.auxiliary.features)}"
        if recipe.auxiliary.scales is not None:
            found += f" at scales {', '.join(f'{s:g}' for s in recipe.auxiliary.scales)}"
        found += "; "
    if recipe.auxiliary.dense_network:
        found += f"{_dense_network(recipe)}; "
    if recipe.auxiliary.probabilities:
        found += f"maps of further networks ({len(recipe.auxiliary.probabilities)}); "
    return found


def _features(kind: str) -> str:
    return ("appearance and deep" if kind == "both" else kind) + " features"


def _dense_network(recipe: Recipe) -> str:
    return (
        f"a dense network on {recipe.backbone.architecture}"
        + (", trained as a whole" if recipe.dense_network.train_backbone else "")
        + (" with a CRF layer" if recipe.dense_network.crf_layer else "")
    )
