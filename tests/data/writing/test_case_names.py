from pathlib import Path

import pytest

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.writing.case_names import LONGEST_NAME, name_problems


def case(name, *, is_training=True):
    return Case(identifier=name, channels=(Path("image.png"),), mask=Path("mask.png"), is_training=is_training)


def texts(*names, **options):
    return {problem.identifier: problem.text for problem in name_problems([case(name, **options) for name in names])}


def test_name_that_nnunet_takes_for_a_label_is_refused():
    found = texts("scan", "scan_seg", "other_seg", "seg", "_segment", "seg_1")
    assert found.keys() == {"scan_seg", "other_seg"}
    assert "ends with _seg" in found["scan_seg"]
    assert "rename its files" in found["scan_seg"]


def test_letter_case_counts_only_where_another_label_is_called_so():
    assert texts("a_SEG") == {}
    assert "stores the label of another case under this name" in texts("a", "a_SEG")["a_SEG"]


def test_test_cases_have_no_stored_label():
    assert texts("a_seg", is_training=False) == {}


# nnU-Net 2.8.1 kept each of these through planning and preprocessing.
HELD = ["scan", "scan_0001", "scan_0001_0000", "a.b", "a.nii", "a.png", " a", "a ", "x(1)", "r[e]*+?^$.|", "ünï", "-a"]


def test_names_that_nnunet_holds_are_kept():
    assert texts(*HELD, "~t", 'it\'s "q"', "a$HOME", "splits_final", "n" * LONGEST_NAME) == {}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("n" * (LONGEST_NAME + 1), f"{LONGEST_NAME + 1} bytes, expected {LONGEST_NAME} at most"),
        ("é" * 111, "222 bytes"),
        ("a\nb", "line break or another control character (U+000A)"),
        (".a", "starts with a dot"),
        ("a\udcff", "not UTF-8"),
    ],
)
def test_names_that_files_or_lists_cannot_hold_are_refused(name, text):
    assert text in texts(name)[name]


def test_names_that_some_file_systems_hold_to_be_the_same_are_refused():
    found = texts("A", "a", "e\u0301", "\u00e9")
    assert found.keys() == {"a", "\u00e9"}
    assert "called as A but for the case of letters" in found["a"]
