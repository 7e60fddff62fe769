import os
import zipfile

import pytest
import torch
from nnunetv2.run.run_training import maybe_load_checkpoint

from nnunet_mamba.models import shipped_models
from nnunet_mamba.models.nnunet.checkpoint_reading import CodeInCheckpointError

NAME = "nnUNetTrainerUltraLightVM_1epoch_1iteration"


class Command:
    """Runs a command of the shell when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def load(trainer, file):
    """Load pretrained weights as nnUNetv2_train does."""
    maybe_load_checkpoint(trainer, False, False, str(file))


def test_weights_without_code_are_loaded_by_nnunet(build_trainer, tmp_path):
    weights = {name: torch.full_like(value, 0.5) for name, value in begun(build_trainer).network.state_dict().items()}
    torch.save({"network_weights": weights}, tmp_path / "weights.pth")
    trainer = build_trainer(NAME)
    load(trainer, tmp_path / "weights.pth")
    body = {name: value for name, value in trainer.network.state_dict().items() if ".seg_layers." not in name}
    assert body
    assert all(torch.equal(value, weights[name]) for name, value in body.items())


def test_code_in_pretrained_weights_is_not_run(build_trainer, tmp_path):
    content = {"network_weights": begun(build_trainer).network.state_dict(), "extra": Command(tmp_path / "ran")}
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(CodeInCheckpointError, match=r"-pretrained_weights: .*weights\.pth asks for (posix|nt)\.system"):
        load(build_trainer(NAME), tmp_path / "weights.pth")
    assert not (tmp_path / "ran").exists()


def test_a_file_without_network_weights_is_told(build_trainer, tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=r"-pretrained_weights: .*weights\.pth .* no entry 'network_weights'"):
        load(build_trainer(NAME), tmp_path / "weights.pth")
    with pytest.raises(FileNotFoundError, match=r"-pretrained_weights .*nothing\.pth: there is no such file"):
        load(build_trainer(NAME), tmp_path / "nothing.pth")


def test_a_model_is_told_with_the_command_that_gives_its_weights(build_trainer, tmp_path, monkeypatch):
    folder = tmp_path / "shipped/ultralight-isic"
    folder.mkdir(parents=True)
    (folder / "model.json").write_text("{}")
    (folder.parent / "aliases.json").write_text('{"isic": "ultralight-isic"}')
    with zipfile.ZipFile(tmp_path / "a b.zip", "w") as archive:
        archive.writestr("model.json", "{}")
    monkeypatch.setattr(shipped_models, "shipped_folder", lambda: folder.parent)
    for given, named in (("isic", "isic"), (folder, str(folder)), (tmp_path / "a b.zip", f"'{tmp_path}/a b.zip'")):
        with pytest.raises(ValueError, match=rf"nnunet-mamba models export {named} --checkpoint weights\.pth"):
            load(build_trainer(NAME), given)


def begun(build_trainer):
    trainer = build_trainer(NAME)
    trainer.initialize()
    return trainer
