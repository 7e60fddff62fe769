import pytest


@pytest.fixture(autouse=True)
def _no_folders_of_nnunet(monkeypatch):
    """No model takes what happens to lie in the folders of whoever runs the tests."""
    for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.delenv(variable, raising=False)
