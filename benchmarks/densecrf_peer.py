"""The peer's side of the lattice benchmark, run by the interpreter of its own environment.

pydensecrf no longer installs on current Pythons; pydensecrf2 (MIT) builds from source with a
C++ compiler and is no dependency of this package:

    python -m venv peers
    peers/bin/pip install numpy pydensecrf2
    OMP_NUM_THREADS=1 python benchmarks/lattice.py --peer peers/bin/python

This file does not import rerank. Its argument is an .npz file with `image` (H, W, 3) and
`probabilities` (L, H, W). For each line that it reads it measures one round and writes CPU
seconds as JSON; the file that its second argument names gets the result of ten steps.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import pydensecrf.densecrf as dcrf
from pydensecrf.utils import unary_from_softmax


def main(problem: str, answer: str) -> None:
    with np.load(problem) as stored:
        image, probabilities = stored["image"], stored["probabilities"]
    n_labels, height, width = probabilities.shape
    for _ in sys.stdin:
        marks = [time.process_time()]
        crf = dcrf.DenseCRF2D(width, height, n_labels)
        crf.setUnaryEnergy(unary_from_softmax(probabilities))
        marks.append(time.process_time())
        crf.addPairwiseGaussian(sxy=3, compat=3)
        crf.addPairwiseBilateral(sxy=80, srgb=13, rgbim=image, compat=10)
        marks.append(time.process_time())
        crf.inference(0)
        marks.append(time.process_time())
        result = crf.inference(10)
        marks.append(time.process_time())
        np.save(answer, np.array(result).reshape(probabilities.shape))
        unary, set_up, none, ten = np.diff(marks)
        print(
            json.dumps(
                {
                    "set-up": set_up,
                    "step": (ten - none) / 10,
                    "ten steps": ten,
                    "all": unary + set_up + ten,
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
