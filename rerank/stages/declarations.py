"""The summary, version, cost and settings of each stage.

Nothing here imports a model, so that `rerank status` is quick.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from itertools import combinations
from types import MappingProxyType
from typing import Any, NamedTuple

from rerank.config import Recipe
from rerank.engine.contents import Contents
from rerank.engine.folds import Part
from rerank.engine.stage import Inputs, Reach, Stage
from rerank.settings import Settings

#: What scores, counts and beliefs of the calibration come from.
CALIBRATED_ON = (
    *("superpixels", "unaries", "fusion", "proposals", "quality", "features", "ranking"),
)


class _Declaration(NamedTuple):
    summary: str
    settings: Callable[[Recipe], dict[str, Any]] = lambda recipe: {}
    version: int = 1
    cost: float = 0.05
    fits: bool = False
    temporary: bool = False


def stage(name: str, inputs: Any = (), **more: Any) -> Stage:
    """The stage of that name: its declaration with what it reads.

    Parameters
    ----------
    name : str
        A module of this package.
    inputs : sequence of (stage name, reach), or callable
        As in `Stage`.
    **more
        `reads`, `split` and `sharded` of `Stage`.

    Returns
    -------
    Stage
    """
    about = _DECLARATIONS[name]
    return Stage(
        name,
        about.summary,
        about.version,
        f"rerank.stages.{name}:run",
        settings=about.settings,
        inputs=inputs,
        temporary=about.temporary,
        fits=about.fits,
        cost=about.cost,
        contents=partial(contents_of, name),
        **more,
    )


def shards(name: str, inputs: Any = (), **more: Any) -> Stage:
    """The stage of that name, which treats images one by one: see `stage`.

    Parameters
    ----------
    name : str
    inputs : sequence of (stage name, reach), or callable
    **more
        `reads` of `Stage`.

    Returns
    -------
    Stage
    """
    return stage(name, inputs, sharded=True, **more)


class Sizes(NamedTuple):
    """What shapes and ranges depend on besides the recipe.

    Attributes
    ----------
    n_classes : int
    n_images : mapping of part to int
        Images of each fold and of `final`; empty where they are not known.
    """

    n_classes: int
    n_images: Mapping[str, int] = MappingProxyType({})


def contents_of(name: str, recipe: Recipe, sizes: Sizes | None = None) -> Contents:
    """What the file of a stage must hold.

    Parameters
    ----------
    name : str
    recipe : Recipe
    sizes : Sizes, optional
        Any sizes, the same in the whole file, by default.

    Returns
    -------
    Contents
    """
    from rerank.stages.declared_contents import contents_with

    return contents_with(name, recipe, sizes)


def sized(stages: Iterable[Stage], n_classes: int, parts: Iterable[Part] = ()) -> tuple[Stage, ...]:
    """The stages with what their files hold for so many classes and images.

    Parameters
    ----------
    stages : iterable of Stage
    n_classes : int
    parts : iterable of Part
        Of the whole run.

    Returns
    -------
    tuple of Stage
    """
    sizes = Sizes(n_classes, {part.name: len(part.image_ids) for part in parts})
    return tuple(replace(s, contents=partial(contents_of, s.name, sizes=sizes)) for s in stages)


def own(*names: str) -> tuple[tuple[str, Reach], ...]:
    """The files of these stages for the part itself."""
    return tuple((name, "own") for name in names)


def fit(*names: str) -> tuple[tuple[str, Reach], ...]:
    """The files of these stages for the part itself and for all folds that its models see."""
    return tuple((name, "fit") for name in names)


def out_of_fold(*names: str) -> tuple[tuple[str, Reach], ...]:
    """The part's own files and, for `final`, those of all folds: see `Reach`."""
    return tuple((name, "out_of_fold") for name in names)


def every(*names: str) -> tuple[tuple[str, Reach], ...]:
    """All files of these stages."""
    return tuple((name, "every") for name in names)


def fusion_inputs(recipe: Recipe) -> Inputs:
    """What the fusion reads: nothing without it, so that proposals do not hang on stage 2."""
    reach = fit if recipe.holdout == 0 else out_of_fold
    signals = reach("unaries", "segnet", "classifiers", "auxiliary")
    return (*fit("superpixels"), *signals) if recipe.fusion.enabled else ()


