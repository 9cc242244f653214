"""What files that hold rows of every part must hold, once the images of each part are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rerank.config import Recipe
from rerank.engine.contents import Contents, Expected, Values
from rerank.engine.folds import FINAL
from rerank.stages.declarations import wanted_subsets
from rerank.stages.expected_arrays import UNBOUNDED, once, own_maps


def _populations(n_images: Mapping[str, int]) -> dict[str, int]:
    """Images of each population that there is."""
    found = {"cross_fitted": sum(n_images.values()), "evaluation": n_images[FINAL]}
    return {name: count for name, count in found.items() if count}


def _ranking_of(recipe: Recipe, n_images: Mapping[str, int]) -> Contents:
    rules = ("svm", "mbr", *recipe.ranking.compared)
    if recipe.segnet.enabled:
        rules += ("kl", "kl_cross_entropy")
    found: dict[str, Expected] = {}
    for part, count in n_images.items():
        scores = once("f8|f4", count, recipe.proposals.n_proposals)
        found |= {f"scores/{part}/{rule}": scores for rule in rules if count}
        if part != FINAL:
            found |= {f"models/{part}/coef": once("f8|f4", "K")}
            for name in ("highest", "lowest"):
                found[f"models/{part}/{name}"] = once("f8|f4", "K", values=UNBOUNDED)
    return found


def _calibration_of(recipe: Recipe, n_images: Mapping[str, int]) -> Contents:
    chosen, found = Values(below=recipe.proposals.n_proposals), dict[str, Expected]()
    for part, count in n_images.items():
        if count:
            found[f"choices/{part}/choice"] = once("i8", count, values=chosen)
            found[f"choices/{part}/confidence"] = once("f8", count, values=UNBOUNDED)
            found[f"choices/{part}/kept"] = once("b1", count)
    for name, count in _populations(n_images).items():
        found[f"populations/{name}/choice"] = once("i8", count, values=chosen)
        for fact in ("expected_iou", "gap", "upper_bound"):
            found[f"populations/{name}/{fact}"] = once("f8", values=UNBOUNDED)
    return found


def _oracle_of(recipe: Recipe, n_images: Mapping[str, int]) -> Contents:
    most, found = recipe.proposals.n_proposals, dict[str, Expected]()
    for name, count in _populations(n_images).items():
        found[f"{name}/n_proposals"] = once("i8", most)
        for kind in ("corpus_oracle", "image_oracle"):
            choice = once("i8", most, count, values=Values(below=most))
            found[f"{name}/{kind}_choice"] = choice
            for measure in ("image_iou", "miou"):
                found[f"{name}/{kind}_{measure}"] = once("f8", most, values=UNBOUNDED)
    return found


def _dense_crf_of(recipe: Recipe, n_images: Mapping[str, int]) -> Contents:
    if not recipe.report.dense_crf:
        return {}
    found: dict[str, Expected] = {}
    for part, count in n_images.items():
        if count and (part == FINAL or own_maps(recipe)):
            prefix = "" if part == FINAL else f"{part}/"
            counts = once("i8", count, "C")
            found |= {f"{prefix}intersections": counts, f"{prefix}unions": counts}
    return found


def _ablation_of(recipe: Recipe, n_images: Mapping[str, int]) -> Contents:
    judged = n_images[FINAL] or sum(n_images.values())
    chosen = Values(below=recipe.proposals.n_proposals)
    places = range(len(wanted_subsets(recipe)))
    return {f"{place:02d}/choice": once("i8", judged, values=chosen) for place in places}


#: What of it is known once the images of each part are.
OF_PARTS: dict[str, Callable[[Recipe, Mapping[str, int]], Contents]] = {
    "ranking": _ranking_of,
    "calibration": _calibration_of,
    "oracle": _oracle_of,
    "dense_crf": _dense_crf_of,
    "ablation": _ablation_of,
}
#: Paths that stand for any part; it is known then which there are.
BY_PART = ("scores/*", "models/*", "choices/*", "populations/*", "*/")
