import zipfile

import pytest
from trained_models import DATASET, assert_same_weights, stored_weights, write_results

from nnunet_mamba.models import shipped_models
from nnunet_mamba.models.opening import open_model
from nnunet_mamba.models.packing import pack_model


@pytest.fixture
def shipped(trained, tmp_path, monkeypatch):
    """A folder of shipped models in the place of the real one, with two of them."""
    folder = tmp_path / "shipped"
    monkeypatch.setattr(shipped_models, "shipped_folder", lambda: folder)
    pack_model(trained("nnUNetTrainerUltraLightVM"), folder / "ultralight-isic")
    pack_model(trained("nnUNetTrainerUltraLBMT"), folder / "ultralbm-t-isic")
    (folder / "aliases.json").write_text('{"isic": "ultralight-isic"}')
    return folder


@pytest.mark.parametrize("name", ["isic", "ultralight-isic"])
def test_a_shipped_model_is_opened_by_its_name_or_alias(shipped, name):
    assert open_model(name).description.trainer == "nnUNetTrainerUltraLightVM"


def test_a_name_comes_before_a_folder_of_the_working_directory(shipped, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pack_model(trained("nnUNetTrainerUltraLBM"), tmp_path / "isic")
    assert open_model("isic").description.trainer == "nnUNetTrainerUltraLightVM"
    assert open_model("./isic").description.trainer == "nnUNetTrainerUltraLBM"
    assert open_model(tmp_path / "isic").description.trainer == "nnUNetTrainerUltraLBM"


def test_an_unknown_name_is_told_with_the_nearest_and_all_others(shipped):
    with pytest.raises(FileNotFoundError) as error:
        open_model("isci")
    assert "there is no model 'isci', neither a name nor a path: did you mean 'isic'" in str(error.value)
    assert "ultralbm-t-isic, ultralight-isic (isic)" in str(error.value)


def test_without_any_shipped_model_a_name_is_told_too(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped_models, "shipped_folder", lambda: tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"no model 'isic', .*: no model comes with this nnunet-mamba"):
        open_model("isic")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("lesion.pt2", "is a program for PyTorch alone, expected the name of a model, .*; export the model as an ONNX"),
        ("lesion.onnx.json", r"tells of an ONNX file; give the file itself, .*lesion\.onnx$"),
    ],
)
def test_what_export_writes_besides_onnx_files_is_told(tmp_path, name, told):
    (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(ValueError, match=told):
        open_model(tmp_path / name)


def test_results_and_bundles_of_all_kinds_have_equal_weights(trained, tmp_path):
    folder = trained(folds=(0, 1))
    expected = stored_weights(folder, 1)
    archive = export(folder, tmp_path / "nnunet.zip")
    sources = (folder, str(folder), pack_model(folder, tmp_path / "a"), pack_model(folder, tmp_path / "a.zip"), archive)
    for source in sources:
        model = open_model(source)
        assert model.description.fold_names == ("0", "1")
        assert_same_weights(model.fold_weights(1), expected)
        assert open_model(source, folds=[1]).description.fold_names == ("1",)
        with pytest.raises((ValueError, FileNotFoundError), match=r"fold_7|fold 7"):
            open_model(source, folds=[7])
        with pytest.raises(ValueError, match="`folds` names no fold, expected at least one"):
            open_model(source, folds=[])


def export(folder, path):
    """Write a zip archive as nnUNetv2_export_model_to_zip does, with more than is needed."""
    root = folder.parents[1]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(root))
        archive.writestr(f"{folder.relative_to(root)}/fold_0/progress.png", b"")
        archive.writestr(f"{folder.relative_to(root)}/dataset_fingerprint.json", "{}")
    return path


def test_an_archive_of_nnunet_needs_no_file_once_it_is_open(trained, tmp_path):
    folder = trained()
    archive = export(folder, tmp_path / "nnunet.zip")
    model = open_model(archive)
    archive.unlink()
    assert_same_weights(model.fold_weights(0), stored_weights(folder))
    assert model.place == str(archive)


def test_of_several_models_in_an_archive_one_must_be_chosen(tmp_path):
    results = tmp_path / "nnUNet_results"
    folders = [write_results(name, results) for name in ("nnUNetTrainerUltraLBM", "nnUNetTrainerUltraLBMT")]
    archive = tmp_path / "two.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for folder in folders:
            for file in folder.rglob("*"):
                zipped.write(file, file.relative_to(results))
    with pytest.raises(ValueError, match=rf"holds 2 models, {DATASET}/nnUNetTrainerUltraLBMT?__.*models import"):
        open_model(archive)


def test_what_is_no_model_is_told_with_the_way_out(trained, tmp_path):
    folder = trained()
    (tmp_path / "empty").mkdir()
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme.txt", "no model")
    (tmp_path / "text.zip").write_text("no zip")
    for source, told in (
        (tmp_path / "empty", "empty is no model, expected the name of a model, a bundle"),
        (folder.parent, rf"{DATASET} holds 1 models, {folder.name}; give the folder of one of them"),
        (folder / "fold_0", rf"fold_0 is a part of a model; give {folder}, and choose the fold with `folds`"),
        (folder / "fold_0/checkpoint_final.pth", r"checkpoint_final\.pth is a checkpoint, expected"),
        (tmp_path / "other.zip", r"other\.zip holds no model, neither a bundle nor nnU-Net's results"),
        (tmp_path / "text.zip", r"text\.zip is damaged, or no zip archive"),
    ):
        with pytest.raises(ValueError, match=told):
            open_model(source)
