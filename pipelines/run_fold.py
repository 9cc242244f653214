"""Batch job: one fold's part of a recipe.

    python -m pipelines.run_fold msrc21 --data-root DATA --work WORK --fold 3

Folds can run at the same time on machines that share the work folder. When all have ended,
`rerank run` with the same arguments and without `--fold` does what needs every fold.
"""

from __future__ import annotations

import sys

from rerank.cli import main

if __name__ == "__main__":
    if "--fold" not in sys.argv:
        sys.exit("run_fold: --fold K is missing (0, 1, ... or final)")
    sys.exit(main(["run", *sys.argv[1:]]))
