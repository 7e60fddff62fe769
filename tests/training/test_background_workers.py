import os
import re
import signal
import subprocess
import sys

import pytest

from nnunet_mamba.training.background_workers import explain, messages_file, worker_messages_in

GONE = RuntimeError("One or more background workers are no longer alive. Exiting. Please check the print statements")


class Process:
    def __init__(self, exitcode):
        self.exitcode = exitcode


def test_keeps_what_processes_say_that_are_started_meanwhile(tmp_path):
    with worker_messages_in(tmp_path / "words.txt"):
        process = subprocess.Popen([sys.executable, "-c", "import sys; print('last words', file=sys.stderr)"])
    os.write(2, b"not among them")
    process.wait()
    assert (tmp_path / "words.txt").read_text() == "last words\n"


def test_gives_the_last_words_of_a_worker(tmp_path):
    lines = [f"line {number}" for number in range(30)] + ["ValueError: case_7 is damaged"]
    (tmp_path / "words.txt").write_text("\n".join(lines))
    text = str(explain(GONE, tmp_path / "words.txt", []))
    assert "ValueError: case_7 is damaged" in text
    assert "(19 lines before, in " in text
    assert "line 18" not in text
    assert "--c" in text


@pytest.mark.parametrize(
    ("number", "cause"),
    [(signal.SIGKILL, r"ended it with SIGKILL, most often for want of memory"), (signal.SIGBUS, r"/dev/shm\) is full")],
)
def test_tells_what_the_system_did(tmp_path, number, cause):
    workers = [Process(-number), Process(-signal.SIGTERM), Process(0), Process(None)]
    text = str(explain(GONE, tmp_path / "words.txt", workers))
    assert re.search(cause, text)
    assert "SIGTERM" not in text
    assert "nnUNet_n_proc_DA=2" in text
    # It ends nnU-Net's planning.
    assert "0 loads" not in text


def test_a_signal_explains_more_than_a_harmless_warning_before_it(tmp_path):
    (tmp_path / "words.txt").write_text("FutureWarning: this is deprecated\n")
    text = str(explain(GONE, tmp_path / "words.txt", [Process(-signal.SIGKILL)]))
    first, *others = text.splitlines()
    assert first.endswith("the system ended it with SIGKILL, most often for want of memory")
    assert "may have to do with it:\n  FutureWarning: this is deprecated" in "\n".join(others)


@pytest.mark.parametrize("words", ["", "ValueError: case_7 is damaged"])
def test_workers_that_the_loader_ended_explain_nothing(tmp_path, words):
    (tmp_path / "words.txt").write_text(words)
    text = str(explain(GONE, tmp_path / "words.txt", [Process(1), Process(-signal.SIGTERM)]))
    expected = f"its last words were:\n  {words}" if words else "it ended silently, most often for want of memory"
    assert f"cases died; {expected}\nContinue" in text


def test_processes_of_one_training_have_files_of_their_own():
    assert len({messages_file(rank) for rank in range(3)}) == 3


def test_is_silent_about_other_errors(tmp_path):
    assert explain(RuntimeError("CUDA out of memory"), tmp_path / "words.txt", []) is None
