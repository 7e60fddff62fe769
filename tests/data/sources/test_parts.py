from pathlib import Path

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.problems import Problem
from nnunet_mamba.data.sources.parts import joined_parts


def cases_of(part, *names):
    return [
        Case(identifier=name, channels=(Path(part, name),), mask=Path("m"), is_training=part != "test")
        for name in names
    ]


def test_other_names_are_joined_in_order():
    parts = {"training": (cases_of("training", "b", "a"), []), "test": (cases_of("test", "c"), [])}
    cases, problems = joined_parts(parts)
    assert [(case.identifier, case.is_training) for case in cases] == [("b", True), ("a", True), ("c", False)]
    assert problems == []


def test_a_name_stays_that_of_the_first_part():
    parts = {
        "training": (cases_of("training", "a"), []),
        "validation": (cases_of("validation", "a", "b"), []),
        "test": (cases_of("test", "B", "c"), []),
    }
    cases, problems = joined_parts(parts)
    assert [str(case.channels[0]) for case in cases] == ["training/a", "validation/b", "test/c"]
    assert [(problem.identifier, problem.text.partition(", expected")[0], problem.file) for problem in problems] == [
        ("validation/a", "a validation image, and a training image too (training/a)", Path("validation/a")),
        ("test/B", "a test image, and a validation image too (validation/b)", Path("test/B")),
    ]


def test_a_problem_is_called_as_a_case_of_its_own_part_alone():
    parts = {
        "training": (cases_of("training", "a"), [Problem("a", "is bad"), Problem("c", "no image for this mask")]),
        "test": (cases_of("test", "a", "c"), [Problem("a", "no mask"), Problem("x", "no image for this mask")]),
    }
    _, problems = joined_parts(parts)
    assert [problem.identifier for problem in problems] == ["a", "training/c", "test/a", "x", "test/a"]
