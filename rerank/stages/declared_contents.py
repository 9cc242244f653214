"""What the file of each stage must hold, by recipe; it is checked when one is written or opened.

In shapes, `N` are the images of the part, `C` the classes, `n` the superpixels of an image, and `m`
the pairs of neighbours among them. Values that have no range here are finite, or counts from 0.
"""

from __future__ import annotations

from collections.abc import Callable

from rerank.config import Recipe
from rerank.engine.contents import Contents, Expected, Values
from rerank.stages.contents_of_parts import BY_PART, OF_PARTS
from rerank.stages.declarations import Sizes, wanted_subsets
from rerank.stages.expected_arrays import (
    ANY,
    CLASSES,
    NOT_NEGATIVE,
    POSITIVE,
    REGIONS,
    SHARES,
    UNBOUNDED,
    UNIT,
    each,
    once,
    own_maps,
    some,
)

#: Counts of several images.
_COUNTS = Expected("i8", (None, "C"))
#: Numbers of proposals that generators are compared at, beside all of them.
FEW = 10
_BOUNDS = ("network_", "unary_", "bound_", "")


def _index(recipe: Recipe) -> Contents:
    return {"class_pixels": once("i8", "N", "C")}


def _superpixels(recipe: Recipe) -> Contents:
    found = {
        "superpixels": each("u2|u4", "h", "w", values=Values(below="n", counted="areas")),
        "edges": each("i4|i8", "m", 2, values=REGIONS),
        "boundary_length": each("f8", "m", values=NOT_NEGATIVE),
        "contrast": each("f8", "m", values=NOT_NEGATIVE),
        "areas": each("f8", "n", values=Values(1, 1 << 40)),
        "region_values": each("f4", "n", 4),
        "histogram": each("i4", "n", "C"),
    }
    if own_maps(recipe):
        found["network"] = each("u1", "n", values=CLASSES)
    return _of_images(found)


def _sampled_features() -> dict[str, Expected]:
    return {
        "features": each("f2", "n", "D"),
        "sample": each("f2", "s", "D"),
        "sample_histogram": each("i4", "s", "C"),
    }


def _superpixel_features(recipe: Recipe) -> Contents:
    chosen = recipe.classifiers
    found = _sampled_features() if recipe.unary.source == "classifier" else {}
    if chosen.enabled and chosen.features != "backbone":
        found["whole_image"] = each("f4", "E")
    return _of_images(found)


def _auxiliary_features(recipe: Recipe) -> Contents:
    return _of_images(_sampled_features()) if recipe.auxiliary.features is not None else {}


def _probabilities(model: bool) -> dict[str, Expected]:
    found = {
        "images/#/region_probabilities": each("f2", "n", "C", values=SHARES),
        "holdout/#/region_probabilities": some("f2", "n", "C", values=SHARES),
    }
    if model:
        found |= {"model/temperature": some("f8", values=POSITIVE), "model/**": ANY}
    return found


