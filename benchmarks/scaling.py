"""What more workers bring: the cost of a task, efficiency at two workers, and a model of many.

    python benchmarks/scaling.py overhead                     # seconds of a task that does nothing
    python benchmarks/scaling.py efficiency --images 48       # the recipe `scenes`, 1 and 2 workers
    python benchmarks/scaling.py model --work WORK            # many workers, from a run's costs
    python benchmarks/scaling.py memory --work FOLDER         # peak of each stage on small scenes

`efficiency` runs with one job in this process, with two loky workers, and on a Dask cluster of two
workers of one thread each on this machine, each in an empty work folder; efficiency is the seconds
of one over those of two. All files must be equal. `model` plans the recipe of a finished run for
more images, takes seconds per image and stage from its manifests and gives the tasks to workers in
the scheduler's order. It is a model: no disk, network or lost worker is in it.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rerank.applications.runs import read_run_file
from rerank.config import load_recipe
from rerank.engine.executors import Call, make_executor
from rerank.engine.folds import FINAL, Part
from rerank.engine.graph import Graph, Task
from rerank.engine.memory_store import MemoryStore
from rerank.engine.scheduler import Execution, run_graph
from rerank.engine.store import Store
from rerank.stages.pipeline import STAGES, open_pipeline

from scene_memory import measure, table  # isort: skip

#: Training images of VOC 2012 with SBD and of COCO's train 2017.
SIZES = (12_031, 118_287)
WORKERS = (1, 2, 10, 100, 1000)


def nothing(shared: object, name: str) -> None:
    """A task that does nothing."""


BACKENDS = ("one", "loky", "dask")


@contextmanager
def execution(name: str) -> Iterator[Execution]:
    """One job in this process, two loky workers, or two Dask workers, which end with the block."""
    if name == "dask":
        from dask.distributed import LocalCluster

        with LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as local:
            yield Execution(None, "dask", local.scheduler_address, quiet=True)
    else:
        yield Execution(1 if name == "one" else 2, quiet=True)


def overhead(n_tasks: int, repeats: int) -> dict[str, list[float]]:
    """Seconds a task of each backend, once for each repetition."""
    calls = [Call(str(k), frozenset()) for k in range(n_tasks)]
    found: dict[str, list[float]] = defaultdict(list)
    for name in BACKENDS:
        with execution(name) as way:
            executor = make_executor(way.backend, way.jobs, way.scheduler)
            for _ in range(repeats):
                start = time.perf_counter()
                list(executor.run(nothing, None, calls))
                found[name].append((time.perf_counter() - start) / n_tasks)
    return dict(found)


def efficiency(recipe: str, overrides: Sequence[str], repeats: int) -> dict[str, Any]:
    """Wall seconds of a run with each backend, and whether all wrote the same bytes."""
    seconds: dict[str, list[float]] = defaultdict(list)
    digests: list[tuple[str, ...]] = []
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(repeats):
            for name in BACKENDS:
                store = Store(Path(folder) / f"{name}-{repeat}")
                graph = open_pipeline(load_recipe(recipe, overrides), store)
                with execution(name) as way:
                    start = time.perf_counter()
                    run_graph(graph, None, way)
                    seconds[name].append(time.perf_counter() - start)
                there = [task for task in graph.tasks if store.has(task.ref)]
                digests.append(tuple(store.manifest(task.ref).digest for task in there))
    best = {name: min(values) for name, values in seconds.items()}
    return {
        "seconds": dict(seconds),
        "times one": {name: best["one"] / value for name, value in best.items()},
        "equal": len(set(digests)) == 1,
    }


class _Planned:
    """Stands for the images of a plan."""

    def digests(self, kind: str, part: Part) -> list[str]:
        return []


def plan(work: str, n_images: int, shard_size: int) -> tuple[Graph, dict[str, float]]:
    """The graph of a run's recipe for more images, and the measured seconds of each task."""
    store = Store(work, create=False)
    recipe = read_run_file(store).recipe.model_copy(update={"shard_size": shard_size})
    seconds: dict[str, float] = defaultdict(float)
    images: dict[str, int] = defaultdict(int)
    fits: dict[str, int] = defaultdict(int)
    for ref in (*store.artefacts(), *store.dropped()):
        header = store.costs(ref)
        if header is not None:
            seconds[ref.stage] += header.cpu_seconds
            images[ref.stage] += len(header.image_ids)
            fits[ref.stage] += len(header.trained_on)
    n_folds = recipe.folds.n_folds
    ids = tuple(f"{k:06d}" for k in range(n_images))
    parts = [
        Part(f"fold-{k:02d}", ids[k::n_folds], tuple(i for i in ids if int(i) % n_folds != k))
        for k in range(n_folds)
    ]
    parts.append(Part(FINAL, (), ids))
    graph = Graph(recipe, STAGES, parts, _Planned(), MemoryStore())  # type: ignore[arg-type]

    def cost(task: Task) -> float:
        name = task.stage.name
        if task.stage.fits:
            # What is fitted grows with the training images.
            return seconds[name] * len(task.part.train_ids) / max(1, fits[name])
        return seconds[name] * len(task.part.image_ids) / max(1, images[name])

    return graph, {str(task.ref): cost(task) for task in graph.tasks}


