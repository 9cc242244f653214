"""The ranking problem as a model for the learners of pystruct.

pystruct 0.3.2 runs on Python 3.6 at the latest. This file needs nothing but numpy and no newer
syntax, so that it can be loaded there by its path.
"""

from typing import Any, List, Optional, Sequence

import numpy as np


class ProposalLabel(int):
    """Index of an image's best proposal, which also knows the losses of all of them.

    pystruct asks for ``loss(y, y_hat)`` without the image, so the true label carries them.

    Parameters
    ----------
    index : int
    losses : array-like of shape (M,)

    Attributes
    ----------
    losses : ndarray of shape (M,), float64
    """

    losses: np.ndarray

    def __new__(cls, index: int, losses: Any) -> "ProposalLabel":
        label = super().__new__(cls, index)
        label.losses = np.asarray(losses, dtype=np.float64)
        return label


class ProposalModel:
    """pystruct's model protocol for choosing one of an image's proposals.

    An input x is the matrix (M, D) of an image's features, an output y the index of a proposal;
    the true y of an image is the `ProposalLabel` of its best one. The joint feature is the
    proposal's row, so that pystruct's n-slack objective is that of `StructuredRankSVM`:
    ``1/2 |w|^2 + C sum_i max_m [loss_im - w.(x_i* - x_im)]``. Of equal scores the lowest index
    is inferred.

    Parameters
    ----------
    size_joint_feature : int, optional
        Number of columns; `initialize` finds it in the data.

    Notes
    -----
    The arguments of the methods are those of pystruct. `x` is the (M, D) matrix of an image, `y`
    its label, `y_hat` a proposal's index, `w` the (D,) weights. `X`, `Y` and `Y_hat` are sequences
    of these, one per image. `Y_true`, `relaxed` and `constraints` belong to the protocol and change
    nothing.

    Examples
    --------
    >>> model = ProposalModel()
    >>> x, y = np.array([[1.0, 0.0], [0.0, 2.0]]), ProposalLabel(0, [0.0, 0.5])
    >>> model.initialize([x], [y])
    >>> w = np.array([1.0, 0.4])
    >>> model.inference(x, w), model.loss_augmented_inference(x, y, w), model.loss(y, 1)
    (0, 1, 0.5)
    """

    def __init__(self, size_joint_feature: Optional[int] = None) -> None:
        self.size_joint_feature = size_joint_feature
        self.inference_calls = 0

    def initialize(self, X: Sequence[Any], Y: Sequence[Any]) -> None:
        """Take the number of columns from the first image."""
        self.size_joint_feature = int(X[0].shape[1])

    def joint_feature(self, x: Any, y: int) -> np.ndarray:
        """Features of proposal y, shape (D,)."""
        return np.asarray(x[int(y)])

    def batch_joint_feature(
        self, X: Sequence[Any], Y: Sequence[int], Y_true: Optional[Sequence[int]] = None
    ) -> np.ndarray:
        """Sum of the joint features over the images, shape (D,)."""
        total = np.zeros(X[0].shape[1])
        for x, y in zip(X, Y):
            total += x[int(y)]
        return total

    def inference(
        self,
        x: Any,
        w: np.ndarray,
        relaxed: Optional[bool] = None,
        constraints: Optional[Any] = None,
    ) -> int:
        """Index of the proposal of the highest score; inference is exact, `relaxed` or not."""
        self.inference_calls += 1
        return int(np.argmax(x.dot(w)))

    def batch_inference(
        self,
        X: Sequence[Any],
        w: np.ndarray,
        relaxed: Optional[bool] = None,
        constraints: Optional[Any] = None,
    ) -> List[int]:
        """`inference` for each image."""
        return [self.inference(x, w) for x in X]

    def loss_augmented_inference(
        self, x: Any, y: ProposalLabel, w: np.ndarray, relaxed: Optional[bool] = None
    ) -> int:
        """Index of the proposal of the highest score plus loss."""
        self.inference_calls += 1
        return int(np.argmax(x.dot(w) + y.losses))

    def batch_loss_augmented_inference(
        self,
        X: Sequence[Any],
        Y: Sequence[ProposalLabel],
        w: np.ndarray,
        relaxed: Optional[bool] = None,
    ) -> List[int]:
        """`loss_augmented_inference` for each image."""
        return [self.loss_augmented_inference(x, y, w) for x, y in zip(X, Y)]

    def loss(self, y: ProposalLabel, y_hat: int) -> float:
        """Loss of proposal y_hat."""
        return float(y.losses[int(y_hat)])

    def batch_loss(self, Y: Sequence[ProposalLabel], Y_hat: Sequence[int]) -> List[float]:
        """`loss` for each image."""
        return [self.loss(y, y_hat) for y, y_hat in zip(Y, Y_hat)]

    def max_loss(self, y: ProposalLabel) -> float:
        """Largest loss of the image's proposals."""
        return float(y.losses.max())
