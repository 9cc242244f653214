"""Which settings of `rerank.propose` are best over several networks and data sets?

    python benchmarks/settings_sweep.py --sets sets.json --vary potts_weight=0.5,1,2 \
        --vary superpixels.n_segments=300,500 --vary temperature=0.1,0.3,1

`sets.json` names the sets: {"mnv2": {"maps": DIR, "images": DIR, "labels": DIR, "list": FILE,
"void": 255}, ...}; take training images that the networks have not seen. Settings vary one at a
time around the defaults (and `--set`), or in all combinations with `--grid`. The table shows the
gains of MAP, choice and oracle over the network's own labeling, corpus mIoU / mean image IoU in
points, for each set and as the mean over sets. Superpixels are computed once for each image and
each pair of their settings.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from image_sets import VOID, ImageSet, both_measures
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

import rerank
from rerank.config import ProposeSettings, build_propose_settings
from rerank.metrics import IntersectionUnion, image_iou, region_histogram, region_intersection_union
from rerank.settings import SuperpixelSettings

MEASURED = ("map", "choice", "oracle")


class Setting(NamedTuple):
    """What is tried: the settings that differ from the defaults, as `a.b=value`."""

    overrides: tuple[str, ...]

    @property
    def name(self) -> str:
        """For tables."""
        return ", ".join(self.overrides) or "defaults"

    def settings(self, base: Sequence[str]) -> ProposeSettings:
        """All settings of `propose`."""
        return build_propose_settings([*base, *self.overrides])


@contextmanager
def superpixels_once() -> Iterator[None]:
    """Let `rerank.propose` segment one image once for each of its settings of superpixels."""
    module, known = importlib.import_module("rerank.untrained"), {}
    segment = module.segment

    def remembered(image: Any, settings: SuperpixelSettings, *own: Any) -> Any:
        key = settings.model_dump_json()
        if key not in known:
            known[key] = segment(image, settings, *own)
        return known[key]

    module.segment = remembered
    try:
        yield
    finally:
        module.segment = segment


def run_image(given: ImageSet, image_id: str, settings: Sequence[ProposeSettings]) -> np.ndarray:
    """Counts (2, 1 + S, 3, C) of one image: intersections and unions.

    The first of the second axis is the network's own labeling, the others are the settings; the
    third axis is MAP, choice and oracle.
    """
    torch.set_num_threads(1)
    example = given.read(image_id)
    n_classes = example.probabilities.shape[2]
    counts = np.zeros((2, 1 + len(settings), 3, n_classes), dtype=np.int64)
    own = example.counts(example.probabilities.argmax(axis=2), 0.0)
    counts[:, 0] = np.stack([own.intersections, own.unions])[:, np.newaxis]
    with threadpool_limits(1), superpixels_once():
        for s, chosen in enumerate(settings, 1):
            result = rerank.propose(example.image, example.probabilities, chosen)
            histogram = region_histogram(
                result.proposals.superpixels, example.labels, n_classes, VOID
            )
            both = region_intersection_union(histogram, result.proposals.labelings)
            quality = np.nan_to_num(image_iou(both), nan=-1.0)
            picked = [0, result.chosen, int(quality.argmax())]
            counts[:, s] = both.intersections[picked], both.unions[picked]
    return counts


def gains_of(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Figures (2,) of the network's own labeling, and gains (S, 3, 2) in points."""
    _, _, n_settings, n_picked, _ = counts.shape
    figures = np.array(
        [
            [both_measures(IntersectionUnion(*counts[:, :, s, p])) for p in range(n_picked)]
            for s in range(n_settings)
        ]
    )
    return figures[0, 0], figures[1:] - figures[0, 0]


def settings_to_try(vary: Sequence[str], grid: bool) -> list[Setting]:
    """The defaults first, then one at a time or all combinations of `KEY=v1,v2,...`."""
    axes = []
    for axis in vary:
        key, _, values = axis.partition("=")
        axes.append([f"{key}={value}" for value in values.split(",")])
    if grid:
        return [Setting(chosen) for chosen in itertools.product(*axes)]
    return [Setting(()), *(Setting((one,)) for axis in axes for one in axis)]


def markdown(names: Sequence[str], tried: Sequence[Setting], gains: np.ndarray) -> str:
    """The table of gains (n_sets, S, 3, 2); the last columns are means over sets."""
    titles = [f"{name} {measured}" for name in [*names, "mean"] for measured in MEASURED]
    lines = [f"| settings | {' | '.join(titles)} |", "| --- |" + " --- |" * len(titles)]
    shown = np.concatenate([gains, gains.mean(axis=0, keepdims=True)])
    for s, setting in enumerate(tried):
        cells = [f"{one[s, p, 0]:+.1f} / {one[s, p, 1]:+.1f}" for one in shown for p in range(3)]
        lines.append(f"| {setting.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the sweep, and print and write its table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", type=Path, required=True, help="JSON")
    parser.add_argument("--only", nargs="+", help="names of sets")
    parser.add_argument("--every", type=int, default=1, help="take each N-th image of a list")
    parser.add_argument("--vary", action="append", default=[], metavar="A.B=V,V")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=V")
    parser.add_argument("--grid", action="store_true")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, help="JSON; the table goes beside it as .md")
    options = parser.parse_args(arguments)
    tried = settings_to_try(options.vary, options.grid)
    settings = [setting.settings(options.set) for setting in tried]
    sets = json.loads(options.sets.read_text(encoding="utf-8"))
    names = options.only or list(sets)
    found, own = [], {}
    for name in names:
        about = sets[name]
        folders = (Path(about[key]) for key in ("maps", "images", "labels", "list"))
        given = ImageSet.of(*folders, about.get("void", VOID))
        ids, begin = given.ids[:: options.every], time.monotonic()
        run = Parallel(n_jobs=options.jobs)
        counts = run(delayed(run_image)(given, i, settings) for i in ids)
        figures, gains = gains_of(np.stack(counts, axis=1))
        own[name] = {"corpus": figures[0], "image": figures[1], "n_images": len(ids)}
        found.append(gains)
        print(
            f"{name}: {len(ids)} images, argmax {figures[0]:.1f} / {figures[1]:.1f}, "
            f"{time.monotonic() - begin:.0f} s",
            file=sys.stderr,
        )
    gains = np.stack(found)
    text = markdown(names, tried, gains)
    print(text)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        about = {
            "own": own,
            "base": options.set,
            "axes": ["set", "setting", "map, choice, oracle", "corpus, image"],
            "settings": [setting.name for setting in tried],
            "gains": gains.round(3).tolist(),
        }
        options.out.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        options.out.with_suffix(".md").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
