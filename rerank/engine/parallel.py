"""Independent tasks over worker processes, threads or a Dask cluster, one core each."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import joblib
import threadpoolctl
from joblib.externals.loky.process_executor import BrokenProcessPool

from rerank.errors import ConfigError, WorkerError

Backend = Literal["loky", "threading", "dask"]
Result = TypeVar("Result")


def run_tasks(
    function: Callable[..., Result],
    arguments: Sequence[tuple[Any, ...]],
    jobs: int = 1,
    backend: Backend = "loky",
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
    backend : {"loky", "threading", "dask"}

    Yields
    ------
    result of one call
        In the order in which calls end.

    Raises
    ------
    WorkerError
        If a worker process dies.
    """
    if jobs == 1 or (len(arguments) == 1 and backend != "dask"):
        for item in arguments:
            yield _on_one_thread(function, item)
        return
    with joblib.parallel_config(backend=backend, n_jobs=jobs):
        workers = joblib.Parallel(
            return_as="generator_unordered", pre_dispatch="n_jobs", batch_size=1
        )
        results = workers(joblib.delayed(_on_one_thread)(function, item) for item in arguments)
    # loky renews a worker whose memory has grown, and warns; nothing is lost by it.
    warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given")
    try:
        yield from results
    except BrokenProcessPool as error:
        raise WorkerError(
            "a worker process ended unexpectedly, most often for lack of memory; "
            "what is finished is kept, run the same command again with fewer --jobs"
        ) from error


def check_backend(backend: Backend, scheduler: str | None) -> None:
    """Refuse a Dask scheduler without Dask, and Dask without a scheduler.

    Parameters
    ----------
    backend : {"loky", "threading", "dask"}
    scheduler : str or None
        Address of the Dask scheduler.

    Raises
    ------
    ConfigError
    """
    if backend == "dask" and scheduler is None:
        raise ConfigError("--backend dask needs --scheduler ADDRESS (tcp://host:8786)")
    if backend != "dask" and scheduler is not None:
        raise ConfigError("--scheduler goes with --backend dask")


@contextmanager
def cluster(backend: Backend, scheduler: str | None) -> Iterator[None]:
    """Connect to the Dask scheduler for the length of the block; nothing for other backends.

    Parameters
    ----------
    backend : {"loky", "threading", "dask"}
    scheduler : str or None
        Address of the scheduler, such as ``tcp://host:8786``; needed by `dask` alone.

    Raises
    ------
    ConfigError
        If Dask is not installed, its scheduler has no address or does not answer, or another
        backend is given an address.
    """
    check_backend(backend, scheduler)
    if backend != "dask":
        yield
        return
    try:
        from dask.distributed import Client
    except ImportError:
        raise ConfigError("the dask backend needs the extra: pip install 'rerank[dask]'") from None
    try:
        client = Client(scheduler, timeout="10s")  # type: ignore[no-untyped-call]
    except (OSError, TimeoutError, ValueError) as error:
        raise ConfigError(f"no Dask scheduler answers at {scheduler} ({error})") from error
    with client:
        yield


def available_cores() -> int:
    """Number of cores that this process may use."""
    return int(joblib.cpu_count()) if hasattr(joblib, "cpu_count") else os.cpu_count() or 1


def _on_one_thread(function: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
    import cv2
    import torch

    cv2.setNumThreads(1)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpoolctl.threadpool_limits(limits=1):
            return function(*arguments)
    finally:
        torch.set_num_threads(before)
