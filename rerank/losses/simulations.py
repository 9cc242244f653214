"""The papers' small experiments on losses, as arrays that can be drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from rerank.errors import InputError
from rerank.losses.surrogate import SurrogateNetwork, fit_surrogate
from rerank.types import VOID, FloatArray, IntArray, RandomState, as_generator
from rerank.validation import check_label_range


@dataclass(frozen=True, eq=False)
class FlipSimulation:
    """IoU and UOI as more and more pixels are wrong.

    Attributes
    ----------
    n_flipped : (T + 1,) int array
        0..T wrong pixels, each a false positive of one class and a false negative of another.
    iou, uoi : (T + 1,) float64 arrays
        Means over the classes of the image, Cogswell et al. 2014, Eq. 2 and 6. UOI is infinite
        where a class has no true positive left.
    """

    n_flipped: IntArray
    iou: FloatArray
    uoi: FloatArray


def simulate_flips(
    labels: IntArray, n_classes: int, ignore_index: int = VOID, random_state: RandomState = 0
) -> FlipSimulation:
    """Flip the pixels of a label image one by one, in random order, to another of its classes.

    The simulation of Cogswell et al. 2014, Fig. 2.

    Parameters
    ----------
    labels : (H, W) integer array
        0..n_classes-1 or `ignore_index`; void pixels are left out.
    n_classes : int
    ignore_index : int
    random_state : int, Generator or None

    Returns
    -------
    FlipSimulation
        Of T flips, T being the number of labelled pixels. Classes that are absent from the
        image take no part.

    Raises
    ------
    InputError
        `labels` are no integers or out of range, or hold fewer than two classes.
    """
    labels = np.asarray(labels)
    check_label_range(labels, n_classes, ignore_index)
    present, truth = np.unique(labels[labels != ignore_index], return_inverse=True)
    n_present = len(present)
    if n_present < 2:
        raise InputError(f"labels must hold at least 2 classes to flip between, got {n_present}")
    rng = as_generator(random_state)
    truth = rng.permutation(truth.ravel())
    wrong = (truth + rng.integers(1, n_present, len(truth))) % n_present
    start = np.zeros((1, n_present), dtype=np.int64)
    missed = np.concatenate([start, np.cumsum(np.eye(n_present, dtype=np.int64)[truth], axis=0)])
    false = np.concatenate([start, np.cumsum(np.eye(n_present, dtype=np.int64)[wrong], axis=0)])
    sizes = missed[-1]
    hits, unions = sizes - missed, sizes + false
    inverse = np.divide(unions, hits, out=np.full(hits.shape, np.inf), where=hits > 0)
    return FlipSimulation(
        np.arange(len(truth) + 1), (hits / unions).mean(axis=1), inverse.mean(axis=1)
    )


@dataclass(frozen=True, eq=False)
class DiscontinuityFit:
    """A function with a jump, its derivative, and what a network made of both.

    Attributes
    ----------
    x : (n,) float64 array
        Even steps over [0, 2].
    values, slopes : (n,) float64 arrays
        f(x) = 2 - x below 1 and x + 0.1 from there on, and its derivative, NaN at the jump.
    fitted_values, fitted_slopes : (n,) float64 arrays
        The network's.
    """

    x: FloatArray
    values: FloatArray
    slopes: FloatArray
    fitted_values: FloatArray
    fitted_slopes: FloatArray


def fit_discontinuity(
    n_nodes: int = 100, activation: str = "relu", n_steps: int = 2500, random_state: int = 0
) -> DiscontinuityFit:
    """Fit the discontinuous function of Nagendar et al. 2018, section 4.2 and Fig. 2.

    Parameters
    ----------
    n_nodes : int
        Of the one hidden layer.
    activation : str
        As in `SurrogateNetwork`.
    n_steps : int
    random_state : int

    Returns
    -------
    DiscontinuityFit
    """
    x = torch.linspace(0.0, 2.0, 2001, dtype=torch.float64).unsqueeze(1)
    below = (x < 1).squeeze(1)
    values = torch.where(below, 2.0 - x[:, 0], x[:, 0] + 0.1)
    network = SurrogateNetwork(1, (n_nodes,), activation, random_state)
    fit_surrogate(network, x, values, n_steps, learning_rate=1e-2, random_state=random_state)
    leaf = x.float().requires_grad_()
    fitted = network(leaf)
    (slopes,) = torch.autograd.grad(fitted.sum(), leaf)
    expected = np.where(below.numpy(), -1.0, 1.0)
    expected[1000] = np.nan
    return DiscontinuityFit(
        x[:, 0].numpy(),
        values.numpy(),
        expected,
        fitted.detach().double().numpy(),
        slopes[:, 0].double().numpy(),
    )
