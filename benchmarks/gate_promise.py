"""Is the gate's promise kept, and what do gate, conformal sets and the joint choice give or cost?

    OMP_NUM_THREADS=1 python benchmarks/gate_promise.py --images JPEGImages \
        --labels SegmentationClass --ids val.txt --maps MAPS [--cache FILE.npz] [--splits 200]

    OMP_NUM_THREADS=1 python benchmarks/gate_promise.py --work WORK [--work WORK...]

With maps, proposals and scores are those of `rerank.propose`, which learns nothing from labels, so
that all images are alike to the gate. With work folders of `rerank run own_maps` (one a seed) they
are those of the ranking SVM, for each image by a ranker that was not fitted on it. Settings of
gate, sets and beliefs were chosen on the training images of VOC 2012 with the maps of two networks;
give images that are not among these.

The promise is about the images that the calibration images are drawn from. So calibration images
are drawn with replacement from all images, and the share of falls is that among all images: a
promise of confidence 1 - delta may be broken in a share delta of the draws. Random splits into two
halves show the same on images that were not drawn; there the second half is a small sample itself,
so that its share lies above the level oftener.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rerank import propose
from rerank.applications.runs import open_run
from rerank.datasets.map_files import find_map, read_values
from rerank.metrics import (
    IntersectionUnion,
    bootstrap_interval,
    chosen_counts,
    corpus_iou,
    image_iou,
    mean_image_iou,
    pairwise_counts,
    region_histogram,
    region_intersection_union,
)
from rerank.ranking import (
    ConformalSet,
    ExpectedCounts,
    Gate,
    choose_corpus,
    expected_counts,
    marginal_counts,
    proposal_beliefs,
)
from rerank.stages.judged_images import Judged, read_judged
from rerank.superpixels import region_mean


def read_problem(a: argparse.Namespace) -> dict[str, Any]:
    """Counts, scores and beliefs of the proposals of all images, from the cache if there is one."""
    if a.cache and Path(a.cache).exists():
        with np.load(a.cache) as found:
            return dict(found)
    rows: dict[str, list[Any]] = {}
    for name in Path(a.ids).read_text().split():
        image = np.array(Image.open(Path(a.images) / f"{name}.jpg").convert("RGB"))
        labels = np.array(Image.open(Path(a.labels) / f"{name}.png"))
        own = read_values(find_map(Path(a.maps), name)).astype(np.float32)
        found = propose(image, own)
        proposals, n_classes = found.proposals, own.shape[2]
        areas = np.bincount(proposals.superpixels.ravel())
        histogram = region_histogram(proposals.superpixels, labels, n_classes)
        counts = region_intersection_union(histogram, proposals.labelings)
        pairs = pairwise_counts(proposals.labelings, areas, n_classes)
        marginal = marginal_counts(
            proposals.labelings, areas, region_mean(own, proposals.superpixels)
        )
        for key, value in {
            "intersections": counts.intersections,
            "unions": counts.unions,
            "pair_intersections": pairs.intersections.astype(np.int32),
            "pair_unions": pairs.unions.astype(np.int32),
            "marginal_intersections": marginal.intersections,
            "marginal_unions": marginal.unions,
            "similarity": image_iou(pairs),
            "scores": found.scores,
            "network": proposals.network,
        }.items():
            rows.setdefault(key, []).append(value)
    problem = {key: np.stack(values) for key, values in rows.items()}
    if a.cache:
        np.savez(a.cache, **problem)
    return problem


class Images:
    """All images, and what gate and sets read of some of them."""

    def __init__(
        self,
        counts: IntersectionUnion,
        scores: Any,
        network: Any,
        similarity: Any,
        expected: ExpectedCounts,
    ) -> None:
        self.counts, self.scores, self.network = counts, scores, network
        self.similarity, self.expected = similarity, expected
        rows = np.arange(len(self.scores))
        self.change = np.clip(1 - self.similarity[rows, :, self.network], 0, 1)
        self.quality = image_iou(self.counts)
        self.choice = self.scores.argmax(axis=1)
        self.own = self.quality[rows, self.network]
        self.gain = self.quality[rows, self.choice] - self.own

    @classmethod
    def of_maps(cls, problem: dict[str, Any], temperature: float, marginal_share: float) -> Images:
        """What `rerank.propose` makes of all images."""
        return cls(
            IntersectionUnion(problem["intersections"], problem["unions"]),
            problem["scores"],
            problem["network"],
            problem["similarity"],
            expect(problem, temperature, marginal_share),
        )

    @classmethod
    def of_run(cls, work: str) -> Images:
        """What a run made of its training images, each judged without having been seen."""
        job = open_run(work).job("calibration")
        judged = Judged.join([read_judged(job, part.name) for part in job.folds])
        # The joint choice uses the first of the beliefs that a recipe chooses among.
        expected = judged.expected[0]
        return cls(judged.counts, judged.scores, judged.network, judged.similarity, expected)

    def fit_gate(self, gate: Gate, i: Any) -> Gate:
        return gate.fit(self.scores[i], self.quality[i], self.network[i], self.change[i])

    def gated(self, gate: Gate, i: Any) -> tuple[Any, Any]:
        """Change in IoU under the gated choice, and the choice."""
        found = gate.choose(self.scores[i], self.network[i], self.change[i]).choice
        return self.quality[i][np.arange(len(found)), found] - self.own[i], found

    def row(self, name: str, choice: Any) -> None:
        """Print measures of a choice, and its paired gains over the network's labeling."""
        base = chosen_counts(self.counts, self.network)
        counts = chosen_counts(self.counts, choice)
        gains = []
        for measure in ("corpus", "image"):
            found = bootstrap_interval(counts, base, measure)
            gains.append(
                f"{100 * found.estimate:+5.2f} [{100 * found.low:+5.2f}, {100 * found.high:+5.2f}]"
            )
        print(
            f"{name:26} {100 * corpus_iou(counts).mean:5.2f} / {100 * mean_image_iou(counts):5.2f}"
            f"   over argmax {gains[0]} / {gains[1]}"
        )


