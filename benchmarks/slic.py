"""How do our superpixels compare with scikit-image's SLIC: time, boundary recall, bound?

    OMP_NUM_THREADS=1 python benchmarks/slic.py [--data ROOT] [--images 60] [--json FILE]
    OMP_NUM_THREADS=1 python benchmarks/slic.py --data ROOT --images 40 --split train --sweep

The second compares settings of ours on training images, to choose among them.

ROOT holds the data sets that are named below. Without it, images are drawn. All methods take turns
on each image, on one thread; times are CPU time, and the ratio is the median over images of
scikit-image's time over ours. Compactness, smoothing and rounds of the peers are those that rerank
gave scikit-image before it had a kernel of its own. With OpenCV's contributed modules its SLIC is
measured too.

A method's number of superpixels differs from what was asked for. So each runs with two wishes, and
its figures are interpolated (linearly in the logarithm of the number) to 500 superpixels:

- boundary recall: share of the label borders' pixels that have a superpixel border at most 1 pixel
  away. Void pixels at most 3 pixels from a label take the nearest; borders of other void do not
  count.
- undersegmentation: share of the pixels whose label is not the most frequent of their superpixel.
- bound: corpus IoU of the best labeling of the superpixels. Void pixels are left out.
- border pixels: share of pixels at superpixel borders. Where it is higher, recall comes easier.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt
from skimage.segmentation import slic

from rerank.datasets import open_dataset
from rerank.metrics import region_histogram
from rerank.superpixels import slic_superpixels
from rerank.superpixels.cie_lab import lab_planes
from rerank.superpixels.connectivity import merge_fragments

SETS = ("voc2012", "msrc21", "camvid", "weizmann_horse")
WISHES = (400, 650)
N_SUPERPIXELS = 500
VOID = 255
FIGURES = ("boundary recall", "undersegmentation", "bound", "border pixels")


def peer(image: np.ndarray, wish: int, connected: bool = True) -> np.ndarray:
    """scikit-image's SLIC, with its own merging of fragments."""
    assignment: np.ndarray = slic(
        image,
        n_segments=wish,
        compactness=10.0,
        sigma=0.7,
        max_num_iter=5,
        enforce_connectivity=connected,
        start_label=0,
    )
    return assignment


def peer_merged(image: np.ndarray, wish: int) -> np.ndarray:
    """scikit-image's clusters, with our merging of fragments."""
    least = 0.25 * image[..., 0].size / wish
    return merge_fragments(peer(image, wish, connected=False), lab_planes(image), least)


def opencv(image: np.ndarray, wish: int) -> np.ndarray:
    """OpenCV's SLIC, with its own merging of fragments."""
    smooth = cv2.cvtColor(cv2.GaussianBlur(image, (7, 7), 0.7), cv2.COLOR_RGB2Lab)
    size = round((image[..., 0].size / wish) ** 0.5)
    found = cv2.ximgproc.createSuperpixelSLIC(smooth, cv2.ximgproc.SLIC, size, 10.0)
    found.iterate(5)
    found.enforceLabelConnectivity(25)
    return np.asarray(found.getLabels())


Method = Callable[[np.ndarray, int], np.ndarray]
METHODS: dict[str, Method] = {
    "ours": slic_superpixels,
    "scikit-image": peer,
    "scikit-image, our merging": peer_merged,
}
if hasattr(cv2, "ximgproc"):
    METHODS["OpenCV"] = opencv
#: Settings that `--sweep` compares; the first are those of the package.
SWEEP: dict[str, Method] = {
    f"compactness {compactness:g}, {rounds} rounds": partial(
        slic_superpixels, compactness=compactness, n_iterations=rounds
    )
    for compactness, rounds in ((8, 7), (10, 5), (10, 10), (8, 5), (8, 10), (7, 7), (5, 7))
}


class Counts(NamedTuple):
    """What is added up over images; `pixels` counts those of each class: known, best, both."""

    superpixels: int
    found: int
    borders: int
    own_borders: float
    pixels: np.ndarray


def borders(labels: np.ndarray) -> np.ndarray:
    """Pixels with a 4-neighbour of another label; neither of the two is void."""
    found = np.zeros(labels.shape, bool)
    for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differs = (labels[one] != labels[other]) & (labels[one] != VOID) & (labels[other] != VOID)
        found[one] |= differs
        found[other] |= differs
    return found


