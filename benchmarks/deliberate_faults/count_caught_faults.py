"""Count how many deliberate faults the quick tests catch.

    python benchmarks/deliberate_faults/count_caught_faults.py

Each fault is put into a copy of the tree. The tests of its own folder run first, then all other quick tests, up to the
first failure. The results go to a file with one line of JSON for each fault; a second run with the same file goes on
where the first one stopped. Expect hours: a fault that nobody notices takes as long as ``make test``.

    --tree PATH       test another checkout, such as an older commit
    --workers N       processes for the tests, by pytest-xdist
    --only WORD       faults of this package, or with this text in their name; may be repeated
    --mirrored        run the tests of each fault's own folder alone
    --results FILE    default: deliberate_faults.jsonl
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from fault_table import FAULTS, Fault

SOURCES = ("nnunet_mamba", "trainers", "dataset_conversion")
NO_FAULT = "no fault"
QUICK = "not slow and not long"
# What git, installations, builds and runs leave at the top of a checkout.
NOT_COPIED = shutil.ignore_patterns(".git", ".venv*", ".*_cache", ".hypothesis", "build", "dist", "*.egg-info", "demo")
BYTECODE = shutil.ignore_patterns("__pycache__")
# The exit statuses of pytest.
PASSED, FAILED, INTERRUPTED, NOTHING_COLLECTED = 0, 1, 2, 5
LONGEST_RUN = 3600


class TestRunError(RuntimeError):
    """The tests could not run, so nothing can be said about a fault."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a fault goes.

    Args:
        file: relative to the tree.
        old: text of the file.
        new: what takes its place.
    """

    file: Path
    old: str
    new: str


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of a fault.

    Args:
        fault: its name.
        package: where it is.
        file: relative to the tree; the tests that ran, where there is no fault.
        old: text that was replaced.
        new: what took its place.
        caught_by: first test that failed, None if none did.
        is_mirrored: whether the tests of the fault's own folder caught it.
        is_complete: whether all quick tests ran that could have caught it.
        seconds: that the tests took.
    """

    fault: str
    package: str
    file: str
    old: str
    new: str
    caught_by: str | None
    is_mirrored: bool
    is_complete: bool
    seconds: int


def find_place(tree: Path, fault: Fault) -> Place:
    """Return the one place of a tree where a fault goes.

    Raises:
        LookupError: there is no such place, or there are several.
    """
    files = [file for folder in SOURCES for file in sorted((tree / folder).rglob("*.py"))]
    places = [
        Place(file=file.relative_to(tree), old=old, new=new)
        for file in files
        if (text := file.read_text(encoding="utf-8"))
        for old, new in fault.replacements
        for _ in range(text.count(old))
    ]
    if len(places) != 1:
        found = ", ".join(str(place.file) for place in places) or "nowhere"
        raise LookupError(f"'{fault.name}': its text is in {found}, expected one place; mend fault_table.py")
    return places[0]


def mirrored_tests(tree: Path, file: Path) -> Path | None:
    """Return the tests of a source file, relative to the tree: those of its folder, or the nearest one above.

    Args:
        tree: the checkout.
        file: relative to the tree.
    """
    inside = file.relative_to(SOURCES[0]) if file.parts[0] == SOURCES[0] else file
    for folder in inside.parents:
        if folder.parts and (tree / "tests" / folder).is_dir():
            return Path("tests") / folder
    tests = Path("tests") / f"test_{inside.stem}.py"
    return tests if (tree / tests).is_file() else None


@contextmanager
def copy_of(tree: Path) -> Iterator[Path]:
    """Give a copy of the tree, without what was built or installed in it, that goes with the block."""
    with tempfile.TemporaryDirectory(prefix="deliberate_faults-") as folder:
        copy = Path(folder) / "tree"

        def ignored(place: str, names: list[str]) -> set[str]:
            return (NOT_COPIED if Path(place) == tree else BYTECODE)(place, names)

        shutil.copytree(tree, copy, symlinks=True, ignore=ignored)
        yield copy


@contextmanager
def broken(copy: Path, place: Place) -> Iterator[None]:
    """Put a fault into the copy for a while."""
    file = copy / place.file
    text = file.read_text(encoding="utf-8")
    assert text.count(place.old) == 1
    file.write_text(text.replace(place.old, place.new), encoding="utf-8")
    try:
        yield
    finally:
        file.write_text(text, encoding="utf-8")


def run_tests(copy: Path, arguments: Sequence[str], *, workers: int) -> str | None:
    """Run quick tests up to the first failure; return what failed, None if nothing did.

    Raises:
        TestRunError: pytest itself failed.
    """
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-rfE", "-p", "no:cacheprovider", "-m", QUICK, *arguments]
    if workers > 1:
        command += ["-n", str(workers), "--dist", "worksteal"]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        "PYTHONPATH": str(copy),
        # A module with a fault may be as long and as old as the one without it.
        "PYTHONDONTWRITEBYTECODE": "1",
        # The kernels of faulty sources are of no use to anybody.
        "XDG_CACHE_HOME": str(copy.parent / "cache"),
    }
    output_of = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen(command, cwd=copy, env=environment, start_new_session=True, **output_of)
    try:
        output, _ = process.communicate(timeout=LONGEST_RUN)
    except subprocess.TimeoutExpired:
        return f"nothing ended within {LONGEST_RUN} s"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode in (PASSED, NOTHING_COLLECTED):
        return None
    if process.returncode < 0:
        return f"pytest was ended by {signal.Signals(-process.returncode).name}"
    if process.returncode > NOTHING_COLLECTED:
        return f"something ended pytest with status {process.returncode}"
    named = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", output, re.MULTILINE)
    if process.returncode not in (FAILED, INTERRUPTED) or named is None:
        raise TestRunError(f"pytest ended with status {process.returncode}:\n{output[-4000:]}")
    return named[1]


