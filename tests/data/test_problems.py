from pathlib import Path

from nnunet_mamba.data.problems import SHOWN_PROBLEMS, InvalidDatasetError, Problem, same_name


def test_shows_at_most_fifty_problems_and_keeps_all():
    problems = [Problem(f"case{number}", "is wrong", Path("x.png")) for number in range(120)]
    error = InvalidDatasetError(problems, Path("target"))
    lines = str(error).splitlines()
    assert lines[0] == "120 problems found, nothing written to target:"
    assert lines[1] == "  case0: is wrong (x.png)"
    assert lines[-1] == "  ... and 70 more"
    assert len(lines) == SHOWN_PROBLEMS + 2
    assert len(error.problems) == 120


def test_names_that_a_file_system_cannot_keep_apart_are_the_same():
    assert same_name("ISIC_1") == same_name("isic_1")
    assert same_name("l\u00e9sion") == same_name("le\u0301sion")
    assert same_name("ISIC_1") != same_name("ISIC_01")
