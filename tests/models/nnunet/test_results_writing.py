import json
import shutil

import pytest
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from trained_models import DATASET, REGIONS, assert_same_weights, stored_weights

from nnunet_mamba.models.nnunet.checkpoint_reading import CodeInCheckpointError
from nnunet_mamba.models.nnunet.results_writing import unpack_to_results, write_pretrained_checkpoint
from nnunet_mamba.models.opening import open_model
from nnunet_mamba.models.packing import pack_model


def shared(folder, tmp_path, **options):
    """The model in a folder of results after it was packed and the folder deleted."""
    model = open_model(pack_model(folder, tmp_path / "shared.zip", **options))
    shutil.rmtree(folder.parents[1])
    return model


@pytest.mark.parametrize(
    ("trainer", "labels"),
    [
        ("nnUNetTrainerUltraLightVM", None),
        ("nnUNetTrainerUltraLightVM_20epochs", REGIONS),
        ("nnUNetTrainerUltraLBMTDistill", None),
        ("nnUNetTrainerUMambaBot", REGIONS),
    ],
)
def test_stock_nnunet_predicts_with_a_shared_model(trained, tmp_path, trainer, labels):
    folder = trained(trainer, labels=labels, folds=(0, 2))
    expected = {fold: stored_weights(folder, fold) for fold in (0, 2)}
    model = shared(folder, tmp_path)
    target = unpack_to_results(model, tmp_path / "results")
    assert target == tmp_path / "results" / DATASET / f"{trainer}__nnUNetPlans__2d"

    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(target), (0, 2))
    assert predictor.trainer_name == trainer
    assert predictor.allowed_mirroring_axes == (0, 1)
    for fold, parameters in zip((0, 2), predictor.list_of_parameters, strict=True):
        assert_same_weights(parameters, expected[fold])
    ours = model.build_network(0)
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(ours(images), predictor.network.eval()(images))


def test_a_model_that_is_not_mirrored_is_not_mirrored_by_nnunet(trained, tmp_path):
    folder = trained(folds=("all",))
    file = folder / "fold_all/checkpoint_final.pth"
    torch.save({**torch.load(file, weights_only=False), "inference_allowed_mirroring_axes": None}, file)
    target = unpack_to_results(shared(folder, tmp_path), tmp_path / "results")
    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(target), ("all",))
    assert predictor.allowed_mirroring_axes is None


def test_results_are_the_same_model_again(trained, tmp_path):
    model = shared(trained(folds=(0, 1)), tmp_path)
    again = open_model(unpack_to_results(model, tmp_path / "results"))
    assert again.description.folds == model.description.folds
    assert again.description.plans == json.loads(json.dumps(model.description.plans))
    assert again.description.network.arguments == model.description.network.arguments
    assert_same_weights(again.fold_weights(1), model.fold_weights(1))


def test_nothing_is_overwritten(trained, tmp_path):
    model = shared(trained(), tmp_path)
    target = unpack_to_results(model, tmp_path / "results")
    before = {file: file.read_bytes() for file in target.rglob("*") if file.is_file()}
    with pytest.raises(FileExistsError, match=f"{target} exists, and is not replaced; choose another data set"):
        unpack_to_results(model, tmp_path / "results")
    assert {file: file.read_bytes() for file in target.rglob("*") if file.is_file()} == before
    other = unpack_to_results(model, tmp_path / "results", dataset="Dataset902_Other")
    assert open_model(other).description.data.dataset == "Dataset902_Other"


def test_a_number_of_a_data_set_stays_unique(trained, tmp_path, monkeypatch):
    model = shared(trained(), tmp_path)
    (tmp_path / "raw/Dataset901_Mine").mkdir(parents=True)
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "raw"))
    with pytest.raises(FileExistsError, match="Dataset901_Mine has the number of Dataset901_Tiny, which nnU-Net would"):
        unpack_to_results(model, tmp_path / "results")
    with pytest.raises(ValueError, match=r'`dataset` is "../x", expected the name of a data set'):
        unpack_to_results(model, tmp_path / "results", dataset="../x")
    assert not (tmp_path / "results").exists()


def test_a_full_disk_leaves_no_half_of_a_model(trained, tmp_path, monkeypatch):
    model = shared(trained(folds=(0, 1)), tmp_path)
    save = torch.save

    def full(content, path):
        if "fold_1" in str(path):
            raise RuntimeError("PytorchStreamWriter failed writing file")
        save(content, path)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="cannot be written; make room"):
        unpack_to_results(model, tmp_path / "results")
    assert [path for path in (tmp_path / "results").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", ["os.system", "torch.hub.load", "subprocess.run"])
def test_plans_that_name_no_layer_do_not_reach_nnunet(trained, tmp_path, name):
    folder = trained("nnUNetTrainer")
    plans = json.loads((folder / "plans.json").read_text())
    plans["configurations"]["base"]["architecture"]["network_class_name"] = name
    (folder / "plans.json").write_text(json.dumps(plans))
    with pytest.raises(CodeInCheckpointError, match=f"has plans that build their network with {name!r}"):
        unpack_to_results(shared(folder, tmp_path), tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_a_network_of_ours_does_not_hide_what_nnunet_would_call(trained, tmp_path):
    bundle = pack_model(trained(), tmp_path / "bundle")
    content = json.loads((bundle / "model.json").read_text())
    content["trainer"] = "nnUNetTrainer"
    content["plans"]["configurations"]["2d"]["architecture"]["network_class_name"] = "os.system"
    (bundle / "model.json").write_text(json.dumps(content))
    with pytest.raises(CodeInCheckpointError, match=r"has plans that build their network with 'os\.system'"):
        unpack_to_results(open_model(bundle), tmp_path / "results")


def test_a_model_of_stock_nnunet_is_unpacked(trained, tmp_path):
    folder = trained("nnUNetTrainer")
    expected = stored_weights(folder)
    target = unpack_to_results(shared(folder, tmp_path), tmp_path / "results")
    assert_same_weights(stored_weights(target), expected)


def test_a_training_begins_with_a_shared_model(trained, tmp_path):
    folder = trained()
    expected = stored_weights(folder)
    write_pretrained_checkpoint(shared(folder, tmp_path), 0, tmp_path / "weights.pth")
    stored = torch.load(tmp_path / "weights.pth", weights_only=True)
    assert_same_weights(stored["network_weights"], expected)
