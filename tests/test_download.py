from __future__ import annotations

import gzip
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rerank.download import Digest, download_file, file_digest
from rerank.errors import ConfigError, DataError

CONTENT = bytes(range(256)) * 12_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT whole, without its length, cut short, or compressed where that is accepted."""

    def do_GET(self) -> None:
        if self.path == "/missing":
            self.send_error(404)
            return
        body = CONTENT
        self.send_response(200)
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(CONTENT)
            self.send_header("Content-Encoding", "gzip")
        if self.path != "/length-unknown":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:-1000] if self.path == "/cut" else body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def test_digests_are_those_of_the_content(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(CONTENT)
    for algorithm in ("md5", "sha1", "sha256"):
        expected = hashlib.new(algorithm, CONTENT).hexdigest()
        assert file_digest(path, algorithm) == expected
        assert Digest(algorithm, expected).difference(path) is None
        assert Digest(algorithm, expected[:8]).difference(path) is None
    assert file_digest(path) == SHA256
    assert Digest("md5", "0" * 32).difference(path) == (
        f"its md5 is {hashlib.md5(CONTENT).hexdigest()} and the expected one is {'0' * 32}"
    )
    with pytest.raises(DataError, match="b.bin: the file cannot be read"):
        file_digest(tmp_path / "b.bin")


@pytest.mark.parametrize(
    "algorithm, digits, message",
    [
        ("crc32", "0" * 8, "one of md5, sha1, sha256, got 'crc32'"),
        ("md5", "0" * 7, "8 to 32"),
        ("md5", "0" * 33, "8 to 32"),
        ("sha1", "0123456G", "hexadecimal"),
        ("sha256", "ABCDEF01", "hexadecimal"),
    ],
)
def test_unusable_digests(algorithm: str, digits: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Digest(algorithm, digits)


@pytest.mark.parametrize("digest", [None, Digest("sha256", SHA256), Digest("sha256", SHA256[:8])])
def test_a_file_from_a_server(server: str, tmp_path: Path, digest: Digest | None) -> None:
    seen: list[tuple[int, int | None]] = []
    path = tmp_path / "new" / "a.bin"
    download_file(
        f"{server}/a.bin", path, digest, progress=lambda done, total: seen.append((done, total))
    )
    assert path.read_bytes() == CONTENT and list(path.parent.iterdir()) == [path]
    assert seen[-1] == (len(CONTENT), len(CONTENT)) and len(seen) > 2
    assert all(0 < done <= len(CONTENT) for done, _ in seen)


def test_a_server_that_does_not_say_the_length(server: str, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    download_file(
        f"{server}/length-unknown",
        tmp_path / "a.bin",
        progress=lambda done, total: seen.append((done, total)),
    )
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert seen and all(done > 0 and total is None for done, total in seen)


@pytest.mark.parametrize("path", ["missing", "cut"])
def test_nothing_is_kept_of_a_download_that_fails(server: str, tmp_path: Path, path: str) -> None:
    target = tmp_path / "a.bin"
    with pytest.raises(
        DataError,
        match=rf"^{server}/{path}: the file cannot be downloaded \(.*\); get the file by other "
        rf"means and put it at {target}$",
    ):
        download_file(f"{server}/{path}", target)
    assert list(tmp_path.iterdir()) == []


def test_nobody_answers(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"127.0.0.1:9/x: the file cannot be downloaded"):
        download_file("http://127.0.0.1:9/x", tmp_path / "a.bin")


def test_a_wrong_file_replaces_nothing(tmp_path: Path) -> None:
    source, target = tmp_path / "source.bin", tmp_path / "there" / "a.bin"
    source.write_bytes(b"content")
    target.parent.mkdir()
    target.write_bytes(b"old")
    with pytest.raises(
        DataError,
        match=r"source.bin: the file was downloaded, but its md5 is .* and the expected one is "
        r"0+; nothing was kept: try again, or get the file by other means and put it at .*a.bin$",
    ):
        download_file(source.as_uri(), target, Digest("md5", "0" * 32))
    assert target.read_bytes() == b"old" and list(target.parent.iterdir()) == [target]
    md5 = hashlib.md5(b"content").hexdigest()
    download_file(source.as_uri(), target, Digest("md5", md5))
    assert target.read_bytes() == b"content"


def test_other_schemes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="by http, https or file, got 'ftp://host/x'"):
        download_file("ftp://host/x", tmp_path / "a.bin")
