"""Backbone weights from files: .npz, torchvision state dicts and .caffemodel."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rerank.datasets.numpy_files import NumpyArchive
from rerank.errors import ConfigError, DataError
from rerank.nets.backbone import new_backbone
from rerank.nets.caffemodel import read_caffemodel
from rerank.nets.preprocessing import PREPROCESSINGS, Preprocessing, preprocessing_by_name
from rerank.nets.tensor_files import load_tensors

PathLike = str | Path

_ALEXNET_LAYERS = {"0": "conv1", "3": "conv2", "6": "conv3", "8": "conv4", "10": "conv5"}
_SQUEEZENET_LAYERS = {
    "0": "conv1",
    "3": "fire2",
    "4": "fire3",
    "5": "fire4",
    "7": "fire5",
    "8": "fire6",
    "9": "fire7",
    "10": "fire8",
    "12": "fire9",
}


@dataclass(frozen=True, eq=False)
class BackboneWeights:
    """The filters of a backbone and how its input is made.

    Attributes
    ----------
    architecture : str
        "caffenet", "alexnet", "squeezenet1_0" or "small".
    state : mapping of str to Tensor
        float32 tensors under the names of `Backbone.layers` ("conv1.weight",
        "fire2.squeeze.bias").
    preprocessing : Preprocessing
    preprocessing_source : str
        Where that came from: "argument", "metadata", "file name" or "format".
    source : str
        The file.
    """

    architecture: str
    state: Mapping[str, Tensor]
    preprocessing: Preprocessing
    preprocessing_source: str
    source: str


def load_backbone_weights(
    path: PathLike, preprocessing: str | Preprocessing | None = None
) -> BackboneWeights:
    """Read a backbone's filters from a file.

    The format follows from the suffix: `.npz` (names of torchvision, of Caffe or our own),
    `.pth` or `.pt` (a state dict, or a mapping with one under "state_dict"; loaded without
    running code from the file), `.caffemodel`. The architecture follows from the layers'
    names; filters of the classifier are left out.

    The preprocessing is, in this order: the argument; the file's own record (the entry
    "preprocessing", in an `.npz` a JSON text); a "caffe" or "torchvision" in the file's name;
    the format's custom ("caffe" for `.caffemodel` and for Caffe's layer names, "torchvision"
    for torchvision's names). `preprocessing_source` says which it was.

    Parameters
    ----------
    path : str or Path
    preprocessing : str or Preprocessing, optional
        "caffe", "torchvision", or a record of one's own.

    Returns
    -------
    BackboneWeights

    Raises
    ------
    DataError
        If the file is missing or unreadable, its layers belong to no known architecture, a
        layer is missing, of a wrong shape or not finite, or its preprocessing is unusable.
    ConfigError
        If the name of the preprocessing is unknown.
    """
    file = Path(path)
    if not file.is_file():
        raise DataError(
            f"{file}: no such weights file; give the path of an .npz, .pth or .caffemodel file"
        )
    suffix = file.suffix.lower()
    readers = {
        ".npz": _read_npz,
        ".pth": _read_torch,
        ".pt": _read_torch,
        ".caffemodel": _read_caffe,
    }
    if suffix not in readers:
        raise DataError(
            f"{file}: expected weights as .npz, .pth, .pt or .caffemodel, "
            f"got {suffix or 'a name without suffix'!r}"
        )
    arrays, record = readers[suffix](file)
    architecture, names = _recognise(file, arrays)
    state = _checked_state(file, architecture, arrays, names)
    chosen, source = _choose_preprocessing(file, preprocessing, record, names)
    return BackboneWeights(architecture, state, chosen, source, str(file))


def save_backbone_weights(path: PathLike, weights: BackboneWeights) -> None:
    """Write filters and preprocessing as an `.npz` that `load_backbone_weights` reads.

    Parameters
    ----------
    path : str or Path
        Ends in `.npz`.
    weights : BackboneWeights

    Raises
    ------
    ConfigError
        If the path does not end in `.npz`.
    """
    file = Path(path)
    if file.suffix != ".npz":
        raise ConfigError(f"{file}: backbone weights are written as .npz")
    arrays = {name: tensor.numpy() for name, tensor in weights.state.items()}
    record = np.array(weights.preprocessing.to_json())
    np.savez(file, preprocessing=record, **arrays)  # type: ignore[arg-type]


def _read_npz(file: Path) -> tuple[dict[str, Any], Preprocessing | None]:
    archive = NumpyArchive(file, "weights file", "unreadable weights file")
    arrays: dict[str, Any] = {}
    for name in archive.names:
        arrays[name] = archive.read(name, text=True)
    text = arrays.pop("preprocessing", None)
    if text is None:
        return arrays, None
    try:
        return arrays, Preprocessing.from_json(str(text))
    except ConfigError as error:
        raise DataError(f"{file}: {error}") from error


def _read_torch(file: Path) -> tuple[dict[str, Any], Preprocessing | None]:
    content = load_tensors(file, "weights file", "get it again")
    state = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(content, dict) or not isinstance(state, dict):
        raise DataError(f"{file}: expected a state dict, got {type(state).__name__}")
    record = content.get("preprocessing")
    arrays = {
        re.sub("^module\\.", "", str(name)): _values(file, str(name), tensor)
        for name, tensor in state.items()
        if isinstance(tensor, Tensor)
    }
    if record is None:
        return arrays, None
    try:
        return arrays, _as_preprocessing(record)
    except ConfigError as error:
        raise DataError(f"{file}: {error}") from error


def _values(file: Path, name: str, tensor: Tensor) -> Any:
    """A tensor's numbers; a file can say that a few bytes are a tensor of any size."""
    plain = tensor.layout == torch.strided and tensor.device.type == "cpu"
    plain = plain and not tensor.is_quantized and not tensor.is_complex()
    if not plain or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise DataError(
            f"{file}: layer {name} is no plain tensor; save a state dict of CPU tensors"
        )
    return tensor.detach().float().numpy()


