"""The scan's functions compute what the scan's definition computes."""

import pytest
import torch

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

from nnunet_mamba.export.scan_function import ScanKind, all_kinds, scan_function  # noqa: E402
from nnunet_mamba.export.scan_trials import scan_difference, scan_trials  # noqa: E402
from nnunet_mamba.ops.scan import reference  # noqa: E402

KINDS = list(all_kinds())


def test_kinds_have_names_of_their_own():
    assert len({kind.name for kind in KINDS}) == len(KINDS) == 32


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_every_kind_computes_the_scan_for_tiny_and_large_steps(kind):
    assert scan_difference(scan_function(kind), kind) <= 1e-5


def test_functions_need_standard_operators_alone():
    for kind in KINDS:
        assert {node.domain for node in scan_function(kind).node} == {""}


@pytest.mark.parametrize("softplus", [False, True])
def test_trials_stay_finite_and_tell_wrong_operands_apart(softplus):
    kind = ScanKind(has_D=True, has_z=True, has_delta_bias=True, delta_softplus=softplus)
    for operands in scan_trials(kind):
        y = reference.forward(operands)
        assert torch.isfinite(y).all()
        assert not torch.allclose(y, reference.forward(operands._replace(D=2 * operands.D)))