def expect(problem: dict[str, Any], temperature: float, marginal_share: float) -> ExpectedCounts:
    """Expected counts of all proposals, (N, M, C), under some beliefs."""
    names = ("pair_intersections", "pair_unions", "marginal_intersections", "marginal_unions")
    found = []
    for scores, inter, union, *marginal in zip(problem["scores"], *(problem[n] for n in names)):
        beliefs = proposal_beliefs(scores, temperature)
        pairs = IntersectionUnion(inter, union)
        found.append(expected_counts(pairs, beliefs, ExpectedCounts(*marginal), marginal_share))
    return ExpectedCounts(*(np.stack(arrays) for arrays in zip(*found)))


def cross_fitted(images: Images, level: float, n_folds: int = 5) -> Any:
    """The gated choice of each image, by a gate that was calibrated on the other folds."""
    order = np.random.default_rng(0).permutation(len(images.scores))
    choice = np.empty(len(order), dtype=np.int64)
    for held in np.array_split(order, n_folds):
        rest = np.setdiff1d(order, held)
        gate = images.fit_gate(Gate(level=level, statistic="margin_per_change"), rest)
        choice[held] = images.gated(gate, held)[1]
    return choice


def show_rules(images: Images) -> None:
    """Print the table of choices."""
    n = len(images.scores)
    print(f"{n} images, corpus / image IoU in points, gains with 95 % intervals")
    images.row("network's argmax", images.network)
    images.row("MAP", np.zeros(n, dtype=np.int64))
    images.row("choice", images.choice)
    for level in (0.05, 0.1, 0.2):
        images.row(f"gated choice, level {level:g}", cross_fitted(images, level))
    joint = choose_corpus(*images.expected, [images.choice], max_nodes=20)
    images.row("corpus-level choice", joint.choice)
    images.row("oracle of each image", images.quality.argmax(axis=1))
    print(
        f"corpus-level choice: expected IoU {100 * joint.expected_iou:.2f}, bound "
        f"{100 * joint.upper_bound:.2f}, alone "
        f"{100 * expected_iou(images, images.choice):.2f}; gain over the choice image by image:"
    )
    one, two = (chosen_counts(images.counts, c) for c in (joint.choice, images.choice))
    for measure in ("corpus", "image"):
        found = bootstrap_interval(one, two, measure)
        print(
            f"  {measure:6} {100 * found.estimate:+.2f} "
            f"[{100 * found.low:+.2f}, {100 * found.high:+.2f}]"
        )


def show_beliefs(images: Images, problem: dict[str, Any]) -> None:
    """Print what the joint choice gives under many beliefs, to choose them on training images."""
    images.row("choice", images.choice)
    for temperature in (0.03, 0.1, 0.3, 0.5, 1.0):
        for share in (0.0, 0.1, 0.3, 0.6):
            expected = expect(problem, temperature, share)
            joint = choose_corpus(*expected, [images.choice], max_nodes=0)
            images.row(f"T {temperature:g}, share {share:g}", joint.choice)


def expected_iou(images: Images, choice: Any) -> float:
    """Corpus IoU of a choice under the beliefs."""
    rows = np.arange(len(choice))
    inter, union = (e[rows, choice].sum(axis=0) for e in images.expected)
    return float(np.mean(inter[union > 0] / union[union > 0]))


