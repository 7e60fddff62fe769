import ctypes
import multiprocessing
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from nnunet_mamba.ops.cpu_kernels import thread_team
from nnunet_mamba.ops.cpu_kernels.thread_team import run_on_threads
from nnunet_mamba.system.machine import usable_cores


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


# Wakes a second thread a hundred times, sleeps after each, and prints the processor time that this took.
_WAKE_AND_WAIT = """
import sys, time, torch
from nnunet_mamba.ops.cpu_kernels import thread_team
torch.set_num_threads(2)
x = torch.randn(1 << 18)
x.exp_()
if sys.argv[1] == "sleep":
    assert thread_team.let_waiting_threads_sleep()
before = time.process_time()
for _ in range(100):
    x.mul_(1)
    time.sleep(0.004)
print(time.process_time() - before)
"""


def _waiting_time(setting):
    free = {name: value for name, value in os.environ.items() if name not in thread_team.WAITING_VARIABLES}
    command = [sys.executable, "-c", _WAKE_AND_WAIT, setting]
    return float(subprocess.run(command, capture_output=True, text=True, check=True, env=free).stdout)


@pytest.mark.skipif(usable_cores() < 2, reason="with one core OpenMP never spins for long")
@pytest.mark.skipif(thread_team._openmp_parallel() is None, reason="this torch does not run on GNU OpenMP")
def test_threads_that_wait_sleep_instead_of_spinning():
    assert _waiting_time("sleep") < _waiting_time("as it is") / 2


@pytest.mark.parametrize("variable", thread_team.WAITING_VARIABLES)
def test_the_users_own_way_of_waiting_stays(monkeypatch, variable):
    for other in thread_team.WAITING_VARIABLES:
        monkeypatch.delenv(other, raising=False)
    teams = _made_teams(monkeypatch)
    assert thread_team.let_waiting_threads_sleep.__wrapped__()
    assert len(teams) == 1
    monkeypatch.setenv(variable, "active" if "POLICY" in variable else "1000")
    assert not thread_team.let_waiting_threads_sleep.__wrapped__()
    assert len(teams) == 1


def _made_teams(monkeypatch):
    """Return the sizes of the teams that are asked for from here on; none is made."""
    teams = []

    def parallel(kernel, task, n_threads, flags):
        teams.append(n_threads)

    monkeypatch.setattr(thread_team, "_openmp_parallel", lambda: parallel)
    monkeypatch.setattr(thread_team, "_is_gnu_openmp", lambda: True)
    return teams


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system has no affinities")
@pytest.mark.parametrize(("cores", "threads", "expected"), [(16, 16, 2), (16, 2, 16), (1, 1, 2), (2, 5, 2)])
def test_the_process_gets_more_threads_than_it_may_run_on_cores(monkeypatch, cores, threads, expected):
    for variable in thread_team.WAITING_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(cores))
    monkeypatch.setattr(thread_team.torch, "get_num_threads", lambda: threads)
    teams = _made_teams(monkeypatch)
    assert thread_team.let_waiting_threads_sleep.__wrapped__()
    assert teams == [expected]
    # The first thread of each team among them: libgomp lets threads spin while there are no more than cores.
    assert threads + expected - 1 > cores


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system has no affinities")
@pytest.mark.parametrize("variable", ["OMP_THREAD_LIMIT", "OMP_DYNAMIC", None])
def test_no_team_is_asked_for_that_openmp_would_not_make(monkeypatch, variable):
    for other in thread_team.WAITING_VARIABLES:
        monkeypatch.delenv(other, raising=False)
    teams = _made_teams(monkeypatch)
    if variable:
        monkeypatch.setenv(variable, "1")
    else:
        # A container's share of a large machine: OpenMP ends the process where it gets no more threads.
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(128))
        monkeypatch.setattr(thread_team.torch, "get_num_threads", lambda: 4)
    assert not thread_team.let_waiting_threads_sleep.__wrapped__()
    assert not teams


def test_a_process_that_may_start_no_thread_goes_on(monkeypatch):
    for other in thread_team.WAITING_VARIABLES:
        monkeypatch.delenv(other, raising=False)
    _made_teams(monkeypatch)

    def start(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(thread_team.Thread, "start", start)
    assert not thread_team.let_waiting_threads_sleep.__wrapped__()


def test_other_thread_pools_are_left_alone(monkeypatch):
    for variable in thread_team.WAITING_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    for name in ("_openmp_parallel", "_is_gnu_openmp"):
        with monkeypatch.context() as patch:
            patch.setattr(thread_team, name, lambda: None)
            assert not thread_team.let_waiting_threads_sleep.__wrapped__()
