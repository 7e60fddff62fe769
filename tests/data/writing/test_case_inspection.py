"""One bad file is a problem of its case, and hides nothing of the others."""

import os
import struct
import zlib
from pathlib import Path

import pytest

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.problems import CaseCheck, Problem
from nnunet_mamba.data.writing.case_inspection import check_cases

FAULTS = {
    "m": MemoryError(),
    "o": OverflowError("too large"),
    "e": EOFError("ends early"),
    "z": zlib.error("bad code"),
    "s": struct.error("needs 4 bytes"),
    "r": RuntimeError("bad allocation"),
    "k": KeyError("image"),
    "d": OSError(5, "Input/output error"),
}


class Checker:
    """Fails in the way that a case's name begins with; "x" ends the process."""

    def check(self, case):
        kind = case.identifier[0]
        if kind == "x":
            os._exit(9)
        if kind in FAULTS:
            raise FAULTS[kind]
        if kind == "p":
            return CaseCheck(problems=(Problem(case.identifier, "a usual problem"),))
        return CaseCheck()


def cases_of(names):
    return [Case(identifier=name, channels=(Path(f"{name}.png"),), is_training=False) for name in names]


def texts(names, *, jobs=1):
    checked, problems = check_cases(cases_of(names), Checker(), jobs=jobs, progress=False)
    assert list(checked) == list(names)
    return {problem.identifier: problem.text for problem in problems}


@pytest.mark.parametrize("jobs", [1, 2])
def test_whatever_fails_is_a_problem_of_its_case(jobs):
    names = [f"{kind}{number:02d}" for kind in (*FAULTS, "p", "g") for number in range(4)]
    found = texts(names, jobs=jobs)
    assert found.keys() == {name for name in names if not name.startswith("g")}
    assert found["p00"] == "a usual problem"
    assert "larger than the memory that is left" in found["m00"]
    assert "unreadable: too large" in found["o00"]
    assert "Input/output error" in found["d03"]


def test_cases_that_end_the_process_are_named_and_the_others_are_looked_at_however_few_are_left():
    # Just enough for a second worker; what is left after the first ones would be worth none.
    names = [f"{'x' if number in (2, 3, 17) else 'p' if number == 15 else 'g'}{number:02d}" for number in range(18)]
    found = texts(names, jobs=2)
    assert found.keys() == {"x02", "x03", "p15", "x17"}
    assert "looking at it ended the process" in found["x02"]


def test_processes_that_end_whatever_they_look_at_are_no_fault_of_the_cases():
    with pytest.raises(ChildProcessError, match="died while checking"):
        texts([f"x{number:02d}" for number in range(40)], jobs=2)
