"""What a part does to itself stays its own."""

import os

import pytest

FINE = """
def last():
    yield Finding("7 ms")
"""


@pytest.fixture
def impatient(gpu_check, monkeypatch):
    """A check hangs after few seconds, and any time left is worth another process."""
    from gpu_checks import supervision

    monkeypatch.setattr(supervision, "_LONGEST_CHECK", 0.1)
    monkeypatch.setattr(supervision, "_SHORTEST_TRY", 1.0)


def _summary(rows):
    return [(row.what, row.verdict) for row in rows]


def test_findings_become_rows_in_their_order(make_part, run):
    source = """
    def first():
        yield within(1e-7, 1e-5, where="dA", what="gradients")
        yield within(float("nan"), 1e-5)
        yield equal(False, what="twice")
    def skipped():
        raise SkipCheck("one GPU")
        yield
    """
    rows = run(make_part(source))
    assert _summary(rows) == [
        ("first, gradients", "ok"),
        ("first", "WRONG"),
        ("first, twice", "WRONG"),
        ("skipped", "skipped"),
    ]
    assert (rows[0].value, rows[0].expected) == ("1.0e-07 in dA", "<= 1.0e-05")
    assert rows[3].reason == "one GPU"


def test_an_error_ends_its_check_and_keeps_the_rows_before_it(make_part, run):
    source = """
    def first():
        yield Finding("1")
        raise RuntimeError("backend raised:\\nno such instruction\\nmore words")
    """
    rows = run(make_part(source + FINE.replace("\n", "\n    ")))
    assert _summary(rows) == [("first", "measured"), ("first", "crashed"), ("last", "measured")]
    assert rows[1].value == "RuntimeError: backend raised: no such instruction"
    assert "part_fake.py" in rows[1].detail


def test_want_of_memory_is_no_crash(make_part, run):
    rows = run(make_part("def first():\n    raise MemoryError('2 GiB')\n    yield"))
    assert (rows[0].verdict, rows[0].reason) == ("skipped", "not enough memory: MemoryError: 2 GiB")


@pytest.mark.parametrize(
    ("act", "said"),
    [
        ("ctypes.string_at(0)", "ended by SIGSEGV: File "),
        ("os.kill(os.getpid(), signal.SIGKILL)", "ended by SIGKILL"),
        ("os._exit(0)", "exit status 0"),
        ("print('no license', file=sys.stderr, flush=True); os._exit(9)", "exit status 9: no license"),
    ],
)
def test_a_process_that_dies_is_followed_by_another_one(make_part, run, act, said):
    rows = run(make_part(f"def first():\n    yield Finding('1')\n    {act}\n{FINE}"))
    assert _summary(rows) == [("first", "measured"), ("first", "crashed"), ("last", "measured")]
    assert rows[1].value.startswith(said)


def test_a_process_that_lost_its_device_is_followed_by_another_one(make_part, run):
    source = """
    from types import SimpleNamespace
    from gpu_checks import part_process
    sys.modules["__main__"]._device_is_lost = lambda: not hasattr(os, "is_second")
    def first():
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
        yield
    def last():
        yield Finding(str(os.getpid()))
    def really_last():
        yield Finding(str(os.getpid()))
    """
    rows = run(make_part(source))
    assert _summary(rows) == [("first", "crashed"), ("last", "measured"), ("really_last", "measured")]
    assert rows[1].value != rows[2].value


def test_a_check_that_hangs_is_ended_with_its_children(make_part, run, impatient, ends):
    source = f"""
    def first():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        yield Finding(str(child.pid))
        time.sleep(600)
    {FINE.replace(chr(10), chr(10) + "    ")}
    """
    rows = run(make_part(source), seconds=40)
    assert _summary(rows) == [("first", "measured"), ("first", "timed out"), ("last", "measured")]
    assert ends(int(rows[0].value))


def test_a_part_that_is_out_of_time_says_what_it_left_out(make_part, run):
    source = "def first():\n    yield Finding('1')\n    time.sleep(600)\n" + FINE
    rows = run(make_part(source), seconds=4)
    assert _summary(rows) == [("first", "measured"), ("first", "timed out"), ("last", "skipped")]
    assert rows[2].reason == "no time left"


def test_a_check_does_not_begin_without_time(make_part, run):
    source = "def first():\n    time.sleep(3)\n    yield Finding('1')\n" + FINE
    rows = run(make_part(source), seconds=5.5)
    assert _summary(rows) == [("first", "measured"), ("last", "skipped")]


@pytest.mark.parametrize(
    ("act", "verdicts"),
    [
        ("os._exit(5)", [("last", "measured"), ("end", "crashed")]),
        ("time.sleep(600)", [("last", "measured")]),
    ],
)
def test_a_process_that_does_not_end_well_has_all_its_rows(make_part, run, act, verdicts):
    source = f"import atexit\natexit.register(lambda: ({act},))\n"
    assert _summary(run(make_part(source + FINE), seconds=6)) == verdicts


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff\x00 no JSON\n",
        b"[1, 2]\n",
        b"7\n",
        b'{"other": 1}\n',
        b'{"row": {"what": "x"}}\n',
        b'{"row": {"what": "x", "verdict": "fine"}}\n',
        b'{"row": {"what": 7, "verdict": "ok"}}\n',
        b'{"row": {"verdict": "ok", "b": 1}}\n',
    ],
)
def test_garbage_is_a_crash_of_its_own(make_part, run, garbage):
    source = f"""
    def first():
        sys.stdout.buffer.write(b"\\xfe\\xff" * 1000)
        open(sys.argv[2], "ab").write({garbage!r})
        yield Finding("1")
    {FINE.replace(chr(10), chr(10) + "    ")}
    """
    rows = run(make_part(source))
    assert _summary(rows) == [("first", "crashed"), ("first", "measured"), ("last", "measured")]
    assert rows[0].value.startswith("wrote what is no row: ")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import no_such_package", "exit status 1: ModuleNotFoundError: No module named 'no_such_package'"),
        ("ctypes.string_at(0)", "ended by SIGSEGV: "),
    ],
)
def test_a_part_that_does_not_start_is_one_row(make_part, run, source, said):
    rows = run(make_part(source))
    assert _summary(rows) == [("start", "crashed")]
    assert rows[0].value.startswith(said)


def test_temporary_files_go_with_a_process_that_is_ended(make_part, run, impatient):
    source = "import tempfile\ndef first():\n    yield Finding(tempfile.mkdtemp())\n    time.sleep(600)\n"
    rows = run(make_part(source), seconds=30)
    assert [row.verdict for row in rows] == ["measured", "timed out"]
    assert not os.path.exists(rows[0].value)
