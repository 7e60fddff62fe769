"""The gate lets an exported model through and refuses what is broken on purpose."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

from nnunet_mamba.export import gate  # noqa: E402
from nnunet_mamba.export.gate import UnequalExportError  # noqa: E402
from nnunet_mamba.export.onnx_gate import onnx_passed  # noqa: E402
from nnunet_mamba.onnx_models.agreement import Agreement, Tolerance, probabilities_of  # noqa: E402


def _initializer(model, is_wanted):
    """An initializer that fits, with its numbers."""
    for tensor in model.graph.initializer:
        numbers = onnx.numpy_helper.to_array(tensor).copy()
        if is_wanted(numbers):
            return tensor, numbers
    raise AssertionError("no such initializer")


def _set(tensor, numbers):
    tensor.CopyFrom(onnx.numpy_helper.from_array(numbers, tensor.name))


def test_lets_an_export_through_that_computes_the_same(model, subject):
    found = onnx_passed(model, subject)
    assert found.worst.is_within(Tolerance(error=1e-4))
    assert found.n_batches == 4
    assert [images.pixels.shape[0] for images in found.check_images] == [1, 2]


def test_lets_errors_through_that_the_network_makes_itself(model, subject, monkeypatch):
    """Where a network's own rounding is more than is allowed, as with deep networks of new weights."""
    monkeypatch.setattr(type(subject), "tolerance", Tolerance(error=1e-9))
    found = onnx_passed(model, subject)
    assert 1e-9 < found.worst.relative_error <= found.allowed.error < 1e-4
    assert found.to_json()["allowed_error"] == found.allowed.error


def test_lets_as_many_other_labels_through_as_the_networks_own_rounding_makes(subject, monkeypatch):
    own = Agreement(error=1e-2, largest=20.0, equal_labels=0.999, n_labels=10_000)
    monkeypatch.setattr(gate, "_own_rounding", lambda *_: own)

    def outputs_of(batches):
        for images in batches:
            expected = gate.logits_of(subject, images)
            error = np.random.default_rng(0).uniform(-1.4e-3, 1.4e-3, expected.shape).astype(np.float32)
            logits = expected + error * np.abs(expected).max()
            yield logits, probabilities_of(logits, has_regions=True)

    found = gate.passed(subject, outputs_of)
    assert 0.997 <= found.worst.equal_labels < 0.9999
    assert found.to_json()["allowed_other_labels"] == pytest.approx(0.003)


def test_refuses_one_changed_weight(model, subject):
    tensor, numbers = _initializer(model, lambda found: found.ndim == 4 and found.shape[-1] == 3)
    numbers.flat[0] += 0.5
    _set(tensor, numbers)
    with pytest.raises(UnequalExportError, match=r"largest logit error.*nothing was written"):
        onnx_passed(model, subject)


def test_refuses_another_axis(model, subject):
    """Sums of rows alone still broadcast, so that nothing but the numbers tells."""
    constants = {node.output[0]: node.attribute[0] for node in model.graph.node if node.op_type == "Constant"}
    axes = {
        name: onnx.numpy_helper.to_array(constant.t).tolist()
        for name, constant in constants.items()
        if constant.name == "value"
    }
    sums = [node for node in model.graph.node if node.op_type == "ReduceSum"]
    (of_rows,) = {node.input[1] for node in sums if axes[node.input[1]] == [3]}
    for node in sums:
        node.input[1] = of_rows
    with pytest.raises(UnequalExportError, match="largest logit error"):
        onnx_passed(model, subject)


def test_refuses_a_black_margin_that_counts(model, subject):
    """Rows of the box or columns of the box, instead of both."""
    for node in model.graph.node:
        if node.op_type == "And":
            node.op_type = "Or"
    with pytest.raises(UnequalExportError, match="largest logit error"):
        onnx_passed(model, subject)


def test_refuses_a_missing_operator(model, subject):
    del model.functions[:]
    with pytest.raises(UnequalExportError, match=r"nnunet_mamba::SelectiveScan.*no standard operator"):
        onnx_passed(model, subject)


def test_refuses_an_operator_that_onnxruntime_cannot_run(model, subject):
    next(node for node in model.graph.node if node.op_type == "Conv").attribute.append(
        onnx.helper.make_attribute("auto_pad", "SOMEHOW")
    )
    with pytest.raises(UnequalExportError, match="nothing was written"):
        onnx_passed(model, subject)


def test_refuses_a_step_size_that_is_wrong_where_no_image_leads(model, subject):
    """log(1 + exp(x)) + max(x, 0) is softplus where x is negative, as it is for every image of this network."""
    smaller = [node for function in model.functions for node in function.node if node.op_type == "Min"]
    assert smaller
    for node in smaller:
        node.op_type = "Identity"
        del node.input[1:]
    with pytest.raises(UnequalExportError, match="differs from the scan"):
        onnx_passed(model, subject)