def _unaries(recipe: Recipe) -> Contents:
    return {
        "holdout_ids": once("S", None),
        "class_shares": once("f8", "C", values=UNIT),
        **_probabilities(not own_maps(recipe)),
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
    found = {"targets": once("f4", "N", grid, grid, "C", values=UNIT)}
    of_backbone = recipe.classifiers.enabled and recipe.classifiers.features == "backbone"
    if recipe.segnet.enabled:
        found["weights"] = once("f4", "N", grid, grid, values=UNIT)
    if recipe.segnet.enabled or of_backbone:
        small = recipe.backbone.architecture == "small"
        found["inputs"] = (
            once("u1", "N", "X", "Y", 3) if small else once("f2|u1", "N", "D", grid, grid)
        )
    return found


def _segnet(recipe: Recipe) -> Contents:
    if not recipe.segnet.enabled:
        return {}
    grid = recipe.segnet.grid
    maps = once("f2", "N", grid, grid, "C", values=SHARES)
    return {
        **dict.fromkeys(("maps", "maps_cross_entropy"), maps),
        "holdout_maps": some("f2", None, grid, grid, "C", values=SHARES),
        "model/**": ANY,
    }


def _upsampling(recipe: Recipe) -> Contents:
    if not recipe.segnet.enabled:
        return {}
    counts = ("intersections", "unions")
    return {f"{way}/{k}": once("i8", "N", "C") for way in ("naive", "superpixel") for k in counts}


def _classifiers(recipe: Recipe) -> Contents:
    grid = recipe.segnet.grid
    found = {
        "cooccurrence/log_ratio": once("f8", "C", "C"),
        "location/probabilities": once("f8", grid, grid, "C", values=UNIT),
        "holdout/location": some("f8", grid, grid, "C", values=UNIT),
    }
    if recipe.classifiers.enabled:
        for name, scores in (("presence", "P"), ("sizes", "Z")):
            found |= {f"{name}/coef": some("f8", scores, "F")}
            found |= {f"{name}/intercept": some("f8", scores)}
            found |= {f"{name}/classes": some("i8", "P", values=CLASSES)}
            found |= {f"{name}/duality_gap": some("f8", scores)}
        found |= {"sizes/percentiles": once("f8", "p"), "sizes/thresholds": once("f8", "P", "p")}
        for name, scores in (("scores", "P"), ("size_scores", "Z")):
            found |= {name: some("f8", "N", scores), f"holdout/{name}": some("f8", "h", scores)}
    return found


def _fusion(recipe: Recipe) -> Contents:
    if not recipe.fusion.enabled:
        return {}
    return {
        "images/#/region_probabilities": each("f2", "n", "C", values=SHARES),
        "holdout/#/region_probabilities": some("f2", "n", "C", values=SHARES),
        "model/names": once("S", "w"),
        "model/weights": once("f8", "w"),
        "model/loss": once("f8"),
        "model/n_iter": once("i8"),
    }


def _crf_settings(recipe: Recipe) -> Contents:
    found = {
        "diversity": once("f8", values=NOT_NEGATIVE),
        "diversity_scores": once("f8", None, values=UNBOUNDED),
    }
    for source in ("unary", "fusion") if recipe.fusion.enabled else ("unary",):
        for name in ("potts_weight", "contrast_scale", "base"):
            found[f"{source}/{name}"] = once("f8", values=NOT_NEGATIVE)
        tried = Expected("*", None, "any", UNBOUNDED)
        found |= {f"{source}/class_bias": once("f8", None), f"{source}/*": tried}
    if recipe.proposals.generator != "div_mbest":
        found |= {"pool": once("S", None), "pool_of_unary": once("S", None)}
    return found


def _proposals(recipe: Recipe) -> Contents:
    count, mixed = recipe.proposals.n_proposals, recipe.proposals.generator == "mixed"
    found = {
        "labelings": each("u1", count, "n", values=CLASSES),
        "energies": each("f8", count),
        "lower_bounds": each("f8", count),
        "generators": each("S", count),
        "parameters": each("S", count),
    }
    if mixed:
        found["samples"] = each("u1", recipe.proposals.samples.n_samples, "n", values=CLASSES)
    return _of_images(found)


def _quality(recipe: Recipe) -> Contents:
    found = {}
    for prefix in _BOUNDS[0 if own_maps(recipe) else 1 :]:
        shape = ("C",) if prefix else (recipe.proposals.n_proposals, "C")
        for name in ("intersections", "unions"):
            found[f"{prefix}{name}"] = each("i4", *shape)
    return _of_images(found)


def _features(recipe: Recipe) -> Contents:
    count = recipe.proposals.n_proposals
    found = {
        "similarity": once("f4", "N", count, count, values=UNIT),
        "table/values": some("f4", "c", "r"),
        "table/columns": some("S", "c"),
        "table/groups": some("S", "c"),
    }
    if recipe.segnet.enabled:
        terms = once("f8|f4", "N", count, 1 + len(recipe.features.rule_smoothings))
        found |= {f"kl/{name}": terms for name in ("kl", "kl_cross_entropy")}
    return found


def _ranking(recipe: Recipe) -> Contents:
    return {
        "C": once("f8"),
        "scores/*/svm": some("f8|f4", None, recipe.proposals.n_proposals),
        "scores/*/*": some("f8|f4", None, recipe.proposals.n_proposals),
        "model/coef": once("f8", "K"),
        "model/columns": once("S", "K"),
        "model/highest": once("f8|f4", "K", values=UNBOUNDED),
        "model/lowest": once("f8|f4", "K", values=UNBOUNDED),
        "model/duality_gap": once("f8"),
        "model/primal_objective": once("f8"),
        "models/*/coef": some("f8|f4", "K"),
        "models/*/highest": some("f8|f4", "K", values=UNBOUNDED),
        "models/*/lowest": some("f8|f4", "K", values=UNBOUNDED),
    }


def _state(group: str, numbers: tuple[str, ...], counts: tuple[str, ...]) -> Contents:
    """The fitted attributes of a gate or of sets."""
    return {
        f"{group}/promised_": once("b1"),
        f"{group}/explanation_": once("S", 1),
        **{f"{group}/{name}": once("f8", values=UNBOUNDED) for name in numbers},
        **{f"{group}/n_{name}_": once("i8") for name in ("images", "needed", *counts)},
    }


def _calibration(recipe: Recipe) -> Contents:
    chosen = Values(below=recipe.proposals.n_proposals)
    return {
        "model/beliefs": once("f8", 2, values=NOT_NEGATIVE),
        **_state("model/gate", ("threshold_", "bound_", "share_"), ("changed", "falls")),
        **_state("model/sets", ("threshold_", "coverage_", "mean_size_"), ("reachable",)),
        "choices/*/choice": some("i8", "n", values=chosen),
        "choices/*/confidence": some("f8", "n", values=UNBOUNDED),
        "choices/*/kept": some("b1", "n"),
        "populations/*/choice": some("i8", None, values=chosen),
        "populations/*/*": some("f8", values=UNBOUNDED),
    }


def _oracle(recipe: Recipe) -> Contents:
    count = recipe.proposals.n_proposals
    found = {"*/n_proposals": some("i8", count)}
    for kind in ("corpus_oracle", "image_oracle"):
        found[f"*/{kind}_choice"] = some("i8", count, None, values=Values(below=count))
        for measure in ("image_iou", "miou"):
            found[f"*/{kind}_{measure}"] = some("f8", count, values=UNBOUNDED)
    return found


def _dense_crf(recipe: Recipe) -> Contents:
    if not recipe.report.dense_crf:
        return {}
    counts = ("intersections", "unions")
    found = {name: some("i8", None, "C") for name in counts}
    if own_maps(recipe):
        found |= {f"*/{name}": some("i8", None, "C") for name in counts}
    return found


def _generators(recipe: Recipe) -> Contents:
    if not recipe.report.generators:
        return {}
    most = recipe.proposals.n_proposals
    table = once("f8", "G", 3, values=UNBOUNDED)
    return {"names": once("S", "G"), **{f"at_{n}": table for n in (min(FEW, most), most)}}


def _ablation(recipe: Recipe) -> Contents:
    found: dict[str, Expected] = {}
    for place in range(len(wanted_subsets(recipe))):
        found |= {
            f"{place:02d}/groups": once("S", None),
            f"{place:02d}/C": once("f8"),
            f"{place:02d}/n_columns": once("i8"),
            f"{place:02d}/choice": once(
                "i8", None, values=Values(below=recipe.proposals.n_proposals)
            ),
        }
    return found


def _pages(recipe: Recipe) -> Contents:
    return {
        "files/report.json": once("u1", None),
        "files/*": some("u1", None),
        **_of_images({name: some("u1", None) for name in ("thumbnail.webp", "view.json")}),
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
        found = {path: item for path, item in found.items() if not path.startswith(BY_PART)}
    return {path: _with_classes(expected, sizes.n_classes) for path, expected in found.items()}


def _with_classes(expected: Expected, n_classes: int) -> Expected:
    shape, values = expected.shape, expected.values
    if shape is not None:
        shape = tuple(n_classes if length == "C" else length for length in shape)
    if values.below == "C":
        values = values._replace(below=n_classes)
    return expected._replace(shape=shape, values=values)
