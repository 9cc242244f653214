"""Block-coordinate ascent on the dual of the structured hinge, over a working set."""

from __future__ import annotations

import numpy as np
from numba import njit

from rerank.types import FloatArray, IntArray


class WorkingSet:
    """The constraints found so far, and the dual variables that go with them.

    Constraint a of image i says: the best proposal's score exceeds that of proposal m by the loss
    of m. Its difference is ``d_a = (x_i* - x_im) * inverse``, its dual variable alpha_a >= 0, and
    the variables of an image sum to at most C. The weights are ``w = sum_a alpha_a d_a``.

    Attributes
    ----------
    differences : ndarray of shape (capacity, D), float64
    losses, alphas : ndarrays of shape (capacity,), float64
    image : ndarray of shape (capacity,), int64
    slots : ndarray of shape (n_images, width), int64
        Constraints of each image, -1 where there is none.
    counts : ndarray of shape (n_images,), int64
    gram : ndarray of shape (n_images, width, width), float64
        Inner products of the constraints of one image.
    size : int
        Constraints in use.
    """

    def __init__(self, n_images: int, n_columns: int) -> None:
        capacity = max(64, 2 * n_images)
        self.differences = np.empty((capacity, n_columns))
        self.losses = np.empty(capacity)
        self.alphas = np.zeros(capacity)
        self.image = np.empty(capacity, dtype=np.int64)
        self.slots = np.full((n_images, 4), -1, dtype=np.int64)
        self.counts = np.zeros(n_images, dtype=np.int64)
        self.gram = np.zeros((n_images, 4, 4))
        self.size = 0

    def add(self, images: IntArray, differences: FloatArray, losses: FloatArray) -> None:
        """Append constraints, each of another image."""
        new = len(images)
        self._reserve(self.size + new, int(self.counts[images].max(initial=0)) + 1)
        rows = np.arange(self.size, self.size + new)
        self.differences[rows] = differences
        self.losses[rows] = losses
        self.alphas[rows] = 0.0
        self.image[rows] = images
        place = self.counts[images]
        self.slots[images, place] = rows
        self.counts[images] += 1
        self.size += new
        _extend_gram(images, self.differences, self.slots, self.counts, self.gram)

    def weights(self) -> FloatArray:
        """``sum_a alpha_a d_a``, shape (D,)."""
        return self.alphas[:self.size] @ self.differences[:self.size]

    def linear(self) -> float:
        """``sum_a alpha_a loss_a``."""
        return float(self.alphas[:self.size] @ self.losses[:self.size])

    def _reserve(self, size: int, width: int) -> None:
        capacity = len(self.losses)
        if size > capacity:
            extra = max(size, int(1.5 * capacity)) - capacity
            self.differences = np.concatenate(
                [self.differences, np.empty((extra, self.differences.shape[1]))])
            self.losses = np.concatenate([self.losses, np.empty(extra)])
            self.alphas = np.concatenate([self.alphas, np.zeros(extra)])
            self.image = np.concatenate([self.image, np.empty(extra, dtype=np.int64)])
        old = self.slots.shape[1]
        if width > old:
            extra = max(width, 2 * old) - old
            self.slots = np.pad(self.slots, ((0, 0), (0, extra)), constant_values=-1)
            self.gram = np.pad(self.gram, ((0, 0), (0, extra), (0, extra)))


@njit(cache=True)
def _extend_gram(images, differences, slots, counts, gram):
    for i in images:
        last = counts[i] - 1
        row = differences[slots[i, last]]
        for j in range(last + 1):
            value = np.dot(row, differences[slots[i, j]])
            gram[i, last, j] = value
            gram[i, j, last] = value


@njit(cache=True)
def sweep(order, differences, losses, alphas, slots, counts, gram, weights, C,
          tolerance):
    """Solve the dual of each image in turn, the others fixed; update alphas and weights in place.

    Within an image the pair of variables that violates optimality most is moved to its optimum,
    until the violation is below a tenth of what it was (or `tolerance`); the slack variable that
    takes what is left of C is one of them.

    Returns
    -------
    float
        Sum over the images of C times the violation before their step: an upper bound of what
        is left to gain within the working set.
    """
    total = 0.0
    width = slots.shape[1]
    gradient = np.empty(width + 1)
    before = np.empty(width + 1)
    value = np.empty(width + 1)
    for i in order:
        count = counts[i]
        if count == 0:
            continue
        used = 0.0
        for j in range(count):
            a = slots[i, j]
            gradient[j] = losses[a] - np.dot(differences[a], weights)
            value[j] = alphas[a]
            before[j] = value[j]
            used += value[j]
        gradient[count] = 0.0
        value[count] = max(C - used, 0.0)
        limit = tolerance
        for step in range(20 * (count + 1)):
            up, down = count, -1
            for j in range(count + 1):
                if gradient[j] > gradient[up]:
                    up = j
                if value[j] > 0.0 and (down < 0 or gradient[j] < gradient[down]):
                    down = j
            violation = gradient[up] - gradient[down]
            if step == 0:
                for j in range(count + 1):
                    total += value[j] * (gradient[up] - gradient[j])
                limit = max(tolerance, 0.1 * violation)
            if violation <= limit or up == down:
                break
            curvature = 0.0
            if up < count:
                curvature += gram[i, up, up]
            if down < count:
                curvature += gram[i, down, down]
            if up < count and down < count:
                curvature -= 2.0 * gram[i, up, down]
            move = value[down]
            if violation < move * curvature:
                move = violation / curvature
                value[down] -= move
            else:
                value[down] = 0.0
            value[up] += move
            for j in range(count):
                if up < count:
                    gradient[j] -= move * gram[i, up, j]
                if down < count:
                    gradient[j] += move * gram[i, down, j]
        for j in range(count):
            change = value[j] - before[j]
            if change != 0.0:
                a = slots[i, j]
                alphas[a] = value[j]
                for column in range(weights.shape[0]):
                    weights[column] += change * differences[a, column]
    return total
