"""A dense network in the form of FCN-8s over any of the backbones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from rerank.errors import InputError
from rerank.nets.activation_maps import images_to_tensor, torch_threads
from rerank.nets.backbone import LayerGeometry
from rerank.nets.backbone_filters import build_backbone, draw_normal, initialise, torch_generator
from rerank.nets.backbone_weights import BackboneWeights
from rerank.nets.dropout import SeededDropout
from rerank.nets.resampling import resample
from rerank.nets.training_data import KeptInputs
from rerank.types import Array, FloatArray, RandomState

_PIXELS = LayerGeometry(1, 0.5)


class DenseFCN(nn.Module):
    """Logits at image size from sums of scores of three layers.

    Long et al. 2015, FCN-8s in form: scores from the last layer are interpolated to the grid of
    the middle layer and added to its scores, their sum likewise to the grid of the first layer,
    and the result to the size of the image. Two things differ: interpolation is bilinear between
    the true places of the cells instead of a learned transposed convolution with cropping, and each
    layer is normalised over the batch before its scores, so that one learning rate suits layers of
    any scale.

    Parameters
    ----------
    n_classes : int
        C, at least 1.
    backbone : {"caffenet", "alexnet", "squeezenet1_0", "small"}
        The scores come from conv1, conv2 and conv5 (strides 4, 8, 16), for SqueezeNet from
        fire4, fire8 and fire9 (4, 8, 16), for "small" from conv1, conv2 and conv4 (2, 4, 8).
    weights : BackboneWeights, str or Path, optional
        Of the backbone; None draws them at random.
    train_backbone : bool, optional
        Whether the backbone's filters are trained too, at `TrainConfig.backbone_factor` times
        the learning rate. By default only those of "small".
    width : int
        Filters of the 3x3 layer between the last layer and its scores.
    dropout : float
        Before those scores.
    random_state : int or numpy.random.Generator, optional

    Raises
    ------
    ConfigError
        If the backbone is unknown.
    InputError
        If a number is out of range.
    DataError
        If the weights are unusable.

    Examples
    --------
    >>> net = DenseFCN(11, random_state=0)
    >>> net.eval()(torch.zeros(1, 3, 90, 120)).shape
    torch.Size([1, 11, 90, 120])
    """

    def __init__(
        self,
        n_classes: int,
        backbone: str = "squeezenet1_0",
        weights: BackboneWeights | str | Path | None = None,
        train_backbone: bool | None = None,
        width: int = 128,
        dropout: float = 0.5,
        random_state: RandomState = None,
    ) -> None:
        super().__init__()
        if n_classes < 1 or width < 1:
            raise InputError(f"n_classes and width must be at least 1, got {n_classes} and {width}")
        rng = np.random.default_rng(torch_generator(random_state).initial_seed())
        self.backbone = build_backbone(backbone, weights, rng)
        if train_backbone is not None:
            self.backbone.requires_grad_(train_backbone)
        self.n_classes = n_classes
        self.skip_layers = self.backbone.spec.skip_layers
        depths = self.backbone.depths(self.skip_layers)
        self.drop = SeededDropout(dropout)
        with torch.device("meta"):
            self.norms = nn.ModuleList(nn.BatchNorm2d(depth) for depth in depths)
            self.hidden = nn.Conv2d(depths[-1], width, 3, padding=1)
            self.scores = nn.ModuleList(
                nn.Conv2d(depth, n_classes, 1) for depth in (*depths[:-1], width)
            )
        for added in (self.norms, self.hidden, self.scores):
            initialise(added.to_empty(device="cpu"), rng)
        for parameter in self.scores.parameters():
            if parameter.ndim > 1:
                draw_normal(parameter, 0.01, torch_generator(rng))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def train(self, mode: bool = True) -> DenseFCN:
        """Set training mode; a frozen backbone stays in evaluation mode."""
        super().train(mode)
        if not self.backbone_trains:
            self.backbone.eval()
        return self

    def forward(self, images: Tensor | KeptInputs) -> Tensor:
        """Return logits (B, C, H, W), float32, for RGB images (B, 3, H, W) in 0..255.

        Of `KeptInputs` the kept activations are used, and the backbone is not run.

        Raises
        ------
        InputError
            If the images are not (B, 3, H, W), or too small for the backbone.
        """
        if isinstance(images, KeptInputs):
            outputs, shape = images.activations, images.images.shape
        else:
            outputs, shape = self.skip_activations(images), images.shape
        normed = [norm(output) for norm, output in zip(self.norms, outputs)]
        normed[-1] = self.drop(torch.relu(self.hidden(normed[-1])))
        places = [self.backbone.geometry(name) for name in self.skip_layers]
        total = self.scores[-1](normed[-1])
        for finer in reversed(range(len(normed) - 1)):
            size = (normed[finer].shape[2], normed[finer].shape[3])
            enlarged = resample(total, places[finer + 1], size, places[finer])
            total = enlarged + self.scores[finer](normed[finer])
        return resample(total, places[0], (shape[2], shape[3]), _PIXELS)

    def skip_activations(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the backbone's part of `forward`: the outputs of the skip layers."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.backbone_trains):
            outputs = self.backbone.activations(images, self.skip_layers)
        return tuple(outputs[name] for name in self.skip_layers)

    def predict_proba(
        self, image: Array, size: tuple[int, int] | None = None, n_threads: int | None = 1
    ) -> FloatArray:
        """Return class distributions of an image, without dropout and with running norms.

        Parameters
        ----------
        image : (H, W, 3) uint8 array
            RGB.
        size : (int, int), optional
            Height and width that the image is resized to first; the result has that size.
        n_threads : int, optional
            Threads of torch during the call; None leaves torch's setting as it is.

        Returns
        -------
        (H, W, C) float32 array
        """
        batch = images_to_tensor([image], size or (image.shape[0], image.shape[1]))
        training = self.training
        self.eval()
        with torch_threads(n_threads), torch.inference_mode():
            device = next(self.parameters()).device
            probabilities = torch.softmax(self(batch.to(device)), dim=1)[0].permute(1, 2, 0)
        self.train(training)
        return np.ascontiguousarray(probabilities.cpu().numpy())

    @property
    def backbone_trains(self) -> bool:
        """Whether any of the backbone's parameters asks for a gradient."""
        return any(p.requires_grad for p in self.backbone.parameters())
