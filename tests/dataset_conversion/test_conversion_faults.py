"""What happens to a conversion whose processes are killed, doubled or interrupted."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from conversion_runs import DATASETS, assert_only_whole_files, command, contents, draw_photographs, draw_scans, run

pytestmark = pytest.mark.slow
# Enough cases for two workers.
DRAWN = {"isic": (draw_photographs, 60), "lgg": (draw_scans, 24)}


@dataclass(frozen=True)
class Example:
    """A data set, and what an undisturbed run makes of it."""

    kind: str
    sources: list[Path]
    expected: dict[str, bytes]
    duration: float  # s

    @property
    def n_cases(self) -> int:
        return DRAWN[self.kind][1]

    def command(self, output: Path, *options: str) -> list[str]:
        return command(self.kind, self.sources, output, *options)

    def assert_continues(self, output: Path, *options: str) -> None:
        again = run(self.command(output, *options))
        assert again.returncode == 0, again.stderr
        assert contents(output) == self.expected


@pytest.fixture(scope="module", params=list(DRAWN))
def example(request, tmp_path_factory):
    """A data set in folders whose names have spaces and letters that are not ASCII."""
    draw, n_cases = DRAWN[request.param]
    folder = tmp_path_factory.mktemp("example")
    sources = draw(folder / "Übung 1", n_cases)
    start = time.monotonic()
    done = run(command(request.param, sources, folder / "undisturbed"))
    assert done.returncode == 0, done.stderr
    return Example(request.param, sources, contents(folder / "undisturbed"), time.monotonic() - start)


def started(words: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell that runs the tests in the background has Ctrl-C ignored, and processes inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_until(holds: Callable[[], object], process: subprocess.Popen[str]) -> None:
    while not holds():
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """Return the process numbers of the workers."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            is_worker = parent == process.pid and b"spawn_main" in (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if is_worker:
            found.append(int(folder.name))
    return found


def has_whole_case(output: Path) -> bool:
    # The label comes last; hidden files are not whole yet.
    return any(output.glob("*/labelsTr/[!.]*"))


def test_killed_at_ten_random_moments_and_started_again_it_is_the_undisturbed_result(example, tmp_path):
    chance = random.Random(0)
    n_killed = 0
    for attempt in range(10):
        target = tmp_path / f"disturbed ü {attempt}"
        process = started(example.command(target))
        try:
            process.communicate(timeout=(attempt + chance.random()) / 10 * example.duration)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            n_killed += 1
        example.assert_continues(target)

    assert n_killed >= 5


def test_of_two_runs_at_once_one_refuses_or_finds_nothing_to_do(example, tmp_path):
    runs = [started(example.command(tmp_path / "shared")) for _ in range(2)]
    outputs = [run.communicate() for run in runs]

    failed = [stderr for run, (_, stderr) in zip(runs, outputs, strict=True) if run.returncode]
    assert len(failed) == 1
    assert "another process" in failed[0]
    assert contents(tmp_path / "shared") == example.expected


def test_a_killed_worker_ends_the_run_in_words_and_leaves_whole_files(example, tmp_path):
    target = tmp_path / "disturbed"
    process = started(example.command(target))
    wait_until(lambda: has_whole_case(target), process)
    os.kill(workers_of(process)[0], signal.SIGKILL)
    _, stderr = process.communicate()

    left = assert_only_whole_files(target, example.expected, n_files=3)
    n_whole = sum("labelsTr" in name for name in left)
    assert process.returncode == 1
    assert stderr == (
        "Error: a worker process died while writing, probably for want of memory; run the same command again with "
        f"--jobs 1: it continues. {n_whole} of {example.n_cases} cases are there and whole in "
        f"{target / DATASETS[example.kind]}\n"
    )
    example.assert_continues(target, "--jobs", "1")


@pytest.mark.parametrize("moment", ["workers start", "cases are written"])
def test_ctrl_c_stops_in_one_sentence_and_leaves_whole_files(example, moment, tmp_path):
    target = tmp_path / "disturbed"
    process = started(example.command(target))
    if moment == "workers start":
        wait_until(lambda: workers_of(process), process)
    else:
        wait_until(lambda: has_whole_case(target), process)
    # As a terminal does, to the workers too.
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate()

    assert (process.returncode, stderr) == (130, "Stopped; run the same command again, it continues.\n")
    assert_only_whole_files(target, example.expected, n_files=3 if moment == "cases are written" else 0)
    example.assert_continues(target)