def show_promise(images: Images, n_splits: int, delta: float = 0.1) -> None:
    """Print how often the promise is broken, and the gain that the gate keeps."""
    n, everything = len(images.scores), np.arange(len(images.scores))
    print(
        f"falls without the gate: {100 * (images.gain < -0.01).mean():.1f} % of the images; "
        f"confidence {1 - delta:g}; {n_splits} draws and {n_splits} splits"
    )
    print(
        "statistic          level  broken   share   bound  changed   gain | "
        "halves: above level, share, gain"
    )
    for statistic in ("margin_per_change", "relative_margin"):
        for level in (0.05, 0.1, 0.2):
            rng = np.random.default_rng(0)
            gate = Gate(level=level, delta=delta, statistic=statistic)
            drawn, split = [], []
            for _ in range(n_splits):
                i = rng.integers(0, n, n)
                fit(images, gate, i)
                drawn.append((*judge(images, gate, everything, level), gate.bound_))
                order = rng.permutation(n)
                fit(images, gate, order[: n // 2])
                split.append(judge(images, gate, order[n // 2 :], level))
            one, two = np.mean(drawn, axis=0), np.mean(split, axis=0)
            print(
                f"{statistic:18} {level:5.2f} {one[0]:6.1%} {one[1]:8.1%} {one[4]:7.1%} "
                f"{one[2]:7.1%} {one[3]:6.0%} | {two[0]:6.1%} {two[1]:12.1%} {two[3]:6.0%}"
            )


def fit(images: Images, gate: Gate, i: Any) -> None:
    """Calibrate a gate, with the change only where its statistic needs it."""
    change = images.change[i] if gate.statistic == "margin_per_change" else None
    gate.fit(images.scores[i], images.quality[i], images.network[i], change)


def judge(images: Images, gate: Gate, i: Any, level: float) -> tuple[float, float, float, float]:
    """Whether the share of falls is above the level, that share, changed images, gain kept."""
    change = images.change[i] if gate.statistic == "margin_per_change" else None
    choice = gate.choose(images.scores[i], images.network[i], change).choice
    gain = images.quality[i][np.arange(len(i)), choice] - images.own[i]
    share = float((gain < -0.01 - 1e-12).mean())
    kept = gain.sum() / images.gain[i].sum()
    return float(share > level), share, float((choice != images.network[i]).mean()), float(kept)


def show_sets(images: Images, n_splits: int, alpha: float = 0.1) -> None:
    """Print how often sets miss, and how large they are, over random halves."""
    n = len(images.scores)
    print(f"conformal sets that miss in {alpha:.0%} at most, of {images.scores.shape[1]} proposals")
    print("IoU  reachable  missed  mean size  median | in the order of the scores: missed, size")
    for least in (0.6, 0.7, 0.8):
        rng = np.random.default_rng(0)
        rows: list[list[float]] = []
        for _ in range(n_splits // 4):
            order = rng.permutation(n)
            one, two = order[: n // 2], order[n // 2 :]
            row = []
            for similarity in (images.similarity, None):
                pairs = [None if similarity is None else similarity[i] for i in (one, two)]
                sets = ConformalSet(alpha=alpha, min_iou=least).fit(
                    images.scores[one], images.quality[one], pairs[0]
                )
                found = sets.sets(images.scores[two], pairs[1])
                reachable = images.quality[two].max(axis=1) >= least
                held = [q[list(s)].max() >= least for s, q in zip(found, images.quality[two])]
                sizes = [len(s) for s in found]
                missed = 1 - float(np.mean(np.array(held)[reachable]))
                row += [float(reachable.mean()), missed, np.mean(sizes), np.median(sizes)]
            rows.append(row)
        r = np.mean(rows, axis=0)
        print(
            f"{least:.1f} {r[0]:9.0%} {r[1]:8.1%} {r[2]:9.2f} {r[3]:8.1f} | {r[5]:6.1%} {r[6]:6.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("images", "labels", "ids", "maps"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--work", action="append", help="of a finished run, instead of the maps")
    parser.add_argument("--cache", help="file of the counts, written if absent")
    parser.add_argument("--splits", type=int, default=200)
    parser.add_argument("--temperature", type=float, default=0.5, help="of the joint choice")
    parser.add_argument("--marginal-share", type=float, default=0.3, help="of the joint choice")
    parser.add_argument("--beliefs", action="store_true", help="only try beliefs, on other images")
    a = parser.parse_args()
    for work in a.work or ():
        print(work)
        show(Images.of_run(work), a.splits)
    if a.work:
        return
    if None in (a.images, a.labels, a.ids, a.maps):
        parser.error("give --images, --labels, --ids and --maps, or --work")
    problem = read_problem(a)
    images = Images.of_maps(problem, a.temperature, a.marginal_share)
    if a.beliefs:
        show_beliefs(images, problem)
        return
    show(images, a.splits)


def show(images: Images, n_splits: int) -> None:
    """Print all three tables."""
    show_rules(images)
    show_promise(images, n_splits)
    show_sets(images, n_splits)


if __name__ == "__main__":
    main()
