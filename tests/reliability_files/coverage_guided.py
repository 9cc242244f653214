"""Coverage-guided fuzzing of the readers that are rerank's own, by atheris.

    pip install atheris
    python tests/reliability_files/coverage_guided.py READER -max_total_time=60

READER is `mat`, `npy`, `npz`, `caffemodel` or `lines`. Inputs start from the sound files of
`seed_files.py`. It ends at the first input whose reading raises anything but rerank's own errors.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import warnings
from pathlib import Path

import atheris

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

import seed_files  # noqa: E402

READERS = {"mat": "s.mat", "npy": "a.npy", "npz": "a.npz", "caffemodel": "w.caffemodel"} | {
    "lines": "train.txt"
}


def main() -> None:
    """Instrument the readers, write the seeds and fuzz."""
    chosen = READERS[sys.argv.pop(1)]
    with atheris.instrument_imports(include=["rerank.datasets", "rerank.nets.caffemodel"]):
        import rerank.datasets.map_files
        import rerank.datasets.mat_file
        import rerank.datasets.numpy_files
        import rerank.nets.caffemodel  # noqa: F401
    from rerank.errors import RerankError

    warnings.simplefilter("ignore")
    top = Path(tempfile.mkdtemp(prefix="fuzz-"))
    path, corpus = top / "files" / chosen, top / "corpus"
    path.parent.mkdir()
    corpus.mkdir()
    kinds = [kind for kind in seed_files.KINDS if kind.name == chosen]
    for number, kind in enumerate(kinds):
        kind.write(corpus / f"{number}{path.suffix}")
    read = kinds[0].read

    def one(content: bytes) -> None:
        path.write_bytes(content)
        with contextlib.suppress(RerankError):
            read(path)

    atheris.Setup([*sys.argv, f"-artifact_prefix={top}/", str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
