import json
import math
import os

import pytest
import torch
from trained_models import assert_same_weights, stored_weights

from nnunet_mamba.models.nnunet.checkpoint_reading import CodeInCheckpointError
from nnunet_mamba.models.nnunet.results_reading import read_results

BEST = "checkpoint_best.pth"
LOG = """
2026-11-20 20:55:22.8: Epoch 0
2026-11-20 20:55:25.1: Epoch time: 2.34 s
2026-11-20 20:55:26.2: Epoch 1
2026-11-20 20:55:27.0: Epoch time: 0.87 s
"""


class Command:
    """Runs a command of the shell when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def changed(folder, fold=0, **entries):
    """Write other entries into a fold's checkpoint."""
    file = folder / f"fold_{fold}/checkpoint_final.pth"
    torch.save({**torch.load(file, weights_only=False), **entries}, file)


def rewritten(file, **entries):
    file.write_text(json.dumps({**json.loads(file.read_text()), **entries}))


def test_what_nnunet_left_is_described(trained):
    description = read_results(trained(folds=(0, 1, "all"))).description
    assert (description.trainer, description.configuration) == ("nnUNetTrainerUltraLightVM", "2d")
    assert description.fold_names == ("0", "1")
    assert description.name == "ultralightvm-tiny"
    assert (description.data.dataset, description.data.n_cases) == ("Dataset901_Tiny", 10)
    assert description.mirror_axes == (0, 1)
    assert (description.training.epochs, description.training.device) == (3, "cpu")
    assert description.network.preset == "ultralight_vm_unet"


def test_folds_and_the_checkpoint_can_be_chosen(trained):
    folder = trained(folds=(0, 1))
    (folder / "fold_1/checkpoint_final.pth").rename(folder / "fold_1" / BEST)
    assert read_results(folder).description.fold_names == ("0",)
    model = read_results(folder, folds=[1], checkpoint_name=BEST)
    assert model.description.fold_names == ("1",)
    assert len(model.fold_weights(1)) == len(stored_weights(folder))
    with pytest.raises(ValueError, match="has no fold 0, but 1; choose among them with `folds`"):
        model.fold_weights(0)
    with pytest.raises(FileNotFoundError, match=rf"fold_1/checkpoint_final\.pth, but .*fold_1/{BEST}; choose among"):
        read_results(folder, folds=[0, 1])
    with pytest.raises(FileNotFoundError, match=r"no fold with a other\.pth, but fold_0/checkpoint_final\.pth"):
        read_results(folder, checkpoint_name="other.pth")


def test_only_the_fold_of_all_cases_is_taken_where_there_is_no_other(trained):
    assert read_results(trained(folds=("all",))).description.fold_names == ("all",)


def test_an_unfinished_training_is_told(trained):
    folder = trained()
    (folder / "fold_0/checkpoint_final.pth").unlink()
    with pytest.raises(FileNotFoundError, match="nor any other checkpoint; train first, or wait for the training"):
        read_results(folder)


def test_a_file_is_no_training(tmp_path):
    (tmp_path / "lesion.onnx").write_bytes(b"")
    with pytest.raises(NotADirectoryError, match=r"lesion\.onnx is a file, expected a folder TRAINER__PLANS__CONF"):
        read_results(tmp_path / "lesion.onnx")


def test_a_renamed_folder_is_what_its_checkpoints_say(trained):
    folder = trained("nnUNetTrainerUltraLBMT")
    renamed = folder.rename(folder.with_name("my favourite model"))
    assert read_results(renamed).description.trainer == "nnUNetTrainerUltraLBMT"


def test_code_in_a_checkpoint_is_not_run(trained, tmp_path):
    folder = trained()
    changed(folder, extra=Command(tmp_path / "ran"))
    with pytest.raises(CodeInCheckpointError, match=r"checkpoint_final\.pth asks for (posix|nt)\.system"):
        read_results(folder)
    assert not (tmp_path / "ran").exists()


def test_weights_that_are_not_finite_are_told(trained):
    folder = trained()
    weights = stored_weights(folder)
    name = next(iter(weights))
    changed(folder, network_weights={**weights, name: weights[name] * torch.nan})
    model = read_results(folder)
    with pytest.raises(ValueError, match=rf"has values that are not finite \(in network_weights\.{name}\)"):
        model.fold_weights(0)


