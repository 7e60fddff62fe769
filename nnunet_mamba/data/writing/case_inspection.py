"""Check all cases before the first byte is written, and gather what is wrong with them."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.problems import FILE_DAMAGES, CaseCheck, Problem
from nnunet_mamba.system.parallel import in_own_process, map_in_order

ENDED_A_PROCESS = "looking at it ended the process, probably for want of memory"
_TOO_LARGE_HERE = "convert it on a larger machine, or leave it out with `skip_invalid=True`"


class CaseChecker(Protocol):
    """Looks at one case; sent to worker processes, so it must be picklable."""

    def check(self, case: Case) -> CaseCheck:
        """Look at a case's files."""


def check_cases(
    cases: Sequence[Case], checker: CaseChecker, *, jobs: int, progress: bool
) -> tuple[dict[str, CaseCheck], list[Problem]]:
    """Look at every case.

    Args:
        cases: with unique identifiers.
        checker: for one case.
        jobs: worker processes.
        progress: show it on standard error.

    Returns:
        What was found by identifier, and all problems: of single cases, and of pictures that several cases hold.
    """
    results = _look_at_all(cases, partial(_checked, checker), jobs=jobs, progress=progress)
    checked = {case.identifier: one for case, one in zip(cases, results, strict=True)}
    problems = [problem for one in checked.values() for problem in one.problems]
    return checked, [*problems, *_repeated_pictures(cases, checked)]


def _look_at_all(
    cases: Sequence[Case], check: Callable[[Case], CaseCheck], *, jobs: int, progress: bool
) -> list[CaseCheck]:
    """Return the check of every case, also of those that end the process which checks them."""
    done: list[CaseCheck] = []
    is_apart = False
    while len(done) < len(cases):
        remaining = cases[len(done) :]
        looked_at = map_in_order(
            check, remaining, jobs=jobs, description="checking", progress=progress, is_apart=is_apart
        )
        try:
            for one in looked_at:
                done.append(one)
        except ChildProcessError:
            # What is left may end a process too; however little it is, it must not end this one.
            is_apart = True
            # A worker was checking one of the next cases: each gets a process of its own.
            suspects = cases[len(done) :][: 2 * jobs + 1]
            found = [_checked_apart(check, case) for case in suspects]
            if len(suspects) > 1 and all(map(_has_ended_a_process, found)):
                # Processes end here whatever they look at.
                raise
            done += found
    return done


def _checked(checker: CaseChecker, case: Case) -> CaseCheck:
    """Check a case; whatever fails on its files becomes a problem of this case, so that the others are checked too."""
    try:
        return checker.check(case)
    except MemoryError:
        text, advice = "larger than the memory that is left", _TOO_LARGE_HERE
    except FILE_DAMAGES as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        text, advice = f"unreadable: {reason}; copy or download it again", ""
    return CaseCheck(problems=(Problem(case.identifier, text, case.channels[0], advice),))


def _checked_apart(check: Callable[[Case], CaseCheck], case: Case) -> CaseCheck:
    try:
        return in_own_process(check, case)
    except ChildProcessError:
        problem = Problem(case.identifier, ENDED_A_PROCESS, case.channels[0], _TOO_LARGE_HERE)
        return CaseCheck(problems=(problem,))


def _has_ended_a_process(checked: CaseCheck) -> bool:
    return any(problem.text == ENDED_A_PROCESS for problem in checked.problems)


def _repeated_pictures(cases: Sequence[Case], checked: Mapping[str, CaseCheck]) -> list[Problem]:
    """Report every case with the picture of an earlier one, which would leak across a split."""
    holders: defaultdict[str, list[Case]] = defaultdict(list)
    for case in cases:
        digest = checked[case.identifier].digest
        if digest is not None:
            holders[digest].append(case)
    return [
        Problem(
            case.identifier,
            f"the same picture as {first.identifier} ({first.channels[0]}), expected every picture once",
            case.channels[0],
            "remove one, or leave the later ones out with `skip_invalid=True`",
        )
        for first, *others in holders.values()
        for case in others
    ]
