"""HTML texts from the templates of the package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jinja2


def render(template: str, **values: Any) -> str:
    """A template of this folder, filled in.

    Texts are escaped. The filter `embedded` writes plain values as JSON that can stand in a script
    element, and `part(name)` is a script or a style of the folder `web`.

    Parameters
    ----------
    template : str
        File name.
    **values
        What the template names; a name that is missing is an error.

    Returns
    -------
    str
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("rerank", "reports"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["embedded"] = _embedded
    environment.globals["part"] = part_of_page
    return environment.get_template(template).render(**values)


def to_json(value: Any) -> bytes:
    """Plain values as compact JSON; NaN is an error, as JSON has none."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()


def part_of_page(name: str) -> str:
    """A script or a style of the folder `web`."""
    return (Path(__file__).parent / "web" / name).read_text(encoding="utf-8")


def _embedded(value: Any) -> str:
    text = value if isinstance(value, str) else to_json(value).decode()
    # No text can end the script element, or be read as a line's end by it.
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028")
