import json
from pathlib import Path

import numpy as np
import pytest

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.checks import Checked, InvalidDatasetError, Problem
from nnunet_mamba.data.raw_dataset import DatasetDescription, write_raw_dataset
from nnunet_mamba.data.recipe import Recipe

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
        return Checked(problems=problems, source={"shape": [2, 2]})

    def read(self, case):
        return [np.zeros(2), np.ones(2), *([np.full(2, 7)] if case.label else [])]

    def write(self, path, array):
        np.save(path, array)


def convert(cases, folder, **options):
    return write_raw_dataset(
        cases,
        folder,
        DESCRIPTION,
        converter=TwoChannelConverter(),
        recipe=Recipe.of("x", {}, cases),
        **options,
    )


def test_spreads_channels_over_files(tmp_path):
    cases = [
        Case(identifier="a", channels=(Path("a"),), label=Path("m")),
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
    cases = [Case(identifier=name, channels=(Path("a"),), label=Path("m")) for name in ("bad1", "good", "bad2")]
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
        convert([Case(identifier="a", channels=(Path("a"),), label=Path("m"))], tmp_path / "raw")
