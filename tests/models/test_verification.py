import json

import pytest
import torch

from nnunet_mamba.models.bundles.model_json import CARD_FILE, MODEL_FILE
from nnunet_mamba.models.verification import verify_model


def test_a_whole_model_is_told_with_its_parameters(packed):
    verified = verify_model(packed(folds=(0, 1)))
    assert verified.n_parameters == 49_466
    assert verified.model.description.fold_names == ("0", "1")


def test_a_folder_of_results_is_verified_too(trained):
    folder = trained()
    assert verify_model(folder).n_parameters == 49_466
    file = folder / "fold_0/checkpoint_final.pth"
    stored = torch.load(file, weights_only=False)
    torch.save({**stored, "network_weights": {"a": torch.ones(1)}}, file)
    with pytest.raises(ValueError, match="fold 0 is not of this network"):
        verify_model(folder)


def test_a_checkpoint_whose_checksums_do_not_fit_is_told(trained):
    folder = trained()
    file = folder / "fold_0/checkpoint_final.pth"
    content = bytearray(file.read_bytes())
    value = next(iter(torch.load(file, weights_only=False)["network_weights"].values())).numpy().tobytes()
    content[content.index(value)] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"checkpoint_final\.pth cannot be read; is the file whole"):
        verify_model(folder)


def test_a_model_of_stock_nnunet_has_whole_weights_at_least(trained):
    folder = trained("nnUNetTrainer")
    assert verify_model(folder).n_parameters is None
    file = folder / "fold_0/checkpoint_final.pth"
    stored = torch.load(file, weights_only=False)
    torch.save({**stored, "network_weights": {"a": torch.tensor(torch.inf)}}, file)
    with pytest.raises(ValueError, match=r"not finite \(in network_weights\.a\)"):
        verify_model(folder)


def test_a_card_that_is_missing_and_a_wrong_number_are_told(packed):
    bundle = packed("model")
    description = json.loads((bundle / MODEL_FILE).read_text())
    description["network"]["n_parameters"] = 7
    (bundle / MODEL_FILE).write_text(json.dumps(description))
    with pytest.raises(ValueError, match=r"network\.n_parameters is 7, and the network has 49466; get the model again"):
        verify_model(bundle)
    (bundle / CARD_FILE).unlink()
    with pytest.raises(FileNotFoundError, match=r"has no CARD\.md"):
        verify_model(bundle)
