"""Networks in ONNX files, run by ONNX Runtime (extra `onnx`)."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np

from rerank.errors import ConfigError, DataError
from rerank.nets.network_files import choose_output, no_scores
from rerank.nets.network_input import IMAGENET, PixelScaling
from rerank.types import Array, FloatArray

_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}


class OnnxNetwork:
    """A network in an ONNX file, on one thread.

    Parameters
    ----------
    path : Path
    output : str, optional
        Name or index of the output that holds the classes; the first one of floats by default.
    """

    def __init__(self, path: Path, output: str | None = None) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise ConfigError(
                f'{path}: ONNX needs an optional package; pip install "rerank[onnx]"'
            ) from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            # It prints that it tries again.
            with contextlib.redirect_stdout(io.StringIO()):
                self._session = onnxruntime.InferenceSession(
                    str(path), options, providers=["CPUExecutionProvider"]
                )
        except Exception as error:  # its errors share no base but this
            reason = " ".join(str(error).split())[:160]
            raise DataError(
                f"{path}: not readable by ONNX Runtime ({reason}); export it again"
            ) from None
        taken = self._session.get_inputs()[0]
        if (
            len(taken.shape) != 4
            or taken.type not in _TYPES
            or 3 not in (taken.shape[1], taken.shape[3])
        ):
            raise DataError(
                f"{path}: expected an input (1, 3, h, w) or (1, h, w, 3), got {taken.shape} "
                f"{taken.type}; export the network for images of three channels"
            )
        self._input, self._dtype = taken.name, _TYPES[taken.type]
        self._first = taken.shape[1] == 3
        sides = taken.shape[2:] if self._first else taken.shape[1:3]
        fixed = all(isinstance(side, int) and side > 0 for side in sides)
        self.size: tuple[int, int] | None = (sides[0], sides[1]) if fixed else None
        self.usual: PixelScaling | None = None if self._dtype == np.uint8 else IMAGENET
        outputs = self._session.get_outputs()
        chosen = choose_output(path, [x.name for x in outputs], output)
        usable = [k for k, x in enumerate(outputs) if "float" in x.type and len(x.shape) == 4]
        if chosen is None and usable:
            chosen = usable[0]
        if chosen not in usable:
            given = [f"{x.name} {x.shape} {x.type}" for x in outputs]
            raise no_scores(path, given, "export the network without its argmax")
        self._output = outputs[chosen].name
        about = "any size" if self.size is None else f"{self.size[0]}x{self.size[1]}"
        self.about = f"ONNX, input {about}, output {self._output}"

    def output(self, pixels: Array) -> FloatArray:
        """The scores of (h, w, 3) pixels, (h', w', C)."""
        batch = np.moveaxis(pixels, 2, 0)[None] if self._first else pixels[None]
        given = {self._input: np.ascontiguousarray(batch, dtype=self._dtype)}
        scores: FloatArray = self._session.run([self._output], given)[0][0]
        # The output's classes stand where the input's channels do.
        return np.moveaxis(scores, 0, 2) if self._first else scores
