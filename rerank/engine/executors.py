"""Where tasks that hang on each other are computed: here, in local workers, or on a Dask cluster.

Each executor has one method, `run`: it calls a function on each task as soon as those that the task
comes after have ended. What all tasks share is sent once to each worker, and a task is its name.
"""

from __future__ import annotations

import heapq
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any, Literal, NamedTuple, Protocol

from joblib.externals.loky.process_executor import BrokenProcessPool, ProcessPoolExecutor

from rerank.engine.parallel import available_cores, end_with_parent, on_one_thread
from rerank.errors import ConfigError, RerankError, WorkerError

Backend = Literal["loky", "threading", "dask"]
#: A function of what all tasks share, and of the name of one.
TaskFunction = Callable[[Any, str], None]
#: Times that a task whose local worker died is given to another.
_RETRIES = 1
#: Times that Dask tries a task again after an error of the system, such as of a file.
_DASK_RETRIES = 2


class Call(NamedTuple):
    """A task and those that it comes after.

    Attributes
    ----------
    name : str
    after : frozenset of str
        Names of other calls.
    """

    name: str
    after: frozenset[str]


class Executor(Protocol):
    """Computes tasks that hang on each other."""

    def run(self, function: TaskFunction, shared: Any, calls: Sequence[Call]) -> Iterator[str]:
        """Call a function on each task, on one thread, after those that the task comes after.

        Parameters
        ----------
        function : callable
            Given `shared` and the name of a task.
        shared : object
        calls : sequence of Call
            Where several can run, the first comes first.

        Yields
        ------
        str
            Names of the tasks, as they end.

        Raises
        ------
        WorkerError
            If workers die. An error of a task is raised as it is; what has ended stays.
        """


def make_executor(backend: Backend, jobs: int | None, scheduler: str | None) -> Executor:
    """The executor of a backend.

    Parameters
    ----------
    backend : {"loky", "threading", "dask"}
    jobs : int or None
        Tasks at a time; None for one per core. A cluster has as many workers as it has.
    scheduler : str or None
        Address of the Dask scheduler, such as ``tcp://host:8786``; needed by `dask` alone.

    Returns
    -------
    Executor

    Raises
    ------
    ConfigError
        If the settings do not go together.
    """
    check_backend(backend, jobs, scheduler)
    if scheduler is not None:
        return DaskExecutor(scheduler)
    wanted = available_cores() if jobs is None else jobs
    if wanted == 1:
        return SerialExecutor()
    return LokyExecutor(wanted) if backend == "loky" else ThreadExecutor(wanted)


def check_backend(backend: Backend, jobs: int | None, scheduler: str | None) -> None:
    """Refuse settings of `make_executor` that do not go together.

    Parameters
    ----------
    backend : {"loky", "threading", "dask"}
    jobs : int or None
    scheduler : str or None

    Raises
    ------
    ConfigError
    """
    if backend == "dask" and scheduler is None:
        raise ConfigError("--backend dask needs --scheduler ADDRESS (tcp://host:8786)")
    if backend != "dask" and scheduler is not None:
        raise ConfigError("--scheduler goes with --backend dask")
    if backend == "dask" and jobs is not None:
        raise ConfigError(
            "--jobs goes with the backends of this machine; a Dask cluster runs as many tasks at a "
            "time as its workers have threads"
        )


class SerialExecutor:
    """One task after another in this process."""

    def run(self, function: TaskFunction, shared: Any, calls: Sequence[Call]) -> Iterator[str]:
        """Call a function on each task: see `Executor`."""
        waiting = _Waiting(calls)
        while (name := waiting.pop()) is not None:
            on_one_thread(function, (shared, name))
            waiting.done(name)
            yield name


class _LocalExecutor:
    """Workers of this machine.

    Parameters
    ----------
    jobs : int
        Tasks at a time.
    """

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs


