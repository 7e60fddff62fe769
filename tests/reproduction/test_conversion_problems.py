"""Problems of a conversion are told without settings that an experiment fixes, and all of them in a table."""

import csv

from nnunet_mamba.data.problems import InvalidDatasetError, Problem
from nnunet_mamba.reproduction.conversion_problems import told_problems, without_other_settings


def test_ways_out_by_settings_that_an_experiment_fixes_are_left_out():
    found = "it is empty; draw it, or allow it with `allow_empty_masks=True`; leave it out with `skip_invalid=True`"
    assert without_other_settings(found) == "it is empty; draw it; leave it out with `skip_invalid=True`"
    assert without_other_settings("no photographs\n  in a; name it") == "no photographs in a; name it"
    assert without_other_settings("12 labels; `label_numbering=btcv` reads them") == (
        "12 labels; `label_numbering=btcv` reads them"
    )


def test_all_problems_are_in_a_table_and_the_first_in_the_reason(tmp_path):
    problems = [Problem(f"ISIC_{number}", "no mask", advice="add it; `masks` names others") for number in range(5)]
    told = told_problems(InvalidDatasetError(problems, tmp_path), tmp_path / "logs/problems.csv")
    assert "5 problems found" in told
    assert "ISIC_2: no mask; add it; and 2 more. All of them are in " in told
    assert told.endswith("problems.csv; `skip_invalid=True` leaves these images out.")
    with (tmp_path / "logs/problems.csv").open() as file:
        assert [row["problem"] for row in csv.DictReader(file)] == ["no mask; add it"] * 5
    nothing_left = InvalidDatasetError(problems, tmp_path, is_nothing_left=True)
    assert "skip_invalid" not in told_problems(nothing_left, tmp_path / "problems.csv")
