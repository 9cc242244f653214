"""The same results whatever the number of workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
import threadpoolctl
import torch

from rerank.engine.parallel import run_tasks
from rerank.errors import DataError, WorkerError


def square(value: int) -> int:
    return value * value


def threads() -> tuple[int, int]:
    pools = threadpoolctl.threadpool_info()
    return torch.get_num_threads(), max([pool["num_threads"] for pool in pools], default=1)


def fail(value: int) -> int:
    if value == 2:
        raise DataError("image 2: unreadable")
    return value


@pytest.mark.parametrize("backend", ["loky", "threading"])
@pytest.mark.parametrize("jobs", [1, 2])
def test_all_results_come(jobs: int, backend: str) -> None:
    tasks = [(i,) for i in range(7)]
    found = sorted(run_tasks(square, tasks, jobs, backend))  # type: ignore[arg-type]
    assert found == [i * i for i in range(7)]


@pytest.mark.parametrize("jobs", [1, 2])
def test_each_task_has_one_thread(jobs: int) -> None:
    assert list(run_tasks(threads, [(), ()], jobs)) == [(1, 1), (1, 1)]


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_is_raised_here(jobs: int) -> None:
    with pytest.raises(DataError, match="image 2"):
        list(run_tasks(fail, [(i,) for i in range(4)], jobs))


def die(value: int) -> int:
    if value == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return value


# The pool's own warning about the death comes first.
@pytest.mark.filterwarnings("ignore")
def test_a_dead_worker_is_one_clear_error() -> None:
    with pytest.raises(WorkerError, match="fewer --jobs"):
        list(run_tasks(die, [(i,) for i in range(4)], 2))


PARENT = """
import os, sys, time
from rerank.engine.parallel import run_tasks
def work(number):
    print(os.getpid(), flush=True)
    time.sleep(600)
list(run_tasks(work, [(0,), (1,)], 2))
"""


@pytest.mark.slow
def test_workers_end_with_a_killed_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    workers = [int(parent.stdout.readline()) for _ in range(2)]
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    # The pipe ends when the last process that can write to it has ended.
    assert parent.stdout.read() == ""
    parent.stdout.close()
    assert len(set(workers)) == 2


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc has mallopt")
def test_freed_memory_is_kept_where_dask_has_it_given_back() -> None:
    """Dask starts its workers with this threshold; each large array then maps its pages anew."""
    program = """
import resource
import numpy as np
from rerank.engine.parallel import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        np.ones(2**18)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first = faults()
keep_freed_memory()
faults()
print(first, faults())
"""
    found = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "MALLOC_TRIM_THRESHOLD_": "65536"},
        capture_output=True,
        text=True,
        check=True,
    )
    before, after = map(int, found.stdout.split())
    # 50 arrays of 2 MiB are 512 pages each.
    assert before > 50 * 256 and after < 50
