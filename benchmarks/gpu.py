"""What does a GPU give, and does it give the same?

    python benchmarks/gpu.py [--device cuda] [--small] [--out gpu.json]

Each row is one thing that runs on both sides: a training step with each loss, a step of the coarse
SegNet and of a dense network, features of an image, CRF-Grad forwards and backwards, the fully
connected CRF. Times are wall seconds, medians over rounds in which both sides take turns, after a
first call of each. "difference" is the largest one between the two sides' results, over the largest
result: of rounding, where all is well. The CPU has as many threads as torch gives it.

`--device cpu` compares the CPU with itself, which tries the script where there is no GPU.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from rerank.layers import BilateralTerm, CRFGrad, SpatialTerm, dense_crf
from rerank.nets import CoarseSegNet, DenseFCN
from rerank.nets.loss_names import loss_from_name

LOSSES = (
    "ce",
    "iou",
    "0.7 uoi + 0.3 ce",
    "neuro",
    "neuro-hinge",
    "affinity",
    "rmi",
    "rmi(factor=4)",
)


class Case(NamedTuple):
    """Something to compute: `make` prepares it on a device, and the call returns what it gives."""

    name: str
    make: Callable[[torch.device], Callable[[], Tensor]]


class Row(NamedTuple):
    """A case's figures."""

    name: str
    cpu_s: float
    device_s: float
    difference: float


def on(device: torch.device, module: nn.Module) -> nn.Module:
    """A copy of a module on a device."""
    return copy.deepcopy(module).to(device)


def gradient_step(model: nn.Module, value: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """A call that computes a value and its gradients, and returns the first parameter's."""

    def step() -> Tensor:
        model.zero_grad(set_to_none=True)
        value().backward()
        first = next(p.grad for p in model.parameters() if p.grad is not None)
        return first.detach()

    return step


def loss_case(name: str, logits: Tensor, labels: Tensor) -> Case:
    """Value and gradient of a loss on given logits."""

    def make(device: torch.device) -> Callable[[], Tensor]:
        loss, truth = loss_from_name(name).to(device), labels.to(device)

        def step() -> Tensor:
            leaf = logits.to(device, copy=True).requires_grad_()
            loss(leaf, truth).backward()
            assert leaf.grad is not None
            return leaf.grad

        return step

    return Case(f"loss {name}", make)


def network_case(name: str, model: nn.Module, images: Tensor, labels: Tensor) -> Case:
    """A training step of a network with cross-entropy."""

    def make(device: torch.device) -> Callable[[], Tensor]:
        # Without dropout, whose draws differ between devices.
        net, loss = on(device, model).eval(), loss_from_name("ce").to(device)
        there, truth = images.to(device), labels.to(device)
        return gradient_step(net, lambda: loss(net(there), truth))

    return Case(name, make)


def features_case(model: CoarseSegNet, images: Tensor) -> Case:
    """The backbone's activations."""

    def make(device: torch.device) -> Callable[[], Tensor]:
        backbone, there = on(device, model.backbone).eval(), images.to(device)

        def run() -> Tensor:
            with torch.inference_mode():
                found: Tensor = backbone(there)
            return found

        return run

    return Case("features of an image, SqueezeNet", make)


def crf_case(logits: Tensor, image: Tensor, train: bool) -> Case:
    """A CRF-Grad layer with learned spatial and bilateral kernels."""
    n_classes, height = logits.shape[1], logits.shape[2]
    torch.manual_seed(0)
    layer = CRFGrad(
        n_classes,
        spatial=SpatialTerm("learned", 4),
        bilateral=BilateralTerm("learned", position_std=height / 5),
        cache_size=4,
    )

    def make(device: torch.device) -> Callable[[], Tensor]:
        crf, scores, picture = on(device, layer), logits.to(device), image.to(device)
        if train:
            return gradient_step(crf, lambda: crf(scores, picture).square().sum())

        def run() -> Tensor:
            with torch.inference_mode():
                found: Tensor = crf(scores, picture)
            return found

        return run

    return Case("CRF-Grad, " + ("forwards and backwards" if train else "forwards"), make)


def dense_crf_case(logits: Tensor, image: Tensor) -> Case:
    """The fully connected CRF, five steps of mean field."""
    maps, picture = torch.softmax(logits[0], dim=0), image[0]

    def make(device: torch.device) -> Callable[[], Tensor]:
        there, colours = maps.to(device), picture.to(device)
        return lambda: dense_crf(there, colours)

    return Case("dense CRF", make)


def cases(height: int, width: int, batch: int, n_classes: int) -> Iterator[Case]:
    """All cases, on drawn images."""
    draws = torch.Generator().manual_seed(0)
    logits = torch.randn(batch, n_classes, height, width, generator=draws)
    labels = torch.randint(n_classes, (batch, height, width), generator=draws)
    images = 255 * torch.rand(batch, 3, height, width, generator=draws)
    for name in LOSSES:
        yield loss_case(name, logits, labels)
    segnet = CoarseSegNet(n_classes, "squeezenet1_0", random_state=0)
    coarse = 255 * torch.rand(batch, 3, *segnet.input_size, generator=draws)
    cells = torch.randint(n_classes, (batch, *segnet.grid), generator=draws)
    yield network_case("step of the coarse SegNet", segnet, coarse, cells)
    for trained in (False, True):
        fcn = DenseFCN(n_classes, "squeezenet1_0", train_backbone=trained, random_state=0)
        name = "step of a dense network" + (" and its backbone" if trained else "")
        yield network_case(name, fcn, images, labels)
    yield features_case(segnet, images[:1])
    for train in (False, True):
        yield crf_case(logits[:1], images[:1], train)
    yield dense_crf_case(logits, images)


def seconds(run: Callable[[], Tensor], device: torch.device) -> float:
    """Wall seconds of a call, until the device has finished it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    begin = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin


def measure(case: Case, device: torch.device, repeats: int) -> Row:
    """Times and difference of a case on the CPU and on a device."""
    here = torch.device("cpu")
    runs = {"cpu": (case.make(here), here), "device": (case.make(device), device)}
    first = [run().detach().double().cpu() for run, _ in runs.values()]
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, (run, place) in runs.items():
            times[name].append(seconds(run, place))
    largest = max(first[0].abs().max().item(), np.finfo(np.float64).tiny)
    return Row(
        case.name,
        statistics.median(times["cpu"]),
        statistics.median(times["device"]),
        (first[0] - first[1]).abs().max().item() / largest,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="small images, to try the script")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="JSON file to write the figures to")
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("there is no CUDA device here; --device cpu tries the script")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU itself"
    size = (48, 64, 2, 5) if options.small else (180, 240, 8, 21)
    # TF32 would round products to ten bits, and the difference would say nothing.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    print(f"{name} beside the CPU with {torch.get_num_threads()} threads; ", end="")
    print(f"images of {size[1]}x{size[0]}, {size[2]} a step, {size[3]} classes\n")
    print(
        "| | CPU, ms | device, ms | times as fast | difference |\n| --- | --- | --- | --- | --- |"
    )
    rows = []
    for case in cases(*size):
        row = measure(case, device, options.repeats)
        rows.append(row._asdict())
        ratio = row.cpu_s / row.device_s
        print(
            f"| {row.name} | {1e3 * row.cpu_s:.1f} | {1e3 * row.device_s:.1f} | {ratio:.1f} "
            f"| {row.difference:.1e} |",
            flush=True,
        )
    if options.out:
        options.out.write_text(json.dumps({"device": name, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