def test_weights_that_were_saved_with_wrappers_have_the_networks_names(trained):
    folder = trained()
    weights = stored_weights(folder)
    changed(folder, network_weights={f"module._orig_mod.{name}": value for name, value in weights.items()})
    model = read_results(folder)
    assert_same_weights(model.fold_weights(0), weights)
    assert_same_weights(model.build_network(0).state_dict(), weights)


def test_weights_stay_what_they_are_when_their_file_is_written_anew(trained):
    folder = trained()
    expected = stored_weights(folder)
    weights = read_results(folder).fold_weights(0)
    file = folder / "fold_0/checkpoint_final.pth"
    with file.open("rb+") as opened:
        opened.write(bytes(file.stat().st_size))
    assert_same_weights(weights, expected)


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ({"trainer_name": "a b"}, 'trainer_name is "a b", expected the name of a class'),
        ({"inference_allowed_mirroring_axes": (0, 5)}, r"mirroring_axes: \[1\] is 5, expected an axis below 2"),
        ({"init_args": {}}, "init_args has no entry 'configuration'"),
        ({"init_args": {"configuration": "../x"}}, "configuration is .*expected the name of a configuration"),
        ({"trainer_name": "nnUNetTrainerUltraLBM"}, "is of nnUNetTrainerUltraLightVM 2d, and another fold of nnUNetTr"),
    ],
)
def test_checkpoints_of_something_else_are_told(trained, entries, told):
    folder = trained(folds=(0, 1))
    changed(folder, **entries)
    with pytest.raises(ValueError, match=told):
        read_results(folder)


def test_a_configuration_that_the_plans_do_not_have_is_told(trained):
    folder = trained()
    changed(folder, init_args={"configuration": "3d"})
    with pytest.raises(ValueError, match=r"plans\.json: there is no configuration '3d', but base, 2d"):
        read_results(folder)


@pytest.mark.parametrize(
    ("name", "entries", "told"),
    [
        ("plans.json", {"configurations": []}, r"plans\.json: configurations is \[\], expected an object"),
        ("plans.json", {"transpose_forward": None}, r"plans\.json: transpose_forward is null"),
        ("dataset.json", {"channel_names": {"0": "R"}}, r"normalization_schemes is .*expected 1, one for each channel"),
        ("dataset.json", {"labels": {}}, r'dataset\.json: "labels" is \{\}'),
    ],
)
def test_damaged_plans_and_dataset_json_are_told(trained, name, entries, told):
    folder = trained()
    rewritten(folder / name, **entries)
    with pytest.raises(ValueError, match=told):
        read_results(folder)


def test_a_network_without_such_axes_is_told(trained):
    folder = trained("nnUNetTrainerVMUNet")
    plans = json.loads((folder / "plans.json").read_text())
    plans["configurations"]["base"].update(patch_size=[8, 8, 8], spacing=[1, 1, 1])
    (folder / "plans.json").write_text(json.dumps(plans))
    with pytest.raises(ValueError, match=r"plans\.json: nnUNetTrainerVMUNet has no network for 3D patches"):
        read_results(folder)


def test_what_a_checkpoint_does_not_tell_is_not_known(trained):
    folder = trained()
    changed(folder, _best_ema=math.nan, logging={}, inference_allowed_mirroring_axes=None)
    description = read_results(folder).description
    assert description.folds[0].best_ema_dice is None
    assert description.training.seconds is None
    assert description.mirror_axes == ()


def test_logs_tell_the_time_and_debug_json_the_software_but_no_host(trained):
    folder = trained()
    changed(folder, logging={}, init_args={"configuration": "2d", "device": torch.device("cuda:3")})
    (folder / "fold_0/training_log_2026_1_2_03_04_05.txt").write_text(LOG)
    debug = {"torch_version": "2.9.1", "gpu_name": "NVIDIA H200", "hostname": "secret", "output_folder": "/home/me"}
    (folder / "fold_0/debug.json").write_text(json.dumps(debug))
    training = read_results(folder).description.training
    assert (training.seconds, training.device) == (3.2, "cuda, NVIDIA H200")
    assert training.versions == {"torch": "2.9.1"}
