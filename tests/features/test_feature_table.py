import h5py
import numpy as np
import pytest

from rerank.engine.hdf5 import read_arrays, write_arrays
from rerank.errors import InputError, LeakError
from rerank.features import FeatureTable


def make_table(dtype=np.float64, ids=("a", "a", "b", "b", "b")):
    values = np.arange(15, dtype=dtype).reshape(5, 3) ** 2
    return FeatureTable(
        values,
        ("segnet.kl", "proposal.rank", "proposal.area[cow]"),
        ("segnet", "proposal", "proposal"),
        np.array(ids),
    )


def test_rows_are_counted_within_images():
    table = make_table(ids=("b", "a", "b", "a", "b"))
    assert table.proposals.tolist() == [0, 0, 1, 1, 2]
    assert table.image_index.tolist() == [0, 1, 0, 1, 0]
    assert table.shape == (5, 3) and len(table) == 5
    assert table.group_names == ("segnet", "proposal")


def test_one_group_and_one_image_for_all():
    table = FeatureTable([[1, 2]], ["x", "y"], "segnet")
    assert table.groups == ("segnet", "segnet")
    assert table.image_ids.tolist() == [""]
    assert table.values.dtype == np.float64


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_keeps_its_float_type(dtype):
    assert make_table(dtype).values.dtype == dtype


def test_select_groups_and_columns():
    table = make_table()
    assert table.select(groups="proposal").columns == ("proposal.rank", "proposal.area[cow]")
    assert table.select(groups=["proposal", "segnet"]).columns == table.columns
    swapped = table.select(columns=["proposal.rank", "segnet.kl"])
    np.testing.assert_array_equal(swapped.values, table.values[:, [1, 0]])
    assert swapped.groups == ("proposal", "segnet")
    np.testing.assert_array_equal(table.column("segnet.kl"), table.values[:, 0])
    assert table.drop(["segnet.kl"]).columns == table.columns[1:]
    with pytest.raises(InputError, match="group 'posterior'"):
        table.select(groups="posterior")
    with pytest.raises(InputError, match="no column 'x'"):
        table.select(columns=["x"])
    with pytest.raises(InputError, match="of group 'segnet', which was not asked for"):
        table.select(groups="proposal", columns=["segnet.kl"])


def test_rows_of_images():
    table = make_table()
    kept = table.for_images(["b"])
    assert kept.image_ids.tolist() == ["b"] * 3 and kept.proposals.tolist() == [0, 1, 2]
    with pytest.raises(InputError, match="image 'c'"):
        table.for_images(["b", "c"])


def test_require_names_what_differs():
    table = make_table()
    assert table.require(list(table.columns)) is table
    with pytest.raises(InputError, match="missing 'old'; unasked 'proposal.area"):
        table.require(("segnet.kl", "proposal.rank", "old"))
    with pytest.raises(InputError, match="unasked 'proposal.area"):
        table.require(("segnet.kl", "proposal.rank"))
    with pytest.raises(InputError, match="column 0 must be 'proposal.rank'"):
        table.require(("proposal.rank", "segnet.kl", "proposal.area[cow]"), "model.h5")


def test_bad_tables_are_refused():
    with pytest.raises(InputError, match="comes twice"):
        FeatureTable(np.ones((1, 2)), ("x", "x"), "g")
    with pytest.raises(InputError, match="2 columns, but there are 1 names"):
        FeatureTable(np.ones((1, 2)), ("x",), "g")
    with pytest.raises(InputError, match="must be \\(N, D\\)"):
        FeatureTable(np.ones(2), ("x",), "g")
    with pytest.raises(InputError, match="proposal 3 of image 'a' comes twice"):
        FeatureTable(np.ones((2, 1)), ("x",), "g", ["a", "a"], np.array([3, 3]))
    with pytest.raises(InputError, match="image_ids must be"):
        FeatureTable(np.ones((2, 1)), ("x",), "g", ["a"])
    with pytest.raises(InputError, match="proposals must be"):
        FeatureTable(np.ones((2, 1)), ("x",), "g", "a", np.array([0.0, 1.0]))
    with pytest.raises(InputError, match="non-empty str"):
        FeatureTable(np.ones((2, 1)), ("",), "g")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_is_refused_by_column_and_image(bad):
    values = np.ones((3, 2))
    values[2, 1] = bad
    with pytest.raises(InputError, match="'y' is .* proposal 1 of image 'b'"):
        FeatureTable(values, ("x", "y"), "g", ["a", "b", "b"])


