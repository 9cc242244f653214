"""Tables of texts for a terminal."""

from __future__ import annotations

from collections.abc import Sequence


def plain_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a table in columns: the first to the left, the others to the right.

    Parameters
    ----------
    head : sequence of str
    rows : sequence of sequences of str
        Each as long as the head.

    Returns
    -------
    str
        A line for the head and one for each row, without spaces at their ends.

    Examples
    --------
    >>> print(plain_table(["rule", "IoU"], [["MAP", "73.9"], ["choice", "7.4"]]))
    rule     IoU
    MAP     73.9
    choice   7.4
    """
    lines = [head, *rows]
    widths = [max(len(line[k]) for line in lines) for k in range(len(head))]
    texts = []
    for line in lines:
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
        texts.append("  ".join(cells).rstrip())
    return "\n".join(texts)


def points(value: float) -> str:
    """A share as points with one decimal; a dash for NaN."""
    return "-" if value != value else f"{100 * value:.1f}"