def examine(copy: Path, fault: Fault, *, workers: int, is_mirrored_only: bool) -> Result:
    """Put a fault into the copy and run the tests that may catch it."""
    place = find_place(copy, fault)
    mirrored = mirrored_tests(copy, place.file)
    start, caught_by, is_mirrored = time.monotonic(), None, False
    with broken(copy, place):
        if mirrored is not None:
            caught_by = run_tests(copy, [str(mirrored)], workers=workers)
            is_mirrored = caught_by is not None
        if caught_by is None and not is_mirrored_only:
            rest = ["tests"] if mirrored is None else ["tests", f"--ignore={mirrored}"]
            caught_by = run_tests(copy, rest, workers=workers)
    return Result(
        fault=fault.name,
        package=fault.package,
        file=str(place.file),
        old=place.old,
        new=place.new,
        caught_by=caught_by,
        is_mirrored=is_mirrored,
        is_complete=caught_by is not None or not is_mirrored_only,
        seconds=round(time.monotonic() - start),
    )


def known_results(file: Path) -> dict[str, Result]:
    """Return the results of earlier runs by the names of the faults; the last one of each counts."""
    if not file.is_file():
        return {}
    lines = file.read_text(encoding="utf-8").splitlines()
    return {result.fault: result for result in (Result(**json.loads(line)) for line in lines)}


def is_settled(fault: Fault, known: Result | None, *, is_mirrored_only: bool) -> bool:
    """Return whether an earlier run has said all that this one would."""
    if known is None or (known.old, known.new) not in fault.replacements:
        return False
    return known.is_complete or is_mirrored_only


def passing_tests(copy: Path, faults: Sequence[Fault], *, workers: int, is_mirrored_only: bool) -> Result:
    """Run the tests without a fault.

    Raises:
        TestRunError: they fail, so that a failure with a fault would prove nothing.
    """
    tests, start = tests_for(copy, faults, is_mirrored_only=is_mirrored_only), time.monotonic()
    if failed := run_tests(copy, tests, workers=workers):
        raise TestRunError(f"without any fault: {failed}; mend it first")
    return Result(
        fault=NO_FAULT,
        package="",
        file=" ".join(tests),
        old="",
        new="",
        caught_by=None,
        is_mirrored=is_mirrored_only,
        is_complete=not is_mirrored_only,
        seconds=round(time.monotonic() - start),
    )


def tests_for(tree: Path, faults: Sequence[Fault], *, is_mirrored_only: bool) -> list[str]:
    """Return all tests that may run for the faults, relative to the tree."""
    mirrored = {mirrored_tests(tree, find_place(tree, fault).file) for fault in faults}
    return sorted(map(str, filter(None, mirrored))) if is_mirrored_only else ["tests"]


def print_summary(results: Sequence[Result]) -> None:
    """Print one line for each fault, and how many were caught."""
    for result in results:
        state = "caught" if result.caught_by else "missed" if result.is_complete else "not caught by its own folder"
        print(f"{state}: {result.package}: {result.fault}" + (f"\n    {result.caught_by}" if result.caught_by else ""))
    n_caught = sum(result.caught_by is not None for result in results)
    n_mirrored = sum(result.is_mirrored for result in results)
    print(f"{n_caught} of {len(results)} faults caught, {n_mirrored} of them by the tests of their own folder")


def asked(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tree", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--mirrored", action="store_true")
    parser.add_argument("--results", type=Path, default=Path("deliberate_faults.jsonl"))
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line asks for."""
    options = asked(arguments)
    faults = [f for f in FAULTS if not options.only or any(w == f.package or w in f.name for w in options.only)]
    needed = set(tests_for(options.tree, faults, is_mirrored_only=options.mirrored))
    known = known_results(options.results)
    left = [f for f in faults if not is_settled(f, known.get(f.name), is_mirrored_only=options.mirrored)]
    how = {"workers": options.workers, "is_mirrored_only": options.mirrored}

    def keep(result: Result) -> None:
        known[result.fault] = result
        with options.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(result), ensure_ascii=False) + "\n")
        print(f"{result.seconds:5d} s  {result.fault}: {result.caught_by or 'nothing failed'}", flush=True)

    with copy_of(options.tree) as copy:
        before = known.get(NO_FAULT)
        if left and (before is None or not (before.is_complete or needed <= set(before.file.split()))):
            keep(passing_tests(copy, faults, **how))
        for fault in left:
            keep(examine(copy, fault, **how))
    print_summary([known[fault.name] for fault in faults])


if __name__ == "__main__":
    # The tests and the copy go with a run that is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        main()
    except (LookupError, TestRunError) as error:
        sys.exit(str(error))
