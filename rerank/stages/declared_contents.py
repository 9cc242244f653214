"""What the file of each stage must hold, by recipe; it is checked when one is written or opened.

In shapes, `N` are the images of the part, `C` the classes, `n` the superpixels of an image, and `m`
the pairs of neighbours among them.
"""

from __future__ import annotations

from collections.abc import Callable

from rerank.config import Recipe
from rerank.engine.contents import Contents, Expected
from rerank.stages.declarations import wanted_subsets

_Length = int | str | None
_ANY = Expected("*", None, "any")
#: Counts of several images.
_COUNTS = Expected("i8", (None, "C"))
_BOUNDS = ("network_", "unary_", "bound_", "")


def _each(kind: str, *shape: _Length) -> Expected:
    return Expected(kind, shape, "each")


def _once(kind: str, *shape: _Length) -> Expected:
    return Expected(kind, shape)


def _some(kind: str, *shape: _Length) -> Expected:
    return Expected(kind, shape, "any")


def _own_maps(recipe: Recipe) -> bool:
    return recipe.unary.source == "probabilities"


def _index(recipe: Recipe) -> Contents:
    return {"class_pixels": _once("i8", "N", "C")}


def _superpixels(recipe: Recipe) -> Contents:
    found = {
        "superpixels": _each("u2|u4", "h", "w"),
        "edges": _each("i4|i8", "m", 2),
        "boundary_length": _each("f8", "m"),
        "contrast": _each("f8", "m"),
        "areas": _each("f8", "n"),
        "region_values": _each("f4", "n", 4),
        "histogram": _each("i4", "n", "C"),
    }
    if _own_maps(recipe):
        found["network"] = _each("u1", "n")
    return _of_images(found)


def _sampled_features() -> dict[str, Expected]:
    return {
        "features": _each("f2", "n", "D"),
        "sample": _each("f2", "s", "D"),
        "sample_histogram": _each("i4", "s", "C"),
    }


def _superpixel_features(recipe: Recipe) -> Contents:
    chosen = recipe.classifiers
    found = _sampled_features() if recipe.unary.source == "classifier" else {}
    if chosen.enabled and chosen.features != "backbone":
        found["whole_image"] = _each("f4", "E")
    return _of_images(found)


def _auxiliary_features(recipe: Recipe) -> Contents:
    return _of_images(_sampled_features()) if recipe.auxiliary.features is not None else {}


def _probabilities(model: bool) -> dict[str, Expected]:
    found = {
        "images/#/region_probabilities": _each("f4", "n", "C"),
        "holdout/#/region_probabilities": _some("f4", "n", "C"),
    }
    if model:
        found |= {"model/temperature": _once("f8"), "model/**": _ANY}
    return found


def _unaries(recipe: Recipe) -> Contents:
    return {
        "holdout_ids": _once("S", None),
        "class_shares": _once("f8", "C"),
        **_probabilities(not _own_maps(recipe)),
    }


def _auxiliary(recipe: Recipe) -> Contents:
    chosen, found = recipe.auxiliary, dict[str, Expected]()
    if chosen.features is not None:
        found |= _probabilities(True)
    if chosen.dense_network:
        found |= {f"dense_network/{k}": v for k, v in _probabilities(True).items()}
    for place in range(1, 1 + len(chosen.probabilities)):
        found |= {f"maps/{place}/{k}": v for k, v in _probabilities(False).items()}
    return found


def _activations(recipe: Recipe) -> Contents:
    grid = recipe.segnet.grid
    found = {"targets": _once("f4", "N", grid, grid, "C")}
    of_backbone = recipe.classifiers.enabled and recipe.classifiers.features == "backbone"
    if recipe.segnet.enabled:
        found["weights"] = _once("f4", "N", grid, grid)
    if recipe.segnet.enabled or of_backbone:
        found["inputs"] = Expected("u1|f2")
    return found


