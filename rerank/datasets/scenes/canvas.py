"""An image that is painted polygon by polygon, and its mask."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from rerank.datasets.scenes.textures import Picture, Surface

Points = npt.NDArray[np.float64]

_SUBPIXEL_BITS = 4


class Canvas:
    """An image and its labels, painted from far to near.

    Parameters
    ----------
    height, width : int
        Size in pixels.
    label : int
        The class of all pixels before anything is painted.

    Attributes
    ----------
    image : ndarray of shape (H, W, 3), float32 in about 0..1
    labels : ndarray of shape (H, W), uint8
        The class that was painted last over at least half of each pixel.
    """

    def __init__(self, height: int, width: int, label: int) -> None:
        self.height = height
        self.width = width
        self.image: Picture = np.zeros((height, width, 3), dtype=np.float32)
        self.labels = np.full((height, width), label, dtype=np.uint8)

    def fill(
        self,
        polygons: Sequence[Points],
        surface: Surface,
        colour: Picture,
        label: int,
        rng: np.random.Generator,
        light: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """Fill the union of polygons.

        Parameters
        ----------
        polygons : sequence of ndarray of shape (k, 2)
            Corners as (x, y) in pixels; what lies outside of the image is cut off.
        surface : Surface
            Makes the texture.
        colour : ndarray of shape (3,), float32 in 0..1
        label : int
            Class of what is painted.
        rng : numpy.random.Generator
            Draws the details of the texture.
        light : (float, float)
            Brightening from left to right and from top to bottom over the bounding box of the
            polygons, as a share of the colour.
        """
        cut = self._coverage(polygons)
        if cut is None:
            return
        alpha, top, left = cut
        height, width = alpha.shape
        texture = surface(height, width, colour, rng)
        across = np.linspace(-0.5, 0.5, width, dtype=np.float32)[np.newaxis, :]
        down = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, np.newaxis]
        texture = texture * (1.0 + light[0] * across + light[1] * down)[:, :, np.newaxis]
        place = (slice(top, top + height), slice(left, left + width))
        cover = alpha[:, :, np.newaxis]
        self.image[place] += cover * (texture - self.image[place])
        self.labels[place][alpha >= 0.5] = label

    def darken(self, polygons: Sequence[Points], strength: float) -> None:
        """Cast a soft shadow, which changes no label.

        Parameters
        ----------
        polygons : sequence of ndarray of shape (k, 2)
            As for `fill`.
        strength : float in 0..1
            0 changes nothing, 1 is black.
        """
        cut = self._coverage(polygons)
        if cut is None:
            return
        alpha, top, left = cut
        soft = cv2.GaussianBlur(alpha, (0, 0), sigmaX=1.2)
        place = (slice(top, top + alpha.shape[0]), slice(left, left + alpha.shape[1]))
        self.image[place] *= 1.0 - strength * soft[:, :, np.newaxis]

    def _coverage(self, polygons: Sequence[Points]) -> tuple[Picture, int, int] | None:
        """Return the covered share of each pixel in the polygons' bounding box, and its corner."""
        corners = np.concatenate(list(polygons))
        left, top = np.maximum(np.floor(corners.min(axis=0)) - 1, 0).astype(int)
        right, bottom = np.minimum(
            np.ceil(corners.max(axis=0)) + 2, [self.width, self.height]
        ).astype(int)
        if right - left < 1 or bottom - top < 1:
            return None
        cover = np.zeros((bottom - top, right - left), dtype=np.uint8)
        for polygon in polygons:
            fixed = np.rint((polygon - [left, top]) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
            cv2.fillPoly(cover, [fixed], 255, lineType=cv2.LINE_AA, shift=_SUBPIXEL_BITS)
        return cover.astype(np.float32) / np.float32(255.0), int(top), int(left)


def ellipse(x: float, y: float, across: float, down: float, tilt: float = 0.0) -> Points:
    """Corners of a polygon that approximates an ellipse.

    Parameters
    ----------
    x, y : float
        Centre in pixels.
    across, down : float
        Half-axes in pixels.
    tilt : float
        Angle in radians.

    Returns
    -------
    ndarray of shape (28, 2), float64
    """
    turn = np.linspace(0.0, 2.0 * np.pi, 28, endpoint=False)
    flat = np.stack([across * np.cos(turn), down * np.sin(turn)], axis=1)
    cosine, sine = np.cos(tilt), np.sin(tilt)
    turned: Points = flat @ np.array([[cosine, sine], [-sine, cosine]]) + [x, y]
    return turned


def box(left: float, top: float, right: float, bottom: float) -> Points:
    """Corners of an upright rectangle.

    Parameters
    ----------
    left, top, right, bottom : float
        Places of its sides in pixels.

    Returns
    -------
    ndarray of shape (4, 2), float64
        Corners as (x, y).
    """
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float64)


def shape(*corners: tuple[float, float]) -> Points:
    """Corners (x, y) as an array of shape (k, 2), float64."""
    return np.asarray(corners, dtype=np.float64)
