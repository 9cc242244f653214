"""The training of a dense network on labelled images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rerank.errors import InputError
from rerank.nets.activation_maps import torch_threads, warp_image
from rerank.nets.augmented_images import AugmentedImages, LabelledImage, LabelledImages
from rerank.nets.backbone_weights import BackboneWeights
from rerank.nets.crf_net import DenseCRFNet
from rerank.nets.dense_network import DenseNetwork, DenseNetworkSettings, new_fcn, new_model
from rerank.nets.devices import device_of
from rerank.nets.kept_activations import KeptActivations, resize_labels
from rerank.nets.training import Progress, train
from rerank.nets.training_data import TrainingData
from rerank.types import Array


def keep_activations(
    samples: LabelledImages,
    n_classes: int,
    settings: DenseNetworkSettings,
    weights: BackboneWeights | str | Path | None = None,
) -> KeptActivations:
    """Run the frozen backbone once over images whose folds are then drawn by `subset`.

    The backbone was trained on none of them, so that activations may be shared by all folds.

    Parameters
    ----------
    samples : sequence of records with `image` and `labels`
    n_classes : int
    settings : DenseNetworkSettings
        With a frozen backbone.
    weights : BackboneWeights, str or Path, optional
        Of the backbone; None draws it at random.

    Returns
    -------
    KeptActivations

    Raises
    ------
    InputError
        If there is no sample, or the settings train the backbone.
    """
    return KeptActivations(new_fcn(n_classes, settings, weights), samples, settings.size)


def fit_dense_network(
    samples: LabelledImages | KeptActivations,
    n_classes: int,
    settings: DenseNetworkSettings,
    weights: BackboneWeights | str | Path | None = None,
    *,
    n_threads: int | None = 1,
    progress: Callable[[Progress], None] | None = None,
    checkpoint: Path | None = None,
) -> DenseNetwork:
    """Train a dense network on labelled images, for instance those of all folds but one.

    Parameters
    ----------
    samples : sequence of records with `image` and `labels`, or KeptActivations
        Training images; or what `keep_activations(...).subset(indices)` gives of them.
    n_classes : int
    settings : DenseNetworkSettings
    weights : BackboneWeights, str or Path, optional
        Of the backbone; None draws it at random.
    n_threads : int, optional
        Threads of torch; None leaves torch's setting as it is.
    progress : callable, optional
        Called with a `Progress` after each step of either training.
    checkpoint : Path, optional
        First part of the names of two files, from which an interrupted training goes on.

    Returns
    -------
    DenseNetwork

    Raises
    ------
    InputError
        If there is no sample, kept activations are of another size, or they are given although
        the backbone is trained.
    ConfigError
        If the loss or the architecture is unknown.
    DataError
        If weights or a checkpoint are unusable.
    """
    model = new_model(n_classes, settings, weights)
    net = model.net if isinstance(model, DenseCRFNet) else model
    data: TrainingData
    if isinstance(samples, KeptActivations):
        if settings.train_backbone:
            raise InputError("kept activations are of a frozen backbone; give the images")
        if samples.images.shape[1:3] != tuple(settings.size):
            raise InputError(
                f"activations were kept at {samples.images.shape[1:3]}, the settings "
                f"ask for {tuple(settings.size)}"
            )
        data = samples
    elif settings.train_backbone:
        # At the scale that the network will see, give or take a factor of two.
        data = AugmentedImages(
            [_resized(samples[index], settings.size) for index in range(len(samples))],
            settings.size,
            (0.5, 2.0),
        )
    else:
        data = KeptActivations(net, samples, settings.size, n_threads=n_threads)
    with torch_threads(n_threads):
        history = [
            train(
                net,
                data,
                settings.config(),
                device=device_of(net),
                progress=progress,
                checkpoint=_beside(checkpoint, ".net.ckpt"),
            )
        ]
        if isinstance(model, DenseCRFNet):
            history.append(
                train(
                    model,
                    data,
                    settings.joint_config(),
                    device=device_of(net),
                    progress=progress,
                    checkpoint=_beside(checkpoint, ".joint.ckpt"),
                )
            )
    return DenseNetwork(model.eval(), settings, tuple(history))


@dataclass(frozen=True, eq=False)
class _Resized:
    image: Array
    labels: Array


def _resized(sample: LabelledImage, size: tuple[int, int]) -> _Resized:
    return _Resized(warp_image(sample.image, size), resize_labels(sample.labels, size))


def _beside(path: Path | None, ending: str) -> Path | None:
    return None if path is None else path.with_name(path.name + ending)
