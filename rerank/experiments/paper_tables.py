"""All tables by name, and the command that measures one and writes its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
        *cogswell.TABLES,
        nagendar.TABLE,
        nagendar.MSRC_TABLE,
        larsson.TABLE,
        zhao.TABLE,
        zhao.RIDGE_TABLE,
        *system.TABLES,
    )
}


@dataclass(frozen=True)
class Written:
    """A finished table: what is printed, and its files."""

    text: str
    paths: tuple[Path, ...]


def reproduce_table(name: str, scope: Scope, seeds: Sequence[int] = (0, 1, 2)) -> Written:
    """Measure a table, and write its figures and those of the paper into one page.

    Parameters
    ----------
    name : str
        One of `TABLES`.
    scope : Scope
        The data root is the folder of the data set, or the folder above it, with the backbone's
        weights in it, near it, or in a folder `weights` there. Results go to `work/NAME`, and are
        kept for the next run. Without a device it is CUDA at full size, and the CPU otherwise.
    seeds : sequence of int

    Returns
    -------
    Written

    Raises
    ------
    ConfigError
        If the table or device is unknown, the seeds are unusable, or there are overrides for a
        table that is measured by no recipe.
    DataError
        If images, weights or a kept result cannot be read.
    """
    if name not in TABLES:
        raise ConfigError(f"{name}: no such table; {did_you_mean(name, TABLES, 'the tables are')}")
    device = scope.device or ("cuda" if scope.full and torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"--device {device}: there is no CUDA device here; leave it out")
    scope = replace(
        scope, data_root=scope.data_root.resolve(), work=scope.work / name, device=device
    )
    found = reproduce(TABLES[name], scope, seeds)
    return Written(to_text(found), tuple(write_reproduction(found, scope.work)))


def table_on(name: str, dataset: str) -> str:
    """The name of a table on another data set than its first.

    Parameters
    ----------
    name : str
        One of `TABLES`.
    dataset : str

    Returns
    -------
    str

    Raises
    ------
    ConfigError
        If the table is not measured on that data set.
    """
    found = f"{name}-{dataset}"
    if found not in TABLES:
        others = [
            other.removeprefix(f"{name}-") for other in TABLES if other.startswith(f"{name}-")
        ]
        rest = f"; there is {', '.join(others)}" if others else ""
        raise ConfigError(f"{name} is not measured on {dataset}{rest}")
    return found
