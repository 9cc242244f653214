"""The table of features: a row for each proposal, a named and grouped column for each feature."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from rerank.errors import InputError, LeakError
from rerank.features.screening import constant_columns, leaking_columns
from rerank.types import Array, BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Features of proposals, with a name and a group for every column.

    Parameters
    ----------
    values : (N, D) float32 or float64
        One row for each proposal. Other real dtypes become float64.
    columns : sequence of D str
        Names, each once.
    groups : sequence of D str, or one str for all columns
        The group of each column: `segnet`, `classification`, `proposal`, `fused_posterior`, ...
    image_ids : (N,) str, or one str for all rows, optional
        The image that each row belongs to. Without it all rows are of one unnamed image.
    proposals : (N,) int, optional
        The index of the proposal within its image. Without it the rows of an image count
        from 0 in the order in which they stand.

    Raises
    ------
    InputError
        If shapes disagree, a name or a row comes twice, or a value is NaN or infinite (the
        message names the column and the image).

    Examples
    --------
    >>> table = FeatureTable([[1.0, 2.0], [3.0, 4.0]], ("segnet.kl", "proposal.rank"),
    ...                      ("segnet", "proposal"), image_ids="cow")
    >>> table.select(groups="segnet").values.ravel().tolist()
    [1.0, 3.0]
    """

    values: FloatArray
    columns: tuple[str, ...]
    groups: tuple[str, ...]
    image_ids: Array = None  # type: ignore[assignment]  # filled in below
    proposals: IntArray = None  # type: ignore[assignment]  # filled in below

    def __post_init__(self) -> None:
        values = np.asarray(self.values)
        if values.ndim != 2:
            raise InputError(f"values must be (N, D), got shape {values.shape}")
        if values.dtype not in (np.float32, np.float64):
            values = values.astype(np.float64)
        n_rows, n_columns = values.shape
        columns = tuple(self.columns)
        groups = (self.groups,) * n_columns if isinstance(self.groups, str) else tuple(self.groups)
        if len(columns) != n_columns or len(groups) != n_columns:
            raise InputError(
                f"values have {n_columns} columns, but there are {len(columns)} "
                f"names and {len(groups)} groups"
            )
        _check_names(columns)
        image_ids = _row_ids(self.image_ids, n_rows)
        proposals = _counted(image_ids) if self.proposals is None else np.asarray(self.proposals)
        if proposals.shape != (n_rows,) or not np.issubdtype(proposals.dtype, np.integer):
            raise InputError(
                f"proposals must be ({n_rows},) integers, got {proposals.dtype} {proposals.shape}"
            )
        self._set(values, columns, groups, image_ids, proposals)
        self._check_rows()
        self._check_finite()

    @classmethod
    def of_image(
        cls, values: FloatArray, columns: tuple[str, ...], group: str, image_id: str = ""
    ) -> FeatureTable:
        """A table whose columns are of one group, and whose rows are one image's proposals.

        Parameters
        ----------
        values : (M, D) float32 or float64
        columns : tuple of D str
        group : str
        image_id : str

        Returns
        -------
        FeatureTable

        Raises
        ------
        InputError
            If shapes disagree, a name comes twice, or a value is not finite.
        """
        if values.ndim != 2 or values.shape[1] != len(columns):
            raise InputError(f"values of shape {values.shape} have {len(columns)} names")
        _check_names(columns)
        image_ids, proposals = _rows_of_image(image_id, len(values))
        table = cls._unchecked(values, columns, (group,) * len(columns), image_ids, proposals)
        table._check_finite()
        return table

    @classmethod
    def _unchecked(
        cls,
        values: FloatArray,
        columns: tuple[str, ...],
        groups: tuple[str, ...],
        image_ids: Array,
        proposals: IntArray,
    ) -> FeatureTable:
        table = object.__new__(cls)
        table._set(values, columns, groups, image_ids, proposals)
        return table

    def _set(self, *values: Any) -> None:
        names = ("values", "columns", "groups", "image_ids", "proposals")
        for name, value in zip(names, values):
            object.__setattr__(self, name, value)

    def _check_rows(self) -> None:
        rows = list(zip(self.image_ids.tolist(), self.proposals.tolist()))
        if len(set(rows)) < len(rows):
            seen: set[tuple[str, int]] = set()
            for image, proposal in rows:
                if (image, proposal) in seen:
                    raise InputError(f"proposal {proposal} of image {image!r} comes twice")
                seen.add((image, proposal))

    def _check_finite(self) -> None:
        # A sum is finite only if no term is NaN or infinite; overflow is the one false alarm.
        with np.errstate(over="ignore", invalid="ignore"):
            total = self.values.sum(dtype=np.float64)
        if np.isfinite(total):
            return
        bad = np.argwhere(~np.isfinite(self.values))
        if len(bad):
            row, column = (int(b) for b in bad[0])
            raise InputError(
                f"column {self.columns[column]!r} is {self.values[row, column]} for proposal "
                f"{int(self.proposals[row])} of image {str(self.image_ids[row])!r}; features "
                f"must be finite ({len(bad)} of {self.values.size} values are not)"
            )

    def __len__(self) -> int:
        return len(self.values)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.values.shape[0], self.values.shape[1]

    @property
    def image_index(self) -> IntArray:
        """(N,) int64: which image a row belongs to, counted in order of first appearance."""
        codes: dict[str, int] = {}
        return np.array(
            [codes.setdefault(i, len(codes)) for i in self.image_ids.tolist()], dtype=np.int64
        )

    @property
    def group_names(self) -> tuple[str, ...]:
        """The groups that occur, in order of first appearance."""
        return tuple(dict.fromkeys(self.groups))

    def column(self, name: str) -> FloatArray:
        """(N,) values of one column; `InputError` if there is none of that name."""
        return self.values[:, self._positions((name,))[0]]

    def select(
        self, groups: str | Iterable[str] | None = None, columns: Iterable[str] | None = None
    ) -> FeatureTable:
        """Keep the columns of some groups, or named columns in the order named.

        Parameters
        ----------
        groups : str or iterable of str, optional
        columns : iterable of str, optional
            With `groups` too, they must be of these groups.

        Returns
        -------
        FeatureTable

        Raises
        ------
        InputError
            If a group or a column is not there.
        """
        kept: IntArray = np.arange(len(self.columns))
        if groups is not None:
            wanted = (groups,) if isinstance(groups, str) else tuple(groups)
            unknown = [g for g in wanted if g not in self.groups]
            if unknown:
                raise InputError(
                    f"no column is of group {unknown[0]!r}; there are {', '.join(self.group_names)}"
                )
            kept = np.flatnonzero([g in set(wanted) for g in self.groups])
        if columns is not None:
            names = (columns,) if isinstance(columns, str) else tuple(columns)
            positions = self._positions(names)
            outside = np.setdiff1d(positions, kept)
            if len(outside):
                raise InputError(
                    f"column {self.columns[outside[0]]!r} is of group "
                    f"{self.groups[outside[0]]!r}, which was not asked for"
                )
            kept = positions
        return FeatureTable(
            self.values[:, kept],
            tuple(self.columns[k] for k in kept),
            tuple(self.groups[k] for k in kept),
            self.image_ids,
            self.proposals,
        )

    def drop(self, columns: Iterable[str]) -> FeatureTable:
        """Leave out named columns; `InputError` if one is not there."""
        dropped = set(self._positions(tuple(columns)).tolist())
        return self.select(columns=[c for k, c in enumerate(self.columns) if k not in dropped])

    def rows(self, index: Array) -> FeatureTable:
        """Keep rows by a boolean mask or by integer positions."""
        return FeatureTable(
            self.values[index],
            self.columns,
            self.groups,
            self.image_ids[index],
            self.proposals[index],
        )

    def for_images(self, image_ids: Iterable[str]) -> FeatureTable:
        """Keep the rows of some images, in the table's order; all must be there."""
        wanted = {str(i) for i in image_ids}
        missing = wanted - set(self.image_ids.tolist())
        if missing:
            raise InputError(
                f"no row is of image {sorted(missing)[0]!r} ({len(missing)} images are missing)"
            )
        return self.rows(np.array([i in wanted for i in self.image_ids.tolist()], dtype=bool))

    def require(self, names: Sequence[str], where: str = "") -> FeatureTable:
        """Return the table itself if its columns are exactly `names`, in that order.

        Parameters
        ----------
        names : sequence of str
        where : str
            Names the table in the error.

        Returns
        -------
        FeatureTable

        Raises
        ------
        InputError
            If a column is missing, renamed, new, or stands elsewhere.
        """
        names = tuple(names)
        if names == self.columns:
            return self
        prefix = f"{where}: " if where else ""
        missing = [n for n in names if n not in set(self.columns)]
        unknown = [c for c in self.columns if c not in set(names)]
        if missing or unknown:
            raise InputError(
                f"{prefix}the columns are not those asked for: "
                f"missing {_shown(missing)}; unasked {_shown(unknown)}"
            )
        place = next(k for k, (a, b) in enumerate(zip(names, self.columns)) if a != b)
        raise InputError(
            f"{prefix}column {place} must be {names[place]!r}, but "
            f"{self.columns[place]!r} stands there; the order must be that of "
            f"training"
        )

    def constant_columns(self, within_images: bool = False) -> tuple[str, ...]:
        """Names of columns with one value in all rows.

        With `within_images`, of columns with one value in all rows of each image (which may
        differ between images): a linear ranker can't tell proposals apart by these.
        """
        if not len(self):
            return self.columns
        index = self.image_index if within_images else np.zeros(len(self), dtype=np.int64)
        return self._named(constant_columns(self.values, index))

    def drop_constant_columns(self, within_images: bool = False) -> FeatureTable:
        """The table without its constant columns; `InputError` if nothing is left."""
        constant = self.constant_columns(within_images)
        if len(constant) == len(self.columns):
            raise InputError(f"all {len(constant)} columns are constant over {len(self)} rows")
        return self.drop(constant)

    def refuse_constant_columns(self, within_images: bool = False) -> FeatureTable:
        """Return the table itself, or raise `InputError` naming its constant columns."""
        constant = self.constant_columns(within_images)
        if constant:
            raise InputError(
                f"{len(constant)} columns are constant over {len(self)} rows and "
                f"tell a ranker nothing: {_shown(constant)}"
            )
        return self

    def leaking_columns(self, quality: Array, tolerance: float = 1e-6) -> tuple[str, ...]:
        """Names of columns that equal the quality but for scale and offset.

        A column leaks if, over all rows or after removing each image's mean from both, it is
        a rising or falling linear function of `quality` (absolute correlation of at least
        1 - `tolerance`). Fewer than four rows prove nothing, and name no column.

        Parameters
        ----------
        quality : (N,) float
            What the ranker learns to predict, such as the IoU of each proposal.
        tolerance : float
            How far from 1 an absolute correlation may be and still count as equality.

        Returns
        -------
        tuple of str

        Raises
        ------
        InputError
            If `quality` is not (N,) or not finite.
        """
        target = np.asarray(quality, dtype=np.float64)
        if target.shape != (len(self),):
            raise InputError(f"quality must be ({len(self)},), got {target.shape}")
        if not np.isfinite(target).all():
            raise InputError("quality must be finite")
        return self._named(leaking_columns(self.values, self.image_index, target, tolerance))

    def refuse_leaking_columns(self, quality: Array, tolerance: float = 1e-6) -> FeatureTable:
        """Return the table itself, or refuse it where columns leak: see `leaking_columns`.

        Parameters
        ----------
        quality : (N,) float
        tolerance : float
            Both as for `leaking_columns`.

        Raises
        ------
        LeakError
            If columns leak; it names them.
        InputError
            If `quality` is not (N,) or not finite.
        """
        leaks = self.leaking_columns(quality, tolerance)
        if leaks:
            raise LeakError(
                f"{len(leaks)} columns equal the quality that they should help "
                f"to predict: {_shown(leaks)}"
            )
        return self

    def to_arrays(self) -> dict[str, Any]:
        """Arrays, and tuples of strings, as `rerank.hdf5.write_arrays` takes them."""
        return {
            "values": self.values,
            "columns": self.columns,
            "groups": self.groups,
            "image_ids": tuple(self.image_ids.tolist()),
            "proposals": self.proposals,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> FeatureTable:
        """The table that `to_arrays` wrote; `InputError` if an array is missing."""
        missing = [
            k for k in ("values", "columns", "groups", "image_ids", "proposals") if k not in arrays
        ]
        if missing:
            raise InputError(f"a stored feature table must hold {missing[0]!r}")
        return cls(
            arrays["values"],
            tuple(arrays["columns"]),
            tuple(arrays["groups"]),
            np.array(arrays["image_ids"], dtype=np.str_),
            arrays["proposals"],
        )

    @staticmethod
    def concatenate(tables: Iterable[FeatureTable]) -> FeatureTable:
        """Rows of several tables, one after another; names, groups and order must agree."""
        parts = list(tables)
        if not parts:
            raise InputError("no tables to concatenate")
        for part in parts[1:]:
            where = f"image {str(part.image_ids[0])!r}" if len(part) else "an empty table"
            part.require(parts[0].columns, where)
            if part.groups != parts[0].groups:
                raise InputError(f"{where}: the groups of the columns differ")
        return FeatureTable(
            np.concatenate([p.values for p in parts]),
            parts[0].columns,
            parts[0].groups,
            np.concatenate([p.image_ids for p in parts]),
            np.concatenate([p.proposals for p in parts]),
        )

    @staticmethod
    def join(tables: Iterable[FeatureTable]) -> FeatureTable:
        """Columns of several tables side by side; their rows must be the same."""
        parts = list(tables)
        if not parts:
            raise InputError("no tables to join")
        first = parts[0]
        for part in parts[1:]:
            if not (
                _same(part.image_ids, first.image_ids) and _same(part.proposals, first.proposals)
            ):
                raise InputError(
                    f"the rows of {part.columns[:1]} are not those of {first.columns[:1]}"
                )
        columns = tuple(c for p in parts for c in p.columns)
        groups = tuple(g for p in parts for g in p.groups)
        _check_names(columns)
        return FeatureTable._unchecked(
            np.concatenate([p.values for p in parts], axis=1),
            columns,
            groups,
            first.image_ids,
            first.proposals,
        )

    def _named(self, wanted: BoolArray) -> tuple[str, ...]:
        return tuple(self.columns[k] for k in np.flatnonzero(wanted))

    def _positions(self, names: Sequence[str]) -> IntArray:
        where = _places(self.columns)
        missing = [n for n in names if n not in where]
        if missing:
            raise InputError(
                f"there is no column {missing[0]!r} ({len(missing)} of "
                f"{len(names)} columns asked for are missing)"
            )
        return np.array([where[n] for n in names], dtype=np.int64)


@lru_cache(maxsize=256)
def _places(columns: tuple[str, ...]) -> dict[str, int]:
    return {name: k for k, name in enumerate(columns)}


@lru_cache(maxsize=256)
def _check_names(columns: tuple[str, ...]) -> None:
    seen: set[str] = set()
    for name in columns:
        if not isinstance(name, str) or not name:
            raise InputError(f"a column's name must be a non-empty str, got {name!r}")
        if name in seen:
            raise InputError(f"column {name!r} comes twice")
        seen.add(name)


@lru_cache(maxsize=16)
def _rows_of_image(image_id: str, n_rows: int) -> tuple[Array, IntArray]:
    image_ids, proposals = np.full(n_rows, image_id), np.arange(n_rows)
    # Tables of one image share these.
    image_ids.flags.writeable = False
    proposals.flags.writeable = False
    return image_ids, proposals


def _same(left: Array, right: Array) -> bool:
    return left is right or bool(np.array_equal(left, right))


def _row_ids(image_ids: Array | Sequence[str] | str | None, n_rows: int) -> Array:
    if image_ids is None or isinstance(image_ids, str):
        return np.full(n_rows, image_ids or "")
    ids = np.asarray(image_ids)
    if ids.shape != (n_rows,):
        raise InputError(f"image_ids must be ({n_rows},), got {ids.shape}")
    return ids.astype(np.str_, copy=False)


def _counted(image_ids: Array) -> IntArray:
    counts: dict[str, int] = {}
    proposals = np.empty(len(image_ids), dtype=np.int64)
    for k, image in enumerate(image_ids.tolist()):
        proposals[k] = counts.get(image, 0)
        counts[image] = int(proposals[k]) + 1
    return proposals


def _shown(names: Sequence[str], limit: int = 5) -> str:
    """A few names for a message, and how many more there are."""
    text = ", ".join(repr(name) for name in names[:limit]) or "none"
    return text if len(names) <= limit else f"{text} and {len(names) - limit} more"
