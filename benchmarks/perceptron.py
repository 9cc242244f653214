"""Is a perceptron of superpixels trained faster by our own numpy code or by torch's AdamW?

    OMP_NUM_THREADS=1 python benchmarks/perceptron.py

The same law in both: minibatches, dropout masks and the schedule of rates are drawn by one code.
Sizes are those of the recipes: 568 features made by hand, 1,280 channels of SqueezeNet at one scale
of the image and 3,848 columns at three scales, with 128 hidden units. One thread, CPU seconds of
a training, medians over rounds in which both take turns; the ratio is the median of the rounds'
own ratios.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from torch.nn import functional as F

from rerank.potentials.perceptron import (
    Perceptron,
    PerceptronTraining,
    dropout_factors,
    initial_perceptron,
    rate_factor,
    train_perceptron,
)
from rerank.potentials.standardised_rows import StandardisedRows
from rerank.types import FloatArray

#: (what, features, hidden units, classes)
SIZES = (
    ("by hand, horses", 568, 128, 2),
    ("by hand, MSRC-21", 568, 128, 21),
    ("deep, one scale", 1280, 128, 21),
    ("deep, three scales", 3848, 128, 2),
    ("deep, no hidden layer", 1280, 0, 21),
)


def train_torch(
    data: StandardisedRows,
    target: FloatArray,
    *,
    hidden: int,
    n_steps: int,
    weight_decay: float,
    training: PerceptronTraining,
    rng: np.random.Generator,
) -> Perceptron:
    """Train as `train_perceptron` does, by autograd and torch's fused AdamW."""
    model = initial_perceptron(data.features.shape[1], hidden, target, rng)
    weights, biases = (
        [torch.from_numpy(values).requires_grad_() for values in group]
        for group in (model.weights, model.biases)
    )
    groups = [{"params": weights, "weight_decay": weight_decay}, {"params": biases}]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.0, fused=True)
    n_rows = data.rows.size
    for step in range(n_steps):
        batch = rng.integers(n_rows, size=min(training.batch_size, n_rows))
        x = torch.from_numpy(data.take(batch))
        if hidden:
            x = F.relu(F.linear(x, weights[0], biases[0]))
            factors = dropout_factors((len(batch), hidden), training.dropout, rng)
            if factors is not None:
                x = x * torch.from_numpy(factors)
        logits = F.linear(x, weights[-1], biases[-1])
        loss = F.cross_entropy(logits, torch.from_numpy(target[batch]))
        for group in optimiser.param_groups:
            group["lr"] = training.learning_rate * rate_factor(step, n_steps)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=20000, help="superpixels to draw from")
    parser.add_argument("--steps", type=int, default=300, help="a recipe takes 1500")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name, n_features, hidden, n_classes in SIZES:
        rng = np.random.default_rng(0)
        values = rng.standard_normal((arguments.rows, n_features), dtype=np.float32)
        data = StandardisedRows(
            values.astype(np.float16),
            np.arange(arguments.rows),
            np.zeros(n_features, np.float32),
            np.ones(n_features, np.float32),
        )
        target = rng.random((arguments.rows, n_classes), dtype=np.float32)
        seconds: dict[str, list[float]] = {"ours": [], "torch": []}
        # The first round warms both up and is not counted.
        for turn in range(arguments.rounds + 1):
            for key, train in (("ours", train_perceptron), ("torch", train_torch)):
                start = time.process_time()
                train(
                    data,
                    target,
                    hidden=hidden,
                    n_steps=arguments.steps if turn else 10,
                    weight_decay=1.0,
                    training=PerceptronTraining(),
                    rng=np.random.default_rng(1),
                )
                if turn:
                    seconds[key].append(time.process_time() - start)
        ours, torchs = (np.array(seconds[key]) for key in ("ours", "torch"))
        print(
            f"{name:22} D={n_features:4} hidden={hidden:3} C={n_classes:2}  "
            f"ours {np.median(ours):5.2f} s  torch {np.median(torchs):5.2f} s  "
            f"torch/ours {np.median(torchs / ours):.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
