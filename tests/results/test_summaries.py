import json
import math

import pytest

from nnunet_mamba.results.summaries import count_cases, read_mean_dice, read_summary


def test_reads_summary_sorted_with_names_of_labels(summary):
    first, second = read_summary(summary, names={"1": "lesion"})
    assert (first.identifier, second.identifier) == ("a", "b")
    assert math.isnan(first.dice)
    assert second.confusions["lesion"].tn == 7
    assert second.dice == 0.5


def test_cases_are_called_as_the_reader_of_a_summary_says(summary):
    files = [entry["prediction_file"] for entry in json.loads(summary.read_text())["metric_per_case"]]
    names = {case.identifier for case in read_summary(summary, identifiers={files[0]: "another name"})}
    assert "another name" in names
    assert len(names & {"a", "b"}) == 1


def test_refuses_what_is_no_summary(tmp_path):
    for text, message in (("{}", "metric_per_case"), ("[]", "JSON object"), ("{", "complete")):
        (tmp_path / "file.json").write_text(text)
        with pytest.raises(ValueError, match=message):
            read_summary(tmp_path / "file.json")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"TP": math.nan}, "TP is nan, expected a number of voxels"),
        ({"FP": -1}, "FP is -1, expected"),
        ({"FN": "3"}, "FN is 3, expected"),
        ({"TN": 0.5}, "TN is 0.5, expected"),
        ({"TN": None}, "TN is None, expected"),
        ({"TP": True}, "TP is True, expected"),
    ],
)
def test_counts_that_are_none_are_told_with_their_case(summary, wrong, message):
    content = json.loads(summary.read_text())
    content["metric_per_case"][1]["metrics"]["1"].update(wrong)
    summary.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"summary\.json: case 2 of 'metric_per_case' .*\({message}"):
        read_summary(summary)


@pytest.mark.parametrize(
    "cases", [None, [3], [{}], [{"prediction_file": "a.png"}], [{"prediction_file": 1, "metrics": {}}]]
)
def test_summaries_with_other_contents_are_told(summary, cases):
    summary.write_text(json.dumps({"metric_per_case": cases}))
    with pytest.raises(ValueError, match=r"summary\.json.*metric_per_case"):
        read_summary(summary)


def test_the_mean_dice_is_nnunets_and_another_file_is_refused(summary):
    summary.write_text(json.dumps({"foreground_mean": {"Dice": 0.75}}))
    assert read_mean_dice(summary) == 0.75
    summary.write_text('{"foreground_mean": {"Dice": NaN}}')
    assert math.isnan(read_mean_dice(summary))
    summary.write_text(json.dumps({"mean": {}}))
    with pytest.raises(ValueError, match=r"summary\.json has no foreground_mean with a Dice, .* delete it"):
        read_mean_dice(summary)


@pytest.mark.parametrize("dice", ["true", "null", '"0.5"', "Infinity", "-0.1", "1.5", "[0.5]"])
def test_a_dice_that_is_none_is_refused(summary, dice):
    summary.write_text(f'{{"foreground_mean": {{"Dice": {dice}}}}}')
    with pytest.raises(ValueError, match=f"{summary} has the Dice .*expected 0 to 1"):
        read_mean_dice(summary)


def test_cases_are_counted_without_looking_at_them(summary):
    assert count_cases(summary) == 2
    for content in ("{}", '{"metric_per_case": null}'):
        summary.write_text(content)
        assert count_cases(summary) == 0


def test_a_case_that_is_there_twice_is_refused(summary):
    content = json.loads(summary.read_text())
    content["metric_per_case"].append(content["metric_per_case"][0])
    summary.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"has \w+ more than once, and each case counts once; score the predictions"):
        read_summary(summary)
