"""The command `rerank`: one file per group of commands, and no logic."""

from rerank.cli.main import main

__all__ = ["main"]
