import json

import pytest
import torch
from safetensors.torch import save_file

from nnunet_mamba.classification.classifier import Classifier
from nnunet_mamba.classification.classifier_files import (
    Epoch,
    StoredClassifier,
    read_classifier_file,
    write_classifier_file,
)


@pytest.fixture
def stored(quick):
    network = quick().create_network(2)
    return StoredClassifier(
        settings=quick(),
        classes=("naevus", "melanoma"),
        n_images=(5, 2),
        digests=("0a", "1b"),
        history=(Epoch(loss=0.5, held_out_loss=0.6, accuracy=0.75, balanced_accuracy=0.5, n_predicted=1, seconds=2.0),),
        weights=network.state_dict(),
        optimizer={0: {"step": torch.tensor(3.0), "exp_avg": torch.ones(2)}, 7: {"step": torch.tensor(3.0)}},
    )


def test_what_was_written_is_read(stored, tmp_path):
    write_classifier_file(stored, tmp_path / "new/last.safetensors")
    again = read_classifier_file(tmp_path / "new/last.safetensors")
    assert (again.classes, again.n_images, again.digests) == (stored.classes, (5, 2), ("0a", "1b"))
    assert again.history == stored.history
    assert again.settings.differences(stored.settings) == []
    assert again.weights.keys() == stored.weights.keys()
    assert all(torch.equal(again.weights[name], value) for name, value in stored.weights.items())
    assert torch.equal(again.optimizer[0]["exp_avg"], torch.ones(2))
    assert again.optimizer[7].keys() == {"step"}


def test_a_file_that_cannot_be_written_leaves_the_one_before(stored, tmp_path, monkeypatch):
    file = tmp_path / "last.safetensors"
    write_classifier_file(stored, file)
    before = file.read_bytes()

    def full(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nnunet_mamba.classification.classifier_files.save_file", full)
    with pytest.raises(OSError, match="No space left"):
        write_classifier_file(stored, file)
    assert [path.name for path in tmp_path.iterdir()] == ["last.safetensors"]
    assert file.read_bytes() == before


def test_files_of_others_and_damaged_ones_are_refused_with_their_name(stored, tmp_path):
    file = tmp_path / "last.safetensors"
    with pytest.raises(FileNotFoundError, match=r"last\.safetensors does not exist"):
        read_classifier_file(file)
    write_classifier_file(stored, file)
    whole = file.read_bytes()
    for n_bytes in (0, 7, 400, len(whole) - 1):
        file.write_bytes(whole[:n_bytes])
        with pytest.raises(ValueError, match=r"last\.safetensors is no file of safetensors"):
            read_classifier_file(file)
    save_file({"a": torch.ones(2)}, file)
    with pytest.raises(ValueError, match="does not tell which classifier it is of"):
        read_classifier_file(file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format is 2, expected 1"),
        ({"classes": ["a", 3]}, r"classes\[1\] is 3, expected a text"),
        ({"history": [{"loss": 1}]}, r"history\[0\]: .*missing"),
        ({"settings": {"network": "os.system", "image_size": [32, 32]}}, "settings: network='os.system', expected one"),
        ({"settings": {"network": "vim_cifar", "image_size": [32, 32], "code": 1}}, "settings: .*unexpected keyword"),
    ],
    ids=str,
)
def test_what_the_file_tells_is_checked(stored, tmp_path, change, message):
    write_classifier_file(stored, tmp_path / "a.safetensors")
    described = {
        **{"format": 1, "settings": stored.settings.as_json(), "classes": ["a", "b"], "n_images": [5, 2]},
        **{"digests": ["0a", "1b"], "history": [], **change},
    }
    save_file({"weights/a": torch.ones(2)}, tmp_path / "a.safetensors", {"classifier": json.dumps(described)})
    with pytest.raises(ValueError, match=message):
        read_classifier_file(tmp_path / "a.safetensors")


def test_weights_that_do_not_fit_are_told(stored, tmp_path):
    del stored.weights["norm_f.weight"]
    write_classifier_file(stored, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"weights and settings of vim_cifar do not fit together .*norm_f\.weight"):
        Classifier.load(tmp_path / "a.safetensors", device="cpu")
