"""What does `rerank.propose` lose where a network is nearly right?

    OMP_NUM_THREADS=1 python benchmarks/near_truth.py --images JPEGImages \
        --labels SegmentationClass --ids train.txt [--step 6] [--severity 4]

Maps are made from the labels: borders are moved by a pixel or so along smooth random fields, and a
few small ellipses get a class that the image has; `--severity` multiplies both. Void pixels take
the nearest class. The maps differ in how sure they are:

- even: 0.9 of the class everywhere;
- soft: the classes' masks under a Gaussian of 2 pixels;
- calibrated: 0.6 near borders, 0.75 in the wrong ellipses, else 0.985.

Measured are the map's own labeling, MAP and the choice, as corpus mIoU / mean image IoU in points.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from rerank import propose
from rerank.metrics import (
    IntersectionUnion,
    confusion_counts,
    corpus_iou,
    intersection_union,
    mean_image_iou,
)

KINDS = ("even", "soft", "calibrated")
VOID = 255


def with_errors(
    labels: np.ndarray, rng: np.random.Generator, severity: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """The labels without void, and the same with moved borders and wrong ellipses."""
    nearest = ndimage.distance_transform_edt(
        labels == VOID, return_distances=False, return_indices=True
    )
    truth = labels[tuple(nearest)]
    height, width = truth.shape
    places = np.indices(truth.shape).astype(float)
    for axis, size in enumerate(truth.shape):
        field = ndimage.gaussian_filter(rng.standard_normal(truth.shape), 12)
        moved = places[axis] + 2.4 * severity * field / np.abs(field).max()
        places[axis] = np.clip(np.round(moved), 0, size - 1)
    wrong = truth[tuple(places.astype(int))]
    row, column = np.indices(truth.shape)
    present = np.unique(wrong)
    for _ in range(rng.poisson(2 * severity)):
        y, x = rng.integers(height), rng.integers(width)
        radius, stretch = rng.uniform(0.015, 0.03) * min(height, width), rng.uniform(0.5, 2)
        inside = ((row - y) / radius) ** 2 + ((column - x) / (radius * stretch)) ** 2 < 1
        wrong[inside] = rng.choice(present)
    return truth, wrong


def as_map(kind: str, truth: np.ndarray, wrong: np.ndarray, n_classes: int) -> np.ndarray:
    """Probabilities (H, W, C) whose likeliest class is `wrong`."""
    one = np.eye(n_classes, dtype=np.float32)[wrong]
    if kind == "even":
        return 0.9 * one + 0.1 / n_classes
    if kind == "soft":
        return 0.97 * ndimage.gaussian_filter(one, (2, 2, 0)) + 0.03 / n_classes
    inner = np.ones(wrong.shape, dtype=bool)
    inner[:, 1:] &= wrong[:, 1:] == wrong[:, :-1]
    inner[1:] &= wrong[1:] == wrong[:-1]
    blobs = ndimage.binary_opening(wrong != truth, np.ones((5, 5)))
    sure = np.where(ndimage.distance_transform_edt(inner) < 2.5, 0.6, np.where(blobs, 0.75, 0.985))
    others = ndimage.gaussian_filter(one, (3, 3, 0)) * (1 - one) + 1e-3 * (1 - one)
    others /= others.sum(axis=2, keepdims=True)
    share = sure.astype(np.float32)[..., None]
    return share * one + (1 - share) * others


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("images", "labels", "ids"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--step", type=int, default=6, help="every so many of the ids [6]")
    parser.add_argument("--severity", type=float, default=1.0, help="factor on the errors [1]")
    parser.add_argument("--n-classes", type=int, default=21)
    options = parser.parse_args()
    ids = Path(options.ids).read_text().split()[:: options.step]
    print(f"{len(ids)} images")
    for kind in KINDS:
        rows: dict[str, list[IntersectionUnion]] = {"network": [], "MAP": [], "choice": []}
        for index, name in enumerate(ids):
            image = np.array(Image.open(Path(options.images) / f"{name}.jpg").convert("RGB"))
            labels = np.array(Image.open(Path(options.labels) / f"{name}.png"))
            truth, wrong = with_errors(labels, np.random.default_rng(index), options.severity)
            found = propose(image, as_map(kind, truth, wrong, options.n_classes))
            proposals = found.proposals
            assert proposals.network is not None
            for row, k in (("network", proposals.network), ("MAP", 0), ("choice", found.chosen)):
                counts = confusion_counts(labels, proposals.labels(k), options.n_classes, VOID)
                rows[row].append(intersection_union(counts))
        for row, tried in rows.items():
            counts = IntersectionUnion.stack(tried)
            corpus, image_mean = 100 * corpus_iou(counts).mean, 100 * mean_image_iou(counts)
            print(f"{kind:11} {row:8} {corpus:6.2f} / {image_mean:5.2f}", flush=True)


if __name__ == "__main__":
    main()