def _segnet(recipe: Recipe) -> Contents:
    if not recipe.segnet.enabled:
        return {}
    grid = recipe.segnet.grid
    return {
        **{name: _once("f4", "N", grid, grid, "C") for name in ("maps", "maps_cross_entropy")},
        "holdout_maps": _some("f4", None, grid, grid, "C"),
        "model/**": _ANY,
        "model_cross_entropy/**": _ANY,
    }


def _upsampling(recipe: Recipe) -> Contents:
    if not recipe.segnet.enabled:
        return {}
    counts = ("intersections", "unions")
    return {f"{way}/{k}": _once("i8", "N", "C") for way in ("naive", "superpixel") for k in counts}


def _classifiers(recipe: Recipe) -> Contents:
    grid = recipe.segnet.grid
    found = {
        "cooccurrence/log_ratio": _once("f8", "C", "C"),
        "location/probabilities": _once("f8", grid, grid, "C"),
        "holdout/location": _some("f8", grid, grid, "C"),
    }
    if recipe.classifiers.enabled:
        for name in ("presence", "sizes"):
            found |= {f"{name}/coef": _once("f8", "r", "f"), f"{name}/intercept": _once("f8", "r")}
            found |= {f"{name}/classes": _once("i8", None), f"{name}/duality_gap": _once("f8", "r")}
        found |= {"sizes/percentiles": _once("f8", "p"), "sizes/thresholds": _once("f8", None, "p")}
        for name in ("scores", "size_scores"):
            found |= {name: _some("f8", "N", None), f"holdout/{name}": _some("f8", "h", None)}
    return found


def _fusion(recipe: Recipe) -> Contents:
    if not recipe.fusion.enabled:
        return {}
    return {
        "images/#/region_probabilities": _each("f4", "n", "C"),
        "holdout/#/region_probabilities": _some("f4", "n", "C"),
        "model/names": _once("S", "w"),
        "model/weights": _once("f8", "w"),
        "model/loss": _once("f8"),
        "model/n_iter": _once("i8"),
    }


def _crf_settings(recipe: Recipe) -> Contents:
    found = {"diversity": _once("f8"), "diversity_scores": _once("f8", None)}
    for source in ("unary", "fusion") if recipe.fusion.enabled else ("unary",):
        for name in ("potts_weight", "contrast_scale", "base"):
            found[f"{source}/{name}"] = _once("f8")
        found |= {f"{source}/class_bias": _once("f8", None), f"{source}/*": _ANY}
    if recipe.proposals.generator != "div_mbest":
        found |= {"pool": _once("S", None), "pool_of_unary": _once("S", None)}
    return found


def _proposals(recipe: Recipe) -> Contents:
    count, mixed = recipe.proposals.n_proposals, recipe.proposals.generator == "mixed"
    found = {
        "labelings": _each("u1", count, "n"),
        "energies": _each("f8", count),
        "lower_bounds": _each("f8", count),
        "generators": _each("S", count),
        "parameters": _each("S", count),
    }
    if mixed:
        found["samples"] = _each("u1", recipe.proposals.samples.n_samples, "n")
    return _of_images(found)


def _quality(recipe: Recipe) -> Contents:
    found = {}
    for prefix in _BOUNDS[0 if _own_maps(recipe) else 1 :]:
        shape = ("C",) if prefix else (recipe.proposals.n_proposals, "C")
        for name in ("intersections", "unions"):
            found[f"{prefix}{name}"] = _each("i4", *shape)
    return _of_images(found)


def _features(recipe: Recipe) -> Contents:
    count = recipe.proposals.n_proposals
    found = {
        "similarity": _once("f4", "N", count, count),
        "table/values": _some("f4", "r", "c"),
        "table/columns": _some("S", "c"),
        "table/groups": _some("S", "c"),
        "table/image_ids": _some("S", "r"),
        "table/proposals": _some("i8", "r"),
    }
    if recipe.segnet.enabled:
        terms = _once("f8|f4", "N", count, 1 + len(recipe.features.rule_smoothings))
        found |= {f"kl/{name}": terms for name in ("kl", "kl_cross_entropy")}
    return found


