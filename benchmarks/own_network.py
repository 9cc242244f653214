"""What can be made of the maps of a network that one already has: argmax, peers and rerank.

    python benchmarks/own_network.py --maps MAPS --images IMAGES --labels LABELS --list val.txt \
        --rows argmax,dense_crf,dense_crf_tuned,rankseg,map,choice,oracle --out table.json

Each row is measured as corpus mIoU and as mean image IoU, with paired bootstrap intervals of the
gain over the network's own labeling (`argmax`) and the median of CPU seconds an image on one
thread. `--fit` adds a `Reranker`, cross-fitted within the list by `--folds`, for each of `--seeds`:
its MAP, its choice, its choice behind the gate, its oracle, and with `--joint` the choice for all
images of a fold together. Settings of the fit, such as the gate's level, are given by `--fit-set`.
The parameters of `dense_crf_tuned` are chosen from a small grid by the sum of both measures, for
each half of the list on the other half. With `--train-list` (and `--train-images`, `--train-labels`
where they lie elsewhere) both are chosen on those images instead; the network must not have seen
them. Intervals are over draws of single images, with `--block N` over draws of N neighbours of the
list, as frames of a video ask for.

Counts of each method and image are kept beside the table (`--cache`), so that rows can be added and
an interrupted run goes on. What other code of rerank computed is computed anew, unless
`--any-version` is given.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from image_sets import (
    VOID,
    CountCache,
    Counts,
    ImageSet,
    both_measures,
    make_row,
    markdown_table,
    source_digest,
    stacked,
)
from joblib import Parallel, delayed
from map_methods import (
    DENSE_CRF_GRID,
    argmax,
    counts_of_result,
    customary_dense_crf,
    dense_crfs,
    proposed,
    rankseg,
    timed,
)
from threadpoolctl import threadpool_limits

import rerank

#: Methods of single images, the rows that each makes, and the rooms whose code they run.
METHODS: dict[str, tuple[Any, tuple[str, ...], tuple[str, ...] | None]] = {
    "argmax": (argmax, ("argmax",), None),
    "dense_crf": (customary_dense_crf, ("dense_crf",), ("layers",)),
    "rankseg": (rankseg, ("rankseg",), None),
    "propose": (proposed, ("map", "choice", "oracle"), ()),
}
ROWS = ("argmax", "dense_crf", "dense_crf_tuned", "rankseg", "map", "choice", "oracle")
FITTED = ("map", "preferred", "chosen", "joint", "oracle")
TITLES = {
    "argmax": "argmax",
    "dense_crf": "dense CRF, customary",
    "dense_crf_tuned": "dense CRF, tuned",
    "rankseg": "RankSEG, IoU",
    "map": "propose, MAP",
    "choice": "propose, choice",
    "oracle": "propose, oracle",
    "fit/map": "fit, MAP",
    "fit/preferred": "fit, choice",
    "fit/chosen": "fit, gated choice",
    "fit/joint": "fit, joint choice",
    "fit/oracle": "fit, oracle",
}


class Fit(NamedTuple):
    """One fit: what it is fitted on, what it is judged on, and its options."""

    name: str
    training: ImageSet
    judged: ImageSet
    options: dict[str, Any]
    joint: bool


def version_of(rooms: tuple[str, ...] | None) -> str:
    """A digest of the code of some rooms; empty where none is used."""
    return "" if rooms is None else source_digest(*rooms)


def run_image(
    given: ImageSet, image_id: str, names: Sequence[str], overrides: Sequence[str], grid: list[int]
) -> tuple[str, dict[str, Counts]]:
    """All methods that are asked for on one image, on one thread."""
    torch.set_num_threads(1)
    example = given.read(image_id)
    found: dict[str, Counts] = {}
    with threadpool_limits(1):
        for name in names:
            method = METHODS[name][0]
            found.update(method(overrides)(example) if name == "propose" else method(example))
        if grid:
            counts = dense_crfs(example, [DENSE_CRF_GRID[k] for k in grid])
            # alone, it shares no lattice with others, and its time is its own
            kind = "tuned" if len(grid) == 1 else "grid"
            found.update({f"{kind}/{k}": c for k, c in zip(grid, counts.values())})
    return image_id, found


def run_fit(fit: Fit) -> tuple[str, dict[str, dict[str, Counts]]]:
    """Fit on the training images and judge on the others."""
    torch.set_num_threads(1)
    with threadpool_limits(1):
        model = rerank.Reranker(**fit.options)
        examples = [fit.training.read(name, np.float16) for name in fit.training.ids]
        model.fit(
            [e.image for e in examples],
            [e.probabilities for e in examples],
            [e.labels for e in examples],
        )
        del examples
        found = {}
        for name in fit.judged.ids:
            example = fit.judged.read(name)
            result, seconds = timed(lambda: model.predict(example.image, example.probabilities))
            found[name] = counts_of_result(example, result, seconds)
        if fit.joint:
            examples = [fit.judged.read(name, np.float16) for name in fit.judged.ids]
            pairs = [e.image for e in examples], [e.probabilities for e in examples]
            together, seconds = timed(lambda: model.predict_corpus(*pairs))
            for name, example, result in zip(fit.judged.ids, examples, together.results):
                found[name]["joint"] = example.counts(result.labels, seconds / len(examples))
    return fit.name, found


def parts_of(ids: Sequence[str], n_parts: int, ordered: bool, seed: int) -> list[list[str]]:
    """Folds of a list: contiguous where ordered, else drawn."""
    order = np.arange(len(ids))
    if not ordered:
        order = np.random.default_rng(seed).permutation(order)
    return [[ids[k] for k in sorted(part)] for part in np.array_split(order, n_parts)]


class Table:
    """The counts of all rows on one list of images."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.given = ImageSet.of(
            options.maps, options.images, options.labels, options.list, options.void
        )
        self.training: ImageSet | None = None
        if options.train_list is not None:
            self.training = ImageSet.of(
                options.maps,
                options.train_images or options.images,
                options.train_labels or options.labels,
                options.train_list,
                options.void,
            )
            if set(self.training.ids) & set(self.given.ids):
                raise SystemExit("--train-list: images that the table is judged on")
        self.cache = CountCache(options.cache, options.any_version)
        self.variant = ",".join(sorted(options.set))

    def _key(self, given: ImageSet, image_id: str, row: str) -> str:
        variant = f"[{self.variant}]" if row in METHODS["propose"][1] else ""
        return f"{given.stamp(image_id)}/{row}{variant}"

    def row(self, name: str, version: str, given: ImageSet | None = None) -> list[Counts]:
        """The counts of a row that has been computed."""
        given = given or self.given
        found = [self.cache.get(self._key(given, i, name), version) for i in given.ids]
        if any(counts is None for counts in found):
            raise SystemExit(f"row {name} is not complete")
        return [counts for counts in found if counts is not None]

    def compute(
        self, methods: Sequence[str], grid: dict[str, list[int]], given: ImageSet | None = None
    ) -> None:
        """Compute what is missing: methods on all images, and a part of the grid on some."""
        given = given or self.given
        versions = {row: version_of(rooms) for _, rows, rooms in METHODS.values() for row in rows}
        versions |= {
            f"{kind}/{k}": source_digest("layers")
            for k in range(len(DENSE_CRF_GRID))
            for kind in ("grid", "tuned")
        }

        def missing(image_id: str, row: str) -> bool:
            return self.cache.get(self._key(given, image_id, row), versions[row]) is None

        tasks = []
        for image_id in given.ids:
            todo = [m for m in methods if any(missing(image_id, r) for r in METHODS[m][1])]
            some = grid.get(image_id, [])
            kind = "tuned" if len(some) == 1 else "grid"
            if not any(missing(image_id, f"{kind}/{k}") for k in some):
                some = []
            if todo or some:
                tasks.append((given, image_id, todo, self.options.set, some))
        for k, (image_id, found) in enumerate(self._parallel(run_image, tasks), 1):
            for row, counts in found.items():
                self.cache.add(self._key(given, image_id, row), versions[row], counts)
            self._tell(f"{k} of {len(tasks)} images")
        self.cache.save()

    def tune_dense_crf(self) -> tuple[list[Counts], list[dict[str, Any]]]:
        """The fully connected CRF with parameters chosen on other images, and those parameters."""
        everything = list(range(len(DENSE_CRF_GRID)))
        if self.training is not None:
            pairs = [(self.training, list(self.training.ids), list(self.given.ids))]
        else:
            halves = parts_of(self.given.ids, 2, self.options.ordered, seed=0)
            pairs = [(self.given, halves[1], halves[0]), (self.given, halves[0], halves[1])]
        version, chosen, used = source_digest("layers"), {}, []
        for tuned_on, ids, judged in pairs:
            most = max(1, self.options.tune_images // len(pairs))
            step = -(-len(ids) // most)
            some = tuned_on._replace(ids=tuple(ids[::step]))
            self.compute([], dict.fromkeys(some.ids, everything), some)
            figures = [
                sum(both_measures(stacked(self.row(f"grid/{k}", version, some))))
                for k in everything
            ]
            best = int(np.argmax(figures))
            used.append({"grid": best, "n_images": len(some.ids), **vars(DENSE_CRF_GRID[best])})
            chosen.update(dict.fromkeys(judged, best))
        self.compute([], {name: [k] for name, k in chosen.items()})
        found = []
        for name in self.given.ids:
            found += self.row(f"tuned/{chosen[name]}", version, self.given._replace(ids=(name,)))
        return found, used

    def fits(self) -> Iterator[Fit]:
        """One fit for each seed and fold."""
        options = self.options
        for seed in options.seeds:
            arguments = {
                "random_state": seed,
                "background": options.background,
                "ordered": options.ordered,
                "settings": ("gate.enabled=true", *options.fit_set),
            }
            if self.training is not None:
                pairs = [(self.training, self.given)]
            else:
                folds = parts_of(self.given.ids, options.folds, options.ordered, seed)
                pairs = [
                    (
                        self.given._replace(ids=tuple(i for i in self.given.ids if i not in fold)),
                        self.given._replace(ids=tuple(fold)),
                    )
                    for fold in folds
                ]
            for training, judged in pairs:
                about = [json.dumps(arguments), *map(training.stamp, training.ids)]
                digest = hashlib.sha256("\n".join(about).encode()).hexdigest()[:12]
                yield Fit(f"fit/{digest}", training, judged, arguments, options.joint)

    def fitted_rows(self) -> dict[str, list[list[Counts]]]:
        """Each row of the fitted models, once for each seed."""
        fits, version = list(self.fits()), source_digest()

        def get(fit: Fit, row: str, image_id: str) -> Counts | None:
            key = f"{fit.judged.stamp(image_id)}/{fit.name}/{row}"
            return self.cache.get(key, version)

        needed = ("map", "joint") if self.options.joint else ("map",)
        tasks = [
            (f,) for f in fits if any(get(f, r, i) is None for r in needed for i in f.judged.ids)
        ]
        by_name = {fit.name: fit for fit in fits}
        for k, (name, found) in enumerate(self._parallel(run_fit, tasks), 1):
            for image_id, rows in found.items():
                for row, counts in rows.items():
                    key = f"{by_name[name].judged.stamp(image_id)}/{name}/{row}"
                    self.cache.add(key, version, counts)
            self.cache.save()
            self._tell(f"{k} of {len(tasks)} fits")
        per_seed = len(fits) // len(self.options.seeds)
        rows: dict[str, list[list[Counts]]] = {}
        for row in FITTED:
            repetitions = []
            for start in range(0, len(fits), per_seed):
                of_image = {
                    i: get(f, row, i) for f in fits[start : start + per_seed] for i in f.judged.ids
                }
                found = [of_image[i] for i in self.given.ids]
                repetitions.append([counts for counts in found if counts is not None])
            if all(len(r) == len(self.given.ids) for r in repetitions):
                rows[f"fit/{row}"] = repetitions
        return rows

    def _parallel(self, function: Any, tasks: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        run = Parallel(n_jobs=self.options.jobs, return_as="generator_unordered")
        yield from run(delayed(function)(*task) for task in tasks)

    def _tell(self, text: str) -> None:
        if not self.options.quiet:
            print(f"\r{text}", end="", file=sys.stderr, flush=True)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--maps", type=Path, required=True, help="folder of ID.npy or ID.npz")
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True, help="folder of ID.png")
    parser.add_argument("--list", type=Path, required=True, help="ids of the images, one a line")
    parser.add_argument("--train-list", type=Path, help="images to tune and fit on")
    parser.add_argument("--train-images", type=Path)
    parser.add_argument("--train-labels", type=Path)
    parser.add_argument("--void", type=int, default=VOID, help="label of void pixels besides 255")
    parser.add_argument("--rows", default=",".join(ROWS), help="of: " + ",".join(ROWS))
    parser.add_argument("--set", action="append", default=[], metavar="A.B=V", help="of propose")
    parser.add_argument("--tune-images", type=int, default=60, help="images to tune on, at most")
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--joint", action="store_true", help="the choice for all images of a fold")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--ordered", action="store_true", help="a video: folds are contiguous")
    parser.add_argument("--block", type=int, default=1, help="frames drawn together for intervals")
    parser.add_argument("--background", type=int)
    parser.add_argument("--fit-set", action="append", default=[], metavar="A.B=V", help="of fit")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, help="JSON; the table goes beside it as .md")
    parser.add_argument("--cache", type=Path, help="npz; beside --out by default")
    parser.add_argument("--any-version", action="store_true")
    parser.add_argument("--quiet", action="store_true")
    options = parser.parse_args(arguments)
    options.rows = [row for row in options.rows.split(",") if row]
    unknown = set(options.rows) - set(ROWS)
    if unknown:
        parser.error(f"--rows: unknown {', '.join(sorted(unknown))}")
    if options.cache is None and options.out is not None:
        options.cache = options.out.with_suffix(".npz")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Compute what is missing, and print and write the table."""
    options = parse(arguments)
    table = Table(options)
    methods = [m for m, (_, rows, _) in METHODS.items() if set(rows) & {"argmax", *options.rows}]
    table.compute(methods, {})
    baseline = table.row("argmax", "")
    found: dict[str, list[list[Counts]]] = {}
    about: dict[str, Any] = {"n_images": len(table.given.ids), "settings": options.set}
    versions = {row: version_of(rooms) for _, rows, rooms in METHODS.values() for row in rows}
    for row in options.rows:
        if row == "dense_crf_tuned":
            counts, about["dense_crf_tuned"] = table.tune_dense_crf()
            found[row] = [counts]
        else:
            found[row] = [table.row(row, versions[row])]
    if options.fit:
        found |= table.fitted_rows()
        about |= {"folds": options.folds, "seeds": options.seeds, "fit_settings": options.fit_set}
    rows = [
        make_row(TITLES[row], counts, baseline, block=options.block)
        for row, counts in found.items()
    ]
    text = markdown_table(rows)
    if not options.quiet:
        print(file=sys.stderr)
    print(text)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        about["rows"] = [row._asdict() for row in rows]
        options.out.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        options.out.with_suffix(".md").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
