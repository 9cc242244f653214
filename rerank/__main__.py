"""`python -m rerank` is the command `rerank`."""

import sys

from rerank.cli import main

sys.exit(main())
