"""Published weights of backbones, and their download."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import urlsplit

from rerank.download import Digest, Progress, download_file
from rerank.errors import ConfigError, DataError


class PublishedWeights(NamedTuple):
    """Where weights are published, and the digest that is stated there."""

    url: str
    digest: Digest


#: torchvision and timm name files by the first digits of their SHA-256; BVLC states a SHA-1.
PUBLISHED_WEIGHTS: Mapping[str, PublishedWeights] = MappingProxyType(
    {
        "caffenet": PublishedWeights(
            "http://dl.caffe.berkeleyvision.org/bvlc_reference_caffenet.caffemodel",
            Digest("sha1", "4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46"),
        ),
        "alexnet": PublishedWeights(
            "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
            Digest("sha256", "7be5be79"),
        ),
        "squeezenet1_0": PublishedWeights(
            "https://download.pytorch.org/models/squeezenet1_0-b66bff10.pth",
            Digest("sha256", "b66bff10"),
        ),
        "timm/tf_efficientnet_lite0": PublishedWeights(
            "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/"
            "tf_efficientnet_lite0-0aa007d2.pth",
            Digest("sha256", "0aa007d2"),
        ),
    }
)


def download_backbone_weights(
    name: str,
    path: str | Path,
    sha256: str | None = None,
    *,
    url: str | None = None,
    timeout: float = 60.0,
    progress: Progress | None = None,
) -> Path:
    """Download a backbone's weights and check them.

    A file that is there already and has the digest is left as it is, without a connection. A
    download is written whole or not at all.

    Parameters
    ----------
    name : {"caffenet", "alexnet", "squeezenet1_0", "timm/tf_efficientnet_lite0"}
        Architecture.
    path : str or Path
        File to write, or a folder, in which the file gets its published name.
    sha256 : str, optional
        Digest, or at least its first 8 hexadecimal digits; by default the published one.
        Needed with `url`.
    url : str, optional
        Another source, http, https or file.
    timeout : float
        Seconds without an answer after which the download fails.
    progress : callable, optional
        Called with the bytes so far and in all (None where the server does not say).

    Returns
    -------
    Path
        The file, to be given to `build_backbone`.

    Raises
    ------
    ConfigError
        If the name is unknown, `url` comes without `sha256` or with another scheme, or the
        digest is too short or no hexadecimal number.
    DataError
        If the source cannot be reached, or the file has another digest.
    """
    if name not in PUBLISHED_WEIGHTS:
        raise ConfigError(
            f"weights to download must be one of {', '.join(PUBLISHED_WEIGHTS)}, got {name!r}"
        )
    source, digest = PUBLISHED_WEIGHTS[name]
    if sha256 is not None:
        digest = Digest("sha256", sha256.lower())
    if url is not None:
        if sha256 is None:
            raise ConfigError(f"another source must come with its sha256, got {url!r}")
        source = url
    file = Path(path)
    if file.is_dir():
        file = file / urlsplit(source).path.rsplit("/", 1)[-1]
    if file.exists():
        difference = digest.difference(file)
        if difference is not None:
            raise DataError(f"{file}: is there, but {difference}; delete it to download it again")
        return file
    download_file(source, file, digest, timeout=timeout, progress=progress)
    return file
