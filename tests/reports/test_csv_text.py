import csv
import io

from rerank.reports import to_csv


def test_known_text() -> None:
    rows = [{"rule": "MAP", "iou": 0.5}, {"rule": 'a "b", c', "iou": ""}]
    assert to_csv(rows) == 'rule,iou\nMAP,0.5\n"a ""b"", c",\n'


def test_a_reader_finds_what_was_written() -> None:
    rows = [{"name": "x\ny", "value": "1"}, {"name": "é, ü", "value": "-2"}]
    assert list(csv.DictReader(io.StringIO(to_csv(rows)))) == rows


def test_no_rows_are_no_text() -> None:
    assert to_csv([]) == ""
