import json

import pytest
from trained_models import COLOUR, DATASET, ONE_LABEL

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.writing.conversion_record import ConversionRecord

SPLITS = [{"train": ["a", "b"], "val": ["c"]}]
OPTIONS = {"size": "256x256", "threshold": None, "split": "ultralight-isic2017", "table": "/home/me/groups.csv"}


@pytest.fixture(autouse=True)
def _no_folders_of_nnunet(monkeypatch):
    """No model takes what happens to lie in the folders of whoever runs the tests."""
    for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """nnU-Net's folders with a converted and planned data set."""
    raw, preprocessed = tmp_path / "nnUNet_raw", tmp_path / "nnUNet_preprocessed"
    for variable, folder in (("nnUNet_raw", raw), ("nnUNet_preprocessed", preprocessed)):
        (folder / DATASET).mkdir(parents=True)
        monkeypatch.setenv(variable, str(folder))
    image = tmp_path / "somebody/ISIC_0000001.jpg"
    image.parent.mkdir()
    image.touch()
    case = Case(identifier="ISIC_0000001", channels=(image,), mask=image)
    record = ConversionRecord.of("Dataset101_ISIC", OPTIONS, [case])
    record.write(raw / DATASET, {"ISIC_0000001": {}})
    dataset = {"channel_names": COLOUR, "labels": ONE_LABEL, "numTraining": 9, "file_ending": ".png"}
    (raw / DATASET / "dataset.json").write_text(json.dumps(dataset))
    for folder in (raw, preprocessed):
        (folder / DATASET / "splits_final.json").write_text(json.dumps(SPLITS))
    return tmp_path
