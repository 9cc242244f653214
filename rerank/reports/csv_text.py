"""CSV files: one header line, one row per record, the same bytes for the same numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence


def to_csv(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows as CSV; the columns are those of the first row.

    Examples
    --------
    >>> print(to_csv([{"rule": "MAP", "iou": 0.5}]), end="")
    rule,iou
    MAP,0.5
    """
    if not rows:
        return ""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