def crf_inputs(recipe: Recipe) -> Inputs:
    """What the choice of the CRF's settings reads; without held-out images, all out of fold."""
    reach = fit if recipe.holdout == 0 else out_of_fold
    return (("superpixels", "others"), *reach("unaries", "fusion"))


def superpixels_reads(recipe: Recipe) -> tuple[str, ...]:
    """What superpixels are made from; those of a network's maps keep to its borders."""
    return ("images", "maps") if recipe.unary.source == "probabilities" else ("images",)


def dense_crf_inputs(recipe: Recipe) -> Inputs:
    """What the dense CRF refines: unaries over superpixels, or else a network's own maps."""
    own_maps = recipe.unary.source == "probabilities"
    return () if own_maps else every("superpixels", "unaries")


def features_reads(recipe: Recipe) -> tuple[str, ...]:
    """What features of superpixels are made from; those of stage 1 may have another backbone."""
    return (
        ("images", "weights")
        if recipe.unary.weights is None
        else ("images", "weights", "unary_weights")
    )


def unaries_reads(recipe: Recipe) -> tuple[str, ...]:
    """What stage 1 reads from outside the store."""
    sources = {"classifier": (), "dense_network": ("weights",), "probabilities": ("maps",)}
    return sources[recipe.unary.source]


def auxiliary_reads(recipe: Recipe) -> tuple[str, ...]:
    """What the auxiliary models read from outside the store."""
    chosen = recipe.auxiliary
    network = ("weights",) if chosen.dense_network else ()
    return (*network, "auxiliary_maps") if chosen.probabilities else network


def wanted_subsets(recipe: Recipe) -> list[tuple[str, ...]]:
    """Subsets of groups that the ablation compares, small ones first, and the ranker's own groups.

    Examples
    --------
    >>> from rerank.config import load_recipe
    >>> wanted_subsets(load_recipe("scenes", ["report.ablation_groups=[a, b]"]))
    [('a',), ('b',), ('a', 'b'), ('summary', 'segnet')]
    """
    if not recipe.report.ablation:
        return []
    groups = recipe.report.ablation_groups
    found = [s for size in range(1, len(groups) + 1) for s in combinations(groups, size)]
    own_groups = recipe.ranking.groups
    return found if set(own_groups) in map(set, found) else [*found, own_groups]


def wanted_groups(recipe: Recipe) -> list[str] | None:
    """Groups of columns that are computed: with own maps those that are read, else all (None)."""
    if recipe.unary.source != "probabilities":
        return None
    compared = recipe.report.ablation_groups if recipe.report.ablation else ()
    return sorted({*recipe.ranking.groups, *compared})


def _plain(settings: Settings, exclude: set[str] | None = None) -> dict[str, Any]:
    return settings.model_dump(mode="json", exclude=exclude)


def _holdout(recipe: Recipe) -> float | None:
    return recipe.holdout if recipe.fusion.enabled else None


def _describes(recipe: Recipe) -> dict[str, Any]:
    return {
        "image_mean": recipe.unary.image_mean,
        "max_per_image": recipe.unary.max_per_image,
        "architecture": recipe.backbone.architecture,
    }


def _superpixel_features(recipe: Recipe) -> dict[str, Any]:
    unary, chosen = recipe.unary, recipe.classifiers
    # As `whole_image_features` has it, which needs torch.
    whole = chosen.features if chosen.enabled and chosen.features != "backbone" else None
    classified = unary.features if unary.source == "classifier" else None
    if classified is None and whole is None:
        return {}
    return {
        "features": classified,
        "whole_image": whole,
        "scales": list(unary.scales),
        **_describes(recipe),
        **({} if unary.architecture is None else {"unary_architecture": unary.architecture}),
    }


def _auxiliary_features(recipe: Recipe) -> dict[str, Any]:
    chosen = recipe.auxiliary
    if chosen.features is None:
        return {}
    scales = recipe.unary.scales if chosen.scales is None else chosen.scales
    return {"features": chosen.features, "scales": list(scales), **_describes(recipe)}


def _dense_network(recipe: Recipe) -> dict[str, Any]:
    chosen = recipe.dense_network
    unused = set() if chosen.crf_layer else {"crf_epochs", "crf_learning_rate"}
    return {
        "dense_network": _plain(chosen, exclude=unused),
        "architecture": recipe.backbone.architecture,
        "dense_crf": recipe.unary.dense_crf,
        "random_state": recipe.random_state,
    }


