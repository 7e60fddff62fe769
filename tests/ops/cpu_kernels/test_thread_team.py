import ctypes
import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from nnunet_mamba.ops.cpu_kernels import thread_team
from nnunet_mamba.ops.cpu_kernels.thread_team import run_on_threads


class _Kernel:
    """A C function that notes which threads ran it; ``together`` of them wait for each other."""

    def __init__(self, together=1):
        self.threads, self.tasks = set(), []
        self._barrier = threading.Barrier(together)
        self._function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self._run)
        self.address = ctypes.cast(self._function, ctypes.c_void_p).value

    def _run(self, task):
        self._barrier.wait(timeout=60)
        self.threads.add(threading.get_native_id())
        self.tasks.append(task)


@pytest.fixture(params=["openmp", "python"])
def team(request, monkeypatch):
    if request.param == "python":
        monkeypatch.setattr(thread_team, "_openmp_parallel", lambda: None)
    elif thread_team._openmp_parallel() is None:
        pytest.skip("this torch does not run on GNU OpenMP")
    return request.param


def test_all_threads_run_the_kernel_on_the_task_at_once(team):
    kernel = _Kernel(together=3)
    run_on_threads(kernel.address, 42, 3)
    assert kernel.tasks == [42, 42, 42]
    assert len(kernel.threads) == 3


def test_one_thread_is_the_calling_one(team):
    kernel = _Kernel()
    run_on_threads(kernel.address, 42, 1)
    assert kernel.threads == {threading.get_native_id()}


def test_two_callers_do_not_wait_for_each_other(team):
    kernel = _Kernel(together=4)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda task: run_on_threads(kernel.address, task, 2), (1, 2)))
    assert sorted(kernel.tasks) == [1, 1, 2, 2]


def _count_threads(connection):
    kernel = _Kernel(together=2)
    run_on_threads(kernel.address, 1, 2)
    connection.send((thread_team._is_forked(os.getpid()), len(kernel.threads)))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_gets_threads_of_its_own(method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {method}")
    run_on_threads(_Kernel(together=2).address, 1, 2)
    receiver, sender = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context(method).Process(target=_count_threads, args=(sender,))
    child.start()
    sender.close()
    is_forked, n_threads = receiver.recv()  # raises EOFError if the child dies
    child.join()
    assert child.exitcode == 0
    assert is_forked == (method == "fork")
    assert n_threads == 2
