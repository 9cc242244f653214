"""Write `golden_digests.json` anew: `python tests/stages/update_golden_digests.py`.

It runs the tiny recipe twice, the second time with other instructions of the processor. It refuses
where a stage writes something else under its old version; `--force` is for changes of the tiny
recipe or of the data, for which no stage is at fault.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import golden_digests as golden  # noqa: E402

from tests.conftest import TINY, _make_graph  # noqa: E402

#: Kernels for AVX2 where this processor has AVX512.
OTHER_KERNELS = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "AVX512_SKX",
}


def measure(work: Path) -> golden.Graph:
    from rerank.engine.scheduler import Execution, run_graph

    graph = _make_graph(work)
    run_graph(graph, None, Execution(1, quiet=True, keep=True))
    return graph


def measure_with_other_kernels() -> dict[str, golden.Statistics]:
    command = [sys.executable, str(Path(__file__)), "--print"]
    done = subprocess.run(
        command, env={**os.environ, **OTHER_KERNELS}, capture_output=True, text=True, check=True
    )
    found: dict[str, golden.Statistics] = json.loads(done.stdout)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--force", action="store_true", help="write whatever changed")
    parser.add_argument("--print", action="store_true", help="print statistics, write nothing")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        graph = measure(Path(folder) / "work")
        found = golden.statistics_of(graph)
        if options.print:
            print(json.dumps(found))
            return 0
        known = json.loads(golden.PATH.read_text()) if golden.PATH.exists() else None
        if known is not None and not options.force:
            if known["environment"] != golden.environment():
                print("Other libraries or another processor: no stage is checked.")
            elif at_fault := golden.silent_changes(known, graph)[0]:
                for stage, names in at_fault.items():
                    print(f"{stage} writes something else ({names[0]}): raise its version first.")
                return 1
    other = measure_with_other_kernels()
    stages = {
        stage.name: {
            "version": stage.version,
            "tolerances": golden.tolerances(found[stage.name], other[stage.name]),
            "statistics": found[stage.name],
        }
        for stage in graph.stages
    }
    text = json.dumps(
        {"environment": golden.environment(), "recipe": TINY, "stages": stages}, indent=0
    )
    # One line for each data set.
    text = golden.re.sub(r"\[\n([^\]\[]*?)\n\]", lambda m: f"[{m[1].replace(chr(10), ' ')}]", text)
    golden.PATH.write_text(text + "\n")
    print(f"Wrote {golden.PATH.relative_to(ROOT)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
