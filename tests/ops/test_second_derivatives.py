import pytest
import torch

from nnunet_mamba import create_network
from nnunet_mamba.ops import selective_scan
from nnunet_mamba.ops.scan import reference


def test_the_scan_has_no_second_derivatives_and_the_reference_has(make_operands):
    x = make_operands(length=5)
    u = x.u.requires_grad_()
    (first,) = torch.autograd.grad(selective_scan(*x._replace(u=u)).square().sum(), u, create_graph=True)
    with pytest.raises(NotImplementedError, match=r"selective_scan_backward has no derivatives: .*scan\.reference"):
        torch.autograd.grad(first.square().sum(), u)
    (first,) = torch.autograd.grad(reference.forward(x._replace(u=u)).square().sum(), u, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), u)
    assert float(second.abs().max()) > 0


@pytest.mark.parametrize("name", ["ultralight_vm_unet", "vm_unet"])
def test_a_network_with_fused_blocks_has_none_either(name):
    network = create_network(name, input_channels=3, num_classes=1)
    images = torch.rand(2, 3, 64, 64, requires_grad=True)
    (first,) = torch.autograd.grad(network(images).square().sum(), images, create_graph=True)
    with pytest.raises(NotImplementedError, match="_backward has no derivatives"):
        first.square().sum().backward()
