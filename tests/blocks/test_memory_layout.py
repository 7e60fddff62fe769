import pytest
import torch

from nnunet_mamba.blocks.memory_layout import with_channels_last

SIZES = {2: (3, 8, 4, 6), 3: (2, 8, 3, 4, 5)}


@pytest.mark.parametrize("axes", [2, 3])
def test_channels_lie_last_and_nothing_else_changes(axes):
    x = torch.randn(SIZES[axes], requires_grad=True)
    y = with_channels_last(x)
    layout = {2: torch.channels_last, 3: torch.channels_last_3d}[axes]
    assert y.is_contiguous(memory_format=layout)
    assert not y.is_contiguous()
    assert torch.equal(y, x)
    assert torch.equal(torch.autograd.grad((y * y).sum(), x)[0], 2 * x)


def test_a_map_that_is_so_already_is_not_copied():
    x = with_channels_last(torch.randn(SIZES[2]))
    assert with_channels_last(x).data_ptr() == x.data_ptr()


def test_the_tokens_of_such_a_map_are_no_copy():
    x = with_channels_last(torch.randn(SIZES[2]))
    assert x.flatten(2).mT.is_contiguous()
    assert x.flatten(2).data_ptr() == x.data_ptr()


def test_other_devices_keep_their_layout():
    x = torch.empty(SIZES[2], device="meta")
    assert with_channels_last(x) is x


def test_traced_and_exported_graphs_keep_their_layout():
    class Turned(torch.nn.Module):
        def forward(self, x):
            return with_channels_last(x)

    x = torch.randn(SIZES[2])
    assert torch.export.export(Turned(), (x,)).module()(x).is_contiguous()
    assert torch.jit.trace(Turned(), (x,))(x).is_contiguous()


def test_is_mapped_over_a_new_axis():
    x = torch.randn(5, *SIZES[2])
    assert torch.equal(torch.vmap(with_channels_last)(x), x)


def test_a_compiled_graph_keeps_its_layout():
    compiled = torch.compile(lambda x: with_channels_last(x) + 1, backend="eager", fullgraph=True)
    assert compiled(torch.randn(SIZES[2])).is_contiguous()
