import json
import shutil
from dataclasses import replace

import pytest
from trained_models import DATASET

from nnunet_mamba.models.kept_conversion import (
    KEPT_FILE,
    keep_conversion,
    read_kept_conversion,
    write_kept_conversion,
)
from nnunet_mamba.models.nnunet.results_writing import unpack_to_results
from nnunet_mamba.models.opening import open_model
from nnunet_mamba.models.packing import pack_model


@pytest.fixture
def model(folders, trained):
    """The results of a model of the converted data set, before any checkpoint is there."""
    folder = trained()
    for checkpoint in folder.glob("fold_*/*.pth"):
        checkpoint.rename(checkpoint.with_suffix(".aside"))
    return folder


def begin(model):
    """What a training does when it begins."""
    return keep_conversion(model, DATASET, json.loads((model / "dataset.json").read_text()))


def finish(model):
    for checkpoint in model.glob("fold_*/*.aside"):
        checkpoint.rename(checkpoint.with_suffix(".pth"))


def convert_anew(folders, **options):
    """Let the record of the raw data set tell other options."""
    file = folders / "nnUNet_raw" / DATASET / "nnunet_mamba_conversion.json"
    record = json.loads(file.read_text())
    file.write_text(json.dumps({**record, "options": {**record["options"], **options}}))


def test_a_model_that_is_copied_elsewhere_knows_how_its_images_were_converted(model, folders, monkeypatch):
    assert begin(model) is None
    finish(model)
    monkeypatch.delenv("nnUNet_raw")
    elsewhere = shutil.copytree(model, folders / "elsewhere")
    assert open_model(elsewhere).description.image_conversion().size == (256, 256)
    packed = open_model(pack_model(elsewhere, folders / "packed.zip"))
    assert packed.description.image_conversion().size == (256, 256)


def test_no_case_and_no_path_is_kept(model, folders):
    begin(model)
    text = (model / KEPT_FILE).read_text()
    for secret in ("ISIC_0000001", "somebody", "/home/me", str(folders)):
        assert secret not in text
    assert [path.name for path in model.glob(".partial-*")] == []


def test_a_data_set_that_somebody_made_by_hand_is_kept_as_that(model, folders):
    (folders / "nnUNet_raw" / DATASET / "nnunet_mamba_conversion.json").unlink()
    assert begin(model) is None
    assert read_kept_conversion(model).is_by_hand


def test_without_the_raw_data_set_nothing_is_kept(model, monkeypatch):
    monkeypatch.delenv("nnUNet_raw")
    assert begin(model) is None
    assert read_kept_conversion(model) is None


def test_a_conversion_anew_changes_nothing_for_a_model_with_a_trained_fold(model, folders):
    begin(model)
    assert begin(model) is None, "the same again"
    finish(model)
    convert_anew(folders, size="128x128")
    assert "was converted anew, and otherwise, since a fold of this model was trained" in begin(model)
    assert read_kept_conversion(model).size == (256, 256)


def test_a_conversion_anew_before_any_fold_is_trained_is_told_and_kept(model, folders):
    begin(model)
    convert_anew(folders, size="128x128")
    assert f"{KEPT_FILE} told of another conversion of {DATASET}" in begin(model)
    assert read_kept_conversion(model).size == (128, 128)


@pytest.mark.parametrize("damaged", ["raw", "kept"])
def test_a_training_begins_in_spite_of_a_damaged_file(model, folders, damaged):
    raw = folders / "nnUNet_raw" / DATASET / "nnunet_mamba_conversion.json"
    (raw if damaged == "raw" else model / KEPT_FILE).write_text("{}")
    assert begin(model).startswith("The model does not keep how its images were converted, and looks for it in")


def test_a_model_takes_its_own_conversion_and_says_so_where_the_raw_data_has_another(model, folders, caplog):
    begin(model)
    finish(model)
    with caplog.at_level("INFO"):
        assert open_model(model).description.data.splits == "ultralight-isic2017"
    assert not caplog.records
    convert_anew(folders, size="128x128")
    with caplog.at_level("INFO"):
        description = open_model(model).description
    assert description.image_conversion().size == (256, 256)
    (note,) = caplog.records
    assert f"nnUNet_raw holds {DATASET} as it was converted otherwise than for the model" in note.getMessage()
    assert description.data.splits is None


def test_a_damaged_record_of_the_raw_data_does_not_matter_to_a_model_with_its_own(model, folders):
    begin(model)
    finish(model)
    (folders / "nnUNet_raw" / DATASET / "nnunet_mamba_conversion.json").write_text("{}")
    assert open_model(model).description.image_conversion().size == (256, 256)


@pytest.mark.parametrize("content", ["{}", '{"conversion": {"kind": "dreams"}}', "no JSON"])
def test_a_damaged_file_is_told_with_the_way_out(model, content):
    finish(model)
    (model / KEPT_FILE).write_text(content)
    with pytest.raises(ValueError, match=rf"{KEPT_FILE}.*get the file again, or delete it and let nnUNet_raw name"):
        open_model(model)


def test_results_that_are_made_of_a_shared_model_keep_its_conversion(model, folders, monkeypatch):
    begin(model)
    finish(model)
    shared = open_model(pack_model(model, folders / "packed.zip"))
    monkeypatch.delenv("nnUNet_raw")
    shutil.rmtree(model)
    target = unpack_to_results(shared, folders / "results")
    assert read_kept_conversion(target) == shared.description.conversion
    unknown = replace(shared, description=replace(shared.description, conversion=None))
    assert not (unpack_to_results(unknown, folders / "others") / KEPT_FILE).exists()


def test_every_conversion_comes_back(model):
    begin(model)
    conversion = read_kept_conversion(model)
    write_kept_conversion(model, conversion)
    assert read_kept_conversion(model) == conversion


def test_stock_nnunet_exports_and_predicts_beside_the_file(model, folders, monkeypatch):
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.model_sharing import model_export

    begin(model)
    finish(model)
    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(model), None)
    assert predictor.trainer_name == "nnUNetTrainerUltraLightVM"
    for name in ("fold_0/progress.png", "fold_0/validation/summary.json", "dataset_fingerprint.json"):
        (model / name).parent.mkdir(exist_ok=True)
        (model / name).touch()
    monkeypatch.setattr(model_export, "nnUNet_results", str(model.parents[1]))
    monkeypatch.setattr(model_export, "maybe_convert_to_dataset_name", lambda name: name)
    monkeypatch.setattr(model_export, "get_output_folder", lambda *names: str(model))
    archive = folders / "exported.zip"
    model_export.export_pretrained_model(DATASET, str(archive), ("2d",), "nnUNetTrainerUltraLightVM", folds=(0,))
    monkeypatch.delenv("nnUNet_raw")
    assert open_model(archive).description.trainer == "nnUNetTrainerUltraLightVM"
