"""The page of a run: one HTML file with its scripts, styles, numbers and pictures.

Charts are drawn by about three hundred lines of JavaScript of our own (`web/charts.js`). The
plotting libraries that Python packages carry (Bokeh, Plotly, Vega) weigh 0.8 to 4 MB each, more
than all numbers and thumbnails of a run of 500 images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rerank.reports.embedded_pictures import data_uri
from rerank.reports.templates import render

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


def render_run_page(
    numbers: Mapping[str, Any],
    images: Sequence[ShownImage] | None,
    timings: Sequence[Mapping[str, object]] = (),
) -> str:
    """The page of a run as HTML.

    Parameters
    ----------
    numbers : mapping
        What the stage `pages` wrote, as plain values.
    images : sequence of ShownImage or None
        In the order of ``numbers["images"]``; None where they lie in the folder `report_images`
        beside the page, by the names of `linked_names`, and are loaded when they are looked at.
    timings : sequence of mapping
        Rows of the table of stages.

    Returns
    -------
    str
    """
    linked = IMAGES if images is None else None
    return render(
        "web/run_page.html",
        title=f"rerank: {numbers['name']}",
        numbers={**numbers, "timings": list(timings), "linked": linked},
        thumbnails=[data_uri(image.thumbnail) for image in images or ()],
        views=[image.view.decode() for image in images or ()],
        scripts=SCRIPTS,
    )


def linked_names(index: int) -> tuple[str, str]:
    """Names of the files of an image's thumbnail and view, beside the page."""
    return f"{IMAGES}/{index:06d}.webp", f"{IMAGES}/{index:06d}.js"


def linked_view(index: int, view: bytes) -> bytes:
    """A view as a script, which a page may load where it may not read files.

    Parameters
    ----------
    index : int
        The image's place.
    view : bytes
        JSON.

    Returns
    -------
    bytes
    """
    return b"window.rerankView(%d,%s);\n" % (index, view)


def comparison_page(content: Mapping[str, Any]) -> bytes:
    """The page that shows runs side by side.

    Parameters
    ----------
    content : mapping
        Of `rerank.reports.side_by_side.comparison_record`.

    Returns
    -------
    bytes
    """
    scripts = ("charts", "controls", "tables", "compare")
    title = "rerank: " + " and ".join(run["label"] for run in content["runs"])
    return render("web/compare.html", title=title, numbers=content, scripts=scripts).encode()
