"""Models in ONNX files of nnunet-mamba export, of which the package has one."""

import json
import re
import shutil
import subprocess
import sys

import pytest

from nnunet_mamba.models.opening import open_model
from nnunet_mamba.models.verification import verify_model
from nnunet_mamba.onnx_models.sidecar import sha256_of
from nnunet_mamba.web.shipped_page import network_folder


@pytest.fixture
def file(tmp_path):
    for name in ("ultralbm-isic.onnx", "ultralbm-isic.onnx.json"):
        shutil.copy(network_folder() / name, tmp_path / name)
    return tmp_path / "ultralbm-isic.onnx"


def test_a_file_tells_of_the_model_that_it_was_exported_from(file):
    model, original = open_model(file), open_model("ultralbm-isic")
    assert model.description == original.description
    assert model.onnx.sidecar.sha256 == sha256_of(file)
    assert model.onnx.path == file
    assert "onnxruntime" in model.packages
    assert "torch" not in model.packages
    assert "torch" in original.packages
    assert model.card().startswith("# ultralbm-isic")


def test_its_folds_cannot_be_chosen(file):
    model = open_model(str(file))
    for folds in (["0"], [3]):
        with pytest.raises(ValueError, match="inside of the file; leave `folds` out"):
            open_model(file, folds=folds)
    with pytest.raises(ValueError, match="leave `folds` out"):
        model.with_folds([3])
    assert model.with_folds(model.description.fold_names).description == model.description


def test_it_has_no_weights_to_train_or_pack(file):
    model = open_model(file)
    for read in (model.fold_weights, model.build_network):
        with pytest.raises(ValueError, match="give the model that it was exported from"):
            read(model.description.fold_names[0])


def test_it_is_verified_as_other_models_are(file):
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    assert verify_model(file).n_parameters == open_model("isic").description.network.n_parameters


def test_it_is_verified_without_torch(file):
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    program = (
        "import sys\n"
        "sys.modules['torch'] = sys.modules['nnunetv2'] = None\n"
        "from nnunet_mamba.models.verification import verify_model\n"
        "verify_model(sys.argv[1])\n"
    )
    subprocess.run([sys.executable, "-c", program, str(file)], check=True)


def _without_sidecar(file):
    file.with_name(f"{file.name}.json").unlink()


def _damaged(file):
    file.write_bytes(file.read_bytes()[:-1] + b"x")


def _with_other_entries(**entries):
    def change(file):
        sidecar = file.with_name(f"{file.name}.json")
        sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), **entries}))

    return change


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        (_without_sidecar, FileNotFoundError, ".onnx.json does not exist; nnunet-mamba export writes it beside"),
        (_damaged, ValueError, "its sidecar expects"),
        (_with_other_entries(model={}), ValueError, "model has no entry 'format'"),
        (_with_other_entries(format=9), ValueError, "install a newer nnunet-mamba"),
    ],
)
def test_what_is_wrong_is_told_with_the_way_out(file, change, error, told):
    change(file)
    with pytest.raises(error, match=re.escape(told)):
        open_model(file)
