"""The page of a run: one HTML file with its scripts, styles, numbers and pictures.

Charts are drawn by about three hundred lines of JavaScript of our own (`web/charts.js`). The
plotting libraries that Python packages carry (Bokeh, Plotly, Vega) weigh 0.8 to 4 MB each, more
than all numbers and thumbnails of a run of 500 images.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2

from rerank.reports.embedded_pictures import data_uri

#: Names of what a run keeps for its page: all numbers, and of each image a picture and a view.
NUMBERS, THUMBNAIL, VIEW = "report.json", "thumbnail.webp", "view.json"
#: The page, and the folder beside it that holds the images' views where they are too large for it.
PAGE, IMAGES = "report.html", "report_images"
#: Bytes of pictures and views that the page itself holds at most.
MOST_INLINE = 32 << 20
#: Scripts in the order in which they run.
SCRIPTS = ("charts", "controls", "tables", "matrix", "gallery", "pixels", "image_view", "run_page")


class ShownImage(NamedTuple):
    """What a page shows of one image: `thumbnail` a WebP file, `view` JSON."""

    thumbnail: bytes
    view: bytes


def to_json(value: Any) -> bytes:
    """Plain values as compact JSON; NaN is an error, as JSON has none."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()


def run_page_files(
    numbers: Mapping[str, Any],
    images: Sequence[ShownImage],
    timings: Sequence[Mapping[str, object]] = (),
    most_inline: int = MOST_INLINE,
) -> dict[str, bytes]:
    """The page of a run, and the files beside it.

    Parameters
    ----------
    numbers : mapping
        What the stage `pages` wrote, as plain values.
    images : sequence of ShownImage
        In the order of ``numbers["images"]``.
    timings : sequence of mapping
        Rows of the table of stages.
    most_inline : int
        Bytes of thumbnails and views that the page holds at most. Where there are more, each
        image's own lie in the folder `report_images`, and are loaded when they are looked at.

    Returns
    -------
    mapping of file name to bytes
        `report.html` and, of many images, `report_images/000000.js` and `.webp`.
    """
    # Base64 is a third larger than what it encodes; views are base64 already.
    weight = sum(len(image.thumbnail) * 4 // 3 + len(image.view) for image in images)
    linked = weight > most_inline
    page = _render(
        "run_page.html",
        title=f"rerank: {numbers['name']}",
        numbers={**numbers, "timings": list(timings), "linked": IMAGES if linked else None},
        thumbnails=[] if linked else [data_uri(image.thumbnail) for image in images],
        views=[] if linked else [image.view.decode() for image in images],
        scripts=SCRIPTS,
    )
    files = {PAGE: page.encode()}
    if linked:
        for index, image in enumerate(images):
            files[f"{IMAGES}/{index:06d}.webp"] = image.thumbnail
            script = b"window.rerankView(%d,%s);\n" % (index, image.view)
            files[f"{IMAGES}/{index:06d}.js"] = script
    return files


def comparison_page(content: Mapping[str, Any]) -> bytes:
    """The page that shows runs side by side.

    Parameters
    ----------
    content : mapping
        Of `rerank.reports.run_comparison.comparison_record`.

    Returns
    -------
    bytes
    """
    scripts = ("charts", "controls", "tables", "compare")
    title = "rerank: " + " and ".join(run["label"] for run in content["runs"])
    return _render("compare.html", title=title, numbers=content, scripts=scripts).encode()


def part_of_page(name: str) -> str:
    """A script or style of the page, from the package."""
    return (Path(__file__).parent / "web" / name).read_text(encoding="utf-8")


def _embedded(value: Any) -> str:
    """JSON that can stand in a script element, whatever the texts in it are."""
    text = value if isinstance(value, str) else to_json(value).decode()
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028")


def _render(template: str, **values: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("rerank", "reports/web"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["embedded"] = _embedded
    environment.globals["part"] = part_of_page
    return environment.get_template(template).render(**values)
