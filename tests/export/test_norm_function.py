"""Norms of an exported file are as exact as torch's, also where a map is mostly one number."""

import numpy as np
import pytest
import torch
from torch import nn

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
pytest.importorskip("onnxscript", reason="the extra onnx is not installed")

from nnunet_mamba.export.function_nodes import DOMAIN, DOMAIN_VERSION  # noqa: E402
from nnunet_mamba.export.norm_function import GROUP_NORM, norm_function, translated_norms  # noqa: E402
from nnunet_mamba.export.tracing import tracing  # noqa: E402

NORMS = {
    "groups": nn.GroupNorm(4, 8, eps=1e-3),
    "groups without weights": nn.GroupNorm(2, 8, affine=False),
    "instances": nn.InstanceNorm2d(8, affine=True),
    "instances without weights": nn.InstanceNorm2d(8),
}


def framed(rng, shape):
    """Maps with some content in the middle of a single number, as of a photograph in a black frame."""
    x = np.full(shape, 0.731, np.float32)
    h, w = shape[-2:]
    middle = (..., slice(h // 4, h // 2), slice(w // 4, w // 2))
    x[middle] += rng.normal(0, 1, x[middle].shape).astype(np.float32)
    return x


def exported(norm, x):
    """A session with a norm, and the kinds of its operators."""
    sizes = ({0: torch.export.Dim("b"), 2: torch.export.Dim("h"), 3: torch.export.Dim("w")},)
    with tracing():
        program = torch.onnx.export(
            norm,
            (x,),
            dynamo=True,
            opset_version=18,
            dynamic_shapes=sizes,
            custom_translation_table=translated_norms(),
            optimize=False,
            verbose=False,
        )
    model = program.model_proto
    model.functions.append(norm_function())
    model.opset_import.append(onnx.helper.make_opsetid(DOMAIN, DOMAIN_VERSION))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session, {node.op_type for node in model.graph.node}


@pytest.mark.parametrize("norm", NORMS.values(), ids=NORMS)
def test_a_norm_is_as_exact_as_torchs(norm):
    torch.manual_seed(0)
    for parameter in norm.parameters():
        nn.init.uniform_(parameter)
    norm = norm.eval()
    session, kinds = exported(norm, torch.rand(2, 8, 6, 10))
    assert GROUP_NORM in kinds
    assert "InstanceNormalization" not in kinds
    rng = np.random.default_rng(0)
    for shape in ((1, 8, 256, 256), (3, 8, 5, 7)):
        x = framed(rng, shape)
        (found,) = session.run(None, {session.get_inputs()[0].name: x})
        with torch.inference_mode():
            exact = norm.double()(torch.from_numpy(x).double()).numpy()
            norm.float()
        assert np.abs(found - exact).max() <= 2e-6 * np.abs(exact).max()
