"""The reader is tried on files whose bytes are put together here, field by field."""

import struct

import numpy as np
import pytest

from rerank.errors import DataError
from rerank.nets import build_backbone, load_backbone_weights, preprocessing_by_name
from rerank.nets.caffemodel import read_caffemodel


def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def number(field, value):
    return varint(field << 3) + varint(value)


def chunk(field, content):
    return varint(field << 3 | 2) + varint(len(content)) + content


def floats(values, code="f"):
    return struct.pack(f"<{values.size}{code}", *values.ravel().tolist())


def blob(values):
    shape = chunk(1, b"".join(varint(n) for n in values.shape))
    return chunk(7, shape) + chunk(5, values.astype("<f4").tobytes())


def old_blob(values):
    shape = (1,) * (4 - values.ndim) + values.shape
    dims = b"".join(number(i + 1, n) for i, n in enumerate(shape))
    return dims + chunk(5, values.astype("<f4").tobytes())


def layer(name, *blobs):
    """LayerParameter with its type, bottoms and a phase between what is read."""
    return chunk(
        100,
        chunk(1, name.encode())
        + chunk(2, b"Convolution")
        + chunk(3, b"data")
        + number(10, 1)
        + b"".join(chunk(7, b) for b in blobs),
    )


def v1_layer(name, *blobs):
    return chunk(
        2,
        chunk(2, b"data")
        + chunk(3, name.encode())
        + chunk(4, name.encode())
        + number(5, 4)
        + b"".join(chunk(6, b) for b in blobs),
    )


def v0_layer(name, *blobs):
    inner = chunk(1, name.encode()) + chunk(2, b"conv") + b"".join(chunk(50, b) for b in blobs)
    return chunk(2, chunk(1, inner) + chunk(2, b"data"))


WEIGHT = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2) - 5
BIAS = np.array([0.5, -1.5], np.float32)


@pytest.mark.parametrize(
    "make_layer, make_blob",
    [(layer, blob), (layer, old_blob), (v1_layer, old_blob), (v0_layer, old_blob)],
)
def test_layers_of_each_format(tmp_path, make_layer, make_blob):
    content = chunk(1, b"net") + chunk(3, b"data") + number(5, 1)
    content += make_layer("relu") + make_layer("conv7", make_blob(WEIGHT), make_blob(BIAS))
    (tmp_path / "m.caffemodel").write_bytes(content)
    (found,) = read_caffemodel(tmp_path / "m.caffemodel")
    assert found.name == "conv7"
    assert np.array_equal(found.blobs[0], WEIGHT) and found.blobs[0].dtype == np.float32
    assert np.array_equal(found.blobs[1].ravel(), BIAS)


def test_doubles_and_unpacked_floats(tmp_path):
    doubles = chunk(7, chunk(1, varint(2))) + chunk(8, floats(BIAS, "d"))
    unpacked = chunk(7, number(1, 2)) + b"".join(
        varint(5 << 3 | 5) + struct.pack("<f", v) for v in BIAS
    )
    (tmp_path / "m.caffemodel").write_bytes(layer("a", doubles, unpacked))
    (found,) = read_caffemodel(tmp_path / "m.caffemodel")
    assert np.array_equal(found.blobs[0], BIAS) and np.array_equal(found.blobs[1], BIAS)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "no layer with filters"),
        (chunk(1, b"only a name"), "no layer with filters"),
        (layer("conv1", blob(WEIGHT))[:-3], "ends within a field"),
        (b"\x80", "ends within a number"),
        (b"\xff" * 12, "longer than 10 bytes"),
        (varint(1 << 3 | 3), "wire type 3"),
        (b"\x00\x00", "field number 0"),
        (layer("conv1", chunk(5, b"abc")), "packed numbers"),
        (
            layer("conv1", chunk(7, chunk(1, varint(5))) + chunk(5, floats(BIAS))),
            r"layer conv1: a blob of shape \(5,\) holds 2 values",
        ),
    ],
)
def test_damaged_files(tmp_path, content, message):
    (tmp_path / "m.caffemodel").write_bytes(content)
    with pytest.raises(DataError, match=f"m.caffemodel: .*{message}"):
        read_caffemodel(tmp_path / "m.caffemodel")


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match="unreadable"):
        read_caffemodel(tmp_path / "none.caffemodel")


@pytest.mark.parametrize("make_layer, make_blob", [(layer, blob), (v1_layer, old_blob)])
def test_caffenet(tmp_path, make_layer, make_blob):
    state = build_backbone("caffenet", random_state=4).layers.state_dict()
    content = b"".join(
        make_layer(
            f"conv{i}",
            make_blob(state[f"conv{i}.weight"].numpy()),
            make_blob(state[f"conv{i}.bias"].numpy() + i),
        )
        for i in range(1, 6)
    )
    content += make_layer("fc6", make_blob(WEIGHT), make_blob(BIAS))
    (tmp_path / "m.caffemodel").write_bytes(content)
    weights = load_backbone_weights(tmp_path / "m.caffemodel")
    assert weights.architecture == "caffenet"
    assert weights.preprocessing == preprocessing_by_name("caffe")
    for name, value in state.items():
        expected = value + int(name[4]) if name.endswith("bias") else value
        assert np.array_equal(weights.state[name].numpy(), expected.numpy())


def test_squeezenet_under_caffes_names(tmp_path):
    state = build_backbone("squeezenet1_0", random_state=4).layers.state_dict()
    content = b""
    for name in dict.fromkeys(key.rsplit(".", 1)[0] for key in state):
        theirs = name.replace(".squeeze", "/squeeze1x1").replace(".", "/")
        content += layer(
            theirs, blob(state[f"{name}.weight"].numpy()), blob(state[f"{name}.bias"].numpy())
        )
    (tmp_path / "m.caffemodel").write_bytes(content)
    weights = load_backbone_weights(tmp_path / "m.caffemodel")
    assert weights.architecture == "squeezenet1_0"
    assert all(np.array_equal(weights.state[name].numpy(), state[name].numpy()) for name in state)


def test_a_wrong_shape_names_the_layer(tmp_path):
    state = build_backbone("caffenet", random_state=4).layers.state_dict()
    content = b"".join(
        layer(
            f"conv{i}",
            blob(state[f"conv{i if i != 4 else 3}.weight"].numpy()),
            blob(state[f"conv{i}.bias"].numpy()),
        )
        for i in range(1, 6)
    )
    (tmp_path / "m.caffemodel").write_bytes(content)
    with pytest.raises(
        DataError,
        match=r"layer conv4\.weight of caffenet must have shape "
        r"\(384, 192, 3, 3\), got \(384, 256, 3, 3\)",
    ):
        load_backbone_weights(tmp_path / "m.caffemodel")
