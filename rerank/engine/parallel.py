"""Independent calls over worker processes or threads, one core each."""

from __future__ import annotations

import ctypes
import functools
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TypeVar

import joblib
import threadpoolctl
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import BrokenProcessPool

from rerank.errors import WorkerError

Result = TypeVar("Result")
#: Seconds between two looks of a worker at its parent.
_WATCH_SECONDS = 0.5
#: Options of glibc's `mallopt`, and their values: blocks of up to 32 MiB are taken from the heap,
#: the most that it allows, and up to 128 MiB of what is freed are kept for the next.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = (-1, 2**27), (-3, 2**25)


def run_tasks(
    function: Callable[..., Result],
    arguments: Sequence[tuple[Any, ...]],
    jobs: int = 1,
    backend: Literal["loky", "threading"] = "loky",
) -> Iterator[Result]:
    """Call a function on each tuple of arguments, and yield results as they are ready.

    Every call runs on one thread, so that sums are added in the same order whatever `jobs` is.
    An error in a task is raised here; tasks that have ended keep what they wrote.

    Parameters
    ----------
    function : callable
    arguments : sequence of tuples
        The positional arguments of each call.
    jobs : int
        Calls at a time.
    backend : {"loky", "threading"}

    Yields
    ------
    result of one call
        In the order in which calls end.

    Raises
    ------
    WorkerError
        If a worker process dies.
    """
    if jobs == 1 or len(arguments) == 1:
        for item in arguments:
            yield on_one_thread(function, item)
        return
    # loky renews a worker whose memory has grown, and warns; nothing is lost by it.
    warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given")
    parent = os.getpid() if backend == "loky" else None
    try:
        with joblib.parallel_config(backend=backend, n_jobs=jobs):
            workers = joblib.Parallel(
                return_as="generator_unordered", pre_dispatch="n_jobs", batch_size=1
            )
            results = workers(
                joblib.delayed(_in_worker)(parent, function, item) for item in arguments
            )
        yield from results
    except BrokenProcessPool as error:
        raise WorkerError(
            "a worker process ended unexpectedly, most often for lack of memory; "
            "what is finished is kept, run the same command again with fewer --jobs"
        ) from error
    except KeyboardInterrupt:
        if backend == "loky":
            # Not waited for: what they compute is not wanted any more.
            get_reusable_executor().shutdown(wait=False, kill_workers=True)
        raise


def available_cores() -> int:
    """Number of cores that this process may use."""
    return int(joblib.cpu_count()) if hasattr(joblib, "cpu_count") else os.cpu_count() or 1


def _in_worker(
    parent: int | None, function: Callable[..., Result], arguments: tuple[Any, ...]
) -> Result:
    if parent is not None:
        end_with_parent(parent)
    return on_one_thread(function, arguments)


@functools.cache
def end_with_parent(parent: int) -> None:
    """Make this process end soon after its parent, however that ends."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@functools.cache
def keep_freed_memory() -> None:
    """Let this process keep memory that it frees, for its next arrays.

    Else large arrays are given back to the system when they are freed, and their pages are cleared
    and mapped again for the next: with ``MALLOC_TRIM_THRESHOLD_=65536``, which Dask starts its
    workers with, the training of a SegNet took 1.7 times the CPU seconds. Nothing happens where the
    C library is not glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for option, value in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
        mallopt(ctypes.c_int(option), ctypes.c_int(value))


def on_one_thread(function: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
    """Call a function while the libraries below it use one thread; see `keep_freed_memory` too.

    Parameters
    ----------
    function : callable
    arguments : tuple

    Returns
    -------
    what the function returns
    """
    import cv2
    import torch

    keep_freed_memory()
    cv2.setNumThreads(1)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpoolctl.threadpool_limits(limits=1):
            return function(*arguments)
    finally:
        torch.set_num_threads(before)
