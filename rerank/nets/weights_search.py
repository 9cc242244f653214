"""Where the ImageNet weights of a backbone lie."""

from __future__ import annotations

from pathlib import Path

from rerank.errors import DataError

_FILES = {
    "squeezenet1_0": ("squeezenet1_0_imagenet_caffe.npz", "squeezenet1_0.pth"),
    "alexnet": ("alexnet.pth",),
    "caffenet": ("bvlc_reference_caffenet.caffemodel",),
}


def find_backbone_weights(data_root: Path, architecture: str) -> str:
    """The file of weights in or near the data root, or in a folder `weights` there.

    Raises
    ------
    DataError
        If there is none; the message lists where it was looked for.
    """
    root = data_root.resolve()
    folders = [
        folder
        for base in (root, root.parent, root.parent.parent)
        for folder in (base, base / "weights")
    ]
    for folder in folders:
        for name in _FILES[architecture]:
            if (folder / name).is_file():
                return str(folder / name)
    raise DataError(
        f"no weights of {architecture} ({' or '.join(_FILES[architecture])}) in "
        f"{', '.join(str(folder) for folder in folders)}; put the file into one of "
        "these folders"
    )
