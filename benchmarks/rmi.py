"""What does region mutual information cost beside plain cross-entropy?

    OMP_NUM_THREADS=1 python benchmarks/rmi.py

One thread, CPU time of forward and backward together, medians over rounds in which all take
turns; ratios are medians of the rounds' own ratios. Extra memory is the largest resident size
during a step above that before it, so that the gradient of the logits is in it (Linux alone).
"restated" is the loss written with torch's operations and left to autograd, pooling before the
sigmoid: what a user would write who has no `rerank`.
"""

from __future__ import annotations

import argparse
import ctypes
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from rerank.losses import RMISettings, rmi_loss


def restated(logits: Tensor, labels: Tensor) -> Tensor:
    """Zhao et al. 2019, Eq. 16, by autograd, in float64 from the windows on."""
    n_classes = logits.shape[1]
    truth = F.one_hot(labels, n_classes).permute(0, 3, 1, 2).to(logits.dtype)
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="sum") / labels.numel()
    y = _points(F.avg_pool2d(truth, 4))
    p = _points(torch.sigmoid(F.avg_pool2d(logits, 4)))
    n, d = p.shape[-1], p.shape[-2]
    unit = torch.eye(d, dtype=torch.float64)
    s_p = p @ p.transpose(-1, -2) / n + 1e-12 * unit
    between = y @ p.transpose(-1, -2) / n
    posterior = y @ y.transpose(-1, -2) / n - between @ torch.linalg.solve(
        s_p, between.transpose(-1, -2)
    )
    factor = torch.linalg.cholesky(posterior + 1e-6 * unit)
    information = -factor.diagonal(dim1=-2, dim2=-1).log().sum(dim=-1) / d
    return 0.5 * entropy - 0.5 * information.sum() / len(logits)


def _points(maps: Tensor) -> Tensor:
    b, c = maps.shape[:2]
    points = F.unfold(maps.flatten(0, 1).unsqueeze(1).double(), 3).view(b, c, 9, -1)
    return points - points.mean(dim=-1, keepdim=True)


def step(loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, labels: Tensor) -> float:
    """CPU seconds of one forward and backward pass."""
    logits.grad = None
    begin = time.process_time()
    loss(logits, labels).backward()
    return time.process_time() - begin


def extra_memory(
    loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, labels: Tensor
) -> float | None:
    """MiB; None where the system does not tell."""
    peak = Path("/proc/self/clear_refs")
    if not peak.exists():
        return None
    logits.grad = None
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    peak.write_text("5")
    before = _status("VmRSS")
    loss(logits, labels).backward()
    return (_status("VmHWM") - before) / 1024


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shape", type=int, nargs=4, default=[4, 11, 360, 480])
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    b, c, h, w = options.shape
    logits = torch.randn(b, c, h, w, generator=generator).requires_grad_()
    labels = torch.randint(0, c, (b, h, w), generator=generator)
    with_void = labels.masked_fill(torch.rand(b, h, w, generator=generator) < 0.05, 255)

    losses: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Tensor]] = {
        "cross-entropy": (F.cross_entropy, labels),
        "rmi": (rmi_loss, labels),
        "rmi, float32": (
            lambda z, y: rmi_loss(z, y, settings=RMISettings(dtype=torch.float32)),
            labels,
        ),
        "rmi, 5% void": (rmi_loss, with_void),
        "rmi, maximum": (lambda z, y: rmi_loss(z, y, settings=RMISettings("maximum")), labels),
        "rmi, interpolation": (
            lambda z, y: rmi_loss(z, y, settings=RMISettings("interpolation")),
            labels,
        ),
        "rmi, R = 5": (lambda z, y: rmi_loss(z, y, region_size=5), labels),
        "rmi, DF = 2": (lambda z, y: rmi_loss(z, y, factor=2), labels),
        "restated": (restated, labels),
    }
    for loss, target in losses.values():
        step(loss, logits, target)
    rounds = np.array(
        [
            [step(loss, logits, target) for loss, target in losses.values()]
            for _ in range(options.repeats)
        ]
    )
    print(f"logits {options.shape}, {options.repeats} rounds, torch {torch.__version__}")
    print(f"{'loss':20} {'ms':>8} {'x cross-entropy':>16} {'extra MiB':>10}")
    for k, (name, (loss, target)) in enumerate(losses.items()):
        memory = extra_memory(loss, logits, target)
        told = "" if memory is None else f"{memory:10.0f}"
        print(
            f"{name:20} {1e3 * np.median(rounds[:, k]):8.1f} "
            f"{np.median(rounds[:, k] / rounds[:, 0]):16.2f} {told}"
        )


if __name__ == "__main__":
    main()
