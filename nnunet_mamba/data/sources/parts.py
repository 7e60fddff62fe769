"""Bring the parts of a data set together, such as training and test, so that every name stands for one case."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.problems import Problem, same_name


def joined_parts(
    parts: Mapping[str, tuple[Sequence[Case], Sequence[Problem]]],
) -> tuple[list[Case], list[Problem]]:
    """Join parts; where parts share a case's name, the first part keeps it, and each other case is a problem.

    Args:
        parts: per name of a part, its cases, with unique identifiers, and what is wrong with the names of its files.

    Returns:
        The cases, and all problems. A problem in another part than the case of its name gets the name ``test/NAME``, so
        that leaving out what has problems does not leave out that case.
    """
    owners: dict[str, tuple[str, Case]] = {}
    for part, (cases, _) in parts.items():
        for case in cases:
            owners.setdefault(same_name(case.identifier), (part, case))
    problems = []
    for part, (cases, found) in parts.items():
        twins = [_twin(case, part, *owners[same_name(case.identifier)]) for case in cases]
        for problem in (*found, *filter(None, twins)):
            is_elsewhere = owners.get(same_name(problem.identifier), (part,))[0] != part
            # No case has such a name: names of files hold no "/".
            name = f"{part}/{problem.identifier}" if is_elsewhere else problem.identifier
            problems.append(replace(problem, identifier=name))
    return [case for _, case in owners.values()], problems


def _twin(case: Case, part: str, owner: str, owned: Case) -> Problem | None:
    """Return what is wrong with a case whose name an earlier part has."""
    if owner == part:
        return None
    text = f"a {part} image, and a {owner} image too ({owned.channels[0]}), expected one of them"
    advice = f"remove one, or leave the {part} image out with `skip_invalid=True`"
    return Problem(case.identifier, text, case.channels[0], advice)
