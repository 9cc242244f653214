"""What this installation can do: versions, threads, GPU, extras, and the places of weights."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from rerank._version import __version__
from rerank.nets.weights_search import WEIGHT_FILES, weight_places

#: Packages whose versions matter to results or to speed.
PACKAGES = (
    "torch",
    "numpy",
    "scipy",
    "scikit-learn",
    "scikit-image",
    "numba",
    "h5py",
    "opencv-python-headless",
    "joblib",
    "pydantic",
    "matplotlib",
)
#: What each extra of the package adds.
EXTRAS = {
    "onnx": "`rerank maps` reads networks in .onnx files",
    "tflite": "`rerank maps` reads networks in .tflite files",
    "timm": "`backbone.architecture: timm/NAME` takes a backbone of timm",
    "dask": "`rerank run --backend dask` runs on a cluster",
    "rankseg": "a row of another library in benchmarks/own_network.py",
    "notebooks": "what executes the notebooks",
    "docs": "`make docs` builds the site",
    "test": "`make test` runs the tests",
}
#: Variables that limit the threads of numerical libraries.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)


class Extra(NamedTuple):
    """An extra of the package.

    Attributes
    ----------
    name : str
    adds : str
        What it is for.
    packages : dict
        Version of each of its packages, None where it is not installed.
    """

    name: str
    adds: str
    packages: dict[str, str | None]

    @property
    def installed(self) -> bool:
        """Whether all its packages are there."""
        return bool(self.packages) and None not in self.packages.values()


class Diagnosis(NamedTuple):
    """What `examine` found; plain values, for JSON."""

    versions: dict[str, str | None]
    machine: dict[str, Any]
    threads: dict[str, Any]
    gpus: list[str]
    extras: list[Extra]
    weights: dict[str, list[str]]

    def as_json(self) -> dict[str, Any]:
        """As plain values; `weights` are the places of each architecture's file."""
        extras = [
            {
                "name": extra.name,
                "installed": extra.installed,
                "adds": extra.adds,
                "packages": extra.packages,
            }
            for extra in self.extras
        ]
        places = {
            name: [{"path": path, "found": Path(path).is_file()} for path in paths]
            for name, paths in self.weights.items()
        }
        return {**self._asdict(), "extras": extras, "weights": places}


def examine(data_root: Path | None = None) -> Diagnosis:
    """Look at the installation and the machine; nothing is changed.

    Parameters
    ----------
    data_root : Path, optional
        A data root, near which weights are looked for too.

    Returns
    -------
    Diagnosis
    """
    import joblib
    import torch

    gpus = [
        torch.cuda.get_device_name(index)
        for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    ]
    versions: dict[str, str | None] = {"rerank": __version__, "python": platform.python_version()}
    versions |= {name: _version(name) for name in PACKAGES}
    return Diagnosis(
        versions,
        {
            "system": platform.platform(),
            "cores": os.cpu_count(),
            "usable_cores": joblib.cpu_count(),
        },
        {"torch": torch.get_num_threads()}
        | {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
        gpus,
        [Extra(name, adds, _packages_of(name)) for name, adds in EXTRAS.items()],
        {
            name: [str(path) for path in weight_places(files, data_root)]
            for name, files in WEIGHT_FILES.items()
        },
    )


def diagnosis_text(found: Diagnosis) -> str:
    """What `examine` found, for people.

    Parameters
    ----------
    found : Diagnosis

    Returns
    -------
    str
    """
    threads = ", ".join(f"{name} {value}" for name, value in found.threads.items())
    lines = [
        "Versions",
        *(f"  {name:<24}{version or 'missing'}" for name, version in found.versions.items()),
        "",
        "Machine",
        f"  {found.machine['system']}",
        f"  {found.machine['usable_cores']} of {found.machine['cores']} cores can be used; "
        f"--jobs takes all of them by default",
        f"  threads in one process: {threads}",
        f"  GPU: {', '.join(found.gpus) or 'none; everything works without one'}",
        "",
        "Extras",
    ]
    for extra in found.extras:
        state = "installed" if extra.installed else f"pip install 'rerank[{extra.name}]'"
        lines.append(f"  {extra.name:<12}{state:<34}{extra.adds}")
    lines += ["", "Weights of backbones"]
    for name, places in found.weights.items():
        there = [place for place in places if Path(place).is_file()]
        lines.append(f"  {name:<14}{there[0] if there else 'not found: ' + _file_names(places)}")
    folders = dict.fromkeys(
        str(Path(p).parent) for places in found.weights.values() for p in places
    )
    lines.append(f"  looked for in: {', '.join(folders)}; `rerank weights get NAME` downloads")
    if len(folders) == 1:
        lines.append("  --data-root DIR shows the folders near a data set too")
    return "\n".join(lines)


def _file_names(places: Sequence[str]) -> str:
    return " or ".join(dict.fromkeys(Path(place).name for place in places))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _packages_of(extra: str) -> dict[str, str | None]:
    """The packages that an extra needs on this machine, from the metadata of the package."""
    try:
        requirements = metadata.requires("rerank") or []
    except metadata.PackageNotFoundError:
        return {}
    names = (
        re.split(r"[^\w.-]", text, maxsplit=1)[0]
        for text in requirements
        if re.search(rf"extra == ['\"]{extra}['\"]", text)
    )
    return {name: _version(name) for name in names if name}
