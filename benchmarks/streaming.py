"""How much memory and time does a structured SVM need if its features lie on disk?

    python benchmarks/streaming.py DIR [--images 12000] [--proposals 30] [--columns 2150]

Writes a synthetic table of float32 into an HDF5 file in DIR (3.1 GB for the defaults), fits
`StructuredRankSVM` on it without ever holding it in memory, and removes the file. One thread;
the peak is the largest resident set of the process, writing included. Quality is a noisy
function of all columns. The fit ends at a relative duality gap of `--tol` or after `--passes`
readings of the file, whichever comes first; the gap that was reached is printed.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import time
import warnings
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import h5py  # noqa: E402
import numpy as np  # noqa: E402
from sklearn.exceptions import ConvergenceWarning  # noqa: E402

from rerank.ranking import StructuredRankSVM  # noqa: E402

#: Images that are written at once.
IMAGES_AT_ONCE = 500


def write_table(path: Path, n_images: int, n_proposals: int, n_columns: int) -> np.ndarray:
    """Write the features; return the quality of each row."""
    rng = np.random.default_rng(0)
    direction = rng.standard_normal(n_columns) / np.sqrt(n_columns)
    score = np.empty(n_images * n_proposals)
    with h5py.File(path, "w") as file:
        table = file.create_dataset("values", (len(score), n_columns), np.float32)
        for first in range(0, len(score), IMAGES_AT_ONCE * n_proposals):
            stop = min(first + IMAGES_AT_ONCE * n_proposals, len(score))
            block = rng.standard_normal((stop - first, n_columns), dtype=np.float32)
            table[first:stop] = block
            score[first:stop] = block @ direction
    score += rng.standard_normal(len(score))
    return np.asarray(1 / (1 + np.exp(-score)))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the file is written, then removed")
    parser.add_argument("--images", type=int, default=12000)
    parser.add_argument("--proposals", type=int, default=30)
    parser.add_argument("--columns", type=int, default=2150)
    parser.add_argument("--C", type=float, default=1e-3)
    parser.add_argument("--tol", type=float, default=1e-2)
    parser.add_argument("--passes", type=int, default=40)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    size = 4 * arguments.images * arguments.proposals * arguments.columns
    if shutil.disk_usage(arguments.folder).free < 1.1 * size:
        parser.error(f"{arguments.folder} lacks the {size / 2**30:.1f} GiB that the file needs")
    path = arguments.folder / "streaming_benchmark.h5"
    try:
        quality = write_table(path, arguments.images, arguments.proposals, arguments.columns)
        groups = np.repeat(np.arange(arguments.images), arguments.proposals)
        ranker = StructuredRankSVM(
            C=arguments.C, tol=arguments.tol, random_state=0, max_passes=arguments.passes
        )
        cpu, wall = time.process_time(), time.perf_counter()
        with h5py.File(path) as file, warnings.catch_warnings():
            # The gap that was reached is printed in any case.
            warnings.simplefilter("ignore", ConvergenceWarning)
            ranker.fit(file["values"], quality, groups)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    finally:
        path.unlink(missing_ok=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{arguments.images} images x {arguments.proposals} proposals x {arguments.columns} "
        f"columns, {size / 2**30:.2f} GiB on disk"
    )
    print(
        f"{cpu:.1f} s CPU, {wall:.1f} s in all, {ranker.n_passes_} passes after scaling, "
        f"peak {peak:.2f} GiB"
    )
    print(
        f"objective {ranker.primal_objective_:.6g}, relative gap "
        f"{ranker.duality_gap_ / ranker.primal_objective_:.2e}"
    )


if __name__ == "__main__":
    main()
