import hashlib

import pytest

from rerank.errors import ConfigError, DataError
from rerank.nets import PUBLISHED_WEIGHTS, download_backbone_weights

CONTENT = bytes(range(256)) * 9000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def source(tmp_path):
    (tmp_path / "there").mkdir()
    file = tmp_path / "there" / "net-v1.pth"
    file.write_bytes(CONTENT)
    return file.as_uri()


@pytest.mark.parametrize("digits", [8, 64])
def test_download_to_a_file(tmp_path, source, digits):
    seen = []
    file = download_backbone_weights(
        "alexnet",
        tmp_path / "new" / "w.pth",
        SHA256[:digits].upper(),
        url=source,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert file == tmp_path / "new" / "w.pth" and file.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT)) and len(seen) > 1
    assert list(file.parent.iterdir()) == [file]


def test_a_folder_gets_the_published_name(tmp_path, source):
    file = download_backbone_weights("alexnet", tmp_path, SHA256, url=source)
    assert file == tmp_path / "net-v1.pth"


def test_a_file_that_is_there_needs_no_source(tmp_path, source):
    file = tmp_path / "w.pth"
    file.write_bytes(CONTENT)
    missing = (tmp_path / "nowhere").as_uri()
    assert download_backbone_weights("alexnet", file, SHA256, url=missing) == file
    file.write_bytes(b"other")
    with pytest.raises(DataError, match=r"w\.pth: is there, but its sha256 is"):
        download_backbone_weights("alexnet", file, SHA256, url=source)
    with pytest.raises(DataError, match=r"w\.pth: is there, but its sha1 is"):
        download_backbone_weights("caffenet", file)


def test_a_wrong_checksum_leaves_nothing(tmp_path, source):
    folder = tmp_path / "new"
    with pytest.raises(DataError, match="nothing was kept"):
        download_backbone_weights("alexnet", folder / "w.pth", "0" * 64, url=source)
    assert list(folder.iterdir()) == []


def test_an_unreachable_source(tmp_path):
    folder = tmp_path / "new"
    with pytest.raises(DataError, match="nowhere: the file cannot be downloaded"):
        download_backbone_weights(
            "alexnet", folder / "w.pth", SHA256, url=(tmp_path / "nowhere").as_uri()
        )
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"name": "vgg"}, "vgg"),
        ({"sha256": "abc"}, "8 to 64"),
        ({"sha256": "not-hexadecimal"}, "hexadecimal"),
        ({"url": "file:///tmp/x"}, "with its sha256"),
        ({"url": "ftp://host/x", "sha256": SHA256}, "http, https or file"),
    ],
)
def test_unusable_arguments(tmp_path, arguments, message):
    with pytest.raises(ConfigError, match=message):
        download_backbone_weights(**{"name": "alexnet", "path": tmp_path / "w", **arguments})


def test_published_digests_have_the_length_of_their_algorithm():
    for url, digest in PUBLISHED_WEIGHTS.values():
        assert digest.digits in url or (digest.algorithm, len(digest.digits)) == ("sha1", 40)
