"""Files with right digests and wrong contents: `python -m tests.reliability.hostile --help`.

Bytes of an artefact's file are changed, or with `--values` the values of data sets (see
`hostile_values`), and its manifest is made to fit, as a stranger could. Opening it may refuse it,
and may give other numbers; it may not end in another error or in the end of the process. A file
that HDF5 itself dies of is counted apart.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

from rerank.engine.artefact_file import _CHECKED, _MANIFESTS
from rerank.engine.graph import Graph, Task
from rerank.engine.hdf5 import read_arrays
from rerank.engine.manifest import digest_of_bytes, manifest_path, to_bytes
from rerank.engine.scheduler import run_graph
from rerank.errors import RerankError
from tests.reliability import toy
from tests.reliability.damage import finished_run


def mutated(content: bytes, rng: random.Random) -> bytes:
    """The content with some bytes changed, cut, doubled or moved."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        place = rng.randrange(min(len(changed), rng.choice((256, 2048, len(changed)))))
        way = rng.randrange(5)
        if way == 0:
            changed[place] ^= 1 << rng.randrange(8)
        elif way == 1:
            changed[place] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif way == 2:
            size = rng.choice((2, 4, 8))
            changed[place : place + size] = rng.choice((b"\xff", b"\0", b"\x7f")) * size
        elif way == 3:
            other = rng.randrange(len(changed))
            size = rng.choice((8, 64, 512))
            changed[place : place + size] = changed[other : other + size]
        else:
            del changed[place : place + rng.choice((1, 8, 512))]
        if not changed:
            return b"x"
    return bytes(changed)


def read_all(graph: Graph, task: Task) -> str:
    """`refused`, or `read` with every array of the file."""
    try:
        with graph.store.open(task.ref, contents=task.contents(graph.recipe)) as file:
            groups = [file]
            while groups:
                group = groups.pop()
                read_arrays(group)
                groups += [item for item in group.values() if hasattr(item, "items")]
    except RerankError:
        return "refused"
    except OSError:
        # What is packed in a chunk can be wrong, which is seen when it is unpacked.
        return "unpacked wrong"
    return "read"


def main() -> int:
    """Print the counts as JSON; 1 if an error was not the package's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--values", choices=("run", "models"), help="change values, not bytes")
    parser.add_argument("--work", type=Path, help="a finished run of the tiny recipe")
    options = parser.parse_args()
    if options.values is not None:
        return _of_values(options)
    rng = random.Random(options.seed)
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        graph = toy.make_graph(Path(name) / "work")
        run_graph(graph)
        contents = {task.ref: graph.store.path(task.ref).read_bytes() for task in graph.tasks}
        for _ in range(options.count):
            task = rng.choice(graph.tasks)
            path, content = graph.store.path(task.ref), mutated(contents[task.ref], rng)
            manifest = graph.store.manifest(task.ref)
            found[_in_child(graph, task, content)] += 1
            path.write_bytes(contents[task.ref])
            manifest_path(path).write_bytes(to_bytes(manifest))
            _MANIFESTS.clear()
    print(json.dumps(dict(found)))
    return int(bool(set(found) - {"refused", "read", "unpacked wrong", "HDF5 died"}))


def _of_values(options: argparse.Namespace) -> int:
    from tests.reliability import hostile_values

    if options.values == "models":
        counted = hostile_values.of_models(options.count, options.seed)
    else:
        with tempfile.TemporaryDirectory() as name:
            work = options.work or finished_run(Path(name) / "whole")
            counted = hostile_values.of_run(work, options.count, options.seed)
    print(json.dumps(dict(counted)))
    return int(counted["wrong"] > 0)


def _in_child(graph: Graph, task: Task, content: bytes) -> str:
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        path, manifest = graph.store.path(task.ref), graph.store.manifest(task.ref)
        path.write_bytes(content)
        fitting = manifest._replace(digest=digest_of_bytes(content), size=len(content))
        manifest_path(path).write_bytes(to_bytes(fitting))
        _CHECKED.clear()
        _MANIFESTS.clear()
        try:
            text = read_all(graph, task)
        except BaseException as error:
            text = f"{type(error).__name__}: {str(error)[:100]}"
        os.write(write, text.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        text = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    return text if status == 0 else "HDF5 died"


if __name__ == "__main__":
    sys.exit(main())
