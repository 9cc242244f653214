"""Print the README's table of results: python scripts/results_table.py WORK..."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

RULES = {
    "superpixel bound": "superpixel bound",
    "unary alone": "unary",
    "dense CRF": "dense CRF",
    "MAP": "MAP",
    "fusion (MAP of all signals)": "fusion",
    "symmetric KL (Eq. 17)": "KL choice",
    "ranking SVM": "SVM choice",
}
ORACLES = (10, 30)
COLUMNS = (
    "superpixel bound",
    "unary",
    "dense CRF",
    "MAP",
    "fusion",
    "oracle@10",
    "oracle@30",
    "KL choice",
    "SVM choice",
)


def read(path: Path, key: str) -> dict[str, dict[str, str]]:
    """Rows of a CSV file by one of its columns."""
    with path.open() as file:
        return {row[key]: row for row in csv.DictReader(file)}


def row_of(work: Path) -> list[str]:
    """One run as the cells of a table row: corpus mIoU / mean image IoU."""
    rules = read(work / "report" / "rules_evaluation.csv", "rule")
    curve = read(work / "report" / "oracle_evaluation.csv", "n_proposals")

    def cell(corpus: str, image: str) -> str:
        return f"{float(corpus):.1f} / {float(image):.1f}"

    cells = {
        name: cell(rules[rule]["corpus_iou"], rules[rule]["image_iou"]) if rule in rules else ""
        for rule, name in RULES.items()
    }
    for count in ORACLES:
        point = curve[str(count)]
        cells[f"oracle@{count}"] = cell(point["image_oracle_miou"], point["image_oracle_image_iou"])
    return [cells[name] for name in COLUMNS]


def print_table(head: list[str], rows: list[list[str]]) -> None:
    """Print a table in Markdown."""
    print("| " + " | ".join(head) + " |")
    print("|" + " --- |" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")


def main() -> None:
    """Print the table."""
    works = [Path(argument) for argument in sys.argv[1:]]
    if not works:
        sys.exit(__doc__)
    print_table(["run", *COLUMNS], [[work.name, *row_of(work)] for work in works])


if __name__ == "__main__":
    main()
