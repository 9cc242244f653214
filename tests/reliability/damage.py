"""Damage a finished run, verify and repair it: `python -m tests.reliability.damage --help`.

In a round several files of a copy of the run are damaged, each in another way. `rerank verify` must
name each of them and no other, and `rerank verify --repair` must end in the bytes that were there
before. Nothing may end in another error than the package's own.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

Damage = Callable[[Path, random.Random], None]


def main(arguments: list[str] | None = None) -> int:
    """Print the counts as JSON; 1 if anything was missed, false or not mended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--files", type=int, default=10, help="damaged files in a round")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help="a finished run of the tiny recipe")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        work = options.work
        if work is None:
            work = finished_run(Path(name) / "whole")
        found: Counter[str] = Counter()
        for number in range(options.rounds):
            rng = random.Random(f"{options.seed} {number}")
            found.update(one_round(work, Path(name) / str(number), options.files, rng))
    ways = {key: count for key, count in sorted(found.items()) if key.startswith("way ")}
    names = ("damages", "missed", "false", "tracebacks", "not mended", "different")
    print(json.dumps({name: found[name] for name in names} | ways))
    return int(any(found[name] for name in names[1:]))


def finished_run(work: Path) -> Path:
    """Run the tiny recipe by the command line."""
    from tests.conftest import TINY

    recipe = work.with_suffix(".yaml")
    recipe.write_text(json.dumps(TINY))
    status, _, errors = command("run", str(recipe), "--work", str(work), "--jobs", "1")
    assert status == 0, errors
    return work


def command(*arguments: str) -> tuple[int, str, str]:
    """Exit status, output and errors of the command line, run in this process."""
    from rerank.cli.main import main as cli

    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        status = cli(list(arguments))
    return status, out.getvalue(), errors.getvalue()


def one_round(whole: Path, work: Path, files: int, rng: random.Random) -> Counter[str]:
    """Damage some files of a copy, verify, repair, and compare.

    Parameters
    ----------
    whole : Path
        The finished run.
    work : Path
        Where its copy goes; removed at the end.
    files : int
    rng : random.Random
    """
    found: Counter[str] = Counter()
    shutil.copytree(whole, work, copy_function=os.link)
    artefacts = sorted(path for path in work.glob("*/*/*.h5"))
    expected: set[Path] = set()
    chosen = rng.sample(artefacts, files)
    for path in chosen[2:]:
        way = rng.choice(sorted(WAYS))
        WAYS[way](path, rng)
        found[f"way {way}"] += 1
    _swap(*chosen[:2])
    found["way two swapped with their manifests"] += 2
    expected |= set(chosen)
    if rng.random() < 0.5:
        path = rng.choice(_of_folder(work))
        change(path, lambda content: _flip(content, rng))
        found["way bit of a file of the folder"] += 1
        expected.add(path)
    found["damages"] += len(expected)
    status, out, errors = command("verify", "--work", str(work))
    named = {path for path in (*artefacts, *_of_folder(work)) if _is_named(path, out)}
    found["missed"] += len(expected - named)
    found["false"] += len(named - expected)
    found["tracebacks"] += "unexpected" in errors or "Traceback" in errors or status != 1
    status, out, errors = command("verify", "--work", str(work), "--repair", "--jobs", "1")
    found["tracebacks"] += "unexpected" in errors or "Traceback" in errors
    found["not mended"] += status != 0
    found["not mended"] += command("verify", "--work", str(work))[0] != 0
    for path in sorted(whole.glob("*/*/*.h5")):
        other = work / path.relative_to(whole)
        found["different"] += not other.is_file() or other.read_bytes() != path.read_bytes()
    if any(found[name] for name in ("missed", "false", "tracebacks", "not mended", "different")):
        print(f"{work}: {found}", out, errors, sep="\n", file=sys.stderr)
        print(f"missed {expected - named}\nfalse {named - expected}", file=sys.stderr)
    shutil.rmtree(work)
    return found


def change(path: Path, how: Callable[[bytes], bytes]) -> None:
    """Give a file another content; what is linked to the old one stays."""
    content = path.read_bytes()
    other = how(content)
    assert other != content
    path.unlink()
    path.write_bytes(other)


def _of_folder(work: Path) -> list[Path]:
    return [work / name for name in ("run.json", "run.copy.json", "rerank-work.json")]


def _is_named(path: Path, out: str) -> bool:
    names = (f"{path}:", f"{path.with_suffix('.json')}:")
    return any(line.startswith(names) for line in out.splitlines())


