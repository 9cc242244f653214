import re
from html.parser import HTMLParser

import numpy as np

from rerank.metrics import Interval
from rerank.reports import (
    TIMINGS,
    Evaluation,
    Example,
    Page,
    Panel,
    Section,
    TextTable,
    render_page,
    render_text_tables,
    render_timings,
)

WILD = '<script>alert("&")</script>'
ESCAPED = "&lt;script&gt;"
PICTURE = "data:image/png;base64,AAAA"
EVALUATION = Evaluation(
    WILD,
    0.412,
    0.5,
    np.array([0.25, np.nan]),
    Interval(0.412, 0.4, 0.43, 0.95),
    None,
    Interval(-0.013, -0.02, 0.01, 0.95),
)
PAGE = Page(
    title=WILD,
    lead=f"lead {WILD}",
    facts={f"fact {WILD}": f"text {WILD}"},
    legend=[(f"class {WILD}", "rgb(1, 2, 3)")],
    sections=[
        Section(
            "first section", WILD, [EVALUATION], [Panel(WILD, PICTURE)], ["sky", WILD], [EVALUATION]
        ),
        Section("second section", "", ()),
    ],
    examples={
        "some images": [
            Example(WILD, WILD, [Panel(WILD, PICTURE, WILD)], [Panel("", PICTURE, "", "both")])
        ]
    },
    recipe=f"name: {WILD}",
    versions={"rerank": "1.0", "numpy": "2.0"},
)


class Reader(HTMLParser):
    """Collects tags, addresses and headings; fails where tags do not match."""

    VOID = frozenset({"meta", "img", "br", "link", "input", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.headings: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        if self.open and self.open[-1] in ("h2", "h3"):
            self.headings.append(data)


def test_every_section_stands_on_the_page() -> None:
    page = render_page(PAGE)
    found = Reader(page).headings
    assert found == [
        "first section",
        "second section",
        "some images",
        WILD,
        "Time and space",
        "Recipe",
    ]
    assert "rerank 1.0, numpy 2.0" in page and page.count(TIMINGS) == 1
    assert 'figure class="both"' in page


def test_texts_of_users_are_escaped() -> None:
    page = render_page(PAGE)
    assert "<script" not in page and page.count(ESCAPED) >= 14
    assert "script" not in Reader(page).tags


def test_nothing_comes_from_outside() -> None:
    page = render_page(PAGE)
    addresses = Reader(page).addresses
    assert len(addresses) == 3 and all(a.startswith("data:image/") for a in addresses)
    assert not re.search(r"https?:|url\(|@import|<link", page)


def test_figures_are_in_points() -> None:
    page = render_page(PAGE)
    assert "<td>41.2</td>" in page and "40.0 \N{EN DASH} 43.0" in page
    assert "-1.3 <small>(-2.0 to +1.0)</small>" in page
    # The class that is absent has a dash.
    assert "<td>25.0</td>" in page and "<td>\N{EN DASH}</td>" in page


def test_timings() -> None:
    row = {"stage": WILD, "files": 3, "seconds": 1.25, "cpu_seconds": 2.0, "mib": 0.5}
    text = render_timings([{**row, "peak_mib": 99.6}])
    Reader(text)
    cells = re.findall("<td>(.*?)</td>", text)
    assert cells[0].startswith(ESCAPED) and cells[1:] == ["3", "1.2", "2.0", "0.5", "100"]


def test_a_page_of_text_tables() -> None:
    table = TextTable("gains", ("row", WILD), [["a", "1"], [WILD, "2"]])
    page = render_text_tables("title", "lead", [table], ["a note"])
    found = Reader(page)
    assert found.headings == ["gains"] and found.addresses == []
    assert found.tags.count("tr") == 3 and found.tags.count("td") == 4
    assert "<script" not in page and "<li>a note</li>" in page and "<title>title</title>" in page
