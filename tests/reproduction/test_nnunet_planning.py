"""What nnU-Net has preprocessed is recognised if it is whole, and of the conversion that is there."""

import json

import pytest

from nnunet_mamba.data.writing.conversion_record import RECORD_FILE, RECORD_REVISION
from nnunet_mamba.reproduction.experiments import EXPERIMENTS
from nnunet_mamba.reproduction.nnunet_planning import is_preprocessed, plan_and_preprocess

DATA = EXPERIMENTS["ultralight-vm-unet-table-4"].data["isic17"]


@pytest.fixture
def folders(nnunet_folders, monkeypatch):
    """The raw folder of a converted data set of two cases, and the folder that nnU-Net has preprocessed it into."""
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.setenv(name, str(nnunet_folders.root / name))
    raw, made = (nnunet_folders.root / name / DATA.folder_name for name in ("nnUNet_raw", "nnUNet_preprocessed"))
    raw.mkdir(parents=True)
    convert(raw, size=256)
    for folder in ("nnUNetPlans_2d", "gt_segmentations"):
        (made / folder).mkdir(parents=True)
    for case in ("a", "b"):
        (made / f"nnUNetPlans_2d/{case}.pkl").touch()
        (made / f"gt_segmentations/{case}.png").touch()
    (made / "dataset.json").write_text('{"numTraining": 2}')
    plans = {"configurations": {"2d": {"data_identifier": "nnUNetPlans_2d"}}}
    (made / "nnUNetPlans.json").write_text(json.dumps(plans))
    return raw, made


def convert(raw, *, size):
    record = {"converter": "isic", "revision": RECORD_REVISION, "options": {"size": size}, "cases": {}, "sources": []}
    record["skipped"] = {}
    (raw / RECORD_FILE).write_text(json.dumps(record))


def test_masks_that_lack_make_it_incomplete(folders):
    assert is_preprocessed(DATA)
    (folders[1] / "gt_segmentations/b.png").unlink()
    assert not is_preprocessed(DATA)


def test_what_was_preprocessed_from_another_conversion_is_refused_with_all_three_folders(
    folders, monkeypatch, tmp_path
):
    raw, _ = folders
    done = type("Done", (), {"returncode": 0})
    monkeypatch.setattr("nnunet_mamba.reproduction.nnunet_planning.subprocess.run", lambda *words, **options: done)
    plan_and_preprocess(DATA, tmp_path / "log")
    assert is_preprocessed(DATA)
    convert(raw, size=128)
    with pytest.raises(ValueError, match="was preprocessed from another conversion than") as error:
        is_preprocessed(DATA)
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        assert name in str(error.value)
    convert(raw, size=256)
    assert is_preprocessed(DATA)
