"""Networks in TensorFlow Lite files, run by LiteRT (extra `tflite`)."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from rerank.errors import ConfigError, DataError
from rerank.nets.network_files import choose_output, no_scores
from rerank.nets.network_input import SYMMETRIC, PixelScaling
from rerank.types import Array, FloatArray

#: What is run in the other process: reading, and one image of zeros.
_TRIAL = """
import sys
import numpy
from ai_edge_litert.interpreter import Interpreter
network = Interpreter(sys.argv[1], num_threads=1, experimental_preserve_all_tensors=True)
network.allocate_tensors()
taken = network.get_input_details()[0]
network.set_tensor(taken["index"], numpy.zeros(taken["shape"], taken["dtype"]))
network.invoke()
for tensor in network.get_tensor_details():
    try:
        network.get_tensor(tensor["index"])
    except ValueError:
        pass
"""
_TRIAL_SECONDS = 120
#: Operations that only bring scores to another size or type.
_AFTER_THE_SCORES = {"RESIZE_BILINEAR", "DEQUANTIZE", "QUANTIZE", "CAST", "RESHAPE"}
_ARGMAX = "ARG_MAX"


class TFLiteNetwork:
    """A network in a TensorFlow Lite file, on one thread.

    Of a network that ends in an argmax, the scores are taken from within: the tensor that the
    argmax reads, before the network enlarges it.

    Parameters
    ----------
    path : Path
    output : str, optional
        Name or index of an output, or the name of a tensor within.
    """

    def __init__(self, path: Path, output: str | None = None) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError:
            raise ConfigError(
                f'{path}: TensorFlow Lite needs an optional package; pip install "rerank[tflite]"'
            ) from None

        _try_elsewhere(path)

        def opened(inside: bool) -> Any:
            with _without_messages():
                network = Interpreter(
                    str(path), num_threads=1, experimental_preserve_all_tensors=inside
                )
                network.allocate_tensors()
            return network

        try:
            self._network = opened(inside=False)
        except (ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:160]
            raise DataError(f"{path}: LiteRT cannot read it ({reason}); export it again") from None
        self._taken = self._network.get_input_details()[0]
        shape = tuple(int(side) for side in self._taken["shape"])
        if len(shape) != 4 or shape[3] != 3:
            raise DataError(
                f"{path}: expected an input (1, h, w, 3), got {shape}; export the network for "
                "images of three channels"
            )
        free = any(side < 0 for side in self._taken.get("shape_signature", shape)[1:3])
        self.size: tuple[int, int] | None = None if free else (shape[1], shape[2])
        floats = np.issubdtype(self._taken["dtype"], np.floating)
        self.usual: PixelScaling | None = SYMMETRIC if floats else None
        self._given, inside = self._choose(path, output)
        if inside:
            self._network = opened(inside=True)
        kind = np.dtype(self._taken["dtype"]).name
        side = "any size" if free else f"{shape[1]}x{shape[2]}"
        within = ", a tensor within" if inside else ""
        self.about = f"TFLite, input {side} {kind}, output {self._given['name']}{within}"

    def output(self, pixels: Array) -> FloatArray:
        """The scores of (h, w, 3) pixels, (h', w', C)."""
        if self.size is None:
            self._network.resize_tensor_input(self._taken["index"], (1, *pixels.shape))
            self._network.allocate_tensors()
        self._network.set_tensor(self._taken["index"], self._as_input(pixels)[None])
        self._network.invoke()
        scores = self._network.get_tensor(self._given["index"])[0]
        if np.issubdtype(scores.dtype, np.floating):
            return np.asarray(scores, np.float32)
        step, zero = self._given["quantization"]
        return np.asarray((scores.astype(np.float32) - zero) * step, np.float32)

    def _as_input(self, pixels: Array) -> Array:
        dtype = np.dtype(self._taken["dtype"])
        if np.issubdtype(dtype, np.floating):
            return pixels.astype(dtype)
        limits = np.iinfo(dtype)
        if pixels.dtype == np.uint8:
            # Bytes fill the range of the type: int8 is uint8 less 128.
            return (pixels.astype(np.int32) + (limits.min if limits.min < 0 else 0)).astype(dtype)
        step, zero = self._taken["quantization"]
        found = np.clip(np.rint(pixels / step + zero), limits.min, limits.max)
        return np.asarray(found, dtype)

    def _choose(self, path: Path, wanted: str | None) -> tuple[dict[str, Any], bool]:
        """The tensor that holds the scores, and whether it is within the network."""
        outputs = self._network.get_output_details()
        tensors = self._network.get_tensor_details()
        if wanted is not None:
            named = [t for t in tensors if t["name"] == wanted]
            if not any(o["name"] == wanted for o in outputs) and named:
                return named[0], True
        chosen = choose_output(path, [o["name"] for o in outputs], wanted)
        for output in outputs if chosen is None else [outputs[chosen]]:
            if _are_scores(output):
                return output, False
        inner = None if chosen is not None else self._before_the_argmax(tensors, outputs)
        if inner is not None:
            return inner, True
        given = [f"{o['name']} {tuple(map(int, o['shape']))}" for o in outputs]
        raise no_scores(path, given, "name a tensor within by --output, or export it again")

    def _before_the_argmax(
        self, tensors: list[dict[str, Any]], outputs: list[dict[str, Any]]
    ) -> dict[str, Any] | None:
        by_index = {t["index"]: t for t in tensors}
        # The list of operations is no public interface: without it the name alone is known.
        operations: list[Any] = getattr(self._network, "_get_ops_details", list)()
        made_by = {
            int(index): op
            for op in operations
            if op["op_name"] != "DELEGATE"
            for index in op["outputs"]
        }
        op = made_by.get(outputs[0]["index"])
        while op is not None and op["op_name"] in _AFTER_THE_SCORES:
            op = made_by.get(int(op["inputs"][0]))
        if op is not None and op["op_name"] == _ARGMAX:
            index = int(op["inputs"][0])
            while index in made_by and made_by[index]["op_name"] in _AFTER_THE_SCORES:
                index = int(made_by[index]["inputs"][0])
            if index in by_index and _are_scores(by_index[index]):
                return by_index[index]
        named = [t for t in tensors if "logits" in t["name"].lower() and _are_scores(t)]
        return named[-1] if named else None


def _are_scores(tensor: dict[str, Any]) -> bool:
    shape = tuple(int(side) for side in tensor["shape"])
    small = np.issubdtype(tensor["dtype"], np.floating) or tensor["quantization"][0] > 0
    return len(shape) == 4 and min(shape[1:3]) > 1 and shape[3] > 1 and bool(small)


def _try_elsewhere(path: Path) -> None:
    """Run the network once in a process of its own: a damaged file takes LiteRT's process down."""
    places = os.pathsep.join(place for place in sys.path if place)
    try:
        status = subprocess.run(
            [sys.executable, "-c", _TRIAL, str(path)],
            env={**os.environ, "PYTHONPATH": places},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_TRIAL_SECONDS,
        ).returncode
    except subprocess.TimeoutExpired:
        raise DataError(
            f"{path}: LiteRT gives no answer in {_TRIAL_SECONDS} s; export it again"
        ) from None
    except OSError:
        return  # No process can be started here; the file is opened as it is.
    if status < 0:
        raise DataError(f"{path}: LiteRT ends on it by signal {-status}; export it again")


@contextmanager
def _without_messages() -> Iterator[None]:
    """Keep what the library's C++ code prints off the error stream."""
    sys.stderr.flush()
    try:
        kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    except OSError:
        yield
        return
    try:
        os.dup2(nowhere, 2)
        with warnings.catch_warnings():
            # It warns of the memory that keeping all tensors takes.
            warnings.simplefilter("ignore", UserWarning)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
