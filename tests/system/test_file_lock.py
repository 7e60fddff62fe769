import os
import signal
import subprocess
import sys
import threading

import pytest

from nnunet_mamba.system.file_lock import FileLock


def test_one_has_the_lock_at_a_time(tmp_path):
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert first.acquire(seconds=0)
    assert not second.acquire(seconds=0)
    first.release()
    assert second.acquire(seconds=0)
    assert not first.acquire(seconds=0.1)
    second.release()


def test_whoever_waits_has_it_next(tmp_path):
    has_waited = []

    def wait():
        with FileLock(tmp_path / "lock"):
            has_waited.append(True)

    with FileLock(tmp_path / "lock"):
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(0.2)
        assert not has_waited
    thread.join()
    assert has_waited


def test_whoever_waits_for_a_file_that_was_removed_waits_for_the_new_one(tmp_path):
    path, has_waited = tmp_path / "lock", []

    def wait():
        with FileLock(path):
            has_waited.append(True)

    first, third = FileLock(path), FileLock(path)
    assert first.acquire(seconds=0)
    thread = threading.Thread(target=wait)
    thread.start()
    thread.join(0.2)
    # As a folder's lock ends, and a process that comes at this moment.
    path.unlink()
    assert third.acquire(seconds=0)
    first.release()
    thread.join(0.3)
    assert not has_waited
    third.release()
    thread.join()
    assert has_waited


HOLDER = """
import sys, time
from pathlib import Path
from nnunet_mamba.system.file_lock import FileLock
with FileLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_the_system_takes_it_from_a_killed_process(tmp_path):
    path = tmp_path / "lock"
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    assert not FileLock(path).acquire(seconds=0)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert FileLock(path).acquire(seconds=10)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a fork")
def test_a_forked_child_does_not_keep_it(tmp_path):
    read, write = os.pipe()
    with FileLock(tmp_path / "lock"):
        if (child := os.fork()) == 0:
            os.read(read, 1)
            os._exit(0)
    try:
        with FileLock(tmp_path / "lock"):
            pass
    finally:
        os.write(write, b"x")
        os.waitpid(child, 0)


def test_a_place_without_a_folder_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        FileLock(tmp_path / "none" / "lock").acquire()
