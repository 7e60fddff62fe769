import json
import shutil

import pytest

from nnunet_mamba.external_tests.models_under_test import open_models
from nnunet_mamba.external_tests.trainings import training_in
from nnunet_mamba.web.shipped_page import network_of

TRAINER = "nnUNetTrainerUltraLightVM"


def test_every_fold_is_a_model_by_itself(trained):
    folder = trained(folds=(0, 1))
    models = open_models([], [training_in(folder)])
    assert [(one.name, one.folds, one.seed) for one in models] == [
        (f"{folder.name}__fold_0", ("0",), None),
        (f"{folder.name}__fold_1", ("1",), None),
    ]
    assert len({one.group for one in models}) == 1


def test_all_folds_together_are_a_model_of_their_own_group(trained):
    models = open_models([trained(folds=(0, 1))], ensemble=True)
    assert [one.folds for one in models] == [("0",), ("1",), ("0", "1")]
    assert [one.group.is_ensemble for one in models] == [False, False, True]
    assert models[2].name.endswith("__folds_0_1")


def test_a_repeat_from_another_seed_is_of_the_same_group(trained):
    models = open_models([trained(f"{TRAINER}_seed1", folds=(0,)), trained(f"{TRAINER}_seed2", folds=(1,))])
    assert [one.seed for one in models] == [1, 2]
    assert {one.group.trainer for one in models} == {TRAINER}
    assert len({one.group for one in models}) == 1


def test_a_model_file_is_called_as_the_file_and_a_shipped_one_as_it_was_named(packed):
    assert [one.name for one in open_models([packed("one.zip"), "isic"])] == ["one", "isic"]


def test_two_models_of_one_name_are_refused(packed, tmp_path):
    file = packed("one.zip")
    (tmp_path / "other").mkdir()
    other = shutil.copy(file, tmp_path / "other/One.zip")
    with pytest.raises(ValueError, match="would both write their masks into the folder One"):
        open_models([file, other])


def test_a_fold_and_what_was_packed_of_it_are_refused(packed, tmp_path):
    file = packed("one.zip")
    folder = next((tmp_path / "nnUNet_results").glob("*/*"))
    with pytest.raises(ValueError, match=r"one and .*__fold_0 have the same weights"):
        open_models([file, folder])


@pytest.fixture
def exported(tmp_path):
    """Return what copies an ONNX file that comes along, with other folds if they are given."""

    def copy(name, folds=None):
        file = tmp_path / name
        source = network_of("ultralbm-isic")
        shutil.copy(source, file)
        facts = json.loads(source.with_name(f"{source.name}.json").read_text(encoding="utf-8"))
        if folds is not None:
            facts["model"]["folds"] = [{**facts["model"]["folds"][0], "name": fold} for fold in folds]
        file.with_name(f"{name}.json").write_text(json.dumps(facts), encoding="utf-8")
        return file

    return copy


def test_an_onnx_file_is_one_model_whose_folds_stay_together(exported):
    (one,) = open_models([exported("lesion.onnx", folds=["0", "3"])], ensemble=True)
    assert (one.name, one.folds, one.group.is_ensemble) == ("lesion", ("0", "3"), True)


def test_an_onnx_file_is_not_averaged_with_what_may_be_the_same_model(exported):
    files = [exported("a.onnx"), exported("b.onnx")]
    for sources in (files, [files[0], "isic"], ["isic", files[0]]):
        with pytest.raises(ValueError, match=r"of the same training and fold 0, .*; test them apart"):
            open_models(sources)
    assert [one.name for one in open_models([files[0], "ultralight-isic"])] == ["a", "ultralight-isic"]