def _read_caffe(file: Path) -> tuple[dict[str, Any], Preprocessing | None]:
    arrays = {}
    for layer in read_caffemodel(file):
        for kind, blob in zip(("weight", "bias"), layer.blobs):
            arrays[f"{layer.name}.{kind}"] = blob
    return arrays, None


def _as_preprocessing(record: Any) -> Preprocessing:
    if isinstance(record, Preprocessing):
        return record
    if isinstance(record, Mapping):
        return Preprocessing.from_mapping(record)
    if isinstance(record, str):
        if record.lstrip().startswith("{"):
            return Preprocessing.from_json(record)
        return preprocessing_by_name(record)
    raise ConfigError(f"preprocessing must be a name or a record, got {json.dumps(str(record))}")


def _recognise(file: Path, arrays: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """Return the architecture, and our parameter names mapped to the file's."""
    names = set(arrays)
    if "features.3.squeeze.weight" in names or "features.12.expand3x3.weight" in names:
        return "squeezenet1_0", _torchvision_names("squeezenet1_0", _SQUEEZENET_LAYERS)
    if "features.0.weight" in names and "features.8.weight" in names:
        return "alexnet", _torchvision_names("alexnet", _ALEXNET_LAYERS)
    if "fire2/squeeze1x1.weight" in names:
        expected = new_backbone("squeezenet1_0").layers.state_dict()
        return "squeezenet1_0", {
            name: re.sub(r"^(fire\d)\.", r"\1/", name).replace("squeeze.", "squeeze1x1.")
            for name in expected
        }
    if "fire2.squeeze.weight" in names:
        return "squeezenet1_0", _own_names("squeezenet1_0")
    if "conv1.conv.weight" in names:
        return "small", _own_names("small")
    if {"conv1.weight", "conv2.weight", "conv5.weight"} <= names:
        # Caffe's one-column and grouped nets share layer names; conv1 tells them apart.
        depth = np.shape(arrays["conv1.weight"])[:1]
        return ("alexnet" if depth == (64,) else "caffenet"), _own_names("caffenet")
    raise DataError(
        f"{file}: the layers belong to no known architecture (expected names of torchvision's "
        f"alexnet or squeezenet1_0, or of CaffeNet); found {', '.join(sorted(names)[:6])} ..."
    )


def _own_names(architecture: str) -> dict[str, str]:
    return {name: name for name in new_backbone(architecture).layers.state_dict()}


def _torchvision_names(architecture: str, layers: Mapping[str, str]) -> dict[str, str]:
    theirs = {ours: number for number, ours in layers.items()}
    names = {}
    for name in new_backbone(architecture).layers.state_dict():
        layer, rest = name.split(".", 1)
        names[name] = f"features.{theirs[layer]}.{rest}"
    return names


def _checked_state(
    file: Path, architecture: str, arrays: Mapping[str, Any], names: Mapping[str, str]
) -> dict[str, Tensor]:
    state = {}
    for ours, expected in new_backbone(architecture).layers.state_dict().items():
        theirs = names[ours]
        label = ours if ours == theirs else f"{ours} ({theirs} in the file)"
        if theirs not in arrays:
            raise DataError(f"{file}: layer {label} of {architecture} is missing")
        values = np.asarray(arrays[theirs])
        if values.dtype.kind not in "fiu":
            raise DataError(f"{file}: layer {label} must hold numbers, got {values.dtype}")
        if values.shape != tuple(expected.shape):
            # Caffe's old format writes a bias as 1 x 1 x 1 x n.
            squeezed = values.reshape(-1)
            if expected.ndim != 1 or values.shape != (1, 1, 1, expected.numel()):
                raise DataError(
                    f"{file}: layer {label} of {architecture} must have shape "
                    f"{tuple(expected.shape)}, got {values.shape}"
                )
            values = squeezed
        tensor = torch.from_numpy(np.array(values, dtype=np.float32))
        if not torch.isfinite(tensor).all():
            raise DataError(f"{file}: layer {label} holds values that are not finite")
        state[ours] = tensor
    return state


def _choose_preprocessing(
    file: Path,
    argument: str | Preprocessing | None,
    record: Preprocessing | None,
    names: Mapping[str, str],
) -> tuple[Preprocessing, str]:
    if argument is not None:
        return _as_preprocessing(argument), "argument"
    if record is not None:
        return record, "metadata"
    words = set(re.split(r"[^a-z0-9]+", file.stem.lower()))
    named = [name for name in PREPROCESSINGS if name in words]
    if len(named) == 1:
        return PREPROCESSINGS[named[0]], "file name"
    from_torchvision = any(theirs.startswith("features.") for theirs in names.values())
    return PREPROCESSINGS["torchvision" if from_torchvision else "caffe"], "format"
