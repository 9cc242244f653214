"""How long does a CRF-Grad layer take, and on what?

    OMP_NUM_THREADS=1 python benchmarks/crfgrad.py [--image FILE]

One thread, CPU time, medians over rounds. Parts are timed inside the same forward passes, by
wrapping the calls that make them up; "the rest" is what no part claims. The image's lattice is
kept from one pass to the next, as in training without augmentation or over several models;
"placing" says what a new image costs on top. The first calls, which compile, are not timed. Scores
and image are those of `lattice.py`.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from lattice import problem

from rerank.layers import CRFGrad, PermutohedralLattice, crf_energy, crf_terms

#: What is timed: the object and name of a function, and the part that its time belongs to.
PARTS: list[tuple[Any, str, str]] = [
    (crf_terms.SpatialPairwise, "cost", "spatial convolution"),
    (PermutohedralLattice, "splat", "splat"),
    (PermutohedralLattice, "blur", "blur with weights"),
    (PermutohedralLattice, "slice", "slice"),
    (PermutohedralLattice, "filter_others", "own interaction"),
    (crf_energy, "project_simplex", "simplex projection"),
]
#: The slow part of one is the whole of others: `filter_others` calls the three before it.
WITHIN = ("splat", "blur with weights", "slice")


def timed(function: Callable[..., Any], part: str, spent: dict[str, float]) -> Callable[..., Any]:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        begin = time.process_time()
        result = function(*args, **kwargs)
        spent[part] += time.process_time() - begin
        return result

    return wrapped


def forward_parts(crf: CRFGrad, logits: torch.Tensor, image: torch.Tensor) -> dict[str, float]:
    """CPU seconds of one forward pass by part, and its whole."""
    spent: dict[str, float] = defaultdict(float)
    with ExitStack() as stack, torch.no_grad():
        for owner, name, part in PARTS:
            function = timed(getattr(owner, name), part, spent)
            stack.enter_context(mock.patch.object(owner, name, function))
        begin = time.process_time()
        crf(logits, image)
        spent["forward"] = time.process_time() - begin
    if "own interaction" in spent:
        spent["own interaction"] -= sum(spent[part] for part in WITHIN)
    spent["the rest"] = 2 * spent["forward"] - sum(spent.values())
    return spent


def seconds(run: Callable[[], Any]) -> float:
    begin = time.process_time()
    run()
    return time.process_time() - begin


def train_step(
    crf: CRFGrad, logits: torch.Tensor, image: torch.Tensor, labels: torch.Tensor
) -> None:
    """Forward and backward to the scores and to all weights."""
    crf.zero_grad()
    scores = crf.log_scores(crf(logits.detach().requires_grad_(), image))
    torch.nn.functional.cross_entropy(scores, labels).backward()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--image", type=Path)
    parser.add_argument("--labels", type=int, default=11)
    parser.add_argument("--size", type=int, nargs=2, default=[480, 360], metavar=("W", "H"))
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    picture, probabilities = problem(options.image, options.labels, *options.size)
    image = torch.from_numpy(picture).permute(2, 0, 1)[None]
    logits = torch.from_numpy(probabilities).log()[None]
    labels = logits.argmax(dim=1)
    print(
        f"{options.labels} labels at {options.size[0]}x{options.size[1]}, 5 steps, "
        f"{options.repeats} rounds"
    )
    for spatial, bilateral in (
        ("learned", "learned"),
        ("gaussian", "gaussian"),
        ("learned", "none"),
        ("none", "learned"),
    ):
        torch.manual_seed(0)
        crf = CRFGrad(options.labels, spatial=spatial, bilateral=bilateral).eval()
        if crf.spatial is not None and crf.spatial.weight is not None:
            torch.nn.init.normal_(crf.spatial.weight, std=0.01)
        forward_parts(crf, logits, image)
        rounds = [forward_parts(crf, logits, image) for _ in range(options.repeats)]
        whole = float(np.median([spent["forward"] for spent in rounds]))
        print(f"\nspatial {spatial}, bilateral {bilateral}: forward {1e3 * whole:.0f} ms")
        for part in sorted(set(rounds[0]) - {"forward"}, key=lambda p: -rounds[0][p]):
            taken = float(np.median([spent[part] for spent in rounds]))
            print(f"    {part:22} {1e3 * taken:7.1f} ms {100 * taken / whole:5.1f} %")
        if crf.bilateral is not None:
            term, valid = crf.bilateral, np.ones(picture.shape[:2], bool)
            placing = np.median(
                [
                    seconds(lambda: term.lattice(picture, valid, None).n_vertices)
                    for _ in range(options.repeats)
                ]
            )
            print(f"    placing a new image    {1e3 * placing:7.1f} ms more")
        crf.train()
        train_step(crf, logits, image, labels)
        both = np.median(
            [
                seconds(lambda: train_step(crf, logits, image, labels))
                for _ in range(max(options.repeats // 2, 1))
            ]
        )
        print(f"    forward and backward   {1e3 * both:7.1f} ms")


if __name__ == "__main__":
    main()
