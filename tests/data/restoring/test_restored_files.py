from pathlib import Path

import pytest

from nnunet_mamba.data.restoring.converted_dataset import ConvertedDataset
from nnunet_mamba.data.restoring.restored_files import restored_files, same_files


@pytest.fixture
def dataset(tmp_path):
    def dataset(**sources):
        cases = {name: {"source": source} for name, source in sources.items()}
        return ConvertedDataset(
            folder=tmp_path, file_ending=".png", labels={}, source_labels={}, threshold=None, size=None, cases=cases,
            sources=(),
        )  # fmt: skip

    return dataset


def test_masks_are_called_as_their_sources_or_cases(dataset):
    found = dataset(a={}, b={"file": "scan/b.tif"}, c={"slices": ["x.dcm", "y.dcm"]})
    assert restored_files("a", found, Path("out")) == [Path("out/a.png")]
    assert restored_files("b", found, Path("out")) == [Path("out/scan/b.png")]
    assert restored_files("c", found, Path("out")) == [Path("out/c/x.png"), Path("out/c/y.png")]


def test_masks_that_would_replace_each_other_are_problems(dataset):
    found = dataset(a={"file": "x/one.jpg"}, b={"file": "x/ONE.png"}, c={"file": "x/two.png"})
    [problem] = same_files({name: Path(f"{name}.png") for name in "abcd"}, found)
    assert problem.identifier == "b"
    assert "its mask would be x/ONE.png, as that of a is" in problem.text
