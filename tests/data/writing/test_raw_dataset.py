import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.problems import CaseCheck, InvalidDatasetError, Problem
from nnunet_mamba.data.writing.conversion_record import ConversionRecord
from nnunet_mamba.data.writing.raw_dataset import DatasetDescription, write_raw_dataset
from nnunet_mamba.data.writing.run_options import RunOptions
from nnunet_mamba.system.folder_lock import only_writer

DESCRIPTION = DatasetDescription(
    channel_names=("pre", "FLAIR"),
    labels={"background": 0, "tumour": 1},
    file_ending=".npy",
    reader_writer="None",
    files_per_case=2,
)


class TwoChannelConverter:
    """Writes constant arrays; cases called bad have a problem."""

    def check(self, case):
        problems = (Problem(case.identifier, "is bad"),) if case.identifier.startswith("bad") else ()
        digest = case.identifier.removesuffix("_again")
        return CaseCheck(problems=problems, source={"shape": [2, 2]}, digest=digest, foreground=0.5)

    def read(self, case):
        return [np.zeros(2), np.ones(2), *([np.full(2, 7)] if case.mask else [])]

    def write(self, path, array):
        np.save(path, array)


def convert(cases, folder, **options):
    return write_raw_dataset(
        cases,
        folder,
        DESCRIPTION,
        converter=TwoChannelConverter(),
        record=ConversionRecord.of("x", {}, cases),
        **options,
    )


def test_spreads_channels_over_files(tmp_path):
    cases = [
        Case(identifier="a", channels=(Path("a"),), mask=Path("m")),
        Case(identifier="b", channels=(Path("b"),), is_training=False),
    ]
    done = convert(cases, tmp_path / "raw")
    assert sorted(str(path.relative_to(tmp_path / "raw")) for path in (tmp_path / "raw").glob("*/*")) == [
        "imagesTr/a_0000.npy",
        "imagesTr/a_0001.npy",
        "imagesTs/b_0000.npy",
        "imagesTs/b_0001.npy",
        "labelsTr/a.npy",
    ]
    assert np.load(tmp_path / "raw" / "imagesTr" / "a_0001.npy").tolist() == [1, 1]
    assert json.loads((tmp_path / "raw" / "dataset.json").read_text())["channel_names"] == {"0": "pre", "1": "FLAIR"}
    assert (done.n_training, done.n_test, done.n_written) == (1, 1, 2)


def test_problems_of_names_and_files_are_shown_together(tmp_path):
    cases = [Case(identifier=name, channels=(Path("a"),), mask=Path("m")) for name in ("bad1", "good", "bad2")]
    with pytest.raises(InvalidDatasetError) as caught:
        convert(cases, tmp_path / "raw", problems=[Problem("c", "no mask")])
    assert [problem.identifier for problem in caught.value.problems] == ["c", "bad1", "bad2"]
    assert not (tmp_path / "raw").exists()


def test_refuses_to_write_a_data_set_without_training_cases(tmp_path):
    with pytest.raises(ValueError, match="no training case"):
        convert([Case(identifier="b", channels=(Path("b"),), is_training=False)], tmp_path / "raw")


def test_refuses_a_file_as_folder(tmp_path):
    (tmp_path / "raw").write_text("x")
    with pytest.raises(FileExistsError, match="is a file"):
        convert([Case(identifier="a", channels=(Path("a"),), mask=Path("m"))], tmp_path / "raw")


def cases_called(*names):
    return [Case(identifier=name, channels=(Path(name),), mask=Path("m")) for name in names]


def written_files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_dry_run_looks_at_everything_and_writes_nothing(tmp_path):
    done = convert(cases_called("a", "b"), tmp_path / "raw", options=RunOptions(dry_run=True))

    assert done.is_dry_run
    assert (done.n_training, done.n_written) == (2, 0)
    assert done.checked["a"].foreground == 0.5
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InvalidDatasetError, match="is bad"):
        convert(cases_called("bad"), tmp_path / "raw", options=RunOptions(dry_run=True))


