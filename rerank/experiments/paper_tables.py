"""All tables by name, and the command that measures one and writes its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from rerank.errors import ConfigError
from rerank.experiments import cogswell, larsson, nagendar, system, zhao
from rerank.experiments.rendering import to_text, write_reproduction
from rerank.experiments.reproduction import reproduce
from rerank.experiments.table_definition import Scope, Table
from rerank.suggestions import did_you_mean

#: Every table, by the name that `rerank reproduce` takes.
TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        cogswell.TABLE2,
        cogswell.ABLATION,
        cogswell.FIG6,
        nagendar.TABLE,
        nagendar.MSRC_TABLE,
        larsson.TABLE,
        zhao.TABLE,
        *system.TABLES,
    )
}


@dataclass(frozen=True)
class Written:
    """A finished table: what is printed, and its files."""

    text: str
    paths: tuple[Path, ...]


def reproduce_table(
    name: str,
    data_root: Path,
    work: Path,
    seeds: Sequence[int] = (0, 1, 2),
    full: bool = False,
    device: str = "",
    jobs: int = 1,
    quiet: bool = False,
) -> Written:
    """Measure a table, and write its figures and those of the paper into one page.

    Parameters
    ----------
    name : str
        One of `TABLES`.
    data_root : Path
        Folder of the data set, or the folder above it, with the backbone's weights in it, near
        it, or in a folder `weights` there.
    work : Path
        Results go to `work/NAME`, and are kept for the next run.
    seeds : sequence of int
    full : bool
        Full size, for a GPU.
    device : str
        By default CUDA at full size, and the CPU otherwise.
    jobs : int
        Tasks at a time of the tables that run the pipeline; threads of torch for the others.
    quiet : bool
        Show no progress.

    Returns
    -------
    Written

    Raises
    ------
    ConfigError
        If the table or device is unknown, or the seeds are unusable.
    DataError
        If images, weights or a kept result cannot be read.
    """
    if name not in TABLES:
        raise ConfigError(f"{name}: no such table; {did_you_mean(name, TABLES, 'the tables are')}")
    device = device or ("cuda" if full and torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"--device {device}: there is no CUDA device here; leave it out")
    scope = Scope(data_root.resolve(), work / name, full, device, jobs, quiet)
    found = reproduce(TABLES[name], scope, seeds)
    return Written(to_text(found), tuple(write_reproduction(found, scope.work)))