class ThreadExecutor(_LocalExecutor):
    """Threads of this process."""

    def run(self, function: TaskFunction, shared: Any, calls: Sequence[Call]) -> Iterator[str]:
        """Call a function on each task: see `Executor`."""
        waiting, running = _Waiting(calls), dict[Future[None], str]()
        with ThreadPoolExecutor(self.jobs) as pool:
            try:
                while waiting.fill(
                    running,
                    self.jobs,
                    lambda name: pool.submit(on_one_thread, function, (shared, name)),
                ):
                    yield from waiting.ended(running)
            finally:
                for future in running:
                    future.cancel()


class LokyExecutor(_LocalExecutor):
    """Worker processes of this machine."""

    def run(self, function: TaskFunction, shared: Any, calls: Sequence[Call]) -> Iterator[str]:
        """Call a function on each task: see `Executor`.

        A task whose worker dies is tried once more.
        """
        # loky renews a worker whose memory has grown, and warns; nothing is lost by it.
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given")
        waiting, running = _Waiting(calls), dict[Future[None], str]()
        tries: dict[str, int] = {}

        def start() -> ProcessPoolExecutor:
            return ProcessPoolExecutor(
                min(self.jobs, max(1, len(calls))),
                initializer=_receive,
                initargs=(os.getpid(), function, shared),
            )

        def submit(name: str) -> Future[None]:
            tries[name] = tries.get(name, 0) + 1
            future: Future[None] = pool.submit(_call_received, name)
            return future

        pool = start()
        try:
            while waiting.fill(running, self.jobs, submit):
                started = list(running.values())
                try:
                    yield from waiting.ended(running)
                except BrokenProcessPool as error:
                    lost = [name for name in started if name not in waiting.finished]
                    if any(tries[name] > _RETRIES for name in lost):
                        raise _dead_worker() from error
                    running.clear()
                    waiting.again(lost)
                    pool = start()
        except BaseException:
            # Not waited for: what they compute is not wanted any more.
            pool.shutdown(wait=False, kill_workers=True)
            raise
        pool.shutdown()


class DaskExecutor:
    """The workers of a Dask cluster, which share a file system with this machine.

    Parameters
    ----------
    scheduler : str
        Address, such as ``tcp://host:8786``.
    """

    def __init__(self, scheduler: str) -> None:
        self.scheduler = scheduler

    def run(self, function: TaskFunction, shared: Any, calls: Sequence[Call]) -> Iterator[str]:
        """Call a function on each task: see `Executor`.

        The scheduler is given all tasks at once, each with the futures of those it comes after; it
        gives those of a lost worker to others.
        """
        with self._client() as client:
            try:
                yield from _run_on(client, function, shared, calls)
            except RerankError:
                raise
            except Exception as error:
                if not _is_of_cluster(error):
                    raise
                raise WorkerError(
                    f"the Dask cluster ended or lost its workers ({_first_line(error)}); what is "
                    "finished is kept, run the same command again when the cluster is back"
                ) from error

    def _client(self) -> Any:
        try:
            from dask.distributed import Client
        except ImportError:
            raise ConfigError(
                "the dask backend needs the extra: pip install 'rerank[dask]'"
            ) from None
        try:
            client = Client(self.scheduler, timeout="10s")  # type: ignore[no-untyped-call]
        except (OSError, TimeoutError, ValueError) as error:
            raise ConfigError(f"no Dask scheduler answers at {self.scheduler} ({error})") from error
        # The error that it ends in says all; what its parts say besides fills a screen.
        for name in logging.root.manager.loggerDict:
            if name.partition(".")[0] == "distributed":
                logging.getLogger(name).setLevel(logging.CRITICAL)
        return _Closing(client)


