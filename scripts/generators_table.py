"""Print each generator's oracle in several runs: python scripts/generators_table.py WORK...

The runs must have been made with `report.generators`.
"""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path

PLACES = (10, 30)


def read(work: Path) -> dict[str, dict[str, str]]:
    """Rows of a run's `generators.csv`; generators go without their diversity, which differs."""
    path = work / "report" / "generators.csv"
    if not path.is_file():
        sys.exit(f"{path}: missing; run with --set report.generators=true")
    with path.open() as file:
        rows = list(csv.DictReader(file))
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        name = re.sub(r"div_mbest\([\d.e-]+, area, (\w+), \d+\)", r"div_mbest(\1)",
                      row["generator"])
        # The chosen diversity comes first, and then twice that.
        found[name.replace(")", ", twice the diversity)", 1) if name in found else name] = row
    return found


def main() -> None:
    """Print the table."""
    works = [Path(argument) for argument in sys.argv[1:]]
    if not works:
        sys.exit(__doc__)
    tables = [read(work) for work in works]
    head = ["generator", *(f"{work.name} @{place}" for work in works for place in PLACES)]
    print("| " + " | ".join(head) + " |")
    print("|" + " --- |" * len(head))
    for name in tables[0]:
        cells = [f"{float(table[name][f'corpus_miou_at_{place}']):.1f} / "
                 f"{float(table[name][f'image_iou_at_{place}']):.1f}"
                 if name in table else "" for table in tables for place in PLACES]
        print("| " + " | ".join([name, *cells]) + " |")


if __name__ == "__main__":
    main()
