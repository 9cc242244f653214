"""Read damaged and crafted files, each kind in a process of its own, and count what happens.

    python tests/reliability_files/harness.py --mutations 2000 --crafted [--seed 0] [--json FILE]

A file passes where it is read, or gives an error of `rerank.errors` in one line that names a file
or what is wrong. Anything else fails: another exception, a process that ends, a minute without an
answer, a file written, or a file read outside of its folder.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MOST_MEMORY = 12 << 30
SECONDS = 60


def kinds() -> list[int]:
    from seed_files import KINDS

    return [
        k
        for k, kind in enumerate(KINDS)
        if not kind.needs or importlib.util.find_spec(kind.needs) is not None
        if kind.name != "n.tflite" or "RERANK_TFLITE" in os.environ
    ]


class Watch:
    """Which files Python opens outside of a folder, and whether any is opened to write."""

    def __init__(self) -> None:
        self.folder: str | None = None
        self.found: list[str] = []
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.folder is None or event not in ("open", "os.remove", "os.rename", "os.system"):
            return
        path = arguments[0]
        if event == "open" and not isinstance(path, (str, bytes)):
            return
        name = os.path.abspath(os.fsdecode(path))
        flags = arguments[2] if event == "open" else os.O_WRONLY
        writes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        inside = name.startswith(self.folder)
        # What Python reads of itself is no file of the user's.
        own = name.startswith((sys.prefix, sys.base_prefix, str(ROOT / "rerank"), "/proc", "/sys"))
        own = own or name.startswith(
            ("/usr", "/etc/mime", "/etc/os-release", "/dev/null", *filter(None, sys.path))
        )
        if (writes and name != "/dev/null") or not (inside or own):
            self.found.append(f"{event} {name}")


def judge(read: Any, path: Path, folder: Path, watch: Watch) -> str:
    """How reading a file ends: "read", "refused", or what went wrong."""
    from rerank.errors import RerankError

    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    watch.folder, watch.found = str(folder), []
    signal.alarm(SECONDS)
    try:
        read(path)
        found = "read"
    except RerankError as error:
        text = str(error)
        found = (
            "refused" if "\n" not in text.strip() and "Traceback" not in text else f"text {text}"
        )
    except BaseException as error:
        found = f"{type(error).__name__}: {str(error)[:200]}"
    finally:
        signal.alarm(0)
        watch.folder = None
    after = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    changed = sorted(str(p) for p in after.keys() | before if after.get(p) != before.get(p))
    if path.name != "0.png" and changed:
        return f"wrote {changed}"
    opened = [x for x in watch.found if path.name != "0.png" or "1.png" not in x]
    return f"outside {opened[0]}" if opened else found


def work(kind_index: int, start: int, stop: int, seed: int, out: int) -> None:
    """The child: damage a kind of file, one line a file on a pipe."""
    from mutations import mutate
    from seed_files import KINDS

    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    warnings.simplefilter("ignore")
    kind = KINDS[kind_index]
    watch = Watch()
    with tempfile.TemporaryDirectory() as top, os.fdopen(out, "w") as pipe:
        folder = Path(top) / "files"
        folder.mkdir()
        path = folder / kind.name
        kind.write(path)
        sound = path.read_bytes()
        first = judge(kind.read, path, folder, watch)
        if first != "read":
            pipe.write(json.dumps([-1, f"the sound file: {first}"]) + "\n")
        for k in range(start, stop):
            pipe.write(json.dumps([k, "began"]) + "\n")
            pipe.flush()
            path.write_bytes(mutate(kind.name, sound, seed * 1_000_000 + k))
            pipe.write(json.dumps([k, judge(kind.read, path, folder, watch)]) + "\n")
            pipe.flush()


def craft(start: int, out: int) -> None:
    """The child of the crafted files, from a certain one on."""
    from crafted_files import crafted

    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    warnings.simplefilter("ignore")
    watch = Watch()
    with os.fdopen(out, "w") as pipe:
        for k, (name, write, read) in enumerate(crafted()):
            if k < start:
                continue
            pipe.write(json.dumps([k, "began"]) + "\n")
            pipe.flush()
            with tempfile.TemporaryDirectory() as top:
                folder = Path(top) / "files"
                folder.mkdir()
                (Path(top) / "secret").write_bytes(b"secret")
                path = write(folder)
                found = judge(read, path, folder, watch)
            pipe.write(json.dumps([k, found, name]) + "\n")
            pipe.flush()


def supervise(arguments: list[str], first: int, stop: int | None) -> dict[str, Any]:
    """Run a child, and again behind the file at which it ended."""
    counts: Counter[str] = Counter()
    failures: list[str] = []
    while stop is None or first < stop:
        receive, send = os.pipe()
        command = [sys.executable, __file__, *arguments, "--start", str(first), "--pipe", str(send)]
        child = subprocess.Popen(command, pass_fds=[send], stderr=subprocess.DEVNULL, cwd="/")
        os.close(send)
        last, done = first - 1, first - 1
        with os.fdopen(receive) as pipe:
            for line in pipe:
                k, found, *name = json.loads(line)
                if found == "began":
                    last = k
                    continue
                done = k
                counts[found if found in ("read", "refused") else "failed"] += 1
                if found not in ("read", "refused"):
                    failures.append(f"{name[0] if name else k}: {found}")
        status = child.wait()
        if status == 0:
            break
        if last > done:
            counts["failed"] += 1
            failures.append(f"{last}: the process ended with {status}")
            first = last + 1
        else:
            failures.append(f"{arguments}: the process ended with {status} before a file")
            counts["failed"] += 1
            break
    return {"counts": dict(counts), "failures": failures}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mutations", type=int, default=0, help="damaged files in all")
    parser.add_argument("--crafted", action="store_true", help="the crafted files too")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", help="file for the result")
    parser.add_argument("--kinds", help="numbers of kinds, with commas")
    parser.add_argument("--child", type=int)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--stop", type=int, default=0)
    parser.add_argument("--pipe", type=int)
    options = parser.parse_args()
    sys.path[:0] = [str(HERE), str(ROOT)]
    if options.pipe is not None:
        if options.child is None:
            craft(options.start, options.pipe)
        else:
            work(options.child, options.start, options.stop, options.seed, options.pipe)
        return 0
    from seed_files import KINDS

    began = time.monotonic()
    chosen = kinds() if options.kinds is None else [int(k) for k in options.kinds.split(",")]
    each = -(-options.mutations // len(chosen))
    result: dict[str, Any] = {}
    for k in chosen if each else []:
        arguments = ["--child", str(k), "--stop", str(each), "--seed", str(options.seed)]
        result[f"{k} {KINDS[k].name}"] = supervise(arguments, 0, each)
    if options.crafted:
        result["crafted"] = supervise([], 0, None)
    total: Counter[str] = Counter()
    for name, found in result.items():
        total.update(found["counts"])
        print(f"{name:16}", found["counts"], *found["failures"][:20], sep="\n    ")
    result["total"] = {"counts": dict(total), "failures": []}
    print(f"{sum(total.values())} files, {dict(total)}, {time.monotonic() - began:.0f} s")
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=1))
    return 1 if total["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
