"""Files that are made from one another have the same lengths, whichever is opened first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rerank.engine import agreement, artefact_file
from rerank.engine.contents import Expected
from rerank.engine.manifest import ArtefactRef, Header
from rerank.engine.stage import write_image
from rerank.engine.store import Store
from rerank.errors import DamagedArtefactError

REGIONS, DRAWN = ArtefactRef("regions", "fold-00", "k1"), ArtefactRef("drawn", "fold-00", "k2")
CONTENTS = {"images/#/values": Expected("f8", ("n",), "each")}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two artefacts of two images, the second of which differ in length."""
    store = Store(tmp_path / "work")
    header = Header(1, {}, ("a", "b"), (), (), 0)
    for ref, inputs, lengths in (
        (REGIONS, (), (3, 4)),
        (DRAWN, (f"{REGIONS}/{REGIONS.key}",), (3, 5)),
    ):
        with store.create(ref, replace(header, inputs=inputs), CONTENTS) as file:
            for index, length in enumerate(lengths):
                write_image(file, index, {"values": np.zeros(length)})
    artefact_file._CHECKED.clear()
    agreement._NOTED.clear()
    return store


@pytest.mark.parametrize(("first", "second"), [(REGIONS, DRAWN), (DRAWN, REGIONS)])
def test_both_files_are_named(store: Store, first: ArtefactRef, second: ArtefactRef) -> None:
    with store.open(first, contents=CONTENTS):
        pass
    with (
        pytest.raises(DamagedArtefactError, match="images/000001 has the length n") as found,
        store.open(second, contents=CONTENTS),
    ):
        pass
    assert str(store.path(first)) in str(found.value)
    assert str(found.value).startswith(f"{store.path(second)}: ")


def test_files_of_other_images_need_not_agree(store: Store, tmp_path: Path) -> None:
    other = ArtefactRef("drawn", "fold-01", "k3")
    header = Header(1, {}, ("c",), (), (f"{REGIONS}/{REGIONS.key}",), 0)
    with store.create(other, header, CONTENTS) as file:
        write_image(file, 0, {"values": np.zeros(9)})
    agreement._NOTED.clear()
    artefact_file._CHECKED.clear()
    for ref in (REGIONS, other):
        with store.open(ref, contents=CONTENTS):
            pass


def test_a_shard_agrees_with_the_file_of_its_fold(store: Store) -> None:
    """The second image of the fold is the first of its second shard."""
    shard = ArtefactRef("drawn", "fold-00-shard-001", "k4")
    inputs = (f"{REGIONS}/{REGIONS.key}",)
    with store.create(shard, Header(1, {}, ("b",), (), inputs, 0), CONTENTS) as file:
        write_image(file, 0, {"values": np.zeros(7)})
    artefact_file._CHECKED.clear()
    agreement._NOTED.clear()
    with store.open(REGIONS, contents=CONTENTS):
        pass
    with (
        pytest.raises(DamagedArtefactError, match="images/000000 has the length n = 7, and 4 in"),
        store.open(shard, contents=CONTENTS),
    ):
        pass
