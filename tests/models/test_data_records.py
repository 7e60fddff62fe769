import json
from hashlib import sha256

from trained_models import DATASET, ONE_LABEL

from nnunet_mamba.data.unlabelled.image_conversion import ImageConversion, ImageKind
from nnunet_mamba.models.opening import open_model
from nnunet_mamba.models.packing import pack_model


def described(folder, tmp_path):
    return open_model(pack_model(folder, tmp_path / "packed")).description


def test_conversion_and_splits_are_found_by_the_data_sets_name(folders, trained):
    description = described(trained(), folders)
    assert description.conversion == ImageConversion(
        kind=ImageKind.PHOTOGRAPHS, channel_names=("R", "G", "B"), labels=ONE_LABEL, size=(256, 256)
    )
    assert description.data.splits == "ultralight-isic2017"
    splits = folders / "nnUNet_preprocessed" / DATASET / "splits_final.json"
    assert description.data.splits_sha256 == sha256(splits.read_bytes()).hexdigest()
    assert description.data.n_cases == 10


def test_folds_that_somebody_has_exchanged_have_no_name(folders, trained):
    splits = folders / "nnUNet_preprocessed" / DATASET / "splits_final.json"
    splits.write_text(json.dumps([{"train": ["a", "c"], "val": ["b"]}]))
    data = described(trained(), folders).data
    assert (data.splits, data.splits_sha256) == (None, sha256(splits.read_bytes()).hexdigest())


def test_no_case_no_path_and_no_person_is_in_the_file(folders, trained):
    content = pack_model(trained(), folders / "packed.zip").read_bytes()
    for secret in (b"ISIC_0000001", b"somebody", b"/home/me", str(folders).encode(), b"called vm"):
        assert secret not in content


def test_a_fold_of_all_cases_has_no_splits(folders, trained):
    description = described(trained(folds=("all",)), folders)
    assert (description.data.splits, description.data.splits_sha256) == (None, None)


def test_another_data_set_of_the_same_name_is_not_taken_for_the_models(folders, trained, caplog):
    folder = trained(labels={"labels": {"background": 0, "mole": 1}})
    with caplog.at_level("INFO"):
        assert described(folder, folders).conversion is None
    assert "has other labels than the data that the model was trained with" in caplog.text


def test_without_nnunets_folders_nothing_is_known(trained, tmp_path):
    description = described(trained(), tmp_path)
    assert description.conversion is None
    assert (description.data.splits, description.data.splits_sha256) == (None, None)


def test_a_data_set_that_somebody_made_by_hand_is_read_as_nnunet_does(folders, trained):
    (folders / "nnUNet_raw" / DATASET / "nnunet_mamba_conversion.json").unlink()
    conversion = described(trained(), folders).conversion
    assert conversion.is_by_hand
    assert conversion.size is None


def test_results_tell_how_their_images_were_converted(folders, trained):
    assert open_model(trained()).description.image_conversion().size == (256, 256)
