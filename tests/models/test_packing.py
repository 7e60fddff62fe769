import json
import zipfile

import pytest
import torch
from trained_models import REGIONS, assert_same_weights, stored_weights

from nnunet_mamba.data.unlabelled.image_conversion import ImageConversion, ImageKind
from nnunet_mamba.models.bundles.model_json import CARD_FILE, LOG_FILE, MODEL_FILE, WEIGHTS_FILE
from nnunet_mamba.models.description import Licences, Score
from nnunet_mamba.models.opening import open_model
from nnunet_mamba.models.packing import AuthorStatements, pack_model

SCORE = Score(data="PH2", protocol="pooled pixels", metric="Dice", value=0.913, n=200, note="unseen")
CONVERSION = ImageConversion(
    kind=ImageKind.PHOTOGRAPHS, channel_names=("R", "G", "B"), labels={"background": 0, "disc": 1}, size=(64, 64)
)


@pytest.mark.parametrize("name", ["model.zip", "model"])
@pytest.mark.parametrize(
    ("trainer", "labels", "preset"),
    [
        ("nnUNetTrainerUltraLightVM", None, "ultralight_vm_unet"),
        ("nnUNetTrainerUltraLightVM_20epochs", REGIONS, "ultralight_vm_unet"),
        ("nnUNetTrainerUltraLightVM_deep", None, "ultralight_vm_unet"),
        ("nnUNetTrainerUltraLightVM_parallel2_20epochs", None, "ultralight_vm_unet"),
        ("nnUNetTrainerUltraLBMTDistill_dkl", None, "ultralbm_unet_t"),
        ("nnUNetTrainerUltraLBMTDistill", REGIONS, "ultralbm_unet_t"),
        ("nnUNetTrainerUMambaBot", None, "u_mamba_bot"),
    ],
)
def test_a_packed_model_has_the_same_network_and_weights(trained, tmp_path, name, trainer, labels, preset):
    folder = trained(trainer, labels=labels)
    model = open_model(pack_model(folder, tmp_path / name))
    expected = stored_weights(folder)
    described = model.description
    assert (described.trainer, described.configuration, described.network.preset) == (trainer, "2d", preset)
    assert (described.network.input_channels, described.network.num_classes) == (3, 2)
    assert_same_weights(model.fold_weights(0), expected)
    network = model.build_network("0")
    assert_same_weights(network.state_dict(), expected)
    assert described.network.n_parameters == sum(value.numel() for value in network.parameters())
    with torch.no_grad():
        logits = network(torch.rand(1, 3, 32, 32))
    assert logits.shape == (1, 2, 32, 32)
    assert not network.training


def test_all_folds_are_packed_and_described(trained, tmp_path):
    folder = trained(folds=(0, 3, "all"))
    model = open_model(pack_model(folder, tmp_path / "model.zip"))
    assert model.description.fold_names == ("0", "3")
    assert [(fold.epochs, fold.best_ema_dice) for fold in model.description.folds] == [(3, 0.75)] * 2
    assert model.description.training.seconds == 27.0
    assert_same_weights(model.fold_weights(3), stored_weights(folder, 3))
    of_all = open_model(pack_model(folder, tmp_path / "all", folds=["all"]))
    assert of_all.description.fold_names == ("all",)
    assert_same_weights(of_all.fold_weights("all"), stored_weights(folder, "all"))


def test_equal_models_give_equal_bytes(trained, tmp_path):
    folder = trained()
    first, second = (pack_model(folder, tmp_path / f"{name}.zip").read_bytes() for name in "ab")
    assert first == second


def test_only_what_is_needed_of_plans_and_dataset_json_is_packed(packed):
    description = open_model(packed()).description
    assert list(description.plans["configurations"]) == ["2d"]
    assert description.planned["batch_size"] == 4
    assert description.planned["spacing"] == [1.0, 1.0]
    assert "inherits_from" not in description.planned
    assert "nnunet_mamba" not in description.plans
    assert "converted_by" not in description.dataset_json
    assert description.mirror_axes == (0, 1)


def test_what_the_author_says_is_in_the_model_and_on_the_card(trained, tmp_path):
    statements = AuthorStatements(
        name="tiny-discs",
        licences=Licences(code="Apache-2.0", weights="CC BY-NC 4.0", data="CC-0"),
        scores=(SCORE,),
        versions={"torch": "2.9"},
        card_text="## Limits\n\nOnly discs.",
        postprocessing=("keep_largest_part", "fill_holes"),
    )
    path = pack_model(trained(), tmp_path / "model", statements=statements, conversion=CONVERSION)
    model = open_model(path)
    assert (model.description.name, model.description.scores) == ("tiny-discs", (SCORE,))
    assert model.description.licences == statements.licences
    assert model.description.training.versions == {"torch": "2.9"}
    assert model.description.conversion == CONVERSION
    card = (path / CARD_FILE).read_text()
    assert model.card() == card
    assert "Only discs." in card
    assert model.description.postprocessing == ("keep_largest_part", "fill_holes")
    assert "only the largest part of each label stays, holes in a label are filled." in card
    assert "- Resized to: 64x64 pixels" in card
    assert "| PH2 | pooled pixels | Dice | 0.9130 | 200 | unseen |" in card


