"""Batch job: what the proposals of a run make possible, as CSV and PNG.

python -m pipelines.oracle_analysis --work WORK [--out DIR]
"""

from __future__ import annotations

import sys

from rerank.cli import main

if __name__ == "__main__":
    sys.exit(main(["oracle", *sys.argv[1:]]))
