"""Settings of a recipe whose defaults depend on its other settings.

They are absent or `auto` in what a user writes, and stand with their values in the recipe that is
used, kept and shown. Own network maps and few labelled images are the common case without backbone
weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

AUTO = "auto"
#: Potts weights that are tried: with own maps, those around the best ones of several networks.
_POTTS = [0.0, 0.1, 0.2, 0.35, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.5, 7.0]
_FEW_POTTS = [0.5, 1.0, 1.5, 2.5, 4.0]
#: Of the CRF on own maps without labels; chosen on training images of VOC 2012, MSRC-21 and CamVid.
POTTS_WEIGHT, CONTRAST_SCALE = 1.5, 4.0
#: Groups of columns of Cogswell et al. 2014, and the setting that each needs.
_GROUPS = {"segnet": "segnet.enabled", "classification": "classifiers.enabled", "proposal": None}


def resolve_automatic(tree: dict[str, Any]) -> None:
    """Fill in the settings of a recipe that depend on others, where they are absent or `auto`.

    Parameters
    ----------
    tree : dict
        Plain values of a recipe, not checked yet; changed in place. What is no mapping where a
        group of settings should be is left as it is.
    """
    for name, choose in _CHOICES:
        section, _, key = name.rpartition(".")
        group = tree.setdefault(section, {}) if section else tree
        if isinstance(group, dict) and group.get(key, AUTO) == AUTO:
            group[key] = choose(tree)


def _get(tree: dict[str, Any], name: str, default: Any = None) -> Any:
    value: Any = tree
    for key in name.split("."):
        if not isinstance(value, dict) or key not in value:
            return default
        value = value[key]
    return value


def _has_weights(tree: dict[str, Any]) -> bool:
    return _get(tree, "backbone.weights") is not None


def _own_maps(tree: dict[str, Any]) -> bool:
    return bool(_get(tree, "unary.source") == "probabilities")


def _features(tree: dict[str, Any]) -> str:
    return "deep" if _has_weights(tree) else "appearance"


def _unary_features(tree: dict[str, Any]) -> str:
    return _features(tree) if _get(tree, "unary.weights") is None else "deep"


def _architecture(tree: dict[str, Any]) -> str:
    return _named_architecture(_get(tree, "backbone.weights")) or "small"


def _unary_architecture(tree: dict[str, Any]) -> str | None:
    return _named_architecture(_get(tree, "unary.weights"))


def _named_architecture(weights: Any) -> str | None:
    """The architecture that the name of a file of weights says; None without a file."""
    if weights is None:
        return None
    name = str(weights).lower()
    if name.endswith(".caffemodel"):
        return "caffenet"
    if "efficientnet_lite0" in name.replace("-", "_"):
        return "timm/tf_efficientnet_lite0"
    return "alexnet" if "alexnet" in name else "squeezenet1_0"


def _classifier_features(tree: dict[str, Any]) -> str:
    return "backbone" if _own_maps(tree) and _has_weights(tree) else _features(tree)


def _auxiliary_features(tree: dict[str, Any]) -> str | None:
    used = _get(tree, "fusion.enabled", True)
    return "deep" if used and _own_maps(tree) and _has_weights(tree) else None


def _of_head(small: float, head: float) -> Callable[[dict[str, Any]], float]:
    """A setting of the SegNet's training: gradient descent of `small` whole, or AdamW of a head."""
    return lambda tree: small if _get(tree, "backbone.architecture") == "small" else head


def _classifier_c(tree: dict[str, Any]) -> float:
    # Features made by hand overfit a few hundred images.
    return 0.01 if _get(tree, "classifiers.features") == "appearance" else 1.0


def _preferred(tree: dict[str, Any]) -> list[float] | None:
    # Few images cannot tell settings that differ little, and these served several networks.
    tried = zip(
        ("potts_weights", "contrast_scales", "prior_exponents"), (POTTS_WEIGHT, CONTRAST_SCALE, 0.0)
    )
    known = all(value in (_get(tree, f"crf.{name}") or ()) for name, value in tried)
    searched = _get(tree, "crf.parameters", "search") == "search"
    return [POTTS_WEIGHT, CONTRAST_SCALE] if _own_maps(tree) and searched and known else None


def _available_groups(tree: dict[str, Any]) -> list[str]:
    return [group for group, needs in _GROUPS.items() if needs is None or _get(tree, needs, True)]


def _ranking_groups(tree: dict[str, Any]) -> list[str]:
    return ["summary"] if _own_maps(tree) else _available_groups(tree)


#: In an order in which each comes after those that it depends on.
_CHOICES: tuple[tuple[str, Callable[[dict[str, Any]], Any]], ...] = (
    ("backbone.architecture", _architecture),
    ("holdout", lambda t: 0.0 if _own_maps(t) else 0.15),
    ("folds.n_folds", lambda t: 5 if _own_maps(t) else 10),
    ("unary.features", _unary_features),
    ("unary.architecture", _unary_architecture),
    ("auxiliary.features", _auxiliary_features),
    # Some hundred images are too few for it.
    ("segnet.enabled", lambda t: not _own_maps(t)),
    ("segnet.epochs_cross_entropy", _of_head(12, 6)),
    ("segnet.epochs_mixed", _of_head(5, 3)),
    ("segnet.learning_rate", _of_head(0.05, 0.004)),
    ("segnet.batch_size", _of_head(16, 8)),
    ("classifiers.enabled", lambda t: not _own_maps(t) or _has_weights(t)),
    ("classifiers.features", _classifier_features),
    ("classifiers.C", _classifier_c),
    # A fit on own maps has no inner models: its time is that of what is tried here.
    ("crf.potts_weights", lambda t: _FEW_POTTS if _own_maps(t) else _POTTS),
    ("crf.contrast_scales", lambda t: [CONTRAST_SCALE] if _own_maps(t) else [1.0, 4.0]),
    ("crf.prior_exponents", lambda t: [0.0, 0.25, 0.5] if _own_maps(t) else [0.0, 0.25, 0.5, 0.75]),
    ("crf.preferred", _preferred),
    ("crf.colours", lambda t: 1.0 if _own_maps(t) else 0.0),
    ("fusion.colours", _own_maps),
    ("proposals.generator", lambda t: "mixed" if _own_maps(t) else "pool"),
    ("proposals.pool_images", lambda t: 20 if _own_maps(t) else 60),
    ("proposals.final_pool_images", lambda t: 40 if _own_maps(t) else 150),
    ("ranking.groups", _ranking_groups),
    # They are a quarter of the time of a prediction, and gained nothing to be told from noise.
    ("features.edges", lambda t: not _own_maps(t)),
    # A study of the pool's generators, of which proposals on own maps use two.
    ("report.generators", lambda t: not _own_maps(t)),
    ("report.ablation_groups", _available_groups),
)
