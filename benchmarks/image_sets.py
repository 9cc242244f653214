"""Images with the maps of a network and labels, their counts, and the table of methods."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rerank.datasets import read_image
from rerank.datasets.image_files import read_index_mask
from rerank.datasets.map_files import find_map, read_values
from rerank.metrics import (
    IntersectionUnion,
    bootstrap_interval,
    confusion_counts,
    corpus_iou,
    image_iou,
    intersection_union,
    mean_image_iou,
)
from rerank.metrics.bootstrap import resampled_iou

VOID = 255


class ImageSet(NamedTuple):
    """A list of images whose labels and network maps lie in folders, by the images' names.

    Attributes
    ----------
    maps, images, labels : Path
    ids : tuple of str
    void : int
        The label of void pixels besides 255, such as CamVid's 11.
    """

    maps: Path
    images: Path
    labels: Path
    ids: tuple[str, ...]
    void: int = VOID

    @classmethod
    def of(cls, maps: Path, images: Path, labels: Path, listed: Path, void: int = VOID) -> ImageSet:
        """The images whose names, or paths, stand first on the lines of a file."""
        lines = [line.split() for line in listed.read_text(encoding="utf-8").splitlines()]
        return cls(maps, images, labels, tuple(Path(line[0]).stem for line in lines if line), void)

    def read(self, image_id: str, dtype: type[np.floating] = np.float32) -> Example:
        """Read one image, its map as probabilities of pixels, and its labels."""
        values = read_values(find_map(self.maps, image_id)).astype(np.float32)
        values /= values.sum(axis=2, keepdims=True)
        values = np.minimum(values, 1.0).astype(dtype)
        image = read_image(_file_of(self.images, image_id))
        labels = read_index_mask(_file_of(self.labels, image_id))
        labels = np.where(labels == self.void, VOID, labels).astype(np.uint8)
        return Example(image, values, labels)

    def stamp(self, image_id: str) -> str:
        """A digest of what a result for an image rests on: its name and its map's time and size."""
        about = find_map(self.maps, image_id).path.stat()
        parts = (self.maps.resolve(), image_id, about.st_mtime_ns, about.st_size, self.void)
        return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:16]


class Example(NamedTuple):
    """One image: (H, W, 3) uint8, (H, W, C) probabilities, (H, W) uint8 labels."""

    image: np.ndarray
    probabilities: np.ndarray
    labels: np.ndarray

    def counts(self, prediction: np.ndarray, seconds: float) -> Counts:
        """Counts of a labeling (H, W) that took some CPU seconds."""
        n_classes = self.probabilities.shape[2]
        confusion = confusion_counts(self.labels, prediction.astype(np.uint8), n_classes, VOID)
        both = intersection_union(confusion)
        return Counts(both.intersections, both.unions, seconds)


def _file_of(folder: Path, image_id: str) -> Path:
    for suffix in (".png", ".jpg", ".webp", ".jpeg", ".bmp"):
        if (folder / f"{image_id}{suffix}").is_file():
            return folder / f"{image_id}{suffix}"
    raise SystemExit(f"{folder}: no image or mask {image_id}")


def source_digest(*folders: str) -> str:
    """A digest of the Python files of some rooms of rerank; of all without any.

    What was computed by other code is computed again.
    """
    root = Path(__file__).resolve().parents[1] / "rerank"
    digest = hashlib.sha256()
    for folder in folders or (".",):
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


class Counts(NamedTuple):
    """Counts (C,) of one method on one image, and the CPU seconds that it took."""

    intersections: np.ndarray
    unions: np.ndarray
    seconds: float


