import os
import signal
from operator import neg
from pathlib import Path

import pytest

from nnunet_mamba.system import parallel, progress
from nnunet_mamba.system.parallel import default_jobs, map_in_order


@pytest.mark.parametrize(("n_cores", "jobs"), [(1, 1), (3, 3), (96, 4)])
def test_there_are_no_more_workers_than_cores_that_may_be_used(monkeypatch, n_cores, jobs):
    monkeypatch.setattr(parallel, "usable_cores", lambda: n_cores)
    assert default_jobs() == jobs


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_order(jobs):
    items = list(range(40))
    assert list(map_in_order(neg, items, jobs=jobs, description="x", progress=False)) == [-i for i in items]


def test_no_items_give_no_results():
    assert list(map_in_order(neg, [], jobs=4, description="x", progress=False)) == []


def test_error_of_a_worker_arrives():
    with pytest.raises(TypeError):
        list(map_in_order(neg, ["a"] * 40, jobs=2, description="x", progress=False))


def test_dead_worker_is_reported():
    with pytest.raises(ChildProcessError, match="died while writing"):
        list(map_in_order(os._exit, [3] * 40, jobs=2, description="writing", progress=False))


@pytest.mark.parametrize("jobs", [1, 2])
def test_progress_is_shown_on_request(capsys, monkeypatch, jobs):
    monkeypatch.setattr(progress, "FIRST_PAUSE", 0)
    items = list(range(40))
    list(map_in_order(neg, items, jobs=jobs, description="checking", progress=True))
    shown = capsys.readouterr().err
    assert shown.startswith("checking: 1 of 40 cases, ")
    assert "checking: 40 of 40 cases, " in shown
    list(map_in_order(neg, items, jobs=jobs, description="checking", progress=False))
    assert capsys.readouterr().err == ""


class InterruptedItems(list):
    """Ctrl-C comes while the workers are started."""

    def __iter__(self):
        for item in super().__iter__():
            if item == 5:
                signal.raise_signal(signal.SIGINT)
            yield item


def test_ctrl_c_waits_until_the_workers_are_started(capfd):
    before = signal.getsignal(signal.SIGINT), signal.pthread_sigmask(signal.SIG_BLOCK, [])

    with pytest.raises(KeyboardInterrupt):
        list(map_in_order(neg, InterruptedItems(range(40)), jobs=2, description="x", progress=False))

    assert (signal.getsignal(signal.SIGINT), signal.pthread_sigmask(signal.SIG_BLOCK, [])) == before
    assert capfd.readouterr().err == ""


def test_early_end_gives_up_the_remaining_items(tmp_path):
    files = [tmp_path / str(number) for number in range(3000)]
    results = map_in_order(Path.touch, files, jobs=2, description="x", progress=False)
    next(results)
    results.close()
    assert 1 <= len(list(tmp_path.iterdir())) < 3000
