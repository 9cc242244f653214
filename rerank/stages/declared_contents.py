"""What the file of each stage must hold, by recipe; it is checked when one is written or opened.

In shapes, `N` are the images of the part, `C` the classes, `n` the superpixels of an image, and `m`
the pairs of neighbours among them. Values that have no range here are finite, or counts from 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rerank.config import Recipe
from rerank.engine.contents import Contents, Expected, Values
from rerank.engine.folds import FINAL
from rerank.stages.declarations import Sizes, wanted_subsets

_Length = int | str | None
_ANY = Expected("*", None, "any")
_SHARES = Values(0, 1, shares=True)
_UNIT = Values(0, 1)
_CLASSES, _REGIONS = Values(below="C"), Values(below="n")
#: Bounds of columns that clip nothing, thresholds that nothing passes, means over nothing.
_UNBOUNDED = Values(infinite=True)
_NOT_NEGATIVE, _POSITIVE = Values(0), Values(1e-6)
#: Counts of several images.
_COUNTS = Expected("i8", (None, "C"))
#: Numbers of proposals that generators are compared at, beside all of them.
FEW = 10
_BOUNDS = ("network_", "unary_", "bound_", "")


def _each(kind: str, *shape: _Length, values: Values = Values()) -> Expected:  # noqa: B008
    return Expected(kind, shape, "each", values)


def _once(kind: str, *shape: _Length, values: Values = Values()) -> Expected:  # noqa: B008
    return Expected(kind, shape, "once", values)


def _some(kind: str, *shape: _Length, values: Values = Values()) -> Expected:  # noqa: B008
    return Expected(kind, shape, "any", values)


def _own_maps(recipe: Recipe) -> bool:
    return recipe.unary.source == "probabilities"


def _index(recipe: Recipe) -> Contents:
    return {"class_pixels": _once("i8", "N", "C")}


def _superpixels(recipe: Recipe) -> Contents:
    found = {
        "superpixels": _each("u2|u4", "h", "w", values=Values(below="n", counted="areas")),
        "edges": _each("i4|i8", "m", 2, values=_REGIONS),
        "boundary_length": _each("f8", "m", values=_NOT_NEGATIVE),
        "contrast": _each("f8", "m", values=_NOT_NEGATIVE),
        "areas": _each("f8", "n", values=Values(1, 1 << 40)),
        "region_values": _each("f4", "n", 4),
        "histogram": _each("i4", "n", "C"),
    }
    if _own_maps(recipe):
        found["network"] = _each("u1", "n", values=_CLASSES)
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
        "images/#/region_probabilities": _each("f4", "n", "C", values=_SHARES),
        "holdout/#/region_probabilities": _some("f4", "n", "C", values=_SHARES),
    }
    if model:
        found |= {"model/temperature": _once("f8", values=_POSITIVE), "model/**": _ANY}
    return found


def _unaries(recipe: Recipe) -> Contents:
    return {
        "holdout_ids": _once("S", None),
        "class_shares": _once("f8", "C", values=_UNIT),
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
    found = {"targets": _once("f4", "N", grid, grid, "C", values=_UNIT)}
    of_backbone = recipe.classifiers.enabled and recipe.classifiers.features == "backbone"
    if recipe.segnet.enabled:
        found["weights"] = _once("f4", "N", grid, grid, values=_UNIT)
    if recipe.segnet.enabled or of_backbone:
        small = recipe.backbone.architecture == "small"
        found["inputs"] = (
            _once("u1", "N", "X", "Y", 3) if small else _once("f2|u1", "N", "D", grid, grid)
        )
    return found


def _segnet(recipe: Recipe) -> Contents:
    if not recipe.segnet.enabled:
        return {}
    grid = recipe.segnet.grid
    maps = _once("f4", "N", grid, grid, "C", values=_SHARES)
    return {
        **dict.fromkeys(("maps", "maps_cross_entropy"), maps),
        "holdout_maps": _some("f4", None, grid, grid, "C", values=_SHARES),
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
        "location/probabilities": _once("f8", grid, grid, "C", values=_UNIT),
        "holdout/location": _some("f8", grid, grid, "C", values=_UNIT),
    }
    if recipe.classifiers.enabled:
        for name, scores in (("presence", "P"), ("sizes", "Z")):
            found |= {f"{name}/coef": _once("f8", scores, "F")}
            found |= {f"{name}/intercept": _once("f8", scores)}
            found |= {f"{name}/classes": _once("i8", "P", values=_CLASSES)}
            found |= {f"{name}/duality_gap": _once("f8", scores)}
        found |= {"sizes/percentiles": _once("f8", "p"), "sizes/thresholds": _once("f8", "P", "p")}
        for name, scores in (("scores", "P"), ("size_scores", "Z")):
            found |= {name: _some("f8", "N", scores), f"holdout/{name}": _some("f8", "h", scores)}
    return found


def _fusion(recipe: Recipe) -> Contents:
    if not recipe.fusion.enabled:
        return {}
    return {
        "images/#/region_probabilities": _each("f4", "n", "C", values=_SHARES),
        "holdout/#/region_probabilities": _some("f4", "n", "C", values=_SHARES),
        "model/names": _once("S", "w"),
        "model/weights": _once("f8", "w"),
        "model/loss": _once("f8"),
        "model/n_iter": _once("i8"),
    }


def _crf_settings(recipe: Recipe) -> Contents:
    found = {
        "diversity": _once("f8", values=_NOT_NEGATIVE),
        "diversity_scores": _once("f8", None, values=_UNBOUNDED),
    }
    for source in ("unary", "fusion") if recipe.fusion.enabled else ("unary",):
        for name in ("potts_weight", "contrast_scale", "base"):
            found[f"{source}/{name}"] = _once("f8", values=_NOT_NEGATIVE)
        tried = Expected("*", None, "any", _UNBOUNDED)
        found |= {f"{source}/class_bias": _once("f8", None), f"{source}/*": tried}
    if recipe.proposals.generator != "div_mbest":
        found |= {"pool": _once("S", None), "pool_of_unary": _once("S", None)}
    return found


def _proposals(recipe: Recipe) -> Contents:
    count, mixed = recipe.proposals.n_proposals, recipe.proposals.generator == "mixed"
    found = {
        "labelings": _each("u1", count, "n", values=_CLASSES),
        "energies": _each("f8", count),
        "lower_bounds": _each("f8", count),
        "generators": _each("S", count),
        "parameters": _each("S", count),
    }
    if mixed:
        found["samples"] = _each("u1", recipe.proposals.samples.n_samples, "n", values=_CLASSES)
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
        "similarity": _once("f4", "N", count, count, values=_UNIT),
        "table/values": _some("f4", "r", "c"),
        "table/columns": _some("S", "c"),
        "table/groups": _some("S", "c"),
        "table/image_ids": _some("S", "r"),
        "table/proposals": _some("i8", "r", values=Values(below=count)),
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
        "model/coef": _once("f8", "K"),
        "model/columns": _once("S", "K"),
        "model/highest": _once("f8|f4", "K", values=_UNBOUNDED),
        "model/lowest": _once("f8|f4", "K", values=_UNBOUNDED),
        "model/duality_gap": _once("f8"),
        "model/primal_objective": _once("f8"),
        "models/*/coef": _some("f8|f4", "K"),
        "models/*/highest": _some("f8|f4", "K", values=_UNBOUNDED),
        "models/*/lowest": _some("f8|f4", "K", values=_UNBOUNDED),
    }


def _calibration(recipe: Recipe) -> Contents:
    chosen = Values(below=recipe.proposals.n_proposals)
    return {
        "model/beliefs": _once("f8", 2, values=_NOT_NEGATIVE),
        "model/gate/**": Expected("*", None, "any", _UNBOUNDED),
        "model/sets/**": Expected("*", None, "any", _UNBOUNDED),
        "choices/*/choice": _some("i8", "n", values=chosen),
        "choices/*/confidence": _some("f8", "n", values=_UNBOUNDED),
        "choices/*/kept": _some("b1", "n"),
        "populations/*/choice": _some("i8", None, values=chosen),
        "populations/*/*": _some("f8", values=_UNBOUNDED),
    }


def _oracle(recipe: Recipe) -> Contents:
    count = recipe.proposals.n_proposals
    found = {"*/n_proposals": _some("i8", count)}
    for kind in ("corpus_oracle", "image_oracle"):
        found[f"*/{kind}_choice"] = _some("i8", count, None, values=Values(below=count))
        for measure in ("image_iou", "miou"):
            found[f"*/{kind}_{measure}"] = _some("f8", count, values=_UNBOUNDED)
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
    most = recipe.proposals.n_proposals
    table = _once("f8", "G", 3, values=_UNBOUNDED)
    return {"names": _once("S", "G"), **{f"at_{n}": table for n in (min(FEW, most), most)}}


def _ablation(recipe: Recipe) -> Contents:
    found: dict[str, Expected] = {}
    for place in range(len(wanted_subsets(recipe))):
        found |= {
            f"{place:02d}/groups": _once("S", None),
            f"{place:02d}/C": _once("f8"),
            f"{place:02d}/n_columns": _once("i8"),
            f"{place:02d}/choice": _once(
                "i8", None, values=Values(below=recipe.proposals.n_proposals)
            ),
        }
    return found


def _populations(n_images: Mapping[str, int]) -> dict[str, int]:
    """Images of each population that there is."""
    found = {"cross_fitted": sum(n_images.values()), "evaluation": n_images[FINAL]}
    return {name: count for name, count in found.items() if count}


def _ranking_of(recipe: Recipe, n_images: Mapping[str, int]) -> Contents:
    rules = ("svm", "mbr", *recipe.ranking.compared)
    if recipe.segnet.enabled:
        rules += ("kl", "kl_cross_entropy")
    found = {}
    for part, count in n_images.items():
        scores = _once("f8|f4", count, recipe.proposals.n_proposals)
        found |= {f"scores/{part}/{rule}": scores for rule in rules if count}
        if part != FINAL:
            found |= {f"models/{part}/coef": _once("f8|f4", "K")}
            for name in ("highest", "lowest"):
                found[f"models/{part}/{name}"] = _once("f8|f4", "K", values=_UNBOUNDED)
    return found


def _calibration_of(recipe: Recipe, n_images: Mapping[str, int]) -> Contents:
    chosen, found = Values(below=recipe.proposals.n_proposals), {}
    for part, count in n_images.items():
        if count:
            found[f"choices/{part}/choice"] = _once("i8", count, values=chosen)
            found[f"choices/{part}/confidence"] = _once("f8", count, values=_UNBOUNDED)
            found[f"choices/{part}/kept"] = _once("b1", count)
    for name, count in _populations(n_images).items():
        found[f"populations/{name}/choice"] = _once("i8", count, values=chosen)
        for fact in ("expected_iou", "gap", "upper_bound"):
            found[f"populations/{name}/{fact}"] = _once("f8", values=_UNBOUNDED)
    return found


def _oracle_of(recipe: Recipe, n_images: Mapping[str, int]) -> Contents:
    most, found = recipe.proposals.n_proposals, {}
    for name, count in _populations(n_images).items():
        found[f"{name}/n_proposals"] = _once("i8", most)
        for kind in ("corpus_oracle", "image_oracle"):
            choice = _once("i8", most, count, values=Values(below=most))
            found[f"{name}/{kind}_choice"] = choice
            for measure in ("image_iou", "miou"):
                found[f"{name}/{kind}_{measure}"] = _once("f8", most, values=_UNBOUNDED)
    return found


def _dense_crf_of(recipe: Recipe, n_images: Mapping[str, int]) -> Contents:
    if not recipe.report.dense_crf:
        return {}
    found = {}
    for part, count in n_images.items():
        if count and (part == FINAL or _own_maps(recipe)):
            prefix = "" if part == FINAL else f"{part}/"
            counts = _once("i8", count, "C")
            found |= {f"{prefix}intersections": counts, f"{prefix}unions": counts}
    return found


def _ablation_of(recipe: Recipe, n_images: Mapping[str, int]) -> Contents:
    judged = n_images[FINAL] or sum(n_images.values())
    chosen = Values(below=recipe.proposals.n_proposals)
    places = range(len(wanted_subsets(recipe)))
    return {f"{place:02d}/choice": _once("i8", judged, values=chosen) for place in places}


#: What of it is known once the images of each part are.
OF_PARTS: dict[str, Callable[[Recipe, Mapping[str, int]], Contents]] = {
    "ranking": _ranking_of,
    "calibration": _calibration_of,
    "oracle": _oracle_of,
    "dense_crf": _dense_crf_of,
    "ablation": _ablation_of,
}
#: Paths that stand for any part; it is known then which there are.
_BY_PART = ("scores/*", "models/*", "choices/*", "populations/*", "*/")


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


def contents_with(name: str, recipe: Recipe, sizes: Sizes | None) -> Contents:
    """What the file of a stage must hold.

    Parameters
    ----------
    name : str
    recipe : Recipe
    sizes : Sizes or None
        None for any.

    Returns
    -------
    Contents
    """
    found = CONTENTS[name](recipe)
    if sizes is None:
        return found
    if sizes.n_images and name in OF_PARTS:
        found = {**found, **OF_PARTS[name](recipe, sizes.n_images)}
        found = {path: item for path, item in found.items() if not path.startswith(_BY_PART)}
    return {path: _with_classes(expected, sizes.n_classes) for path, expected in found.items()}


def _with_classes(expected: Expected, n_classes: int) -> Expected:
    shape, values = expected.shape, expected.values
    if shape is not None:
        shape = tuple(n_classes if length == "C" else length for length in shape)
    if values.below == "C":
        values = values._replace(below=n_classes)
    return expected._replace(shape=shape, values=values)
