"""YAML of settings: plain values, few, and not nested without end."""

from __future__ import annotations

from pathlib import Path

import pytest

from rerank.config import load_recipe
from rerank.errors import ConfigError
from rerank.safe_yaml import read_yaml

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]\n" for k in range(1, 9)
)


def test_aliases_are_read() -> None:
    assert read_yaml("a: &a [1, 1e-3]\nb: *a") == {"a": [1, 0.001], "b": [1, 0.001]}
    assert read_yaml("") is None


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "a: &a [*a]",
        "[" * 100_000,
        "[" * 40 + "]" * 40,
        "- " * 5000,
        "x" * (1 << 21),
        "{a: 1, a}: 2",
        "? [a]\n: b",
        "a: 2001-99-99",
        "\x00",
        "!!timestamp x",
        "!!int x",
        "!!binary x: y",
        "!!python/object/apply:os.system [x]",
        "a: *b",
        "<<: 1",
        "a: " + "1" * 10_000,
        "a: b: c",
        "- x\n- y\n--- z",
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read_yaml(text)


@pytest.mark.parametrize(
    "name", ["../../x", "a/b", "/x", ".", "..", "", "-x", "a\nb", "x" * 101, "a\\b", "a:b"]
)
def test_a_recipes_name_is_no_path(tmp_path: Path, name: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(f"name: {name!r}\ndataset: {{name: scenes}}")
    with pytest.raises(ConfigError, match="name"):
        load_recipe(path)


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"? 2001-01-01\n: x", b"- 1", b"a: !!set {x, y}"]
)
def test_files_that_are_no_recipe(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "r.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match="r.yaml"):
        load_recipe(tmp_path / "r.yaml")


def test_names_of_any_script(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_bytes("\ufeffname: été 2 日本\ndataset: {name: scenes}".encode())
    assert load_recipe(tmp_path / "r.yaml").name == "été 2 日本"