def test_an_output_that_exists_stays_unless_it_is_an_archive_to_be_replaced(trained, tmp_path):
    folder, archive = trained(), tmp_path / "model.zip"
    archive.write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=r"model\.zip exists; choose another `output`, or replace it"):
        pack_model(folder, archive)
    assert archive.read_bytes() == b"mine"
    pack_model(folder, archive, overwrite=True)
    assert zipfile.is_zipfile(archive)
    (tmp_path / "there").mkdir()
    with pytest.raises(FileExistsError, match="there exists, and is not replaced"):
        pack_model(folder, tmp_path / "there", overwrite=True)


def test_weights_of_another_network_are_told(trained, tmp_path):
    folder = trained()
    file = folder / "fold_0/checkpoint_final.pth"
    stored = torch.load(file, weights_only=False)
    weights = stored["network_weights"]
    weights["extra"] = torch.ones(1)
    shaped, removed = list(weights)[:2]
    weights[shaped] = torch.ones(2, 2)
    del weights[removed]
    torch.save(stored, file)
    with pytest.raises(ValueError, match="is not of this network, UltraLightVMUNet") as error:
        pack_model(folder, tmp_path / "model.zip")
    text = str(error.value)
    assert f"lacks {removed}" in text
    assert "has what the network does not, extra" in text
    assert f"has another shape of {shaped} (2, 2)" in text
    assert not (tmp_path / "model.zip").exists()


def test_a_damaged_checkpoint_is_not_packed(trained, tmp_path):
    folder = trained()
    file = folder / "fold_0/checkpoint_final.pth"
    content = bytearray(file.read_bytes())
    value = next(iter(stored_weights(folder).values())).numpy().tobytes()
    content[content.index(value)] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"checkpoint_final\.pth cannot be read; is the file whole"):
        pack_model(folder, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_model_of_stock_nnunet_keeps_its_weights_and_has_no_network(trained, tmp_path):
    folder = trained("nnUNetTrainer")
    model = open_model(pack_model(folder, tmp_path / "model.zip"))
    assert model.description.network is None
    assert_same_weights(model.fold_weights(0), stored_weights(folder))
    with pytest.raises(ValueError, match="no trainer of nnunet-mamba, so only nnU-Net can build its network"):
        model.build_network(0)


def test_a_folder_holds_three_files_and_an_archive_the_same(trained, tmp_path):
    folder = trained()
    bundle = pack_model(folder, tmp_path / "bundle")
    archive = pack_model(folder, tmp_path / "bundle.zip")
    names = {MODEL_FILE, CARD_FILE, WEIGHTS_FILE}
    assert {path.name for path in bundle.iterdir()} == names
    with zipfile.ZipFile(archive) as zipped:
        assert {name: zipped.read(name) for name in zipped.namelist()} == {
            name: (bundle / name).read_bytes() for name in names
        }
        assert {entry.date_time[0] for entry in zipped.infolist()} == {1980}
    assert json.loads((bundle / MODEL_FILE).read_text())["format"] == 1


def test_the_epochs_of_all_folds_and_their_seed_come_along(trained, tmp_path):
    folder = trained(folds=(0, 3))
    stamp = "2026-01-02 03:04:05.6"
    for fold, dice in ((0, 0.5), (3, "nan")):
        (folder / f"fold_{fold}/training_log_2026_1_2_03_04_05.txt").write_text(
            f"{stamp}: Recipe: augmentation: none, NNUNET_MAMBA_SEED=5 \n{stamp}: Epoch 0\n{stamp}: train_loss -0.25\n"
            f"{stamp}: Pseudo dice [np.float32({dice})]\n{stamp}: Epoch time: 2.5 s\n"
        )
    path = pack_model(folder, tmp_path / "model")
    assert (path / LOG_FILE).read_text().splitlines() == [
        "fold,number,train_loss,validation_loss,pseudo_dice,seconds",
        "0,0,-0.25,,0.5,2.5",
        "3,0,-0.25,,,2.5",
    ]
    model = open_model(path)
    assert model.description.training.seed == 5
    assert "- Seed: 5\n" in model.card()


def test_a_seed_in_the_name_is_known_without_a_log(trained, tmp_path):
    model = open_model(pack_model(trained("nnUNetTrainerUltraLightVM_2epochs_seed3"), tmp_path / "model"))
    assert model.description.training.seed == 3
    assert model.description.network.preset == "ultralight_vm_unet"


def test_a_layer_with_two_names_is_stored_once(trained, tmp_path):
    folder = trained("nnUNetTrainerUMambaBot")
    weights = stored_weights(folder)
    path = pack_model(folder, tmp_path / "model")
    model = open_model(path)
    n_bytes = sum(value.nbytes for value in {value.data_ptr(): value for value in weights.values()}.values())
    assert n_bytes < (path / WEIGHTS_FILE).stat().st_size < sum(value.nbytes for value in weights.values())
    one, other = "encoder.stem.1.conv1.conv.weight", "encoder.stem.1.conv1.all_modules.0.weight"
    read = model.fold_weights(0)
    assert read[one].data_ptr() == read[other].data_ptr()
    assert_same_weights(read, weights)
