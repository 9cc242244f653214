"""The files of a fold's shards, read as one file of the whole fold."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack

import h5py


class ShardedFile:
    """Files of shards, of which one is open at a time: images are read in their order.

    Parameters
    ----------
    counts : sequence of int
        Images of each shard.
    openers : sequence of callables
        Each opens the file of one shard.
    """

    def __init__(
        self,
        counts: Sequence[int],
        openers: Sequence[Callable[[], AbstractContextManager[h5py.File]]],
    ) -> None:
        self._ends = list(itertools.accumulate(counts))
        self._openers = openers
        self._stack = ExitStack()
        self._number, self._file = -1, None

    def place(self, index: int) -> tuple[h5py.File, int]:
        """The open file that holds an image, and the image's place in it.

        Parameters
        ----------
        index : int
            The image's place in the fold, from 0.

        Returns
        -------
        file : HDF5 file
            It is closed when an image of another shard is asked for.
        index : int
        """
        number = bisect.bisect_right(self._ends, index)
        return self._open(number), index - (self._ends[number - 1] if number else 0)

    def files(self) -> Iterator[h5py.File]:
        """The file of each shard in turn, open until the next is asked for."""
        for number in range(len(self._ends)):
            yield self._open(number)

    def close(self) -> None:
        """Close the file that is open."""
        self._stack.close()
        self._number, self._file = -1, None

    def _open(self, number: int) -> h5py.File:
        if number != self._number:
            self.close()
            self._file = self._stack.enter_context(self._openers[number]())
            self._number = number
        return self._file
