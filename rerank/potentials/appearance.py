"""Features of superpixels made by hand, as the graphical-model systems of 2008 to 2013 did."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rerank.errors import InputError
from rerank.potentials.colour import colour_channels, histogram_channels
from rerank.potentials.surroundings import above_and_below, cell_means, neighbour_mean, surroundings
from rerank.potentials.texture import filter_bank, orientation_channels, pattern_channels
from rerank.superpixels import (
    POSITION_NAMES,
    adjacency_graph,
    check_image,
    lab_image,
    region_mean,
    superpixel_positions,
)
from rerank.types import Array, FloatArray, IntArray

# distances of the places around a superpixel, relative to the image
_NEAR, _FAR = 0.12, 0.3


@dataclass(frozen=True)
class AppearanceFeatures:
    """A feature table and what its columns are.

    Attributes
    ----------
    values : (n, D) float32
        One row per superpixel.
    names : tuple of D str
        Columns, ``block:channel``.
    """

    values: FloatArray
    names: tuple[str, ...]

    def block(self, name: str) -> FloatArray:
        """Columns of one block, for example ``"own"`` or ``"image"``, as (n, d)."""
        columns = [k for k, column in enumerate(self.names) if column.split(":")[0] == name]
        if not columns:
            blocks = list(dict.fromkeys(column.split(":")[0] for column in self.names))
            raise InputError(f"block must be one of {', '.join(blocks)}, got {name!r}")
        return self.values[:, columns]


def appearance_features(
    image: Array, superpixels: IntArray, *, image_mean: bool = False
) -> AppearanceFeatures:
    """Describe superpixels by colour, texture, gradient, position, shape and surroundings.

    In the manner of TextonBoost (Shotton et al. 2009) and Gould et al. 2009, without any learned
    part. Blocks of columns:

    - ``own``: means over the superpixel of Lab, saturation and hue, soft histograms of L, a and b,
      rectified derivative filters and local deviations, gradient orientations at two scales and
      local binary patterns at two radii;
    - ``spread``: standard deviations of the colours and filters within the superpixel;
    - ``place``: the columns of `superpixel_positions`;
    - ``ring``, ``ring2``: means of ``own`` over neighbours, and over neighbours of neighbours;
    - ``above_0.12`` ... ``below_right_0.3``: colours and filters at two distances in eight
      directions; ``all_above``, ``all_below``: their means over everything above and below;
    - ``image``: means of ``own`` over the whole image, if asked for.

    All but ``place`` are signed square roots, ``sign(v) * sqrt(|v|)``: histograms and filter
    responses are heavy-tailed, and a root evens them out.

    Parameters
    ----------
    image : (H, W, 3) uint8
        RGB, of any size.
    superpixels : (H, W) integer array
        Superpixel of each pixel, 0..n-1, every one used.
    image_mean : bool
        Append the block ``image``. It tells scenes apart where there are hundreds of them; in a
        small data set a classifier can overfit to it.

    Returns
    -------
    AppearanceFeatures
        Of n rows; the columns do not depend on the image's content or size.

    Raises
    ------
    InputError
        If the image is not (H, W, 3) uint8, the map is not a gapless superpixel map, or their
        sizes differ.
    """
    image, superpixels = check_image(image), np.asarray(superpixels)
    graph = adjacency_graph(superpixels, image)
    lab = lab_image(image)
    lightness = np.ascontiguousarray(lab[..., 0])
    basic, basic_names = _join([colour_channels(image, lab), filter_bank(lightness)])
    detail, detail_names = _join(
        [
            histogram_channels(lab),
            orientation_channels(lightness, 1.0),
            orientation_channels(lightness, 2.0),
            pattern_channels(lightness, 1),
            pattern_channels(lightness, 2),
        ]
    )
    basic_mean = region_mean(basic, superpixels)
    square_mean = region_mean(np.square(basic), superpixels)
    own = np.concatenate([basic_mean, region_mean(detail, superpixels)], axis=1)
    own_names = basic_names + detail_names
    place = superpixel_positions(superpixels)
    ring = neighbour_mean(own, graph)
    cells = cell_means(basic)

    blocks: list[FloatArray] = []
    names: list[str] = []

    def add(block: str, values: FloatArray, channels: list[str]) -> None:
        blocks.append(values if block == "place" else np.sign(values) * np.sqrt(np.abs(values)))
        names.extend(f"{block}:{channel}" for channel in channels)

    add("own", own, own_names)
    add("spread", np.sqrt(np.maximum(square_mean - np.square(basic_mean), 0)), basic_names)
    add("place", place, list(POSITION_NAMES))
    add("ring", ring, own_names)
    add("ring2", neighbour_mean(ring, graph), own_names)
    for distance in (_NEAR, _FAR):
        values, directions = surroundings(cells, place[:, 0], place[:, 1], distance)
        for direction, part in zip(directions, np.split(values, len(directions), axis=1)):
            add(direction, part, basic_names)
    for direction, part in zip(("all_above", "all_below"), above_and_below(cells, place[:, 0])):
        add(direction, part, basic_names)
    if image_mean:
        whole = (graph.areas / graph.areas.sum()) @ own
        add("image", np.broadcast_to(whole, own.shape), own_names)
    return AppearanceFeatures(np.concatenate(blocks, axis=1, dtype=np.float32), tuple(names))


def _join(parts: list[tuple[FloatArray, list[str]]]) -> tuple[FloatArray, list[str]]:
    channels = np.concatenate([part for part, _ in parts], axis=-1)
    return channels, [name for _, names in parts for name in names]
