"""Take from a run what it needs of the system: `python -m tests.reliability.conditions`.

The limit of open files, permissions, room on the disk and locks are taken away for the length of a
command. It may fail with lines of its own; it may call nothing damaged, move nothing and lose
nothing.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from rerank.engine.graph import Graph
from rerank.engine.scheduler import run_graph
from tests.reliability import toy

_NOBODY = 65534


def in_child(function: Callable[[], str]) -> str:
    """What a function says in a child process; `died` where the process does."""
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        os.close(read)
        try:
            text = function()
        except BaseException as error:
            text = f"{type(error).__module__.partition('.')[0]}:{type(error).__name__}: {error}"
        os.write(write, text.encode()[:60_000])
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        text = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    return text if status == 0 else "died"


def few_handles(work: Path, number: int) -> str:
    """Verify and run with so many open files at most."""
    graph = toy.make_graph(work)
    limit = len(os.listdir("/proc/self/fd")) + number - 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    return _verdicts(graph)


def small_files(work: Path, size: int) -> str:
    """Run with files of so many bytes at most."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    graph = toy.make_graph(work, 1)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    run_graph(graph)
    return "whole"


def no_permission(work: Path) -> str:
    """Verify what another user may not read."""
    graph = toy.make_graph(work)
    if os.getuid() == 0:
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)
    return _verdicts(graph)


def no_writing(work: Path) -> str:
    """Run another recipe where nothing may be written."""
    graph = toy.make_graph(work, 2)
    if os.getuid() == 0:
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)
    run_graph(graph)
    return "whole"


def no_locks(work: Path) -> str:
    """Run another recipe, and remove the first, where the file system has no locks."""
    import fcntl

    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    fcntl.flock = refuse  # type: ignore[assignment]
    graph = toy.make_graph(work, 3)
    run_graph(graph)
    return "whole" if not graph.verify(finished=True) else "not whole"


def _verdicts(graph: Graph) -> str:
    return " ".join(sorted({problem.verdict for problem in graph.verify(finished=True)}))


def main() -> int:
    """Print the counts as JSON; 1 if anything went wrong."""
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        work = Path(name) / "work"
        graph = toy.make_graph(work)
        run_graph(graph)
        whole = toy.files_of([graph])
        answers = {f"handles {n}": in_child(lambda: few_handles(work, n)) for n in range(9)}
        answers |= {
            f"size {n}": in_child(lambda: small_files(work, n)) for n in range(0, 18_000, 900)
        }
        path = graph.store.path(graph.tasks[0].ref)
        for hidden in (path, path.with_suffix(".json"), path.parent):
            mode = hidden.stat().st_mode
            hidden.chmod(0)
            answers[f"permission {hidden.suffix or 'folder'}"] = in_child(
                lambda: no_permission(work)
            )
            hidden.chmod(mode)
        if os.getuid() == 0:
            answers["writing"] = in_child(lambda: no_writing(work))
        answers["locks"] = in_child(lambda: no_locks(work))
        for condition, answer in answers.items():
            kind = condition.partition(" ")[0]
            found[kind] += 1
            right = answer in _RIGHT[kind] or answer.startswith("rerank:")
            found["wrong"] += not right
            if not right:
                print(f"{condition}: {answer}", file=sys.stderr)
        found["changed"] += toy.files_of([graph]) != whole
        found["quarantined"] += (work / "quarantine").exists()
        found["left"] += len(list(work.rglob("*.tmp")))
    names = ("wrong", "changed", "quarantined", "left")
    print(json.dumps(dict(found) | {name: found[name] for name in names}))
    return int(any(found[name] for name in names))


#: What may be said under a condition, beside the package's own errors.
_RIGHT = {
    "handles": ("", "unreadable"),
    "size": ("whole",),
    "permission": ("unreadable",),
    "writing": (),
    "locks": ("whole",),
}


if __name__ == "__main__":
    sys.exit(main())