def label_borders(labels: np.ndarray) -> np.ndarray:
    """Borders of labels after thin void has taken the nearest label."""
    if (labels == VOID).all():
        return np.zeros(labels.shape, bool)
    distance, nearest = distance_transform_edt(labels == VOID, return_indices=True)
    return borders(np.where(distance <= 3, labels[tuple(nearest)], VOID))


def counts_of(superpixels: np.ndarray, labels: np.ndarray, n_classes: int) -> Counts:
    """Counts of one image; void is 255 in the labels."""
    own = borders(superpixels.astype(np.int64) + VOID + 1)
    near = cv2.dilate(own.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    true = label_borders(labels)
    histogram = region_histogram(superpixels, labels, n_classes, VOID)
    best = histogram.argmax(axis=1)
    pixels = np.zeros((3, n_classes))
    pixels[0] = histogram.sum(axis=0)
    np.add.at(pixels[1], best, histogram.sum(axis=1))
    np.add.at(pixels[2], best, histogram.max(axis=1))
    n = int(superpixels.max()) + 1
    return Counts(n, int((near & true).sum()), int(true.sum()), float(own.mean()), pixels)


def figures(counts: list[Counts]) -> tuple[float, np.ndarray]:
    """The mean number of superpixels, and `FIGURES` in percent."""
    known, best, both = np.sum([c.pixels for c in counts], axis=0)
    union = known + best - both
    values = (
        sum(c.found for c in counts) / max(1, sum(c.borders for c in counts)),
        1 - both.sum() / known.sum(),
        (both[union > 0] / union[union > 0]).mean(),
        np.mean([c.own_borders for c in counts]),
    )
    return float(np.mean([c.superpixels for c in counts])), 100 * np.array(values)


def at_equal_number(low: list[Counts], high: list[Counts]) -> np.ndarray:
    """Figures at `N_SUPERPIXELS`, between those of two wishes."""
    (n_low, one), (n_high, other) = figures(low), figures(high)
    share = np.log(N_SUPERPIXELS / n_low) / np.log(n_high / n_low)
    return one + share * (other - one)


def measure(
    name: str, root: Path | None, split: str, most: int, methods: dict[str, Method]
) -> dict[str, object]:
    """All methods on up to `most` images of a data set, spread over its list."""
    first = next(iter(methods))
    options = {} if root else {"n_images": most}
    dataset = open_dataset(name, root, split, **options)
    ids = dataset.ids[:: max(1, len(dataset.ids) // most)][:most]
    counts: dict[tuple[str, int], list[Counts]] = {(m, w): [] for m in methods for w in WISHES}
    seconds: dict[str, list[float]] = {method: [] for method in methods}
    for method in methods.values():  # compiled, and warm
        method(dataset[ids[0]].image, WISHES[0])
    for image_id in ids:
        sample = dataset[image_id]
        labels = np.where(sample.labels == dataset.ignore_index, VOID, sample.labels)
        labels = labels.astype(np.uint8)
        for wish in WISHES:
            for method, segment in methods.items():
                start = time.process_time()
                superpixels = segment(sample.image, wish)
                if wish == WISHES[0]:
                    seconds[method].append(time.process_time() - start)
                counts[method, wish].append(counts_of(superpixels, labels, dataset.n_classes))
    return {
        method: {
            "ms": 1e3 * float(np.median(seconds[method])),
            "over the first": float(np.median(np.divide(seconds[method], seconds[first]))),
            **dict(zip(FIGURES, at_equal_number(*(counts[method, w] for w in WISHES)).tolist())),
        }
        for method in methods
    }


def main() -> None:
    """Print a table, and write it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of the data sets; else images are drawn")
    parser.add_argument("--split", default="val")
    parser.add_argument("--images", type=int, default=60, help="of each data set, at most")
    parser.add_argument("--sweep", action="store_true", help="settings of ours instead of peers")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    print(f"{'':16}{'':26}{'ms':>7}{'ratio':>7}" + "".join(f"{f:>19}" for f in FIGURES))
    found = {}
    for name in SETS if arguments.data else ("scenes",):
        found[name] = measure(
            name,
            arguments.data,
            arguments.split,
            arguments.images,
            SWEEP if arguments.sweep else METHODS,
        )
        for method, row in found[name].items():
            numbers = "".join(f"{row[figure]:19.2f}" for figure in FIGURES)
            print(
                f"{name:16}{method:26}{row['ms']:7.1f}{row['over the first']:7.1f}{numbers}",
                flush=True,
            )
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
