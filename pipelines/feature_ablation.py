"""Batch job: what each group of features is worth to the ranker, as CSV and PNG.

python -m pipelines.feature_ablation --work WORK [--out DIR]
"""

from __future__ import annotations

import sys

from rerank.cli import main

if __name__ == "__main__":
    sys.exit(main(["ablate", *sys.argv[1:]]))
