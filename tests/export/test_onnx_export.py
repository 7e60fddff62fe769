"""What is written, and that nothing is written where the gate refuses."""

import json
from dataclasses import replace

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

from nnunet_mamba.export import onnx_export  # noqa: E402
from nnunet_mamba.export.gate import UnequalExportError  # noqa: E402
from nnunet_mamba.export.subject import fixed_size  # noqa: E402
from nnunet_mamba.onnx_models.session import OnnxSession  # noqa: E402


def test_writes_a_small_file_and_its_facts(model, subject, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "exported_model", lambda _: model)
    written = onnx_export.write_onnx(subject, tmp_path / "isic.onnx")
    assert written.n_bytes <= 300_000
    assert written.sidecar.stat().st_size <= 100_000
    sidecar = json.loads(written.sidecar.read_text(encoding="utf-8"))
    assert sidecar["input"]["channels"] == {"0": "R", "1": "G", "2": "B"}
    assert sidecar["normalization"]["is_inside"] is True
    assert sidecar["labels"] == {"background": 0, "lesion": [1, 1]}
    assert sidecar["licences"]["weights"] == subject.facts["licences"]["weights"]
    facts = json.loads(OnnxSession(written.file).facts)
    assert facts == {name: value for name, value in sidecar.items() if name not in ("sha256", "check_images")}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["isic.onnx", "isic.onnx.json"]


def test_file_tells_nothing_of_the_machine_and_takes_any_batch_and_size(model):
    assert b"/site-packages/" not in model.SerializeToString()
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18), ("nnunet_mamba", 1)]
    session = OnnxSession(model.SerializeToString())
    for shape in ((1, 3, 32, 32), (3, 3, 160, 64)):
        logits, probabilities = session.run(np.full(shape, 9, np.float32))
        assert logits.shape == probabilities.shape == (shape[0], 1, *shape[2:])


def test_a_size_between_the_multiples_is_refused(model):
    with pytest.raises(ValueError, match="onnxruntime fails with images"):
        OnnxSession(model.SerializeToString()).run(np.full((1, 3, 50, 50), 9, np.float32))


@pytest.mark.slow
def test_images_of_a_size_between_the_multiples_are_padded_in_a_file_that_takes_no_other(subject, tmp_path):
    written = onnx_export.write_onnx(replace(subject, size=(40, 56)), tmp_path / "small.onnx")
    session = OnnxSession(written.file)
    logits, _ = session.run(np.full((2, 3, 40, 56), 9, np.float32))
    assert logits.shape == (2, 1, 40, 56)
    with pytest.raises(ValueError, match="onnxruntime fails with images"):
        session.run(np.full((1, 3, 64, 64), 9, np.float32))


@pytest.mark.parametrize(("size", "only"), [((64, 96), None), ((40, 64), (40, 64))])
def test_the_only_size_is_that_of_images_that_the_network_pads(subject, size, only):
    assert fixed_size(subject.networks[0], size) == only
    assert replace(subject, size=size).has_fixed_size is (only is not None)


def test_a_network_that_is_traced_for_one_size_has_that_size_alone(subject, monkeypatch):
    assert fixed_size(subject.networks[0], (64, 96)) is None
    monkeypatch.setattr(type(subject.networks[0]), "traces_any_size", False)
    assert fixed_size(subject.networks[0], (64, 96)) == (64, 96)


def test_writes_nothing_where_the_gate_refuses(model, subject, tmp_path, monkeypatch):
    weight = next(one for one in model.graph.initializer if len(one.dims) == 4 and one.dims[3] == 3)
    weight.CopyFrom(onnx.numpy_helper.from_array(-onnx.numpy_helper.to_array(weight), weight.name))
    monkeypatch.setattr(onnx_export, "exported_model", lambda _: model)
    with pytest.raises(UnequalExportError):
        onnx_export.write_onnx(subject, tmp_path / "isic.onnx")
    assert not list(tmp_path.iterdir())