class _Closing:
    """A Dask client that is closed without waiting for a scheduler that is gone."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __enter__(self) -> Any:
        return self._client

    def __exit__(self, *error: object) -> None:
        with suppress(Exception):
            self._client.close(timeout=5)


def _run_on(
    client: Any, function: TaskFunction, shared: Any, calls: Sequence[Call]
) -> Iterator[str]:
    from dask.distributed import as_completed

    sent = client.scatter(_Shared(function, shared), broadcast=True, hash=False)
    run, places = os.urandom(8).hex(), {call.name: k for k, call in enumerate(calls)}
    futures: dict[str, Any] = {}
    # A task is submitted after those that it comes after, and as urgent as its place says.
    waiting = _Waiting(calls)
    while (name := waiting.pop()) is not None:
        futures[name] = client.submit(
            _call_on_cluster,
            sent,
            name,
            [futures[other] for other in sorted(calls[places[name]].after)],
            key=f"{name} {run}",
            pure=False,
            priority=-places[name],
            retries=_DASK_RETRIES,
        )
        waiting.done(name)
    names = {future.key: name for name, future in futures.items()}
    try:
        for future in as_completed(futures.values()):  # type: ignore[no-untyped-call]
            error = future.result()
            if error is not None:
                raise error
            yield names[future.key]
    except BaseException:
        with suppress(Exception):
            client.cancel(list(futures.values()), force=True)
        raise


class _Shared(NamedTuple):
    function: TaskFunction
    value: Any


def _call_on_cluster(shared: _Shared, name: str, after: list[None]) -> RerankError | None:
    """Call the function; an error of ours is returned, because no other try would mend it."""
    try:
        on_one_thread(shared.function, (shared.value, name))
    except RerankError as error:
        return error
    return None


class _Waiting:
    """Tasks that were not started yet."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self._names = [call.name for call in calls]
        self._places = {name: place for place, name in enumerate(self._names)}
        self._left = {call.name: len(call.after) for call in calls}
        self._next: dict[str, list[str]] = {}
        for call in calls:
            for other in call.after:
                self._next.setdefault(other, []).append(call.name)
        self._ready = [self._places[call.name] for call in calls if not call.after]
        self.finished: set[str] = set()

    def pop(self) -> str | None:
        """The most urgent task that can run; None if none can."""
        return self._names[heapq.heappop(self._ready)] if self._ready else None

    def done(self, name: str) -> None:
        """Note that a task has ended, so that others can run."""
        self.finished.add(name)
        for other in self._next.get(name, ()):
            self._left[other] -= 1
            if self._left[other] == 0:
                heapq.heappush(self._ready, self._places[other])

    def again(self, names: Sequence[str]) -> None:
        """Note that tasks must be run again."""
        for name in names:
            heapq.heappush(self._ready, self._places[name])

    def fill(
        self, running: dict[Future[None], str], most: int, submit: Callable[[str], Future[None]]
    ) -> bool:
        """Start what can run, at most so many at a time; whether anything runs."""
        while len(running) < most and (name := self.pop()) is not None:
            running[submit(name)] = name
        return bool(running)

    def ended(self, running: dict[Future[None], str]) -> Iterator[str]:
        """Wait for the next of the running tasks to end, and yield those that have."""
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            future.result()
            name = running.pop(future)
            self.done(name)
            yield name


def _dead_worker() -> WorkerError:
    return WorkerError(
        "a worker process ended unexpectedly, most often for lack of memory; "
        "what is finished is kept, run the same command again with fewer --jobs"
    )


#: In a worker process: the function, and what all its tasks share.
_received: Mapping[str, Any] = {}


def _receive(parent: int, function: TaskFunction, shared: Any) -> None:
    global _received
    end_with_parent(parent)
    _received = {"function": function, "shared": shared}


def _call_received(name: str) -> None:
    on_one_thread(_received["function"], (_received["shared"], name))


def _is_of_cluster(error: Exception) -> bool:
    """Whether an error is of the cluster itself and not of a task."""
    kinds = {f"{kind.__module__}.{kind.__name__}" for kind in type(error).__mro__}
    return isinstance(error, (OSError, TimeoutError)) or any(
        kind.startswith(("distributed.", "concurrent.futures", "asyncio.")) for kind in kinds
    )


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
