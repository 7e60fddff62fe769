import torch

from nnunet_mamba.blocks.contiguous_gradient import with_contiguous_gradient


def test_a_norm_has_the_right_gradient_where_that_of_one_image_has_its_channels_last():
    norm, x = torch.nn.InstanceNorm2d(8).double(), torch.randn(1, 8, 4, 4, dtype=torch.float64, requires_grad=True)
    gradient = torch.randn(4, 4, 1, 8, dtype=torch.float64).permute(2, 3, 0, 1)
    (expected,) = torch.autograd.grad(norm(x), x, gradient.clone(memory_format=torch.contiguous_format))
    (found,) = torch.autograd.grad(with_contiguous_gradient(norm(x)), x, gradient)
    torch.testing.assert_close(found, expected)


def test_is_the_identity_for_every_kind_of_derivative():
    x, v = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    torch.testing.assert_close(torch.func.jvp(with_contiguous_gradient, (x,), (v,)), (x, v))
    torch.testing.assert_close(torch.func.vjp(with_contiguous_gradient, x)[1](v)[0], v)
    torch.testing.assert_close(torch.func.vmap(with_contiguous_gradient)(x), x)
    compiled = torch.compile(lambda a: with_contiguous_gradient(a).sin(), backend="aot_eager")
    torch.testing.assert_close(compiled(x.requires_grad_()), x.sin())
