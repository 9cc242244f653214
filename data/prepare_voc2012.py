"""Arrange voc2012 beside this file; see README.md here, and --help."""

import sys
from pathlib import Path

from rerank.datasets.preparation import main

if __name__ == "__main__":
    sys.exit(main("voc2012", root=Path(__file__).resolve().parent))
