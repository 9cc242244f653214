"""How a backbone's input is made from RGB bytes: channel order, scale, mean, deviation."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rerank.errors import ConfigError


@dataclass(frozen=True)
class Preprocessing:
    """The affine map from an RGB image in 0..255 to what a backbone was trained on.

    A channel is turned into `(value * scale - mean) / std`; the channels are then in
    `channel_order`, and `mean` and `std` are given in that order.

    Parameters
    ----------
    channel_order : {"RGB", "BGR"}
        Order of the channels that the network expects.
    scale : float
        Factor applied to values in 0..255, above 0.
    mean, std : tuple of 3 floats
        Subtracted and divided by after the scaling; `std` is above 0.

    Raises
    ------
    ConfigError
        If the order is unknown, or a number is missing, not finite or not above 0 where it
        must be.

    Examples
    --------
    >>> preprocessing_by_name("caffe").mean
    (104.0, 117.0, 123.0)
    """

    channel_order: str
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        if self.channel_order not in ("RGB", "BGR"):
            raise ConfigError(
                f"preprocessing: channel_order must be 'RGB' or 'BGR', got {self.channel_order!r}"
            )
        for name, values in (("scale", (self.scale,)), ("mean", self.mean), ("std", self.std)):
            if name != "scale" and len(values) != 3:
                raise ConfigError(f"preprocessing: {name} must hold 3 numbers, got {values}")
            if not all(math.isfinite(v) for v in values):
                raise ConfigError(f"preprocessing: {name} must be finite, got {values}")
            if name != "mean" and not all(v > 0 for v in values):
                raise ConfigError(f"preprocessing: {name} must be above 0, got {values}")

    def to_json(self) -> str:
        """Return the record as a JSON object, as it is kept in a weights file."""
        return json.dumps(asdict(self))

    @classmethod
    def from_mapping(cls, record: Mapping[str, Any]) -> Preprocessing:
        """Build the record from a mapping with exactly its four keys.

        Raises
        ------
        ConfigError
            If a key is missing or unknown, or a value is of the wrong type.
        """
        expected = {"channel_order", "scale", "mean", "std"}
        if set(record) != expected:
            raise ConfigError(
                f"preprocessing: expected the keys {sorted(expected)}, got {sorted(record)}"
            )
        try:
            return cls(
                str(record["channel_order"]),
                float(record["scale"]),
                _triple(record["mean"]),
                _triple(record["std"]),
            )
        except (TypeError, ValueError, OverflowError) as error:
            raise ConfigError(f"preprocessing: {error}") from error

    @classmethod
    def from_json(cls, text: str) -> Preprocessing:
        """Read what `to_json` wrote.

        Raises
        ------
        ConfigError
            If the text is no JSON object with the four keys.
        """
        try:
            record = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ConfigError(f"preprocessing: not JSON: {error}") from error
        if not isinstance(record, dict):
            raise ConfigError(f"preprocessing: expected a JSON object, got {text[:80]!r}")
        return cls.from_mapping(record)


def _triple(values: Any) -> tuple[float, float, float]:
    first, second, third = (float(v) for v in values)
    return first, second, third


#: "caffe": BGR in 0..255 less the ImageNet mean colour, as for the models of BVLC.
#: "torchvision": RGB in 0..1, standardised with ImageNet's mean and deviation.
PREPROCESSINGS: Mapping[str, Preprocessing] = {
    "caffe": Preprocessing("BGR", 1.0, (104.0, 117.0, 123.0), (1.0, 1.0, 1.0)),
    "torchvision": Preprocessing("RGB", 1.0 / 255.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


def preprocessing_by_name(name: str) -> Preprocessing:
    """Return the preprocessing called "caffe" or "torchvision".

    Raises
    ------
    ConfigError
        If the name is unknown.
    """
    if name not in PREPROCESSINGS:
        raise ConfigError(
            f"preprocessing must be one of {', '.join(sorted(PREPROCESSINGS))}, got {name!r}"
        )
    return PREPROCESSINGS[name]