class CountCache:
    """Counts of methods on images in one npz, so that rows can be added and runs resumed.

    Parameters
    ----------
    path : Path or None
        Keeps nothing where None.
    any_version : bool
        Use results that other code made.
    """

    def __init__(self, path: Path | None, any_version: bool = False) -> None:
        self.path, self.any_version = path, any_version
        self._found: dict[str, tuple[Counts, str]] = {}
        self._saved = time.monotonic()
        if path is not None and path.is_file():
            with np.load(path, allow_pickle=False) as stored:
                offsets = np.cumsum(stored["n_classes"])[:-1]
                columns = (
                    stored["names"].tolist(),
                    np.split(stored["intersections"], offsets),
                    np.split(stored["unions"], offsets),
                    stored["seconds"].tolist(),
                    stored["versions"].tolist(),
                )
            for name, *counts, version in zip(*columns):
                self._found[name] = Counts(*counts), version

    def get(self, name: str, version: str) -> Counts | None:
        """What is known, if code of this version made it."""
        counts, made_by = self._found.get(name, (None, ""))
        return counts if self.any_version or made_by == version else None

    def add(self, name: str, version: str, counts: Counts) -> None:
        """Keep counts; they are on disk at the latest after the next `save`."""
        self._found[name] = counts, version
        if time.monotonic() - self._saved > 20:
            self.save()

    def save(self) -> None:
        """Write all counts; an interrupted write leaves the old file."""
        if self.path is None or not self._found:
            return
        counts = [found for found, _ in self._found.values()]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".part.npz")
        np.savez_compressed(
            temporary,
            names=np.array(list(self._found)),
            versions=np.array([version for _, version in self._found.values()]),
            n_classes=np.array([len(c.unions) for c in counts]),
            intersections=np.concatenate([c.intersections for c in counts]),
            unions=np.concatenate([c.unions for c in counts]),
            seconds=np.array([c.seconds for c in counts]),
        )
        os.replace(temporary, self.path)
        self._saved = time.monotonic()


def stacked(counts: Sequence[Counts | IntersectionUnion]) -> IntersectionUnion:
    """Counts (N, C) of N images."""
    return IntersectionUnion(
        np.stack([c.intersections for c in counts]), np.stack([c.unions for c in counts])
    )


def both_measures(counts: IntersectionUnion) -> tuple[float, float]:
    """Corpus mIoU and mean image IoU in percent."""
    return 100 * corpus_iou(counts).mean, 100 * mean_image_iou(counts)


class Row(NamedTuple):
    """One method's line of the table, its repetitions (such as seeds) averaged.

    IoU in percent; gains over the network's own labeling with the ends of their 95% interval;
    `worst` is the smallest gain of a repetition; `fell` is the share of images, over all
    repetitions, whose IoU is more than 1 point below that of the network's own labeling.
    """

    method: str
    corpus: float
    image: float
    corpus_gain: tuple[float, float, float]
    image_gain: tuple[float, float, float]
    worst: tuple[float, float]
    fell: float
    seconds: float
    n_repetitions: int


def make_row(
    method: str,
    repetitions: Sequence[Sequence[Counts]],
    baseline: Sequence[Counts],
    n_resamples: int = 2000,
    block: int = 1,
) -> Row:
    """Measure a method against the network's own labeling of the same images.

    Intervals are of `n_resamples` draws of blocks: so many neighbours of the list, drawn together.
    """
    own = stacked(baseline)
    counts = [stacked(rows) for rows in repetitions]
    figures = np.array([both_measures(c) for c in counts])
    gains = figures - np.array(both_measures(own))
    intervals = []
    groups = np.arange(len(baseline)) // block
    for k, measure in enumerate(("corpus", "image")):
        if len(counts) == 1:
            found = bootstrap_interval(counts[0], own, measure, n_resamples, groups=groups)
            low, high = found.low, found.high
        else:
            pairs = [(c, own) for c in counts]
            drawn = resampled_iou(pairs, measure, n_resamples, groups=groups)
            low, high = np.nanquantile(drawn, [0.025, 0.975])
        intervals.append((float(gains[:, k].mean()), 100 * float(low), 100 * float(high)))
    fell = np.mean([np.nanmean(image_iou(c) < image_iou(own) - 0.01) for c in counts])
    return Row(
        method,
        *(float(value) for value in figures.mean(axis=0)),
        intervals[0],
        intervals[1],
        (float(gains[:, 0].min()), float(gains[:, 1].min())),
        float(fell),
        float(np.median([c.seconds for rows in repetitions for c in rows])),
        len(repetitions),
    )


def markdown_table(rows: Sequence[Row]) -> str:
    """The table of methods, gains over the network's own labeling."""
    lines = [
        "| method | corpus mIoU | gain | image IoU | gain | worst seed | fell | CPU s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        gains = [f"{g[0]:+.1f} ({g[1]:+.1f} to {g[2]:+.1f})" for g in row[3:5]]
        worst = f"{row.worst[0]:+.1f} / {row.worst[1]:+.1f}" if row.n_repetitions > 1 else ""
        lines.append(
            f"| {row.method} | {row.corpus:.1f} | {gains[0]} | {row.image:.1f} | {gains[1]} "
            f"| {worst} | {100 * row.fell:.0f}% | {row.seconds:.2f} |"
        )
    return "\n".join(lines)
