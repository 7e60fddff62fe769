import pytest

from nnunet_mamba.system.nnunet_folders import (
    VARIABLES,
    dataset_number,
    nnunet_folder,
    nnunet_folder_if_set,
    unexpanded,
    wrong_folder,
)


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_full_path_is_taken_whether_it_exists_or_not(monkeypatch, tmp_path, variable):
    for folder in (tmp_path, tmp_path / "not there" / "ünï (2)" / "a$b 100% it's"):
        monkeypatch.setenv(variable, str(folder))
        assert nnunet_folder(variable) == nnunet_folder_if_set(variable) == folder


def test_a_variable_that_is_not_set_or_empty_is_told(monkeypatch):
    monkeypatch.delenv("nnUNet_raw", raising=False)
    assert nnunet_folder_if_set("nnUNet_raw") is None
    with pytest.raises(FileNotFoundError, match=r"nnUNet_raw is not set\..*\n.*export nnUNet_raw=/path"):
        nnunet_folder("nnUNet_raw")
    monkeypatch.setenv("nnUNet_raw", "")
    assert nnunet_folder_if_set("nnUNet_raw") is None
    with pytest.raises(FileNotFoundError, match="nnUNet_raw is empty"):
        nnunet_folder("nnUNet_raw")


WRONG = {
    "~": ("'~' stands for", "$HOME"),
    "~/nn/raw": ("'~' stands for", "$HOME/nn/raw"),
    "~anna/raw": ("'~' stands for", "/path/to/a/folder"),
    "$HOME/nn/raw": ("'$HOME' stands for something else", "$HOME/nn/raw"),
    "${HOME}/raw": ("'${HOME}' stands", "${HOME}/raw"),
    "/data/$USER/raw": ("'$USER' stands", "/data/$USER/raw"),
    "$(pwd)/raw": ("'$(pwd)' stands", "$(pwd)/raw"),
    "%USERPROFILE%\\raw": ("'%USERPROFILE%' stands", "/path/to/a/folder"),
    "'/data/raw'": ("quotes are part of it", "/data/raw"),
    '"~/raw"': ("quotes are part of it", "$HOME/raw"),
    '/data/raw"': ("quotes are part of it", "/data/raw"),
    "/data/raw ": ("begins or ends with a space", "/data/raw"),
    " /data/raw": ("begins or ends with a space", "/data/raw"),
    "/data/raw\n": ("begins or ends with a space or a line break", "/data/raw"),
    "/data/\nraw": ("a line break or another control", "/data/raw"),
    "   ": ("begins or ends with a space", "/path/to/a/folder"),
    "nn/raw": ("a relative path", "$PWD/nn/raw"),
    "../raw": ("a relative path", "$PWD/../raw"),
    ".": ("a relative path", "$PWD/."),
}


@pytest.mark.parametrize("value", WRONG)
@pytest.mark.parametrize("variable", VARIABLES)
def test_a_value_that_would_make_an_odd_folder_is_refused_with_the_way_out(monkeypatch, tmp_path, variable, value):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, value)
    what, meant = WRONG[value]
    for find in (nnunet_folder, nnunet_folder_if_set):
        with pytest.raises(ValueError, match="as it stands") as error:
            find(variable)
        text = str(error.value)
        assert text.startswith(f"The environment variable {variable} is {value!r}: ")
        assert what in text
        assert text.endswith(f'export {variable}="{meant}"')
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_no_folder_nor_is_what_lies_below_it(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    for name in ("file", "lost"):
        for path in (tmp_path / name, tmp_path / name / "raw"):
            what, _ = wrong_folder(str(path))
            assert what == f"{tmp_path / name} is not a folder"


@pytest.mark.parametrize(
    "path", ["images", "./~/images", "a~", "a b", "C:\\data", "//server/c$/data", "it's", "a/$", "50%"]
)
def test_paths_that_mean_what_they_say_pass(path):
    assert unexpanded(path) is None


@pytest.mark.parametrize(
    ("name", "number"), [("Dataset007_Liver", 7), ("Dataset1001_A_B", 1001), ("Dataset_ISIC", None), ("ISIC", None)]
)
def test_the_number_of_a_data_set_is_in_its_name(name, number):
    assert dataset_number(name) == number
