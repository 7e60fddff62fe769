import pytest

from nnunet_mamba.data.formats.label_map_files import label_map_files, other_forms, refuse_if_no_folder


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "predictions"
    folder.mkdir()
    for name in ("b.png", "a.png", "._a.png", "plans.json"):
        (folder / name).touch()
    return folder


def test_label_maps_are_found_by_identifier(folder):
    assert list(label_map_files(folder, ".png", holds="predictions")) == ["a", "b"]


def test_what_a_folder_holds_instead_is_told(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no \.nii\.gz file.* other endings: 2 \.png, 1 \.json"):
        label_map_files(folder, ".nii.gz", holds="predictions")
    with pytest.raises(FileNotFoundError, match="It holds only folders: predictions; name the one"):
        label_map_files(tmp_path, ".png", holds="predictions")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="It is empty"):
        label_map_files(tmp_path / "empty", ".png", holds="predictions")


def test_mistyped_folders_and_files_are_told(folder, tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"folder of labels .*prediction does not exist; did you mean .*predictions"
    ):
        refuse_if_no_folder(tmp_path / "prediction", holds="labels")
    with pytest.raises(FileNotFoundError, match=r"nor does .*nowhere$"):
        refuse_if_no_folder(tmp_path / "nowhere" / "x", holds="labels")
    with pytest.raises(NotADirectoryError, match=r"a\.png is a file, expected the folder of labels"):
        refuse_if_no_folder(folder / "a.png", holds="labels")


def test_files_in_another_form_are_found(folder):
    for name in ("c.PNG", "D.png", "e.nii.gz"):
        (folder / name).touch()
    assert other_forms(folder, ["c", "d", "e", "f"], ".png") == {"c": "c.PNG", "d": "D.png", "e": "e.nii.gz"}
