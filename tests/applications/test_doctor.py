"""What `rerank doctor` knows of the package agrees with its metadata."""

from __future__ import annotations

import configparser
import json
from importlib import metadata
from pathlib import Path

import pytest

from rerank.applications import doctor

SETUP = Path(doctor.__file__).parents[2] / "setup.cfg"


def test_every_extra_is_explained() -> None:
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(SETUP)
    assert set(doctor.EXTRAS) == set(setup["options.extras_require"])


def test_versions_are_those_that_are_installed() -> None:
    found = doctor.examine()
    assert found.versions["numpy"] == metadata.version("numpy")
    assert json.loads(json.dumps(found.as_json()))["versions"] == found.versions


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    version = metadata.version

    def without(name: str) -> str:
        if name in ("scipy", "dask"):
            raise metadata.PackageNotFoundError(name)
        return version(name)

    needs = ["numpy", 'dask>=2; extra == "dask"', "distributed ; extra == 'dask'"]
    monkeypatch.setattr(metadata, "version", without)
    monkeypatch.setattr(metadata, "requires", lambda name: needs)
    found = doctor.examine()
    text = doctor.diagnosis_text(found)
    assert "scipy                   missing" in text
    extra = next(extra for extra in found.extras if extra.name == "dask")
    assert set(extra.packages) == {"dask", "distributed"} and not extra.installed
    assert "pip install 'rerank[dask]'" in text


def test_without_metadata_no_extra_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", nothing)
    assert not any(extra.installed for extra in doctor.examine().extras)
