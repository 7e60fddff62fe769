"""What benchmarks/epoch.py reads out of a training log and its looks at processes, and its ratios."""

import os
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

LOG = """
#######################################################################
2025-03-01 10:00:00.000000: Epoch 0
2025-03-01 10:00:00.100000: Current learning rate: 0.001
2025-03-01 10:00:30.000000: Epoch 0: the loss is nan. This step is skipped.
2025-03-01 10:01:00.000000: train_loss -0.5
2025-03-01 10:01:00.000000: Epoch time: 60.0 s
2025-03-01 10:01:02: Epoch 1
2025-03-01 10:01:42.000000: Epoch time: 40.0 s
2025-03-01 10:01:45.000000: Epoch 2
2025-03-01 10:02:30.500000: Epoch time: 45.5 s
2025-03-01 10:02:31.000000: Epoch 3
""".splitlines()


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])


def test_epochs_of_a_log_end_where_the_next_one_begins():
    from epoch_parts.stock_training import epochs_of

    epochs = epochs_of(LOG)
    # The fourth has no end.
    assert [epoch.seconds for epoch in epochs] == [60, 40, 45.5]
    assert [epoch.afterwards for epoch in epochs[:2]] == pytest.approx([2, 3])
    assert epochs[1].start - epochs[0].start == pytest.approx(62)


def test_the_last_epoch_of_a_log_has_nothing_after_it():
    from epoch_parts.stock_training import epochs_of

    assert [epoch.afterwards for epoch in epochs_of(LOG[:-1])] == [pytest.approx(2), pytest.approx(3), None]


def test_processor_time_grows_evenly_between_looks():
    from stock_runs.watched_process import Look, processor_seconds

    looks = [Look(10, 0, 1, 1), Look(12, 4, 1, 1), Look(13, 5, 1, 1)]
    assert processor_seconds(looks, 11, 12.5) == pytest.approx(2.5)
    assert processor_seconds(looks, 0, 99) == 5


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")
def test_a_watched_process_counts_with_its_children_and_is_ended_when_it_is_done(tmp_path, ends):
    from stock_runs.watched_process import watch

    # The child computes for two seconds, more than there are between two looks, and the parent would never end.
    child = (
        "import time; held = b'x' * (100 << 20)\nwhile time.process_time() < 2: pass\n"
        "open('done', 'w').close(); time.sleep(999)"
    )
    (tmp_path / "parent.py").write_text(
        f"import subprocess, sys, time\np = subprocess.Popen([sys.executable, '-c', {child!r}])\n"
        "open('child', 'w').write(str(p.pid)); time.sleep(999)"
    )
    command = [sys.executable, str(tmp_path / "parent.py")]
    looks = watch(command, os.environ, output=tmp_path / "out", is_done=(tmp_path / "done").exists)
    assert looks[-1].processor_seconds > 0.5
    assert max(look.memory for look in looks) > 100 > max(look.first_process_peak for look in looks)
    assert ends(int((tmp_path / "child").read_text())), "the child of the watched process still runs"


def test_a_watched_process_that_fails_tells_its_last_lines(tmp_path):
    from stock_runs.watched_process import watch

    command = [sys.executable, "-c", "print('what went wrong'); raise SystemExit(3)"]
    with pytest.raises(RuntimeError, match=r"ended with 3:\nwhat went wrong"):
        watch(command, os.environ, output=tmp_path / "out", is_done=lambda: False)


def test_ratios_compare_an_epoch_with_the_bare_steps_of_both_checkouts():
    from epoch_parts.stock_training import StockFigures
    from epoch_parts.tables import Turn, table_lines

    def turn(checkout, epoch, step):
        stock = StockFigures((9, epoch), epoch, 1, 20, 1000, 900)
        rest = ("faults", "busy_cores", "kernel_share", "threads", "end", "checkpoints", "plot")
        rates = ("training_batches_a_second", "validation_batches_a_second")
        parts = {
            "shape": [8, 3, 64, 32],
            "training": step,
            "validation": 100,
            "phases": {"training": {}, "validation": {}},
        }
        return Turn(checkout, "T", stock, {**parts, **dict.fromkeys((*rest, *rates), 1)})

    # 10 training steps and 2 validation steps: 2.2 s here, 4.2 s against.
    lines = list(table_lines([turn("here", 4.4, 200), turn("against", 8.8, 400)], 10))
    assert "T,here,8,64x32,5.40,4.40,1.00,20.0,1000,900" in lines
    assert "T,epoch here / its bare steps,2.45" in lines
    assert "T,epoch here / bare steps against,1.29" in lines
    assert "T,epoch: against / here,1.81" in lines
    assert "T,training step: against / here,2.00" in lines


def test_what_the_caller_has_set_about_threads_does_not_reach_a_checkout(monkeypatch, tmp_path):
    from stock_runs.checkouts import Checkout

    for name in ("OMP_WAIT_POLICY", "OMP_NUM_THREADS", "nnUNet_n_proc_DA", "MALLOC_ARENA_MAX", "NUMBA_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/caches")
    environment = Checkout("here", tmp_path / "checkout").environment(tmp_path, OMP_DYNAMIC="x")
    settled = {name for name in environment if name.upper().startswith(("OMP", "NNUNET_N", "MALLOC", "NUMBA"))}
    assert settled == {"OMP_DYNAMIC", "NUMBA_CACHE_DIR"}
    assert environment["PYTHONPATH"] == str(tmp_path / "checkout")
    assert environment["nnUNet_extTrainer"] == str(tmp_path / "checkout" / "trainers")


def test_a_folder_without_the_package_is_no_checkout(tmp_path):
    from stock_runs.checkouts import Checkout

    with pytest.raises(ValueError, match="name the folder of a checkout"):
        Checkout("against", tmp_path).refuse_if_not_used(tmp_path)
