"""Networks of others in files, ONNX, TensorFlow Lite and TorchScript, behind one interface."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from rerank.datasets.map_values import NetworkMap
from rerank.errors import ConfigError, DataError, InputError, RerankError
from rerank.nets.network_input import (
    IMAGENET,
    NetworkSettings,
    PixelScaling,
    lay_out,
    map_of_output,
)
from rerank.types import Array, FloatArray


class NetworkFile(Protocol):
    """A network that was read from a file.

    Attributes
    ----------
    size : (int, int) or None
        Height and width of its input; None where it takes any.
    usual : PixelScaling or None
        How pixels are scaled where nothing else is set; None where it takes bytes.
    about : str
        What it takes and gives, for people.
    """

    size: tuple[int, int] | None
    usual: PixelScaling | None
    about: str

    def output(self, pixels: Array) -> Array:
        """The scores of (h, w, 3) pixels, scaled float32 or uint8, as (h', w', C) floats."""


#: Endings of files, and the extra that reads them.
KINDS = {".onnx": "onnx", ".tflite": "tflite", ".pt": None, ".pth": None, ".ts": None}


def open_network(path: Path, output: str | None = None) -> NetworkFile:
    """Read a network from a file; the ending says what it is.

    Parameters
    ----------
    path : Path
        `.onnx`, `.tflite`, or `.pt`, `.pth` or `.ts` for TorchScript.
    output : str, optional
        Name or index of the output that holds the classes.

    Returns
    -------
    NetworkFile

    Raises
    ------
    DataError
        If the file is missing or cannot be read, or no output holds a value for each class.
    ConfigError
        If the ending is unknown, there is no such output, or an optional package is missing.
    """
    suffix = path.suffix.lower()
    if suffix not in KINDS:
        raise ConfigError(
            f"{path}: unknown kind of network; expected .onnx, .tflite, or .pt (TorchScript)"
        )
    if not path.is_file():
        raise DataError(f"{path}: no such file; --network names one")
    try:
        if suffix == ".onnx":
            from rerank.nets.onnx_network import OnnxNetwork

            return OnnxNetwork(path, output)
        if suffix == ".tflite":
            from rerank.nets.tflite_network import TFLiteNetwork

            return TFLiteNetwork(path, output)
        return TorchScriptNetwork(path, output)
    except RerankError:
        raise
    # A damaged network can be read and then lack what every network has.
    except Exception as error:
        raise DataError(
            f"{path}: not a sound network ({_reason(error)}); export it again"
        ) from None


def network_map(
    network: NetworkFile, image: Array, settings: NetworkSettings, where: str = ""
) -> NetworkMap:
    """What a network says about the pixels of an image.

    Parameters
    ----------
    network : NetworkFile
    image : (H, W, 3) uint8 array
        Red, green and blue.
    settings : NetworkSettings
    where : str
        Names the image in errors.

    Returns
    -------
    NetworkMap
        Of the image's size.

    Raises
    ------
    ConfigError
        If the settings ask for another size than the network's.
    InputError
        If the network fails, or its output is neither of scores nor of probabilities.
    """
    if network.size is not None and settings.size not in (None, network.size):
        height, width = network.size
        raise ConfigError(f"--size: this network's input is {height}x{width}; leave it away")
    canvas = lay_out(image, network.size or settings.size, settings.fit)
    pixels = canvas.pixels[..., ::-1] if settings.channels == "bgr" else canvas.pixels
    scaling = settings.scaling(network.usual)
    seen = np.ascontiguousarray(pixels if scaling is None else scaling.apply(pixels))
    try:
        scores = network.output(seen)
    except RerankError:
        raise
    # The errors of the libraries that run networks share no base but this.
    except Exception as error:
        about = f"the network ({network.about}) fails on it ({_reason(error)})"
        raise InputError(f"{where}: {about}; export the network again") from None
    return map_of_output(scores, canvas, image.shape[:2], where)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__


def choose_output(path: Path, outputs: Sequence[str], wanted: str | None) -> int | None:
    """The index of the output that is asked for by name or index.

    Parameters
    ----------
    path : Path
        Of the network.
    outputs : sequence of str
        Names of its outputs.
    wanted : str or None

    Returns
    -------
    int or None
        None where nothing is asked for.

    Raises
    ------
    ConfigError
        If there is no such output.
    """
    if wanted is None:
        return None
    if wanted in outputs:
        return list(outputs).index(wanted)
    if wanted.isdecimal() and int(wanted) < len(outputs):
        return int(wanted)
    raise ConfigError(f"--output: {path} has no output {wanted}; it has {', '.join(outputs)}")


def no_scores(path: Path, outputs: Sequence[str], remedy: str) -> DataError:
    """The error of a network whose outputs hold no value for each class.

    Parameters
    ----------
    path : Path
        Of the network.
    outputs : sequence of str
        What it gives.
    remedy : str

    Returns
    -------
    DataError
    """
    return DataError(
        f"{path}: expected an output (1, C, h, w) or (1, h, w, C) with a score for each class, "
        f"got {'; '.join(outputs)}; {remedy}"
    )


class TorchScriptNetwork:
    """A network that `torch.jit.save` wrote.

    Parameters
    ----------
    path : Path
    output : str, optional
        Key or index of the output, where there are several.
    """

    def __init__(self, path: Path, output: str | None = None) -> None:
        import torch

        try:
            with warnings.catch_warnings():
                # torch advises its own exporters here; the reader of a file has no choice.
                warnings.simplefilter("ignore", DeprecationWarning)
                load: Any = torch.jit.load
                self._network = load(str(path), map_location="cpu").eval()
        except (RuntimeError, ValueError, OSError) as error:
            reason = str(error).strip().split("\n")[0][:120]
            raise DataError(
                f"{path}: not TorchScript ({reason}); write it with torch.jit.trace(model, "
                "example).save(FILE), or use rerank.nets.write_network_maps for a module"
            ) from None
        self._path, self._wanted = path, output
        self.size: tuple[int, int] | None = None
        self.usual: PixelScaling | None = IMAGENET
        self.about = "TorchScript, images at their own size unless --size is given"

    def output(self, pixels: Array) -> FloatArray:
        """The scores of (h, w, 3) pixels, (h', w', C)."""
        import torch

        batch = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
        with torch.inference_mode():
            try:
                found = self._network(batch)
            except RuntimeError as error:
                # The last line of a TorchScript error is what went wrong.
                reason = str(error).strip().split("\n")[-1][:160]
                raise InputError(
                    f"{self._path}: fails on an input {tuple(batch.shape)} ({reason}); "
                    "give the size that it was made for with --size"
                ) from None
        scores = select_scores(found, self._path, self._wanted)
        return np.ascontiguousarray(scores[0].permute(1, 2, 0).float().cpu().numpy())


def select_scores(found: Any, path: Path | str, wanted: str | None = None) -> Any:
    """The (1, C, h, w) tensor among what a PyTorch network gave.

    Parameters
    ----------
    found : tensor, mapping, sequence, or object with `logits`
        torchvision gives ``{"out": scores}``.
    path : Path or str
        What errors call the network.
    wanted : str, optional
        Key or index.

    Returns
    -------
    tensor

    Raises
    ------
    DataError
        If it holds no value for each class.
    """
    if hasattr(found, "logits"):
        found = found.logits
    if hasattr(found, "items"):
        named = dict(found.items())
    elif isinstance(found, (tuple, list)):
        named = {str(index): value for index, value in enumerate(found)}
    else:
        named = {"0": found}
    index = choose_output(Path(path), list(named), wanted)
    names = list(named)
    name = names[index] if index is not None else "out" if "out" in named else names[0]
    scores = named[name]
    if getattr(scores, "ndim", 0) != 4 or not scores.is_floating_point():
        shapes = [f"{k} {tuple(getattr(v, 'shape', ()))}" for k, v in named.items()]
        raise no_scores(Path(path), shapes, "give the network without its argmax")
    return scores
