"""A dense network with a CRF layer on top, trained as one."""

from __future__ import annotations

from torch import Tensor, nn

from rerank.errors import InputError
from rerank.layers import CRFGrad
from rerank.nets.dense_fcn import DenseFCN
from rerank.nets.training_data import KeptInputs


class DenseCRFNet(nn.Module):
    """`DenseFCN` with `CRFGrad` on top, as in Larsson et al. 2017, section 5.

    Parameters
    ----------
    net : DenseFCN
        Usually trained by itself before.
    layer : CRFGrad
        Of as many labels as the net has classes.

    Raises
    ------
    InputError
        If the numbers differ.

    Examples
    --------
    >>> import torch
    >>> net = DenseCRFNet(DenseFCN(2, "small", random_state=0), CRFGrad(2))
    >>> net.eval()(torch.zeros(1, 3, 24, 32)).shape
    torch.Size([1, 2, 24, 32])
    """

    def __init__(self, net: DenseFCN, layer: CRFGrad) -> None:
        super().__init__()
        if net.n_classes != layer.n_labels:
            raise InputError(
                f"the net has {net.n_classes} classes and the layer "
                f"{layer.n_labels} labels; they must be equal"
            )
        self.net = net
        self.layer = layer
        self.n_classes = net.n_classes

    def forward(self, images: Tensor | KeptInputs) -> Tensor:
        """Return scores (B, C, H, W) for RGB images (B, 3, H, W) in 0..255.

        The layer's `log_scores`, for any loss on logits. The classes' order at a pixel is that
        of the layer's q.
        """
        pictures = images.images if isinstance(images, KeptInputs) else images
        scores: Tensor = self.layer.log_scores(self.layer(self.net(images), pictures))
        return scores
