"""`rerank doctor`: what this installation can do."""

from __future__ import annotations

import argparse
from pathlib import Path

from rerank.cli.options import DONE, Commands, add_command, add_json, show


def add(commands: Commands) -> None:
    """Add this command."""
    doctor = add_command(
        commands, "doctor", _doctor, "versions, threads, GPU, extras, and where weights are sought"
    )
    doctor.add_argument("--data-root", help="show where weights are looked for near this folder")
    add_json(doctor)


def _doctor(options: argparse.Namespace) -> int:
    from rerank.applications.doctor import diagnosis_text, examine

    found = examine(None if options.data_root is None else Path(options.data_root))
    show(options, found.as_json(), diagnosis_text(found))
    return DONE
