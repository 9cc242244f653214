"""Arrange weizmann_horse beside this file; see README.md here, and --help."""

import sys
from pathlib import Path

from rerank.datasets.preparation import main

if __name__ == "__main__":
    sys.exit(main("weizmann_horse", root=Path(__file__).resolve().parent))
