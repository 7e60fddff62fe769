import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from itertools import pairwise

import pytest

from nnunet_mamba.system import progress
from nnunet_mamba.system.progress import Pace, PacedLines, ShownProgress, is_terminal

# Ten units of work; the first line is due at once, and every later one.
WORK = """
import time
from nnunet_mamba.system import progress
progress.FIRST_PAUSE = progress.SHORTEST_PAUSE = progress.LONGEST_PAUSE = 0
print("before")
with progress.ShownProgress(10, "writing") as shown:
    for _ in shown.over(range(10)):
        time.sleep(0.02)
print("after")
"""


class Clock:
    """Shows the time that a test sets."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Terminal:
    """Standard error as a terminal has it, with all that was written."""

    def __init__(self):
        self.written = ""

    def isatty(self):
        return True

    def fileno(self):
        raise OSError("nothing that the system knows")

    def write(self, text):
        self.written += text

    def flush(self):
        pass


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def lines(capsys):
    """Return what gives the lines on standard error since the last call."""
    return lambda: capsys.readouterr().err.splitlines()


def work(clock, seconds, **options):
    """Do 100 units of work in so many seconds."""
    with ShownProgress(100, "writing", pace=Pace(clock), **options) as shown:
        for _ in shown.over(range(100)):
            clock.now += seconds / 100


@pytest.mark.parametrize("seconds", [0, 3, 9.9])
def test_short_work_says_nothing(clock, lines, seconds):
    work(clock, seconds)
    assert lines() == []


def test_long_work_has_a_line_now_and_then_and_one_at_its_end(clock, lines):
    work(clock, 100)
    assert lines() == [
        "writing: 10 of 100 cases, 10 s, about 2 min left",
        "writing: 40 of 100 cases, 40 s, about 60 s left",
        "writing: 70 of 100 cases, 1 min 10 s, about 30 s left",
        "writing: 100 of 100 cases, 1 min 40 s",
    ]


def test_pauses_grow_from_half_a_minute_to_five(clock):
    pace, told = Pace(clock), [0.0]
    for _ in range(2 * 3600):
        clock.now += 1
        if pace.is_due():
            told.append(pace.elapsed)
            pace.begin_pause()
    pauses = [later - earlier for earlier, later in pairwise(told)]
    assert pauses[:5] == [10, 30, 30, 30, 30]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 300
    assert 20 <= sum(seconds <= 3600 for seconds in told) <= 40


def test_the_time_left_does_not_count_what_the_first_unit_waited_for(clock, lines):
    with ShownProgress(100, "writing", pace=Pace(clock)) as shown:
        clock.now += 60
        shown.update()
        shown.update(0)
        clock.now += 40
        shown.update(4)
    assert lines() == [
        "writing: 1 of 100 cases, 1 min 00 s",
        "writing: 5 of 100 cases, 1 min 40 s, about 16 min left",
        "writing: ended after 5 of 100 cases, 1 min 40 s",
    ]


def test_work_that_an_error_ends_says_how_far_it_was(clock, lines):
    def stop():
        with ShownProgress(4, "checking", pace=Pace(clock)) as shown:
            clock.now += 20
            shown.update(3)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert lines() == ["checking: 3 of 4 cases, 20 s", "checking: ended after 3 of 4 cases, 20 s"]


@pytest.mark.parametrize(("total", "words"), [(40 * 2**20, "10.0 of 40.0 MiB"), (2**32, "1.0 of 4.0 GiB")])
def test_bytes_are_told_in_larger_units(clock, lines, total, words):
    with ShownProgress(total, "unpacking", unit="B", pace=Pace(clock)) as shown:
        clock.now += 20
        shown.update(total // 4)
    assert lines()[0] == f"unpacking: {words}, 20 s"


def test_work_that_does_not_stay_has_no_last_line(clock, lines):
    work(clock, 30, stays=False)
    assert lines() == ["writing: 34 of 100 cases, 10 s, about 20 s left"]


def test_what_shares_a_pace_shares_its_pauses(clock, lines):
    pace = Pace(clock)
    for number in range(30):
        with ShownProgress(2, f"epoch {number}", unit="iteration", stays=False, pace=pace) as shown:
            for _ in shown.over(range(2)):
                clock.now += 2
    assert [line.partition(":")[0] for line in lines()] == ["epoch 2", "epoch 10", "epoch 18", "epoch 26"]


def test_what_is_not_shown_says_nothing(clock, lines, monkeypatch):
    work(clock, 500, is_shown=False)
    assert lines() == []
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    work(clock, 500, is_shown=False)
    assert terminal.written == ""


def test_closing_twice_ends_it_once(clock, lines):
    shown = ShownProgress(2, "writing", pace=Pace(clock))
    clock.now += 20
    shown.update()
    shown.close()
    shown.close()
    shown.update()
    assert len(lines()) == 2


def test_on_a_terminal_a_bar_moves(clock, monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    work(clock, 500)
    assert "writing: 100%" in terminal.written
    assert "100/100" in terminal.written
    assert "min" not in terminal.written


def test_without_standard_error_work_goes_on(clock, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    work(clock, 500)
    assert clock.now == pytest.approx(1500)


def test_a_disk_without_room_for_a_line_does_not_end_the_work(clock, monkeypatch):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        work(clock, 500)
        monkeypatch.undo()
        with pytest.raises(OSError, match="No space left"):
            full.flush()
        assert clock.now == pytest.approx(1500)
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())


def test_a_text_is_shown_with_the_time_so_far_where_a_line_is_due(clock, lines):
    shown = PacedLines(Pace(clock))
    for step in range(8):
        shown.offer(f"measuring {step}")
        clock.now += 6
    assert lines() == ["measuring 2 (12 s so far)", "measuring 7 (42 s so far)"]


def test_into_a_file_there_are_lines_in_their_order_and_no_bar(tmp_path):
    file = tmp_path / "nohup.out"
    with file.open("w") as output:
        subprocess.run([sys.executable, "-c", WORK], stdout=output, stderr=output, check=True)
    text = file.read_text()
    assert "\r" not in text
    before, *written, after = text.splitlines()
    assert (before, after) == ("before", "after")
    assert [line.partition(",")[0] for line in written] == [f"writing: {n} of 10 cases" for n in range(1, 11)]


def test_without_tqdm_a_terminal_has_lines(clock, monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setattr(progress, "find_spec", lambda _: None)
    work(clock, 100)
    assert terminal.written.splitlines()[0] == "writing: 10 of 100 cases, 10 s, about 2 min left"


@pytest.mark.parametrize("columns", [80, 0])
def test_into_a_pseudo_terminal_there_is_a_bar_and_no_line_unless_it_has_no_columns(columns):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    process = subprocess.Popen([sys.executable, "-c", WORK], stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    shown = b""
    # Linux ends a terminal that nobody writes to any more with an error, other systems with nothing.
    with suppress(OSError):
        while chunk := os.read(ours, 1024):
            shown += chunk
    os.close(ours)
    assert process.wait() == 0
    assert (b"\rwriting: 100%" in shown) is (columns > 0)
    assert (re.search(rb"10/10 \[", shown) is not None) is (columns > 0)
    assert shown.count(b"of 10 cases") == (0 if columns else 10)


def test_the_first_line_is_due_after_ten_seconds():
    """What tests above shorten is long in the package."""
    assert (progress.FIRST_PAUSE, progress.SHORTEST_PAUSE, progress.LONGEST_PAUSE) == (10, 30, 300)


class _Bare:
    """What some loggers put in the place of standard error."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass


def test_a_stream_without_the_methods_of_a_file_gets_lines(monkeypatch):
    stream = _Bare()
    monkeypatch.setattr(sys, "stderr", stream)
    assert not is_terminal(stream)
    PacedLines().write("so far")
    assert stream.text == "so far\n"


def test_a_closed_stream_ends_no_work(monkeypatch):
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    assert not is_terminal(closed)
    PacedLines().write("so far")


def test_a_closed_standard_output_hides_no_line(monkeypatch, capsys):
    closed = io.StringIO()
    closed.close()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", closed)
        PacedLines().write("so far")
    assert capsys.readouterr().err == "so far\n"
