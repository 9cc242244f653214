"""YAML of settings, from anyone: plain values, few, and not nested without end."""

from __future__ import annotations

import re
from typing import Any

import yaml

#: Longer texts are not settings.
MOST_BYTES = 1 << 20
_MOST_NODES, _MOST_DEPTH = 20_000, 30


class _Loader(yaml.SafeLoader):
    """Reads 1e-3 as a number, as YAML 1.2 and JSON do; YAML 1.1 reads it as a string."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def read_yaml(text: str) -> Any:
    """Plain values from YAML.

    Parameters
    ----------
    text : str

    Raises
    ------
    ValueError
        If it is not YAML, or has more than 1 MiB, 20,000 values or 30 levels, each alias counted
        with all that it stands for.

    Examples
    --------
    >>> read_yaml("{a: 1e-3, b: [x, 2]}")
    {'a': 0.001, 'b': ['x', 2]}
    """
    if len(text) > MOST_BYTES:
        raise ValueError(f"longer than {MOST_BYTES} characters")
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _count(node, 0, 0)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except (yaml.YAMLError, RecursionError, TypeError, OverflowError, AttributeError) as error:
        raise ValueError(str(error) or type(error).__name__) from None


def _count(node: Any, seen: int, depth: int) -> int:
    """How many values there are with those of a node, when its aliases are written out."""
    if depth > _MOST_DEPTH:
        raise ValueError(f"more than {_MOST_DEPTH} levels")
    if seen > _MOST_NODES:
        raise ValueError(f"more than {_MOST_NODES} values")
    seen += 1
    children = node.value if isinstance(node, yaml.CollectionNode) else ()
    for child in children:
        for part in child if isinstance(child, tuple) else (child,):
            seen = _count(part, seen, depth + 1)
    return seen
