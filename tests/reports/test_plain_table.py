from rerank.reports.plain_table import plain_table, points


def test_columns_stand_below_each_other() -> None:
    lines = plain_table(["a", "bb"], [["long", "1"], ["x", ""]]).splitlines()
    assert lines == ["a     bb", "long   1", "x"]


def test_points() -> None:
    assert points(0.1234) == "12.3" and points(float("nan")) == "-"
