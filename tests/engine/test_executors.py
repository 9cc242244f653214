"""Each task once, after those that it comes after, whatever the executor."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rerank.engine.executors import (
    Backend,
    Call,
    DaskExecutor,
    Executor,
    LokyExecutor,
    SerialExecutor,
    ThreadExecutor,
    check_backend,
    make_executor,
)
from rerank.errors import ConfigError, DataError, WorkerError

#: A diamond, and a chain beside it.
CALLS = [
    Call("last", frozenset({"left", "right"})),
    Call("left", frozenset({"first"})),
    Call("right", frozenset({"first"})),
    Call("first", frozenset()),
    *(Call(f"{k}", frozenset({f"{k - 1}"}) if k else frozenset()) for k in range(5)),
]


def note(folder: Path, name: str) -> None:
    """Leave a file, which those that come after must find."""
    wanted = next(call.after for call in CALLS if call.name == name)
    assert all((folder / other).exists() for other in wanted)
    with (folder / name).open("x"):
        pass


def fail(folder: Path, name: str) -> None:
    if name == "left":
        raise DataError("image 2: unreadable")
    note(folder, name)


def die_once(folder: Path, name: str) -> None:
    """As a real task: what is there is not made again."""
    if name == "left" and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if not (folder / name).exists():
        note(folder, name)


def die(folder: Path, name: str) -> None:
    if name == "left":
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    distributed = pytest.importorskip("dask.distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as local:
        yield local.scheduler_address


@pytest.fixture(
    params=[
        "serial",
        "loky",
        "threading",
        pytest.param(
            "dask",
            # The cluster's own servers leave sockets and event loops to the garbage collector.
            marks=[pytest.mark.slow, pytest.mark.filterwarnings("default")],
        ),
    ]
)
def executor(request: pytest.FixtureRequest) -> Executor:
    if request.param == "dask":
        return DaskExecutor(request.getfixturevalue("cluster"))
    made = {"serial": SerialExecutor(), "loky": LokyExecutor(2), "threading": ThreadExecutor(2)}
    return made[request.param]


def test_each_task_comes_once_and_in_time(executor: Executor, tmp_path: Path) -> None:
    found = list(executor.run(note, tmp_path, CALLS))
    assert sorted(found) == sorted(call.name for call in CALLS)


def test_an_error_is_raised_here(executor: Executor, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="image 2"):
        list(executor.run(fail, tmp_path, CALLS))
    assert (tmp_path / "first").exists() and not (tmp_path / "last").exists()


def test_the_first_of_those_that_can_run_comes_first(tmp_path: Path) -> None:
    assert list(SerialExecutor().run(note, tmp_path, CALLS))[:4] == [
        *("first", "left", "right", "last")
    ]


# The pool's own warning about the death comes first.
@pytest.mark.filterwarnings("ignore")
def test_a_task_whose_worker_died_is_tried_again(tmp_path: Path) -> None:
    found = list(LokyExecutor(2).run(die_once, tmp_path, CALLS[:4]))
    assert sorted(found) == ["first", "last", "left", "right"]


@pytest.mark.filterwarnings("ignore")
def test_a_task_that_kills_its_workers_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="fewer --jobs"):
        list(LokyExecutor(2).run(die, tmp_path, CALLS))


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_lost_worker_of_a_cluster_costs_its_tasks(cluster: str, tmp_path: Path) -> None:
    found = list(DaskExecutor(cluster).run(die_once, tmp_path, CALLS))
    assert sorted(found) == sorted(call.name for call in CALLS)


def wait_for_the_end(folder: Path, name: str) -> None:
    (folder / name).touch()
    time.sleep(120)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_lost_scheduler_is_one_clear_error(tmp_path: Path) -> None:
    distributed = pytest.importorskip("dask.distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None
    ) as local:
        run = DaskExecutor(local.scheduler_address).run(wait_for_the_end, tmp_path, CALLS[3:4])
        local.loop.call_later(3, lambda: local.scheduler.close())
        with pytest.raises(WorkerError, match="the Dask cluster ended or lost its workers"):
            list(run)


@pytest.mark.parametrize(
    "backend, jobs, scheduler, match",
    [
        ("dask", None, None, "ADDRESS"),
        ("loky", None, "tcp://x:1", "--backend dask"),
        ("dask", 2, "tcp://x:1", "--jobs goes with"),
    ],
)
def test_settings_that_do_not_go_together(
    backend: Backend, jobs: int | None, scheduler: str | None, match: str
) -> None:
    with pytest.raises(ConfigError, match=match):
        check_backend(backend, jobs, scheduler)


def test_one_job_needs_no_workers() -> None:
    assert isinstance(make_executor("loky", 1, None), SerialExecutor)
    assert isinstance(make_executor("loky", 2, None), LokyExecutor)
    assert isinstance(make_executor("threading", 2, None), ThreadExecutor)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_no_scheduler_is_one_clear_error(tmp_path: Path) -> None:
    pytest.importorskip("dask.distributed")
    with pytest.raises(ConfigError, match="no Dask scheduler"):
        list(DaskExecutor("tcp://127.0.0.1:9").run(note, tmp_path, CALLS))
