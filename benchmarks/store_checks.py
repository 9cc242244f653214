"""What do the store's checks cost?

    OMP_NUM_THREADS=1 python benchmarks/store_checks.py [--work WORK] [--recipe scenes]

Runs a recipe in this process and prints the share of its CPU time that goes into digests of files,
and into the checks of their structure and of the data sets that they must hold.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rerank import load_recipe, run
from rerank.engine import artefact_file, store
from rerank.engine.scheduler import Execution

#: Functions that check, by the modules that call them.
CHECKS = (
    (artefact_file, "digest_of_file"),
    (store, "digest_of_file"),
    (artefact_file, "check_structure"),
    (artefact_file, "check_contents"),
    (artefact_file, "from_bytes"),
    (store, "to_bytes"),
)


def timed(module: Any, name: str, spent: Counter[str]) -> None:
    """Add the CPU time of a function of a module to `spent`."""
    function: Callable[..., Any] = getattr(module, name)

    def wrapped(*arguments: Any, **options: Any) -> Any:
        start = time.process_time()
        try:
            return function(*arguments, **options)
        finally:
            spent[name] += time.process_time() - start

    setattr(module, name, wrapped)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", help="a new folder; a temporary one by default")
    parser.add_argument("--recipe", default="scenes")
    options = parser.parse_args()
    spent: Counter[str] = Counter()
    for module, name in CHECKS:
        timed(module, name, spent)
    with tempfile.TemporaryDirectory() as temporary:
        start = time.process_time()
        run(
            load_recipe(options.recipe),
            work=options.work or Path(temporary) / "work",
            execution=Execution(jobs=1),
        )
        total = time.process_time() - start
    for name, seconds in spent.most_common():
        print(f"{name:16} {seconds:6.2f} s")
    print(
        f"{sum(spent.values()):.2f} s of {total:.1f} s, {100 * sum(spent.values()) / total:.1f} %"
    )


if __name__ == "__main__":
    main()
