"""Pictures as they are embedded in a page: photographs as JPEG, labelings as palette PNG."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from rerank.types import Array


def photograph(image: Array, width: int = 0) -> bytes:
    """An RGB image as the bytes of a JPEG file.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
    width : int
        Scale a wider image down to this width in pixels; 0 keeps the size.

    Returns
    -------
    bytes
    """
    return _encode(
        _fit(Image.fromarray(np.ascontiguousarray(image)), width, Image.Resampling.LANCZOS),
        "JPEG",
        quality=85,
    )


def label_picture(labels: Array, palette: Array, width: int = 0) -> bytes:
    """A labeling as the bytes of a palette PNG file.

    Parameters
    ----------
    labels : (H, W) integer array
        In 0..255.
    palette : (256, 3) uint8 array
    width : int
        Scale a wider one down to this width in pixels without mixing labels; 0 keeps the size.

    Returns
    -------
    bytes
    """
    picture = Image.fromarray(np.ascontiguousarray(labels, dtype=np.uint8))
    picture.putpalette(np.asarray(palette, dtype=np.uint8).tobytes())
    return _encode(_fit(picture, width, Image.Resampling.NEAREST), "PNG", optimize=True)


def data_uri(picture: bytes) -> str:
    """A PNG or JPEG file as text that an HTML page can hold."""
    kind = "png" if picture.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"


def _fit(picture: Image.Image, width: int, resampling: Image.Resampling) -> Image.Image:
    if not width or picture.width <= width:
        return picture
    height = max(1, round(picture.height * width / picture.width))
    return picture.resize((width, height), resampling)


def _encode(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()
