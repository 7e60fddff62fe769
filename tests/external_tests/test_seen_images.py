import pytest

from nnunet_mamba.external_tests.models_under_test import open_models
from nnunet_mamba.external_tests.seen_images import refuse_seen_images, unchecked


@pytest.fixture
def models(trained, tmp_path, monkeypatch):
    monkeypatch.delenv("nnUNet_preprocessed", raising=False)
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "raw"))
    return open_models([trained(folds=(0, 1))])


@pytest.fixture
def labels(models, tmp_path):
    folder = tmp_path / "raw" / models[0].description.data.dataset / "labelsTr"
    folder.mkdir(parents=True)
    for name in ("a", "b"):
        (folder / f"{name}.png").touch()


@pytest.mark.usefixtures("labels")
def test_images_called_as_training_cases_are_refused(models):
    with pytest.raises(ValueError, match=r"__fold_0 and 1 more learned from Dataset901_Tiny, and 1 of the 2 .*\(a\)"):
        refuse_seen_images(models, ["a", "z"])
    with pytest.raises(ValueError, match="2 of the 2"):
        refuse_seen_images(models, ["clinic/A", "b_0000"])


@pytest.mark.usefixtures("labels")
def test_other_images_are_fine(models):
    refuse_seen_images(models, ["c", "d"])
    assert not list(unchecked(models))


def test_it_is_told_where_training_cases_are_not_known(models):
    (text,) = unchecked(models)
    assert text.startswith("The training cases of Dataset901_Tiny are not known here")
