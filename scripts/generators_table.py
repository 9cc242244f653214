"""Print each generator's oracle in several runs: python scripts/generators_table.py WORK...

The runs need `report.generators=true`. Diversities are relative: 1.0 is the chosen one.
"""

from __future__ import annotations

import sys
from pathlib import Path

from results_table import print_table, read

PLACES = (10, 30)


def main() -> None:
    """Print the table."""
    works = [Path(argument) for argument in sys.argv[1:]]
    if not works:
        sys.exit(__doc__)
    paths = [work / "report" / "generators.csv" for work in works]
    for path in paths:
        if not path.is_file():
            sys.exit(f"{path}: missing; run with --set report.generators=true")
    tables = [read(path, "generator") for path in paths]
    rows = []
    for name in tables[0]:
        cells = [
            f"{float(table[name][f'corpus_miou_at_{place}']):.1f} / "
            f"{float(table[name][f'image_iou_at_{place}']):.1f}"
            if name in table
            else ""
            for table in tables
            for place in PLACES
        ]
        rows.append([name, *cells])
    print_table(
        ["generator", *(f"{work.name} @{place}" for work in works for place in PLACES)], rows
    )


if __name__ == "__main__":
    main()