def _swap(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    for left, right in ((one, other), (_manifest(one), _manifest(other))):
        left.rename(aside)
        right.rename(left)
        aside.rename(right)


def _flip(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]


def _zero(content: bytes, rng: random.Random) -> bytes:
    for _ in range(1000):
        start = rng.randrange(len(content))
        size = rng.choice((16, 512, 4096))
        other = content[:start] + bytes(min(size, len(content) - start)) + content[start + size :]
        if other != content:
            return other
    return content[:-1]


def _manifest(path: Path) -> Path:
    return path.with_suffix(".json")


def _bit(path: Path, rng: random.Random) -> None:
    change(path, lambda content: _flip(content, rng))


def _bit_of_head(path: Path, rng: random.Random) -> None:
    change(path, lambda content: _flip(content[:2048], rng) + content[2048:])


def _three_bits(path: Path, rng: random.Random) -> None:
    for _ in range(3):
        _bit(path, rng)


def _cut(path: Path, rng: random.Random) -> None:
    change(path, lambda content: content[: rng.randrange(len(content))])


def _longer(path: Path, rng: random.Random) -> None:
    change(path, lambda content: content + rng.randbytes(rng.choice((1, 512))))


def _block(path: Path, rng: random.Random) -> None:
    change(path, lambda content: _zero(content, rng))


def _noise(path: Path, rng: random.Random) -> None:
    change(path, lambda content: rng.randbytes(len(content)))


def _gone(path: Path, rng: random.Random) -> None:
    path.unlink()


def _both_gone(path: Path, rng: random.Random) -> None:
    path.unlink()
    _manifest(path).unlink()


def _folder(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.mkdir()


def _link(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def _of_another(path: Path, rng: random.Random) -> None:
    others = [p for p in path.parents[2].glob("*/*/*.h5") if p.is_file() and p.stat().st_size]
    others = [p for p in others if not p.is_symlink() and p.read_bytes() != path.read_bytes()]
    content = rng.choice(sorted(others)).read_bytes()
    change(path, lambda _: content)


def _edited(path: Path, edit: Callable[[h5py.File, list[str]], None]) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    with h5py.File(path, "a") as file:
        names: list[str] = []
        file.visititems(lambda n, i: names.append(n) if isinstance(i, h5py.Dataset) else None)
        edit(file, names)
    assert path.read_bytes() != content


def _set_gone(path: Path, rng: random.Random) -> None:
    def edit(file: h5py.File, names: list[str]) -> None:
        if names:
            del file[rng.choice(names)]
        else:
            file["x"] = 1

    _edited(path, edit)


def _set_renamed(path: Path, rng: random.Random) -> None:
    def edit(file: h5py.File, names: list[str]) -> None:
        if names:
            name = rng.choice(names)
            file.move(name, f"{name}_")
        else:
            file["x"] = 1

    _edited(path, edit)


def _value(path: Path, rng: random.Random) -> None:
    def edit(file: h5py.File, names: list[str]) -> None:
        name = rng.choice(names) if names else ""
        if not names or file[name].size == 0:
            file["x_"] = 1
            return
        values = np.atleast_1d(file[name][()])
        values.ravel().view("u1")[rng.randrange(values.nbytes)] ^= 1 << rng.randrange(8)
        file[name][...] = values.reshape(file[name].shape)
        file.attrs["a"] = 1
        del file.attrs["a"]

    _edited(path, edit)


def _attribute(path: Path, rng: random.Random) -> None:
    _edited(path, lambda file, names: file.attrs.__setitem__("a", 1))


def _dangling(path: Path, rng: random.Random) -> None:
    _edited(path, lambda file, names: file.__setitem__("x", h5py.SoftLink("/nowhere")))


def _of_manifest(how: Damage) -> Damage:
    return lambda path, rng: how(_manifest(path), rng)


def _manifest_of_another(path: Path, rng: random.Random) -> None:
    others = [p for p in path.parents[2].glob("*/*/*.json") if p.is_file() and not p.is_symlink()]
    content = rng.choice(sorted(p for p in others if p != _manifest(path))).read_bytes()
    if content == _manifest(path).read_bytes():
        content = b"{}"
    change(_manifest(path), lambda _: content)


#: Every way to damage an artefact.
WAYS: dict[str, Damage] = {
    "bit": _bit,
    "bit of the head": _bit_of_head,
    "three bits": _three_bits,
    "truncated": _cut,
    "longer": _longer,
    "zeroed block": _block,
    "noise": _noise,
    "file removed": _gone,
    "file and manifest removed": _both_gone,
    "a folder in its place": _folder,
    "a link in its place": _link,
    "file of another": _of_another,
    "data set removed": _set_gone,
    "data set renamed": _set_renamed,
    "value changed by HDF5": _value,
    "attribute added": _attribute,
    "dangling link added": _dangling,
    "bit of the manifest": _of_manifest(_bit),
    "manifest truncated": _of_manifest(_cut),
    "manifest zeroed": _of_manifest(_block),
    "manifest as noise": _of_manifest(_noise),
    "manifest removed": _of_manifest(_gone),
    "a folder for the manifest": _of_manifest(_folder),
    "a link for the manifest": _of_manifest(_link),
    "manifest of another": _manifest_of_another,
}


if __name__ == "__main__":
    sys.exit(main())
