"""Where the cells of a network's maps lie in its input, found by following the maps' shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from rerank.errors import InputError
from rerank.nets.backbone import LayerGeometry

aten = torch.ops.aten


class _Tracker(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows stride and first centre through each operation; tensors are known by identity."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        # Tensors are kept, so that an identity is not used twice.
        self.known: dict[int, tuple[Tensor, LayerGeometry]] = {
            id(image): (image, LayerGeometry(1, 0.5))
        }

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        sources = [a for a in _tensors(args) if id(a) in self.known]
        if sources:
            # Gates and scales are smaller than the map that they multiply.
            place = self.known[id(max(sources, key=lambda t: t.numel()))][1]
            for output in _tensors((result,)):
                self.known[id(output)] = (output, _moved(func, args, place))
        return result


def _tensors(values: Sequence[Any]) -> list[Tensor]:
    found = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found += [v for v in value if isinstance(v, Tensor)]
    return found


def _moved(func: Any, args: Sequence[Any], place: LayerGeometry) -> LayerGeometry:
    """Stride and first centre after one operation; the vertical axis stands for both."""
    name = func.overloadpacket
    if name is aten.constant_pad_nd:
        pads = args[1]
        top = pads[2] if len(pads) > 2 else 0
        return LayerGeometry(place.stride, place.first_centre - place.stride * top)
    if name is aten.convolution:
        kernel, step = args[1].shape[2], args[3][0]
        padding, dilation = args[4][0], args[5][0]
    elif name in (aten.max_pool2d_with_indices, aten.avg_pool2d):
        kernel = args[1][0]
        step = args[2][0] if len(args) > 2 and args[2] else kernel
        padding = args[3][0] if len(args) > 3 else 0
        dilation = args[4][0] if name is aten.max_pool2d_with_indices and len(args) > 4 else 1
    else:
        return place
    shift = dilation * (kernel - 1) / 2 - padding
    return LayerGeometry(place.stride * step, place.first_centre + place.stride * shift)


def map_geometry(run: Callable[[], Sequence[Tensor]], image: Tensor) -> list[LayerGeometry]:
    """Stride and first centre of maps, from the convolutions and poolings that led to them.

    A residual branch has the geometry of the larger of the maps that are joined. Where padding
    depends on the size of the input, the result is that for this input.

    Parameters
    ----------
    run : callable
        Computes the maps, (1, D, h, w) each; on the device `meta` that costs nothing.
    image : (1, 3, H, W) tensor
        What it starts from.

    Returns
    -------
    list of LayerGeometry

    Raises
    ------
    InputError
        If a map does not come from the image.
    """
    with _Tracker(image) as tracker, torch.no_grad():
        maps = list(run())
    places = [tracker.known.get(id(values)) for values in maps]
    if any(place is None for place in places):
        raise InputError("a map of the network does not come from its input")
    return [place[1] for place in places if place is not None]
