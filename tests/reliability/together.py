"""Runs, `gc` and `verify` in one folder at once: `python -m tests.reliability.together --help`.

In a round two recipes run in one folder while a third process removes what the first one does not
reach, and a fourth verifies. None may fail, call anything damaged, or take from a run what it
holds.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from rerank.engine.scheduler import run_graph
from tests.reliability import toy


def one_round(work: Path, seeds: tuple[int, int], expected: list[dict[str, bytes]]) -> int:
    """Failures of one round.

    Parameters
    ----------
    work : Path
        Used by earlier rounds too.
    seeds : two int
        Of the two recipes.
    expected : list of dict
        The files of each, by their places.
    """
    read, write = os.pipe()
    runs = []
    for seed, files in zip(seeds, expected):
        if (child := os.fork()) == 0:
            os.close(write)
            os._exit(_status(lambda: _run(work, seed, files)))
        runs.append(child)
    others = []
    for task in (_remove, _verify):
        if (child := os.fork()) == 0:
            os.close(write)
            os.set_blocking(read, False)
            os._exit(_status(lambda: task(work, seeds[0], read)))
        others.append(child)
    failures = sum(os.waitpid(child, 0)[1] != 0 for child in runs)
    # The others end when nobody holds the pipe's other end.
    os.close(write)
    failures += sum(os.waitpid(child, 0)[1] != 0 for child in others)
    os.close(read)
    return failures


def _status(function: object) -> int:
    try:
        function()  # type: ignore[operator]
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def _run(work: Path, seed: int, expected: dict[str, bytes]) -> None:
    graph = toy.make_graph(work, seed)
    with graph.store.lease(task.ref for task in graph.tasks):
        for _ in range(3):
            run_graph(graph)
            assert toy.files_of([graph]) == expected, "a run lost what it holds"


def _remove(work: Path, seed: int, pipe: int) -> None:
    while _goes_on(pipe):
        toy.make_graph(work, seed).collect_garbage()


def _verify(work: Path, seed: int, pipe: int) -> None:
    while _goes_on(pipe):
        problems = [p for p in toy.make_graph(work, seed).verify() if p.verdict != "missing"]
        assert not problems, problems


def _goes_on(pipe: int) -> bool:
    try:
        return os.read(pipe, 1) != b""
    except BlockingIOError:
        return True


def main() -> int:
    """Print the counts as JSON; 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    found = {"rounds": options.rounds, "failures": 0}
    with tempfile.TemporaryDirectory() as name:
        expected = {}
        for seed in range(1, 2 * options.rounds + 1):
            graph = toy.make_graph(Path(name) / f"whole {seed}", seed)
            run_graph(graph)
            expected[seed] = toy.files_of([graph])
        work = Path(name) / "work"
        for number in range(options.rounds):
            seeds = (2 * number + 1, 2 * number + 2)
            found["failures"] += one_round(work, seeds, [expected[seed] for seed in seeds])
    print(json.dumps(found))
    return int(found["failures"] > 0)


if __name__ == "__main__":
    sys.exit(main())
