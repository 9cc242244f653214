from pathlib import Path

import pytest

from rerank.errors import DataError
from rerank.nets.weights_search import WEIGHT_FILES, find_weights


@pytest.mark.parametrize("folder", [".", "weights", "..", "../weights", "../../weights"])
def test_in_or_near_the_data_root(tmp_path: Path, folder: str) -> None:
    root = tmp_path / "a" / "b"
    root.mkdir(parents=True)
    (root / folder).mkdir(exist_ok=True)
    file = (root / folder).resolve() / "net.npz"
    file.write_bytes(b"x")
    assert find_weights(["net.npz"], root) == file
    with pytest.raises(DataError, match="net.npz: no such weights file"):
        find_weights(["net.npz"], None)


def test_nearer_folders_come_before_preferred_names(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for path in (tmp_path / "first", tmp_path / "second", root / "second"):
        path.write_bytes(b"x")
    assert find_weights(["first", "second"], root) == root / "second"
    (root / "first").write_bytes(b"x")
    assert find_weights(["first", "second"], root) == root / "first"


def test_a_path_is_taken_as_given(tmp_path: Path) -> None:
    file = tmp_path / "net.npz"
    file.write_bytes(b"x")
    assert find_weights([str(file)], None) == file
    with pytest.raises(DataError, match=r"looked for .*none.npz\); ask for it"):
        find_weights([str(tmp_path / "none.npz")], tmp_path, "ask for it")


def test_every_place_and_name_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        find_weights(WEIGHT_FILES["squeezenet1_0"], tmp_path)
    text = str(caught.value)
    for name in WEIGHT_FILES["squeezenet1_0"]:
        assert str(tmp_path / "weights" / name) in text
