"""Any image model of the library timm as a backbone, with weights from a local file."""

from __future__ import annotations

import copy
import difflib
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rerank.errors import ConfigError, DataError, InputError
from rerank.nets.architectures import ArchitectureSpec
from rerank.nets.backbone import Backbone, LayerGeometry
from rerank.nets.map_geometry import map_geometry
from rerank.nets.preprocessing import Preprocessing
from rerank.types import RandomState, as_generator

#: What names of timm's models begin with here.
PREFIX = "timm/"


class TimmBackbone(Backbone):
    """The stages of a model of timm; its layers are called stage1, stage2, ...

    Parameters
    ----------
    architecture : str
        `timm/NAME`.
    model : nn.Module
        Of `timm.create_model`, with its classifier.

    Raises
    ------
    ConfigError
        If the model does not give the maps of its stages.
    """

    def __init__(self, architecture: str, model: nn.Module) -> None:
        if not hasattr(model, "forward_intermediates") or not hasattr(model, "feature_info"):
            raise ConfigError(
                f"{architecture}: timm gives no maps of its stages; choose another model"
            )
        about: Any = model.feature_info
        depths = [int(stage["num_chs"]) for stage in about]
        names = tuple(f"stage{k + 1}" for k in range(len(depths)))
        config: Any = model.pretrained_cfg
        spec = ArchitectureSpec(
            architecture, OrderedDict, depths[-1], 13 * int(about[-1]["reduction"]), names[-3:]
        )
        super().__init__(
            spec, Preprocessing("RGB", 1 / 255, tuple(config["mean"]), tuple(config["std"]))
        )
        self.model, self.layer_names = model, names
        self._depths = dict(zip(names, depths))
        # In a tuple, so that it is no part of the network; it computes shapes alone.
        self._shapes = (copy.deepcopy(model).to("meta").eval(),)
        self._sizes: dict[tuple[int, int], list[tuple[int, int]]] = {}
        self._places: list[LayerGeometry] | None = None

    def forward(self, images: Tensor) -> Tensor:
        """Return the last stage's output, (B, D, h, w)."""
        name = self.layer_names[-1]
        return self.activations(images, [name])[name]

    def activations(self, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Return the outputs of the named stages: see `Backbone.activations`."""
        wanted = self._check_layers(layers)
        x = self.preprocess(images)
        self._check_size(images, max(wanted, key=self.layer_names.index))
        places = sorted(self.layer_names.index(name) for name in wanted)
        maps = _stages(self.model, x, places)
        found = {self.layer_names[place]: values for place, values in zip(places, maps)}
        return {name: found[name] for name in layers}

    def geometry(self, layer: str | None = None) -> LayerGeometry:
        """Return stride and first centre of a stage's cells (default: of the last stage)."""
        (name,) = self._check_layers([layer or self.layer_names[-1]])
        if self._places is None:
            side = self.cell * -(-224 // self.cell)
            image = torch.empty(1, 3, side, side, device="meta")
            places = list(range(len(self.layer_names)))
            self._places = map_geometry(lambda: _stages(self._shapes[0], image, places), image)
        return self._places[self.layer_names.index(name)]

    @property
    def cell(self) -> int:
        """Input pixels of a cell of the last stage."""
        return self.spec.size_at_13 // 13

    def output_size(self, size: tuple[int, int], layer: str | None = None) -> tuple[int, int]:
        """Return height and width of a stage's map: see `Backbone.output_size`."""
        (name,) = self._check_layers([layer or self.layer_names[-1]])
        if size not in self._sizes:
            image = torch.empty(1, 3, *size, device="meta")
            places = list(range(len(self.layer_names)))
            try:
                maps = _stages(self._shapes[0], image, places)
            except (RuntimeError, AssertionError, ValueError) as error:
                raise InputError(
                    f"images of {size[0]}x{size[1]} do not suit {self.architecture}: {error}"
                ) from error
            self._sizes[size] = [(int(m.shape[2]), int(m.shape[3])) for m in maps]
        return self._sizes[size][self.layer_names.index(name)]

    def suitable_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the nearest height and width of whole cells of the last stage.

        Transformers take no others, and padding at borders then falls as `geometry` has it.
        """
        cell = self.cell
        return max(1, round(size[0] / cell)) * cell, max(1, round(size[1] / cell)) * cell

    def depths(self, layers: Sequence[str]) -> tuple[int, ...]:
        """Return the number of channels of the named stages' outputs."""
        self._check_layers(layers)
        return tuple(self._depths[name] for name in layers)


def timm_backbone(
    architecture: str, weights: str | Path | None = None, random_state: RandomState = None
) -> TimmBackbone:
    """Return a model of timm as a frozen backbone, in evaluation mode. Nothing is downloaded.

    Parameters
    ----------
    architecture : str
        `timm/NAME`, such as timm/tf_efficientnet_lite0; `timm.list_models()` has the names.
    weights : str or Path, optional
        A file of timm (`.pth`, `.pt` or `.safetensors`), or of the package efficientnet_pytorch;
        None draws the weights at random.
    random_state : int or numpy.random.Generator, optional
        Of random weights.

    Returns
    -------
    TimmBackbone

    Raises
    ------
    ConfigError
        If timm is not installed, does not know the name, or gives no maps of the model's stages.
    DataError
        If the weights are missing, unreadable, or of another model.
    """
    timm = _import_timm()
    name = architecture[len(PREFIX) :]
    if not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models(), n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "timm.list_models() has all"
        raise ConfigError(f"{architecture}: timm has no model {name} ({hint})")
    # The global random state of torch is not touched.
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(int(as_generator(random_state).integers(2**63 - 1)))
        model = _create(timm, name, None if weights is None else Path(weights))
    backbone = TimmBackbone(architecture, model)
    backbone.requires_grad_(False)
    backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return backbone.eval()


def _create(timm: Any, name: str, weights: Path | None) -> nn.Module:
    def create(**settings: Any) -> nn.Module:
        model: nn.Module
        try:
            # So that transformers take images of any size.
            model = timm.create_model(name, dynamic_img_size=True, **settings)
        except TypeError:
            model = timm.create_model(name, **settings)
        return model

    if weights is None:
        return create()
    if not weights.is_file():
        raise DataError(f"{weights}: no such weights file; give the path of timm's file")
    state = _read_state(timm, weights)
    if "_conv_stem.weight" in state:
        state = _timm_names(weights, state, create())
    # timm renames what older files call otherwise, and checks that nothing is missing.
    overlay = {"state_dict": state, "custom_load": False}
    try:
        return create(pretrained=True, pretrained_cfg_overlay=overlay)
    except (RuntimeError, KeyError) as error:
        lines = " ".join(str(error).split())
        raise DataError(
            f"{weights}: does not hold weights of timm's {name}: {lines[:300]}"
        ) from error


def _read_state(timm: Any, file: Path) -> dict[str, Tensor]:
    if file.suffix.lower() not in (".pth", ".pt", ".safetensors"):
        raise DataError(
            f"{file}: expected weights of timm as .pth, .pt or .safetensors, got "
            f"{file.suffix or 'a name without suffix'!r}"
        )
    try:
        found = dict(timm.models.load_state_dict(str(file)))
    except Exception as error:  # torch raises many kinds, depending on how a file is damaged
        raise DataError(f"{file}: unreadable weights file: {str(error)[:200]}") from error
    for name, values in found.items():
        if not isinstance(values, Tensor):
            raise DataError(f"{file}: {name} must be a tensor, got {type(values).__name__}")
        if values.is_floating_point() and not bool(torch.isfinite(values).all()):
            raise DataError(f"{file}: layer {name} holds values that are not finite")
    return found


def _timm_names(file: Path, state: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Weights of efficientnet_pytorch, which has timm's layers in the same order."""
    expected = model.state_dict()
    shapes = [tuple(values.shape) for values in expected.values()]
    if [tuple(values.shape) for values in state.values()] != shapes:
        raise DataError(f"{file}: the layers' shapes are not those of the chosen model of timm")
    return dict(zip(expected, state.values()))


def _stages(model: Any, images: Tensor, places: Sequence[int]) -> list[Tensor]:
    found = model.forward_intermediates(
        images, indices=list(places), stop_early=True, output_fmt="NCHW", intermediates_only=True
    )
    return list(found)


def _import_timm() -> Any:
    try:
        import timm
    except ImportError as error:
        raise ConfigError(
            f"backbones of timm need the extra: pip install 'rerank[timm]' ({error})"
        ) from error
    return timm
