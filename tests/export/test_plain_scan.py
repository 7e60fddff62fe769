"""The scan in torch's own operators computes what the scan's definition computes, for any number of tokens."""

import pytest
import torch

from nnunet_mamba.export.plain_scan import CHUNK, plain_scan
from nnunet_mamba.ops.scan import reference
from nnunet_mamba.ops.scan.operands import ScanOperands

pytest.importorskip("onnx", reason="the extra onnx is not installed")
from nnunet_mamba.export.scan_function import all_kinds
from nnunet_mamba.export.scan_trials import scan_trials

KINDS = [kind for kind in all_kinds() if not kind.by_token]


def assert_is_the_scan(operands):
    expected = reference.forward(operands)
    largest = max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(plain_scan(*operands), expected, rtol=0, atol=1e-5 * largest)


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_every_kind_for_tiny_and_large_steps(kind):
    for operands in scan_trials(kind):
        assert_is_the_scan(operands)


@pytest.mark.parametrize("length", [1, CHUNK - 1, CHUNK, CHUNK + 1, CHUNK**2 - 1, CHUNK**2, CHUNK**2 + 1, 3000])
def test_any_number_of_tokens(length):
    random = torch.Generator().manual_seed(0)
    assert_is_the_scan(
        ScanOperands(
            u=torch.randn(2, 4, length, generator=random),
            delta=torch.rand(2, 4, length, generator=random) / 10,
            A=-torch.rand(4, 3, generator=random),
            B=torch.randn(2, 2, 3, length, generator=random),
            C=torch.randn(2, 2, 3, length, generator=random),
            D=None,
            z=None,
            delta_bias=None,
            delta_softplus=False,
        )
    )
