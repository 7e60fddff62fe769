import pytest

from nnunet_mamba.models import shipped_models
from nnunet_mamba.models.packing import pack_model
from nnunet_mamba.models.verification import verify_model

LARGEST = 300 * 1024


def test_every_shipped_model_is_whole_and_small():
    for model in shipped_models.shipped_models():
        assert verify_model(model.name).model.description.name == model.name
        assert model.n_bytes <= LARGEST


@pytest.fixture
def place(tmp_path, monkeypatch):
    folder = tmp_path / "shipped"
    folder.mkdir()
    monkeypatch.setattr(shipped_models, "shipped_folder", lambda: folder)
    return folder


def test_none_and_several_are_listed(place, trained):
    assert shipped_models.shipped_models() == []
    assert shipped_models.find_shipped_model("isic") is None
    for name in ("b", "a"):
        pack_model(trained(f"nnUNetTrainerUltraLightVM_{ord(name)}epochs"), place / name)
    (place / "aliases.json").write_text('{"best": "b", "other": "b"}')
    models = shipped_models.shipped_models()
    assert [(model.name, model.aliases) for model in models] == [("a", ()), ("b", ("best", "other"))]
    assert models[0].n_bytes == sum(file.stat().st_size for file in (place / "a").iterdir())
    assert shipped_models.find_shipped_model("best") == models[1]


@pytest.mark.parametrize("text", ['{"isic": "none"}', '{"a": "a"}', '{"isic": 3}', "[]"])
def test_an_alias_that_leads_nowhere_is_told(place, trained, text):
    pack_model(trained(), place / "a")
    (place / "aliases.json").write_text(text)
    with pytest.raises(ValueError, match=r"aliases\.json.*reinstall nnunet-mamba"):
        shipped_models.shipped_models()
