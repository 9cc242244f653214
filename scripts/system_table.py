"""Print the README's table over seeds: python scripts/system_table.py WORK

WORK is the work folder of `rerank reproduce system-...`. Tables without results are left out.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from results_table import print_table

DATA = {"weizmann-horse": "Weizmann Horse", "msrc21": "MSRC-21", "camvid": "CamVid"}
COLUMNS = {
    "superpixel-bound": "superpixel bound",
    "unary": "unary",
    "dense-crf": "dense CRF",
    "map": "MAP",
    "fusion": "fusion",
    "oracle-10": "oracle@10",
    "oracle-30": "oracle@30",
    "kl": "KL choice",
    "svm": "SVM choice",
}


def main() -> None:
    """Print the figures, and then the gains of the SVM with their intervals."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    rows, gains = [], []
    for data, shown in DATA.items():
        for features in ("appearance", "deep"):
            name = f"system-{data}-{features}"
            path = Path(sys.argv[1]) / name / f"{name}.json"
            if not path.is_file():
                continue
            tree = json.loads(path.read_text())
            found = {row["key"]: row for row in tree["rows"]}
            title = f"{shown}, {features}"
            rows.append(
                [
                    title,
                    str(len(tree["seeds"])),
                    *(
                        f"{found[key]['mean']:.1f} / {found[key]['image_mean']:.1f}"
                        for key in COLUMNS
                    ),
                ]
            )
            gains.append(
                [
                    title,
                    *(
                        _gain(tree[kind], over)
                        for over in ("map", "fusion")
                        for kind in ("gains", "image_gains")
                    ),
                ]
            )
    print_table(["data, features", "seeds", *COLUMNS.values()], rows)
    print()
    print_table(
        ["SVM choice over", "MAP, corpus", "MAP, image", "fusion, corpus", "fusion, image"], gains
    )


def _gain(gains: list[dict[str, Any]], over: str) -> str:
    gain = next(g for g in gains if (g["row"], g["over"]) == ("svm", over))
    return f"{gain['mean']:+.1f} ({gain['low']:.1f} to {gain['high']:.1f})"


if __name__ == "__main__":
    main()
