import pytest
from nnunetv2.model_sharing.model_export import export_pretrained_model
from trained_models import DATASET, assert_same_weights, stored_weights

from nnunet_mamba.models.importing import import_models
from nnunet_mamba.models.nnunet.archives import unpacked_models
from nnunet_mamba.models.opening import open_model


@pytest.fixture
def exported(trained, tmp_path, monkeypatch):
    """Return what lets nnU-Net export a training, and returns the training's folder and the archive."""

    def export(trainer, folds):
        folder = trained(trainer, folds=folds)
        (folder / "dataset_fingerprint.json").write_text("{}")
        for fold in folds:
            (folder / f"fold_{fold}/progress.png").write_bytes(b"")
            (folder / f"fold_{fold}/validation").mkdir()
            (folder / f"fold_{fold}/validation/summary.json").write_text("{}")
        monkeypatch.setenv("nnUNet_results", str(folder.parents[1]))
        archive = tmp_path / "exported.zip"
        export_pretrained_model(DATASET, str(archive), configurations=("2d",), trainer=trainer, folds=folds)
        return folder, archive

    return export


@pytest.mark.parametrize("trainer", ["nnUNetTrainerUltraLightVM_20epochs", "nnUNetTrainerUMambaBot", "nnUNetTrainer"])
def test_what_nnunet_has_exported_is_opened_and_imported(exported, tmp_path, trainer):
    folder, archive = exported(trainer, (0, 1))
    model = open_model(archive)
    assert (model.description.trainer, model.description.fold_names) == (trainer, ("0", "1"))
    assert_same_weights(model.fold_weights(1), stored_weights(folder, 1))
    (imported,) = import_models(archive, tmp_path / "there")
    assert imported.folder == tmp_path / "there" / DATASET / folder.name
    assert_same_weights(stored_weights(imported.folder, 1), stored_weights(folder, 1))


def test_what_was_unpacked_is_gone_afterwards(exported):
    _, archive = exported("nnUNetTrainerUltraLBMT", ("all",))
    with unpacked_models(archive) as folders:
        (folder,) = folders
        assert (folder / "fold_all/checkpoint_final.pth").is_file()
    assert not folder.exists()
