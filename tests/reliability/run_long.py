"""The long form of all checks of reliability: `python -m tests.reliability.run_long [--seed N]`.

It prints a line of counts for each check and ends with 1 if one of them failed. It takes about an
hour on two cores.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

#: The module of each check, and its arguments.
CHECKS = (
    ("kills", "--count", "400"),
    ("kills", "--recipe", "tiny", "--count", "300"),
    ("damage", "--rounds", "50", "--files", "21"),
    ("hostile", "--count", "2000"),
    ("hostile", "--values", "run", "--count", "600"),
    ("hostile", "--values", "models", "--count", "300"),
    ("together", "--rounds", "30"),
    ("conditions",),
)


def main() -> int:
    """Run the checks one after another."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    failed = 0
    for name, *arguments in CHECKS:
        if name in ("kills", "damage", "hostile"):
            arguments += ["--seed", str(options.seed)]
        started = time.perf_counter()
        command = [sys.executable, "-m", f"tests.reliability.{name}", *arguments]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        seconds = time.perf_counter() - started
        print(f"{' '.join(command[2:])} ({seconds:.0f} s): {done.stdout.strip()}", flush=True)
        failed |= done.returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