def _memory(recipe: Recipe) -> dict[str, int]:
    return {"training_memory": recipe.training_memory}


def _unaries(recipe: Recipe) -> dict[str, Any]:
    chosen, common = recipe.unary, {"source": recipe.unary.source, "holdout": recipe.holdout}
    if chosen.source == "dense_network":
        return {**common, **_dense_network(recipe)}
    if chosen.source == "probabilities":
        # Which images are held out is drawn by the seed.
        return {**common, "dense_crf": chosen.dense_crf, "random_state": recipe.random_state}
    return {**common, **_memory(recipe), **_classifier(recipe), "random_state": recipe.random_state}


def _classifier(recipe: Recipe) -> dict[str, Any]:
    names = ("hidden", "n_steps", "weight_decay", "class_balance", "n_members")
    return {name: getattr(recipe.unary, name) for name in names}


def _auxiliary(recipe: Recipe) -> dict[str, Any]:
    chosen = recipe.auxiliary
    found: dict[str, Any] = {}
    if chosen.features is not None:
        found = {**_memory(recipe), **_classifier(recipe), "random_state": recipe.random_state}
    if chosen.dense_network:
        found["dense_network"] = _dense_network(recipe)
    if chosen.probabilities:
        found["maps"] = {"number": len(chosen.probabilities), "dense_crf": recipe.unary.dense_crf}
    return {**found, "holdout": recipe.holdout} if found else {}


def _activations(recipe: Recipe) -> dict[str, Any]:
    of_backbone = recipe.classifiers.enabled and recipe.classifiers.features == "backbone"
    if not (recipe.segnet.enabled or of_backbone):
        return {"grid": recipe.segnet.grid}
    return {
        "segnet": recipe.segnet.enabled,
        "architecture": recipe.backbone.architecture,
        "grid": recipe.segnet.grid,
        "random_state": recipe.random_state if recipe.backbone.weights is None else 0,
    }


def _segnet(recipe: Recipe) -> dict[str, Any]:
    if not recipe.segnet.enabled:
        return {}
    return {
        "segnet": _plain(recipe.segnet),
        **_memory(recipe),
        "holdout": _holdout(recipe),
        "random_state": recipe.random_state,
    }


def _classifiers(recipe: Recipe) -> dict[str, Any]:
    chosen = recipe.classifiers
    if not chosen.enabled:
        return {"classifiers": None, "holdout": _holdout(recipe)}
    return {
        "classifiers": _plain(chosen),
        **_memory(recipe),
        "holdout": _holdout(recipe),
        "random_state": recipe.random_state,
    }


def _crf_settings(recipe: Recipe) -> dict[str, Any]:
    crf, chosen = recipe.crf, recipe.proposals
    unused = (
        {"parameters", "learner_C"}
        if crf.parameters == "search"
        else {"potts_weights", "prior_exponents"}
    )
    kept = {"diversities", "inference", "generator", "diversity_proposals", "n_proposals"}
    if chosen.generator == "pool":
        kept |= {"pool_images", "final_pool_images"}
    proposals = chosen.model_dump(mode="json", include=kept)
    if chosen.generator == "mixed":
        proposals["class_noise"] = chosen.samples.class_noise
    if chosen.generator == "div_mbest":
        # Only how many the diversity is chosen with.
        proposals["n_proposals"] = min(chosen.n_proposals, chosen.diversity_proposals)
    return {
        "crf": _plain(crf, exclude=unused),
        "fusion": recipe.fusion.enabled,
        "proposals": proposals,
        "random_state": recipe.random_state,
    }


def _proposals(recipe: Recipe) -> dict[str, Any]:
    chosen = recipe.proposals
    return {
        "n_proposals": chosen.n_proposals,
        "proposal_inference": chosen.inference,
        "inference": recipe.crf.inference,
        "random_state": recipe.random_state,
        **({"samples": _plain(chosen.samples)} if chosen.generator == "mixed" else {}),
    }


def _features(recipe: Recipe) -> dict[str, Any]:
    groups = wanted_groups(recipe)
    return {"features": _plain(recipe.features), **({} if groups is None else {"groups": groups})}