def test_invalid_cases_are_left_out_when_that_is_asked_for(tmp_path):
    cases = cases_called("a", "bad", "c")
    options = RunOptions(skip_invalid=True)

    done = convert(cases, tmp_path / "raw", problems=[Problem("d", "no image for this mask")], options=options)

    assert [case.identifier for case in done.cases] == ["a", "c"]
    assert done.skipped == {"d": ("no image for this mask",), "bad": ("is bad",)}
    assert "labelsTr/bad.npy" not in written_files(tmp_path / "raw")
    assert json.loads((tmp_path / "raw/dataset.json").read_text())["numTraining"] == 2


def test_a_run_that_left_cases_out_continues_with_the_same_ones(tmp_path):
    cases, options = cases_called("a", "bad", "c"), RunOptions(skip_invalid=True)
    convert(cases, tmp_path / "raw", options=options)
    (tmp_path / "raw/labelsTr/c.npy").unlink()

    done = convert(cases, tmp_path / "raw", options=options)

    assert (done.n_written, done.skipped) == (1, {"bad": ("is bad",)})
    with pytest.raises(FileExistsError, match="some cases were left out there: pass `skip_invalid=True` again"):
        convert(cases, tmp_path / "raw")


def test_a_second_run_writes_files_that_a_power_failure_left_empty_or_out(tmp_path):
    convert(cases_called("a", "b", "c"), tmp_path / "raw")
    before = {name: (tmp_path / "raw" / name).read_bytes() for name in written_files(tmp_path / "raw")}
    (tmp_path / "raw/imagesTr/a_0001.npy").write_bytes(b"")
    (tmp_path / "raw/labelsTr/b.npy").unlink()

    done = convert(cases_called("a", "b", "c"), tmp_path / "raw")

    assert done.n_written == 2
    assert {name: (tmp_path / "raw" / name).read_bytes() for name in written_files(tmp_path / "raw")} == before


def test_nothing_is_written_if_no_training_case_is_left(tmp_path):
    with pytest.raises(InvalidDatasetError, match="is bad"):
        convert(cases_called("bad"), tmp_path / "raw", options=RunOptions(skip_invalid=True))
    assert not (tmp_path / "raw").exists()


def test_same_picture_under_two_names_is_a_problem_of_the_later_one(tmp_path):
    cases = cases_called("a", "a_again", "b")

    with pytest.raises(InvalidDatasetError, match="a_again: the same picture as a"):
        convert(cases, tmp_path / "raw")
    done = convert(cases, tmp_path / "raw", options=RunOptions(skip_invalid=True))

    assert [case.identifier for case in done.cases] == ["a", "b"]


@pytest.mark.parametrize("names", [("a", "bad"), ("a",)])
def test_report_holds_every_problem_whether_the_run_was_refused_or_not(tmp_path, names):
    report = tmp_path / "problems.csv"
    options = RunOptions(report=report)

    with suppress(InvalidDatasetError):
        convert(cases_called(*names), tmp_path / "raw", options=options)

    rows = report.read_text().splitlines()
    assert rows == ["case,problem,file", *(["bad,is bad,"] if "bad" in names else [])]


def test_what_a_run_that_was_killed_while_it_wrote_the_record_left_is_removed(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / ".partial-12-nnunet_mamba_conversion.json").write_text("half")

    convert(cases_called("a"), tmp_path / "raw")

    assert not any(name.startswith(".partial") for name in written_files(tmp_path / "raw"))


def test_a_report_that_is_a_folder_is_told_before_any_case_is_looked_at(tmp_path):
    options = RunOptions(report=tmp_path)

    with pytest.raises(IsADirectoryError, match="is a folder, expected a file such as"):
        convert(cases_called("bad"), tmp_path / "raw", options=options)


def test_two_runs_at_once_do_not_share_a_folder(tmp_path):
    with only_writer(tmp_path / "raw"), pytest.raises(FileExistsError, match="another process is writing there"):
        convert(cases_called("a"), tmp_path / "raw")

    convert(cases_called("a"), tmp_path / "raw")
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]
