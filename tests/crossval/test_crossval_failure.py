import pytest

from nnunet_mamba.crossval.failure import reason

WORKER = """\
Exception in background worker 0:
 cannot read case_3
Traceback (most recent call last):
  File "loader.py", line 3, in load
    return data[case]
KeyError: 'case_3'
Exception in thread Thread-1:
Traceback (most recent call last):
  File "augmenter.py", line 9, in results_loop
    raise RuntimeError
RuntimeError: One or more background workers are no longer alive. Exiting.
Traceback (most recent call last):
  File "run_training.py", line 1, in <module>
RuntimeError: One or more background workers are no longer alive. Exiting.
"""


def test_the_first_error_is_the_reason():
    first, *more = reason(WORKER.splitlines(), 1).splitlines()
    assert first == "KeyError: 'case_3'"
    assert "    return data[case]" in more
    assert not any("no longer alive" in line for line in more)


def test_workers_that_died_without_a_word_mean_want_of_memory():
    lines = WORKER.splitlines()[6:]
    first, hint, *_ = reason(lines, 1).splitlines()
    assert "no longer alive" in first
    assert "usually for want of memory: try fewer at a time with `jobs`" in hint


def test_a_long_traceback_keeps_its_end():
    lines = ["Traceback (most recent call last):", *(f"  frame {n}" for n in range(50)), "ValueError: no such plan"]
    text = reason(lines, 1)
    assert text.startswith("ValueError: no such plan")
    assert "  frame 49" in text
    assert "  frame 1\n" not in text


def test_a_traceback_that_breaks_off_is_shown_as_it_is():
    assert "  frame 0" in reason(["Traceback (most recent call last):", "  frame 0"], -9)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (-9, "killed (SIGKILL), usually for want of memory: try fewer at a time with `jobs`"),
        (-11, "ended by the signal SIGSEGV"),
        (3, "exit code 3 and no traceback"),
        (None, "not in the queue any more and not complete"),
    ],
)
def test_without_a_traceback_the_ending_and_the_last_lines_tell(code, text):
    told = reason(["usage: nnUNetv2_train", "", "the last words"], code)
    assert text in told
    assert told.endswith("the last words")