def test_values_whose_sum_overflows_are_fine():
    assert len(FeatureTable(np.full((4, 1), 1e308), ("x",), "g")) == 4


def test_concatenate_checks_names_and_groups():
    table = make_table()
    first, second = table.for_images(["a"]), table.for_images(["b"])
    both = FeatureTable.concatenate([first, second])
    np.testing.assert_array_equal(both.values, table.values)
    assert both.image_ids.tolist() == table.image_ids.tolist()
    with pytest.raises(InputError, match="image 'b'"):
        FeatureTable.concatenate([first, second.select(groups="segnet")])
    with pytest.raises(InputError, match="comes twice"):
        FeatureTable.concatenate([first, first])
    with pytest.raises(InputError, match="groups"):
        FeatureTable.concatenate([first, FeatureTable(second.values, second.columns, "g", "b")])
    with pytest.raises(InputError, match="no tables"):
        FeatureTable.concatenate([])


def test_join_checks_rows():
    table = make_table()
    joined = FeatureTable.join([table.select(groups="segnet"), table.select(groups="proposal")])
    np.testing.assert_array_equal(joined.values, table.values)
    assert joined.columns == table.columns and joined.groups == table.groups
    with pytest.raises(InputError, match="rows"):
        FeatureTable.join([table, FeatureTable(np.ones((5, 1)), ("z",), "g", "a")])


def test_arrays_come_back(tmp_path):
    table = FeatureTable(
        np.ones((2, 2), np.float32),
        ("x[tüür]", "y"),
        ("segnet", "proposal"),
        ["é", "b"],
        np.array([4, 2]),
    )
    with h5py.File(tmp_path / "t.h5", "w") as file:
        write_arrays(file, table.to_arrays())
    with h5py.File(tmp_path / "t.h5") as file:
        back = FeatureTable.from_arrays(read_arrays(file))
    assert back.columns == table.columns and back.groups == table.groups
    assert back.image_ids.tolist() == ["é", "b"] and back.proposals.tolist() == [4, 2]
    assert back.values.dtype == np.float32
    np.testing.assert_array_equal(back.values, table.values)
    with pytest.raises(InputError, match="'groups'"):
        FeatureTable.from_arrays({"values": table.values, "columns": np.array(["x"])})


def test_constant_columns():
    values = np.array([[1.0, 5.0, 0.1], [1.0, 5.0, 0.2], [1.0, 6.0, 0.3], [1.0, 6.0, 0.4]])
    table = FeatureTable(values, ("one", "image", "free"), "g", ["a", "a", "b", "b"])
    assert table.constant_columns() == ("one",)
    assert table.constant_columns(within_images=True) == ("one", "image")
    assert table.drop_constant_columns().columns == ("image", "free")
    assert table.drop_constant_columns(within_images=True).columns == ("free",)
    with pytest.raises(InputError, match="1 columns are constant.*'one'"):
        table.refuse_constant_columns()
    assert len(table.select(columns=["free"]).refuse_constant_columns()) == 4
    with pytest.raises(InputError, match="all 1 columns are constant"):
        table.select(columns=["one"]).drop_constant_columns()


def test_leaking_columns():
    rng = np.random.default_rng(0)
    quality = rng.random(12)
    images = np.repeat(["a", "b", "c"], 4)
    offset = np.repeat([0.0, 3.0, -5.0], 4)
    values = np.stack(
        [
            quality,
            -2 * quality + 1,
            quality + offset,
            quality + 0.01 * rng.normal(size=12),
            np.ones(12),
        ],
        axis=1,
    )
    table = FeatureTable(values, ("same", "loss", "shifted", "good", "flat"), "g", images)
    assert table.leaking_columns(quality) == ("same", "loss", "shifted")
    with pytest.raises(LeakError, match="'same', 'loss', 'shifted'"):
        table.refuse_leaking_columns(quality)
    honest = table.select(columns=["good", "flat"])
    assert honest.refuse_leaking_columns(quality) is honest
    assert table.rows(np.arange(3)).leaking_columns(quality[:3]) == ()
    with pytest.raises(InputError, match="quality must be"):
        table.leaking_columns(quality[:5])
