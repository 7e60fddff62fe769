import pytest

from nnunet_mamba.evaluation.output_files import refuse_output


@pytest.mark.parametrize("has_summary", [True, False])
def test_what_evaluations_and_nnunet_have_written_is_replaced(tmp_path, has_summary):
    for first, second in (
        ("", ""),
        ('{"metric_per_case": []}', "identifier,label,dice\n"),
        ('{\n    "foreground_mean": {\n        "Di', "identifier,label,dice"),
    ):
        (tmp_path / "summary.json").write_text(first)
        (tmp_path / "cases.csv").write_text(second)
        refuse_output(tmp_path, has_summary=has_summary)
    refuse_output(tmp_path / "not there", has_summary=has_summary)
    assert not (tmp_path / "not there").exists()


@pytest.mark.parametrize(("name", "text"), [("summary.json", '{"mine": 1}'), ("cases.csv", "image,patient\n")])
def test_files_of_others_are_not_replaced(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(FileExistsError, match=f"{name} is there and was written by no evaluation, .*another `output`"):
        refuse_output(tmp_path)
    assert (tmp_path / name).read_text() == text


def test_a_folder_in_place_of_a_file_is_refused(tmp_path):
    (tmp_path / "summary.json").mkdir()
    refuse_output(tmp_path, has_summary=False)
    with pytest.raises(FileExistsError, match=r"summary\.json is there"):
        refuse_output(tmp_path)


def test_a_file_in_place_of_the_folder_is_named_once(tmp_path):
    file = tmp_path / "dataset.json"
    file.write_text("{}")
    with pytest.raises(
        NotADirectoryError, match=r"dataset\.json is a file, expected a folder; .* choose another `output`"
    ):
        refuse_output(file)
