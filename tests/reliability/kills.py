"""Kill runs, and look at what they leave: `python -m tests.reliability.kills --help`.

A run is killed by SIGKILL before or after a call of the system that renames, flushes, makes or
removes something, or after a random time. What is left must be whole or not there; the next run
must end in the same bytes as one that was never killed, and leave no temporary file.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rerank.engine.graph import Graph
from rerank.engine.scheduler import run_graph
from tests.reliability import toy

#: Calls that change what is on the disk.
CALLS = ("replace", "rename", "fsync", "mkdir", "unlink", "rmdir")


def in_child(function: Callable[[], None], seconds: float | None = None) -> int | None:
    """Call a function in a child process; the signal that killed it, or None.

    Parameters
    ----------
    function : callable
    seconds : float, optional
        Kill it after these.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            function()
            status = 0
        finally:
            os._exit(status)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status)
    if os.WEXITSTATUS(status):
        raise SystemExit("a run failed that nobody killed")
    return None


def arm(target: int) -> Callable[[], int]:
    """Make this process kill itself at a call of the system; 0, 2, ... before it, 1, 3, ... after.

    Parameters
    ----------
    target : int
        Never where it is negative.

    Returns
    -------
    callable
        The number of places that were passed.
    """
    passed = [0]

    def wrap(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            for place in (0, 1):
                if passed[0] == target:
                    os.kill(os.getpid(), signal.SIGKILL)
                passed[0] += 1
                if place == 0:
                    found = call(*arguments, **options)
            return found

        return wrapped

    for name in CALLS:
        setattr(os, name, wrap(getattr(os, name)))
    return lambda: passed[0]


def problems_left(graph: Graph) -> int:
    """Artefacts that are neither whole nor missing."""
    return sum(problem.verdict != "missing" for problem in graph.verify())


def places_of(make: Callable[[Path], Graph], folder: Path) -> int:
    """How many places a whole run passes."""
    read, write = os.pipe()

    def count() -> None:
        passed = arm(-1)
        run_graph(make(folder / "counted"))
        os.write(write, str(passed()).encode())

    in_child(count)
    return int(os.read(read, 100))


def kill_toy(count: int, seed: int) -> dict[str, int]:
    """Kill the toy pipeline at every place, or at `count` of them, and at random times.

    Parameters
    ----------
    count : int
        Kills at most; a quarter of them at random times.
    seed : int
    """
    rng = random.Random(seed)
    found = dict.fromkeys(("kills", "damaged", "different", "left"), 0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run_graph(toy.make_graph(folder / "whole"))
        whole = toy.files_of([toy.make_graph(folder / "whole")])
        started = time.perf_counter()
        in_child(lambda: _run_toy(folder / "timed", -1))
        seconds = time.perf_counter() - started
        places = list(range(places_of(toy.make_graph, folder)))
        if len(places) > count - count // 4:
            places = sorted(rng.sample(places, count - count // 4))
        for number in range(len(places) + count // 4):
            work = folder / str(number)
            if number < len(places):
                killed = in_child(lambda: _run_toy(work, places[number]))
            else:
                wait = rng.uniform(0, seconds)
                killed = in_child(lambda: _run_toy(work, -1), wait)
            found["kills"] += killed == signal.SIGKILL
            if (work / "rerank-work.json").exists():
                found["damaged"] += problems_left(toy.make_graph(work))
            in_child(lambda: _run_toy(work, -1))
            found["different"] += toy.files_of([toy.make_graph(work)]) != whole
            found["left"] += len(list(work.rglob("*.tmp")))
    return found


def kill_tiny(count: int, seed: int) -> dict[str, int]:
    """Kill the tiny recipe again and again until it ends, one run after another.

    Parameters
    ----------
    count : int
        Kills at least.
    seed : int
    """
    from tests.conftest import _make_graph, contents

    rng = random.Random(seed)
    found = dict.fromkeys(("kills", "damaged", "different", "left", "runs"), 0)
    with tempfile.TemporaryDirectory() as name:
        whole = Path(name) / "whole"
        in_child(lambda: _run(_make_graph(whole), -1))
        expected = {p.relative_to(whole): p.read_bytes() for p in whole.glob("*/*/*.h5")}
        while found["kills"] < count:
            work, ended = Path(name) / str(found["runs"]), False
            while not ended:
                at_random, place = rng.random() < 0.3, rng.randrange(30)
                killed = in_child(
                    lambda: _run(_make_graph(work), -1 if at_random else place),
                    rng.uniform(0.5, 3.0) if at_random else None,
                )
                ended = killed is None
                found["kills"] += killed == signal.SIGKILL
                if (work / "rerank-work.json").exists() and rng.random() < 0.1:
                    found["damaged"] += problems_left(_make_graph(work))
            made = {p.relative_to(work): p.read_bytes() for p in work.glob("*/*/*.h5")}
            found["damaged"] += problems_left(_make_graph(work))
            found["different"] += (
                made != expected or contents(work).keys() != contents(whole).keys()
            )
            found["left"] += len(list(work.rglob("*.tmp")))
            found["runs"] += 1
    return found


def _run_toy(work: Path, target: int) -> None:
    arm(target)
    run_graph(toy.make_graph(work))


def _run(graph: Graph, target: int) -> None:
    arm(target)
    run_graph(graph)


def main() -> int:
    """Print the counts as JSON; 1 if any but those of kills and runs is not zero."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--recipe", choices=("toy", "tiny"), default="toy")
    options = parser.parse_args()
    found = (kill_toy if options.recipe == "toy" else kill_tiny)(options.count, options.seed)
    print(json.dumps(found))
    return int(any(found[name] for name in ("damaged", "different", "left")))


if __name__ == "__main__":
    sys.exit(main())