def _ranking(recipe: Recipe) -> dict[str, Any]:
    chosen = recipe.ranking
    unused = set() if chosen.C is None else {"candidates"}
    if "pairwise" not in chosen.compared:
        unused |= {"pairwise_C", "max_pairs"}
    if "ridge" not in chosen.compared:
        unused |= {"ridge_alphas"}
    return {
        "ranking": _plain(chosen, exclude=unused),
        **_memory(recipe),
        "random_state": recipe.random_state,
    }


def _calibration(recipe: Recipe) -> dict[str, Any]:
    return {
        # Predictions read the file of this stage, so that its key says whether they are gated.
        "gate": _plain(recipe.gate),
        "conformal_set": _plain(recipe.conformal_set),
        "corpus_choice": _plain(recipe.corpus_choice),
        **_memory(recipe),
        "random_state": recipe.random_state,
    }


def _ablation(recipe: Recipe) -> dict[str, Any]:
    unused = {
        *("compared", "pairwise_C", "max_pairs", "ridge_alphas", "groups", "background_penalties")
    }
    return {
        "ranking": _plain(recipe.ranking, exclude=unused),
        "groups": wanted_subsets(recipe),
        **_memory(recipe),
        "random_state": recipe.random_state,
    }


def _generators(recipe: Recipe) -> dict[str, Any]:
    if not recipe.report.generators:
        return {}
    return {
        "n_proposals": recipe.proposals.n_proposals,
        **_memory(recipe),
        "random_state": recipe.random_state,
    }


_DECLARATIONS = {
    "index": _Declaration("reading the labels", lambda recipe: {"dataset": _plain(recipe.dataset)}),
    "superpixels": _Declaration(
        "SLIC superpixels and their graph",
        lambda recipe: {"superpixels": _plain(recipe.superpixels)},
        version=3,
        cost=0.1,
    ),
    "superpixel_features": _Declaration(
        "features of superpixels", _superpixel_features, version=3, cost=0.5, temporary=True
    ),
    "unaries": _Declaration(
        "class probabilities of superpixels", _unaries, version=7, cost=0.8, fits=True
    ),
    "activations": _Declaration(
        "activations of the backbone", _activations, cost=0.15, temporary=True
    ),
    "segnet": _Declaration("training the coarse SegNet", _segnet, version=6, cost=1.0, fits=True),
    "upsampling": _Declaration("full-size segmentations from the SegNet alone", cost=0.02),
    "classifiers": _Declaration(
        "image classifiers and priors", _classifiers, version=6, cost=0.3, fits=True
    ),
    "auxiliary_features": _Declaration(
        "features of the auxiliary classifier", _auxiliary_features, cost=0.2, temporary=True
    ),
    "auxiliary": _Declaration(
        "auxiliary models of superpixels", _auxiliary, version=4, cost=0.4, fits=True
    ),
    "fusion": _Declaration(
        "joining the signals",
        lambda recipe: {
            "fusion": _plain(recipe.fusion),
            **_memory(recipe),
            "random_state": recipe.random_state,
        },
        version=5,
        cost=0.1,
        fits=True,
    ),
    "crf_settings": _Declaration(
        "choosing the CRF's settings", _crf_settings, version=7, cost=0.5, fits=True
    ),
    "proposals": _Declaration("MAP and diverse proposals", _proposals, version=6, cost=0.4),
    "quality": _Declaration("comparing proposals with the truth", version=2, cost=0.01),
    "features": _Declaration("features of proposals", _features, version=9, cost=0.3),
    "ranking": _Declaration("the rankers", _ranking, version=13, cost=0.5),
    "calibration": _Declaration("the gate and its promise", _calibration, version=3, cost=0.1),
    "oracle": _Declaration("oracle accuracy", cost=0.02),
    "dense_crf": _Declaration(
        "the dense CRF", lambda recipe: {"dense_crf": recipe.report.dense_crf}, version=2, cost=0.1
    ),
    "generators": _Declaration(
        "what each generator makes possible", _generators, version=3, cost=0.3
    ),
    "ablation": _Declaration("the feature ablation", _ablation, version=9, cost=1.0),
    "pages": _Declaration(
        "drawing the report",
        lambda recipe: {"recipe": recipe.model_dump(mode="json")},
        version=15,
        cost=0.1,
    ),
}