def _ranking(recipe: Recipe) -> Contents:
    return {
        "C": _once("f8"),
        "scores/*/svm": _some("f8|f4", None, recipe.proposals.n_proposals),
        "scores/*/*": _some("f8|f4", None, recipe.proposals.n_proposals),
        "model/coef": _once("f8", "c"),
        "model/columns": _once("S", "c"),
        "model/highest": _once("f8|f4", "c"),
        "model/lowest": _once("f8|f4", "c"),
        "model/duality_gap": _once("f8"),
        "model/primal_objective": _once("f8"),
        **{f"models/*/{name}": _some("f8|f4", "c") for name in ("coef", "highest", "lowest")},
    }


def _calibration(recipe: Recipe) -> Contents:
    return {
        "model/beliefs": _once("f8", 2),
        "model/gate/**": _ANY,
        "model/sets/**": _ANY,
        "choices/*/choice": _some("i8", "n"),
        "choices/*/confidence": _some("f8", "n"),
        "choices/*/kept": _some("b1", "n"),
        "populations/*/choice": _some("i8", None),
        "populations/*/*": _some("f8"),
    }


def _oracle(recipe: Recipe) -> Contents:
    count = recipe.proposals.n_proposals
    found = {"*/n_proposals": _some("i8", count)}
    for kind in ("corpus_oracle", "image_oracle"):
        found[f"*/{kind}_choice"] = _some("i8", count, None)
        found |= {f"*/{kind}_{m}": _some("f8", count) for m in ("image_iou", "miou")}
    return found


def _dense_crf(recipe: Recipe) -> Contents:
    if not recipe.report.dense_crf:
        return {}
    counts = ("intersections", "unions")
    found = {name: _some("i8", None, "C") for name in counts}
    if _own_maps(recipe):
        found |= {f"*/{name}": _some("i8", None, "C") for name in counts}
    return found


def _generators(recipe: Recipe) -> Contents:
    if not recipe.report.generators:
        return {}
    return {"names": _once("S", "G"), "*": _some("f8", "G", 3)}


def _ablation(recipe: Recipe) -> Contents:
    found: dict[str, Expected] = {}
    for place in range(len(wanted_subsets(recipe))):
        found |= {
            f"{place:02d}/groups": _once("S", None),
            f"{place:02d}/C": _once("f8"),
            f"{place:02d}/n_columns": _once("i8"),
            f"{place:02d}/choice": _once("i8", None),
        }
    return found


def _pages(recipe: Recipe) -> Contents:
    return {
        "files/report.json": _once("u1", None),
        "files/*": _some("u1", None),
        **_of_images({name: _each("u1", None) for name in ("thumbnail.webp", "view.json")}),
    }


def _of_images(arrays: dict[str, Expected]) -> Contents:
    return {f"images/#/{name}": expected for name, expected in arrays.items()}


#: The contents of every stage's file.
CONTENTS: dict[str, Callable[[Recipe], Contents]] = {
    "index": _index,
    "superpixels": _superpixels,
    "superpixel_features": _superpixel_features,
    "unaries": _unaries,
    "activations": _activations,
    "segnet": _segnet,
    "upsampling": _upsampling,
    "classifiers": _classifiers,
    "auxiliary_features": _auxiliary_features,
    "auxiliary": _auxiliary,
    "fusion": _fusion,
    "crf_settings": _crf_settings,
    "proposals": _proposals,
    "quality": _quality,
    "features": _features,
    "ranking": _ranking,
    "calibration": _calibration,
    "oracle": _oracle,
    "dense_crf": _dense_crf,
    "generators": _generators,
    "ablation": _ablation,
    "pages": _pages,
}
