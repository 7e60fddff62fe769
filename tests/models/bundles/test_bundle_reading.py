import json
import subprocess
import sys
import zipfile
from hashlib import sha256

import pytest
import torch
from safetensors.torch import load, save

from nnunet_mamba.models.bundles.model_json import CARD_FILE, MODEL_FILE, WEIGHTS_FILE
from nnunet_mamba.models.bundles.reading import read_bundle


@pytest.fixture
def bundle(packed):
    return packed("model")


def zipped(bundle, path, *, prefix="", more=()):
    """Pack a bundle as somebody's file manager does."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(bundle.iterdir()):
            archive.write(file, f"{prefix}{file.name}")
        for name, content in more:
            archive.writestr(name, content)
    return path


def rewritten(bundle, change):
    """Change the weights and let model.json know."""
    content = change(load((bundle / WEIGHTS_FILE).read_bytes()))
    (bundle / WEIGHTS_FILE).write_bytes(content)
    description = json.loads((bundle / MODEL_FILE).read_text())
    description["hashes"][WEIGHTS_FILE] = sha256(content).hexdigest()
    (bundle / MODEL_FILE).write_text(json.dumps(description))


@pytest.mark.parametrize("prefix", ["", "ultralight/"])
def test_a_folder_that_somebody_packed_is_read(bundle, tmp_path, prefix):
    litter = [("__MACOSX/._model.json", b"x"), ("training_log.json", b"{}")]
    archive = zipped(bundle, tmp_path / "mine.zip", prefix=prefix, more=litter)
    model, original = read_bundle(archive), read_bundle(bundle)
    assert model.description == original.description
    assert model.fold_weights(0).keys() == original.fold_weights(0).keys()
    assert model.card() == (bundle / CARD_FILE).read_text()


@pytest.mark.parametrize("name", [MODEL_FILE, WEIGHTS_FILE, CARD_FILE])
def test_a_missing_file_is_told(bundle, name):
    (bundle / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"model has no {name}, which every model has; get the model again"):
        whole(read_bundle(bundle))


def whole(model):
    model.card()
    model.build_network(0)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "model.json is empty, expected JSON"),
        (b'{"format": 1', "model.json is not JSON"),
        (b"\xff\xfe", "model.json is not UTF-8 text"),
        (b"[1]", "expected an object"),
        (b'{"format": 1, "format": 1}', "the name 'format' occurs twice"),
        (b"[" * 100_000, "nested too deeply"),
        (b" " * (16 * 2**20 + 1), "has 16 MiB, expected at most 16 MiB; do not trust this file"),
    ],
)
def test_a_damaged_description_is_told(bundle, content, told):
    (bundle / MODEL_FILE).write_bytes(content)
    with pytest.raises(ValueError, match=told):
        read_bundle(bundle)


def test_other_weights_than_described_are_told(bundle):
    content = bytearray((bundle / WEIGHTS_FILE).read_bytes())
    content[-1] ^= 1
    (bundle / WEIGHTS_FILE).write_bytes(content)
    model = read_bundle(bundle)
    with pytest.raises(ValueError, match=r"weights\.safetensors has the SHA-256 .*damaged or of another model; get"):
        model.fold_weights(0)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda _: b"PK\3\4 no safetensors", "is no file of safetensors"),
        (lambda _: b"", "is no file of safetensors"),
        (lambda weights: save({f"1{name[1:]}": value for name, value in weights.items()}), r"expected a fold \(0\)"),
        (lambda weights: save({name[2:]: value for name, value in weights.items()}), r"expected a fold \(0\)"),
        (lambda _: save({}), "has no weights of fold 0"),
        (lambda weights: save({**weights, "0/more": torch.ones(2)}), "has what the network does not, more"),
        (lambda weights: save(dict(list(weights.items())[1:])), "is not of this network, UltraLightVMUNet: it lacks"),
        (
            lambda weights: save({name: value.double() if value.ndim else value for name, value in weights.items()}),
            None,
        ),
        (
            lambda weights: save({**weights, next(iter(weights)): next(iter(weights.values())) * torch.nan}),
            r"has values that are not finite \(NaN or infinite\)",
        ),
        (
            lambda weights: save({**weights, "0/c": torch.ones(2, dtype=torch.complex64)}),
            r"0/c holds torch\.complex64, which no network here has",
        ),
        (
            lambda weights: save(weights, metadata={"other_names": '{"0/x": "0/y"}'}),
            r'other_names: 0/x is "0/y", expected the name of a tensor',
        ),
        (lambda weights: save(weights, metadata={"other_names": "[]"}), r"other_names is \[\], expected an object"),
    ],
)
def test_weights_that_no_network_has_are_told(bundle, change, told):
    rewritten(bundle, change)
    model = read_bundle(bundle)
    if told is None:
        assert model.build_network(0) is not None
        return
    with pytest.raises(ValueError, match=told):
        model.build_network(0)


def test_arguments_that_the_network_does_not_know_are_told(bundle):
    description = json.loads((bundle / MODEL_FILE).read_text())
    for arguments, told in (
        ({"command": "rm"}, "takes no override 'command'"),
        ({"channels": [1]}, "cannot be built with the arguments that the model names"),
        ({"name": "vm_unet"}, "cannot be built with the arguments that the model names"),
        # Sizes of which the machine has no memory.
        ({**description["network"]["arguments"], "channels": [8192 * 2**n for n in range(6)]}, "has another shape of"),
    ):
        description["network"]["arguments"] = arguments
        (bundle / MODEL_FILE).write_text(json.dumps(description))
        with pytest.raises(ValueError, match=told):
            read_bundle(bundle).build_network(0)


def test_two_descriptions_in_an_archive_are_refused(bundle, tmp_path):
    archive = zipped(bundle, tmp_path / "two.zip", more=[(f"other/{MODEL_FILE}", b"{}")])
    with pytest.raises(ValueError, match=r"two\.zip holds 2 times a model\.json, expected one"):
        read_bundle(archive)


def test_describing_a_model_imports_no_torch(bundle):
    script = (
        "import sys; from nnunet_mamba.models.opening import open_model; "
        f"assert open_model({str(bundle)!r}).description.labels.foreground == ['disc']; "
        "print({'torch', 'numpy', 'nnunetv2', 'scipy', 'PIL'} & sys.modules.keys())"
    )
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "set()"
