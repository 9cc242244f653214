"""Texts of users never become markup or scripts of a page."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from rerank.reports.run_page import ShownImage, linked_names, linked_view, render_run_page
from rerank.reports.templates import part_of_page, to_json

WILD = '</script><img src=x onerror=alert(1)>\u2028<!--"'
NUMBERS = {"name": WILD, "classes": [WILD], "images": [{"id": WILD}], "populations": []}


def scripts(page: str) -> list[str]:
    return re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)


def test_wild_names_stay_texts() -> None:
    view = to_json({"id": WILD})
    page = render_run_page(NUMBERS, [ShownImage(b"RIFFxx", view)], [{"stage": WILD}])
    assert "<img" not in page and "\u2028" not in page.split("<main>")[1]
    numbers, thumbnails, first = map(json.loads, scripts(page))
    assert numbers["name"] == WILD and numbers["classes"] == [WILD]
    assert numbers["timings"] == [{"stage": WILD}] and numbers["linked"] is None
    assert thumbnails == ["data:image/webp;base64,UklGRnh4"] and first == {"id": WILD}
    assert page.count("<script") == page.count("</script>")
    assert f"<title>rerank: {WILD}" not in page


def test_views_beside_the_page_are_scripts() -> None:
    page = render_run_page(NUMBERS, None)
    assert json.loads(scripts(page)[0])["linked"] == "report_images" and len(scripts(page)) == 2
    assert linked_names(17) == ("report_images/000017.webp", "report_images/000017.js")
    assert linked_view(17, b'{"a":1}') == b'window.rerankView(17,{"a":1});\n'


def test_json_has_no_nan() -> None:
    with pytest.raises(ValueError, match="JSON"):
        to_json({"x": np.nan})


@pytest.mark.parametrize("name", ["charts.js", "gallery.js", "page.css"])
def test_parts_need_nothing_from_outside(name: str) -> None:
    text = part_of_page(name)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\(|fetch\(", text)
    assert "</script" not in text and len(text.splitlines()) < 300
