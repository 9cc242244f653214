"""What do the store's checks cost?

    OMP_NUM_THREADS=1 python benchmarks/store_checks.py [--work WORK] [--recipe scenes]
        [--set a.b=value] [--cold]

Runs a recipe in this process and prints the share of its CPU time that goes into digests of files,
and into the checks of their structure, of the data sets that they must hold, and of their values.
A process trusts what it wrote; with `--cold` each task forgets what was checked before it, as if it
ran in a process of its own: no run checks more.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py

from rerank import load_recipe, run
from rerank.engine import agreement, artefact_file, store
from rerank.engine.scheduler import Execution
from rerank.engine.stage import Job, Stage

#: Functions that check, by the modules that call them.
CHECKS = (
    (artefact_file, "digest_of_file"),
    (store, "digest_of_file"),
    (artefact_file, "check_structure"),
    (artefact_file, "check_contents"),
    (artefact_file, "check_values"),
    (artefact_file, "check_agreement"),
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


def forget_between_tasks() -> None:
    """Let no task know what another has checked."""
    function = Stage.function

    def forgetful(stage: Stage) -> Callable[[Job, h5py.File], None]:
        for known in (artefact_file._CHECKED, artefact_file._MANIFESTS, agreement._NOTED):
            known.clear()
        return function(stage)

    setattr(Stage, "function", forgetful)  # noqa: B010


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", help="a new folder; a temporary one by default")
    parser.add_argument("--recipe", default="scenes")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="a.b=value")
    parser.add_argument("--cold", action="store_true", help="each task checks all that it reads")
    options = parser.parse_args()
    if options.cold:
        forget_between_tasks()
    spent: Counter[str] = Counter()
    for module, name in CHECKS:
        timed(module, name, spent)
    with tempfile.TemporaryDirectory() as temporary:
        start = time.process_time()
        run(
            load_recipe(options.recipe, options.overrides),
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
