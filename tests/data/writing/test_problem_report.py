import errno
from pathlib import Path

import pytest

from nnunet_mamba.data.problems import Problem
from nnunet_mamba.data.writing import problem_report
from nnunet_mamba.data.writing.problem_report import refuse_if_no_report, write_problem_report


def test_problems_are_rows_and_names_that_are_no_text_are_written_out(tmp_path):
    report = tmp_path / "problems.csv"
    write_problem_report([Problem("a", 'no mask, "x"', Path("a.png")), Problem("\udcff", "empty")], report)
    assert report.read_text() == 'case,problem,file\na,"no mask, ""x""",a.png\n\\udcff,empty,\n'
    write_problem_report([], report)
    assert report.read_text() == "case,problem,file\n"


def test_a_place_that_takes_no_report_is_refused_without_a_trace(tmp_path):
    with pytest.raises(IsADirectoryError, match=r"is a folder, expected a file such as .*problems\.csv"):
        refuse_if_no_report(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="another place with `report`"):
        refuse_if_no_report(tmp_path / "file" / "problems.csv")
    refuse_if_no_report(tmp_path / "new" / "problems.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_is_named_with_the_way_out(tmp_path, monkeypatch):
    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(problem_report, "replacing", full)
    with pytest.raises(OSError, match=r"No space left on device, while writing the report .*problems\.csv.*`report`"):
        write_problem_report([], tmp_path / "problems.csv")
