"""A file is verified with onnxruntime alone, and what was changed is refused."""

import json
import subprocess
import sys

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

from onnx import TensorProto, helper  # noqa: E402

from nnunet_mamba.onnx_models.check_images import CheckImages  # noqa: E402
from nnunet_mamba.onnx_models.session import FACTS, OnnxSession  # noqa: E402
from nnunet_mamba.onnx_models.sidecar import sha256_of, sidecar_path, sidecar_text  # noqa: E402
from nnunet_mamba.onnx_models.verification import verify_onnx  # noqa: E402

STORED = {"format": 1, "name": "brightness", "gate": {"allowed_error": 1e-4}, "outputs": {"has_regions": True}}


def _write(file, *, bias=-100.0, facts=None, expected_bias=-100.0, pixels=None):
    """Write a model whose logit is the pixel and a bias."""
    sizes = ["b", "c", "h", "w"]

    def value(name):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes)

    nodes = [
        helper.make_node("Add", ["image", "bias"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["probabilities"]),
    ]
    constants = [helper.make_tensor("bias", TensorProto.FLOAT, [], [bias])]
    graph = helper.make_graph(nodes, "g", [value("image")], [value("logits"), value("probabilities")], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    helper.set_model_props(model, {FACTS: json.dumps(STORED if facts is None else facts)})
    file.write_bytes(model.SerializeToString())
    if pixels is None:
        pixels = np.random.default_rng(0).integers(0, 256, (2, 1, 8, 12), dtype=np.uint8)
    images = CheckImages(pixels=pixels, enlarged_by=2, subtract=0, divide=1, every=3, logits=np.empty(0, np.float32))
    logits = images.kept(images.images() + np.float32(expected_bias))
    images = CheckImages(**{**vars(images), "logits": logits})
    sidecar_path(file).write_text(sidecar_text(STORED, sha256=sha256_of(file), check_images=[images]))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "brightness.onnx"
    _write(path)
    return path


def _change(file, **entries):
    path = sidecar_path(file)
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def test_a_file_that_computes_what_it_should_is_verified(file):
    found = verify_onnx(file)
    assert found.worst.error < 1e-4
    assert found.worst.equal_labels == 1


def test_a_file_that_computes_something_else_is_refused(file):
    _write(file, bias=-99.0)
    with pytest.raises(ValueError, match="largest logit error is 1"):
        verify_onnx(file)


def test_a_label_that_rounding_decides_may_be_the_other(file):
    """The logit of one pixel is just below 0 here, and was just above."""
    pixels = np.full((2, 1, 16, 24), 200, np.uint8)
    pixels[0, 0, 0, 0] = 100
    _write(file, bias=-100.00001, expected_bias=-99.99999, pixels=pixels)
    assert verify_onnx(file).worst.equal_labels == 1 - 1 / (2 * 11 * 16)


def test_another_file_under_the_name_is_refused(file):
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(ValueError, match="SHA-256"):
        verify_onnx(file)


def test_a_sidecar_of_another_model_is_refused(file):
    _change(file, name="darkness")
    with pytest.raises(ValueError, match="do not tell the same"):
        verify_onnx(file)


def test_a_file_that_is_no_model_is_refused(file):
    file.write_bytes(b"nothing")
    _change(file, sha256=sha256_of(file))
    with pytest.raises(ValueError, match="onnxruntime cannot run it"):
        verify_onnx(file)


def test_a_missing_sidecar_is_told(file):
    sidecar_path(file).unlink()
    with pytest.raises(FileNotFoundError, match="copy both"):
        verify_onnx(file)


def test_a_sidecar_of_a_newer_release_is_told(file):
    _change(file, format=2)
    with pytest.raises(ValueError, match="install a newer nnunet-mamba"):
        verify_onnx(file)


def test_damaged_check_images_are_refused(file):
    images = json.loads(sidecar_path(file).read_text())["check_images"]
    _change(file, check_images=[{**images[0], "pixels": images[0]["pixels"][:-8]}])
    with pytest.raises(ValueError, match=r"check_images\[0\].pixels"):
        verify_onnx(file)


@pytest.mark.parametrize(
    ("entry", "value"), [("pixels", "äöü"), ("logits", "äöü"), ("enlarged_by", 100_000), ("every", 0)]
)
def test_check_images_that_make_no_sense_are_refused_with_their_place(file, entry, value):
    images = json.loads(sidecar_path(file).read_text())["check_images"]
    _change(file, check_images=[{**images[0], entry: value}])
    with pytest.raises(ValueError, match=rf"check_images\[0\].{entry} is .*, expected .*; .*export the model anew"):
        verify_onnx(file)


def test_computes_with_as_many_threads_as_the_user_asks_for(file, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    for n_threads, expected in ((None, 3), (1, 1)):
        session = OnnxSession(file, n_threads=n_threads)
        assert session._session.get_session_options().intra_op_num_threads == expected


def test_verifies_without_torch_and_nnunet(file):
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from nnunet_mamba.onnx_models.verification import verify_onnx\n"
        "verify_onnx(Path(sys.argv[1]))\n"
        "assert not {'torch', 'nnunetv2', 'numba', 'onnx'} & set(sys.modules), sorted(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(file)], check=True)


def test_a_program_of_pytorch_is_told_apart(tmp_path):
    (tmp_path / "lesion.pt2").write_bytes(b"a program")
    with pytest.raises(ValueError, match="a program of PyTorch, expected an ONNX file"):
        verify_onnx(tmp_path / "lesion.pt2")
