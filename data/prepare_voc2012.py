"""Arrange voc2012 in this folder; see its README.md, and --help."""

import sys
from pathlib import Path

from rerank.datasets.preparation import main

if __name__ == "__main__":
    sys.exit(main("voc2012", root=Path(__file__).resolve().parent))
