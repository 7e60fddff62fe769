import pytest

from nnunet_mamba.data.writing.dataset_folder import dataset_name, raw_dataset_folder, refuse_nnunet_folder


@pytest.fixture(autouse=True)
def variables(monkeypatch, tmp_path):
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.setenv(name, str(tmp_path / name))
        (tmp_path / name).mkdir()


def test_is_named_as_nnunet_names_it(tmp_path):
    assert raw_dataset_folder(7, "ISIC") == tmp_path / "nnUNet_raw" / "Dataset007_ISIC"
    assert raw_dataset_folder(7, "ISIC", output=tmp_path / "x") == tmp_path / "x" / "Dataset007_ISIC"


def test_unset_variable_is_named_with_the_way_to_set_it(monkeypatch, tmp_path):
    monkeypatch.delenv("nnUNet_raw")
    with pytest.raises(FileNotFoundError) as caught:
        raw_dataset_folder(101, "ISIC")
    assert "export nnUNet_raw=" in str(caught.value)
    assert "$env:nnUNet_raw = " in str(caught.value)
    assert raw_dataset_folder(101, "ISIC", output=tmp_path).parent == tmp_path


@pytest.mark.parametrize("variable", ["nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"])
def test_refuses_an_id_that_another_data_set_has(tmp_path, variable):
    (tmp_path / variable / "Dataset101_Other").mkdir()
    with pytest.raises(FileExistsError, match="Dataset101_Other has the id 101 too"):
        raw_dataset_folder(101, "ISIC")
    assert raw_dataset_folder(101, "Other").name == "Dataset101_Other"
    assert raw_dataset_folder(10, "ISIC").name == "Dataset010_ISIC"


def test_other_output_has_its_own_ids(tmp_path):
    (tmp_path / "nnUNet_raw" / "Dataset101_Other").mkdir()
    (tmp_path / "x" / "Dataset102_Other").mkdir(parents=True)
    assert raw_dataset_folder(101, "ISIC", output=tmp_path / "x").name == "Dataset101_ISIC"
    with pytest.raises(FileExistsError):
        raw_dataset_folder(102, "ISIC", output=tmp_path / "x")


@pytest.mark.parametrize("dataset_id", [0, -1, 1000])
def test_refuses_id_that_nnunet_cannot_read(dataset_id):
    with pytest.raises(ValueError, match=f"id {dataset_id}: expected 1 to 999"):
        raw_dataset_folder(dataset_id, "ISIC")


@pytest.mark.parametrize("name", ["", "my data", "a/b", "é"])
def test_refuses_name_that_nnunet_cannot_use(name):
    with pytest.raises(ValueError, match="expected letters"):
        raw_dataset_folder(101, name)


def test_names_that_no_file_system_holds_are_refused():
    with pytest.raises(ValueError, match="data set name of 101 characters: expected 100 at most"):
        dataset_name(1, "n" * 101)


def test_a_data_set_is_no_folder_of_data_sets(tmp_path):
    with pytest.raises(ValueError, match="Dataset105_Folder is a data set itself"):
        raw_dataset_folder(101, "ISIC", output=tmp_path / "Dataset105_Folder")
    (tmp_path / "dataset.json").write_text("{}")
    with pytest.raises(ValueError, match="is a data set itself"):
        raw_dataset_folder(101, "ISIC", output=tmp_path)


def test_nnunets_own_folders_take_no_images(tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.setenv("nnUNet_raw", str(tmp_path))
    refuse_nnunet_folder(tmp_path / "new")
    with pytest.raises(ValueError, match=r"link is \$nnUNet_raw, expected a folder for these images alone"):
        refuse_nnunet_folder(tmp_path / "link")