def simulate(graph: Graph, costs: Mapping[str, float], workers: int, each: float) -> float:
    """Seconds until all tasks have ended, if workers take them in the scheduler's order."""
    names = [str(task.ref) for task in graph.tasks]
    by_ref = {task.ref: str(task.ref) for task in graph.tasks}
    after = {str(t.ref): [by_ref[ref] for ref in t.inputs.values()] for t in graph.tasks}
    followers: dict[str, list[str]] = defaultdict(list)
    for name in names:
        for other in after[name]:
            followers[other].append(name)
    left: dict[str, float] = {}
    for name in reversed(names):
        left[name] = costs[name] + max((left[other] for other in followers[name]), default=0.0)
    waiting = {name: len(after[name]) for name in names}
    ready = [(-left[name], name) for name in names if not waiting[name]]
    heapq.heapify(ready)
    running: list[tuple[float, str]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < workers:
            _, name = heapq.heappop(ready)
            heapq.heappush(running, (now + costs[name] + each, name))
        now, ended = heapq.heappop(running)
        for other in followers[ended]:
            waiting[other] -= 1
            if not waiting[other]:
                heapq.heappush(ready, (-left[other], other))
    return now


def main() -> None:
    """Print the figures, and write them as JSON with `--out`."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("what", choices=("overhead", "efficiency", "model", "memory"))
    parser.add_argument("--images", type=int, default=48, help="scenes of `efficiency`")
    parser.add_argument("--tasks", type=int, default=500, help="of `overhead`")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", help="a finished run, for `model`; any folder, for `memory`")
    parser.add_argument("--sizes", default="200,2000,20000", help="scenes of `memory`")
    parser.add_argument(
        "--each", type=float, default=0.01, help="seconds that a task costs besides"
    )
    parser.add_argument("--out")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    found: Any
    if options.what == "overhead":
        found = overhead(options.tasks, options.repeats)
        for name, values in found.items():
            print(f"{name}: {1000 * min(values):.2f} ms a task")
    elif options.what == "efficiency":
        wanted = [f"dataset.options.n_images={options.images}", "shard_size=4"]
        found = efficiency("scenes", wanted, options.repeats)
        for name, value in found["times one"].items():
            shown = ", ".join(f"{s:.1f}" for s in found["seconds"][name])
            print(f"{name}: {shown} s, {value:.2f} times as fast as one")
        print("the same bytes" if found["equal"] else "OTHER BYTES")
    elif options.what == "memory":
        found, first = {}, None
        for n_images in map(int, options.sizes.split(",")):
            found[n_images], graph = measure(n_images, Path(options.work), first)
            first = first or graph
            print(table(found), flush=True)
    else:
        found = []
        print("| images | tasks | workers | hours | of the work | busy |")
        print("| --- | --- | --- | --- | --- | --- |")
        for n_images in SIZES:
            graph, costs = plan(options.work, n_images, 64)
            total = sum(costs.values()) + options.each * len(costs)
            for workers in WORKERS:
                seconds = simulate(graph, costs, workers, options.each)
                row = (n_images, len(costs), workers, seconds / 3600, total / 3600)
                found.append(row)
                print(
                    f"| {n_images:,} | {len(costs):,} | {workers:,} | {row[3]:.1f} | "
                    f"{row[4]:.1f} | {100 * total / seconds / workers:.0f} % |"
                )
    if options.out:
        Path(options.out).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
