from html.parser import HTMLParser

from rerank.reports import TextTable, render_text_tables

WILD = '<script>alert("&")</script>'


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


def test_a_page_of_text_tables() -> None:
    table = TextTable("gains", ("row", WILD), [["a", "1"], [WILD, "2"]])
    page = render_text_tables("title", "lead", [table], ["a note"])
    found = Reader(page)
    assert found.headings == ["gains"] and found.addresses == []
    assert found.tags.count("tr") == 3 and found.tags.count("td") == 4
    assert "<script" not in page and "<li>a note</li>" in page and "<title>title</title>" in page
