"""Where the file of a backbone's ImageNet weights lies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rerank.errors import DataError

#: Names of the files that hold an architecture's weights, the preferred one first.
WEIGHT_FILES = {
    "squeezenet1_0": ("squeezenet1_0_imagenet_caffe.npz", "squeezenet1_0.pth"),
    "alexnet": ("alexnet.pth",),
    "caffenet": ("bvlc_reference_caffenet.caffemodel",),
    "timm/tf_efficientnet_lite0": (
        "efficientnet-lite0-57934424.pth",
        "tf_efficientnet_lite0-0aa007d2.pth",
    ),
}


def find_weights(
    names: Sequence[str],
    data_root: Path | None,
    remedy: str = "put the file into one of these folders",
) -> Path:
    """Find a file of weights: as given, or near the data.

    A relative name is also looked for in the data root and the two folders above it, and in a
    folder `weights` in each of the three.

    Parameters
    ----------
    names : sequence of str
        Names or paths of files, any of which will do; in one folder the first is preferred.
    data_root : Path or None
        Folder of the data set; None looks only for the names as given.
    remedy : str
        Ends the error text: what the user can do.

    Returns
    -------
    Path

    Raises
    ------
    DataError
        If there is no such file; the message lists the places.
    """
    places = weight_places(names, data_root)
    for place in places:
        if place.is_file():
            return place
    looked = ", ".join(str(place) for place in places)
    raise DataError(f"{' or '.join(names)}: no such weights file (looked for {looked}); {remedy}")


def weight_places(names: Sequence[str], data_root: Path | None) -> list[Path]:
    """The files that `find_weights` looks for, in its order.

    Parameters
    ----------
    names : sequence of str
    data_root : Path or None

    Returns
    -------
    list of Path
    """
    places = [Path(name) for name in names]
    if data_root is not None:
        root = data_root.resolve()
        places += [
            folder / name
            for base in (root, root.parent, root.parent.parent)
            for folder in (base, base / "weights")
            for name in names
            if not Path(name).is_absolute()
        ]
    return places
