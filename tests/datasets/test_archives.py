from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from rerank.datasets.archives import PUBLISHED, Archive, unpack, verify
from rerank.download import Digest
from rerank.errors import DataError


def test_verify(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"abc")
    md5 = hashlib.md5(b"abc").hexdigest()
    right = Archive("a.bin", "url", Digest("md5", md5))
    assert verify(path, right).endswith("its digest is the published one")
    assert hashlib.sha256(b"abc").hexdigest() in verify(path, Archive("a.bin", "url"))
    assert "no digest is published" in verify(path, None)
    other = "0" * 32
    with pytest.raises(
        DataError,
        match=f"a.bin: its md5 is {md5} and the expected one is {other}; "
        "download it again from url",
    ):
        verify(path, Archive("a.bin", "url", Digest("md5", other)))


def packed(path: Path, names: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as bundle:
            for name, content in names.items():
                bundle.writestr(name, content)
    else:
        with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
            for name, content in names.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_unpack(tmp_path: Path, name: str) -> None:
    path = packed(tmp_path / name, {"top/x.txt": b"x", "top/below/y.txt": b"y"})
    unpack(path, tmp_path / "out")
    assert (tmp_path / "out" / "top" / "x.txt").read_bytes() == b"x"
    assert (tmp_path / "out" / "top" / "below" / "y.txt").read_bytes() == b"y"


@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
@pytest.mark.parametrize("member", ["../x.txt", "top/../../x.txt", "/x.txt"])
def test_members_that_leave_the_folder_are_refused(tmp_path: Path, name: str, member: str) -> None:
    path = packed(tmp_path / name, {"good.txt": b"", member: b"x"})
    with pytest.raises(DataError, match="would land outside of the folder"):
        unpack(path, tmp_path / "below" / "out")
    assert not list((tmp_path / "below").rglob("*.txt"))


def test_links_in_a_tar_are_left_out(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(link)
    unpack(tmp_path / "a.tar", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_python_without_the_data_filter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(tarfile, "data_filter")
    path = packed(tmp_path / "a.tar", {"x.txt": b"x"})
    with pytest.raises(DataError, match=r"a.tar: this version of Python cannot .* 3.11.4 or later"):
        unpack(path, tmp_path / "out")


def test_damaged_archives(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"neither")
    with pytest.raises(DataError, match="a.zip: it is neither a zip nor a tar archive"):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    with pytest.raises(DataError, match="b.zip: it cannot be unpacked"):
        unpack(tmp_path / "b.zip", tmp_path / "out")
    path = packed(tmp_path / "c.tar.gz", {"x": bytes(200_000) + Path(__file__).read_bytes()})
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(DataError, match="c.tar.gz: it cannot be unpacked"):
        unpack(path, tmp_path / "out")


def test_published_archives_are_well_formed() -> None:
    for archives in PUBLISHED.values():
        assert any(archive.needed for archive in archives)
        for archive in archives:
            assert archive.url.startswith(("http://", "https://"))
            assert archive.digest is None or len(archive.digest.digits) == 32


def test_the_page_of_the_data_sets_states_the_digests() -> None:
    page = (Path(__file__).parents[2] / "data" / "README.md").read_text(encoding="utf-8")
    for archive in (archive for archives in PUBLISHED.values() for archive in archives):
        assert f"`{archive.file_name}`" in page
        assert archive.digest is None or f"`{archive.digest.digits}`" in page


def test_an_archive_that_would_fill_the_disk(tmp_path: Path) -> None:
    """A zip may say of a few bytes that they are terabytes."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for k in range(3):
            packed.writestr(f"x{k}", bytes(1000))
    free = type("Usage", (), {"free": 2999})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rerank.datasets.archives.shutil.disk_usage", lambda _: free)
        with pytest.raises(DataError, match="a.zip: unpacked, it has 3000 bytes.*room for 2999"):
            unpack(path, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_members_that_cannot_be_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("x", bytes(range(256)) * 9)
    content = bytearray(path.read_bytes())
    content[40:60] = b"\xff" * 20
    path.write_bytes(content)
    with pytest.raises(DataError, match="a.zip: it cannot be unpacked"):
        unpack(path, tmp_path / "out")
