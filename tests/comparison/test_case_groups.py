import json

import pytest

from nnunet_mamba.comparison.case_groups import CaseGroups, read_groups
from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.writing.conversion_record import RECORD_FILE, ConversionRecord

GROUPS = {"a": "P1", "b": "P1", "c": None}


@pytest.fixture
def dataset(tmp_path):
    cases = [
        Case(identifier=name, channels=(tmp_path / f"{name}.png",), is_training=False, group=group)
        for name, group in GROUPS.items()
    ]
    ConversionRecord.of("test", {}, cases).write(tmp_path, {name: {} for name in GROUPS})
    return tmp_path


def test_the_record_of_the_conversion_tells_the_patients(dataset):
    found = read_groups(["c", "b", "a"], dataset)
    assert found.source == dataset / RECORD_FILE
    assert found.of(["c", "b", "a"]) == ["case c", "group P1", "group P1"]
    assert found.noun == "patients"


def test_without_a_record_every_case_counts_for_itself(tmp_path):
    for dataset in (None, tmp_path):
        found = read_groups(["a", "b"], dataset)
        assert (found.noun, found.source, found.of(["a", "b"])) == ("cases", None, ["case a", "case b"])


def test_a_damaged_record_is_named(dataset):
    content = json.loads((dataset / RECORD_FILE).read_text())
    content["cases"]["a"]["group"] = 7
    (dataset / RECORD_FILE).write_text(json.dumps(content))
    with pytest.raises(ValueError, match="the group of a is no text"):
        read_groups(["a"], dataset)


def test_a_table_counts_before_the_record(dataset):
    table = dataset / "groups.csv"
    table.write_text("image,lesion_id\na.png,L1\nB,L2\nc,\n")
    found = read_groups(["a", "b", "c"], dataset, table=table)
    assert found.of(["a", "b", "c"]) == ["group lesion_id L1", "group lesion_id L2", "case c"]
    assert (found.noun, found.source) == ("lesions", table)


def test_a_table_of_patients_and_lesions_tells_both(tmp_path):
    table = tmp_path / "groups.csv"
    table.write_text("image,patient_id,lesion_id\na,P1,L1\nb,,L2\n")
    assert read_groups(["a", "b"], None, table=table).noun == "patients or lesions"


def test_a_table_that_lacks_a_case_or_contradicts_itself_is_refused(tmp_path):
    table = tmp_path / "groups.csv"
    table.write_text("image,group\na,P1\na,P2\n")
    with pytest.raises(ValueError, match=r"two groups of a, group P1 \(line 2\) and group P2 \(line 3\)"):
        read_groups(["a"], None, table=table)
    with pytest.raises(ValueError, match=r"no row for 1 of 2 cases \(b\); add the rows"):
        read_groups(["a", "b"], None, table=table)


def test_patients_with_cases_in_several_folds_are_counted():
    groups = CaseGroups(by_case={"a": "P1", "b": "P1", "c": "P2", "d": "P2", "e": "P3"})
    assert groups.n_across({"a": "0", "b": "1", "c": "0", "d": "0", "x": "1"}) == 1
