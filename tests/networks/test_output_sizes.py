import pytest
import torch

from nnunet_mamba import create_network, list_networks
from nnunet_mamba.networks.output_sizes import crop_outputs, reduced_size
from nnunet_mamba.presets import PRESETS

# Every network whose heads are an option and change what it learns; the tumour papers' has its heads' weights always.
OPTIONAL = [name for name in list_networks() if not PRESETS[name].deep_supervision and "tumour" not in name]


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


def small(name, **options):
    sizes = {"dims": (8, 16, 32, 64), "depths": (1, 1, 1, 1), "depths_decoder": (1, 1, 1, 1)}
    return create_network(name, 3, 2, **(sizes if name.startswith("vm_unet") else {}), **options).eval()


def test_positions_in_part_count():
    assert reduced_size((33, 64, 1), (4, 4, 2)) == (9, 16, 1)


def test_one_output_is_cropped_to_the_image_and_several_to_their_own_sizes():
    outputs = [torch.zeros(1, 2, 64, 64), torch.zeros(1, 2, 16, 16)]
    assert crop_outputs(outputs[0], (33, 40), ()).shape == (1, 2, 33, 40)
    assert [x.shape[2:] for x in crop_outputs(outputs, (33, 40), ((1, 1), (4, 4)))] == [(33, 40), (9, 10)]


@pytest.mark.parametrize("name", OPTIONAL)
def test_heads_are_added_and_nothing_else_changes(name):
    plain, deep = small(name), small(name, deep_supervision=True)
    added = deep.state_dict().keys() - plain.state_dict().keys()
    assert plain.state_dict().keys() < deep.state_dict().keys()
    assert added
    assert all(key.startswith("decoder.seg_layers.") and ".seg_layers.0." not in key for key in added)
    deep.load_state_dict(plain.state_dict(), strict=False)
    image = torch.randn(1, 3, 40, 33)

    with torch.no_grad():
        alone, outputs = plain(image), deep(image)
        deep.decoder.deep_supervision = False
        switched_off = deep(image)

    assert torch.equal(outputs[0], alone)
    assert torch.equal(switched_off, alone)
    assert [x.shape[2:] for x in outputs] == [reduced_size((40, 33), by) for by in deep.output_reductions]
    assert all(x.shape[:2] == (1, 2) for x in outputs)


@pytest.mark.parametrize("name", OPTIONAL)
def test_every_head_learns_from_its_own_output(name):
    network = small(name, deep_supervision=True)
    heads = network.decoder.seg_layers
    outputs = network(torch.randn(2, 3, 64, 64))
    for index, output in enumerate(outputs):
        network.zero_grad()
        output.square().mean().backward(retain_graph=True)
        assert [head.weight.grad is not None for head in heads] == [place == index for place in range(len(heads))]
        assert heads[index].weight.grad.any()


def test_volumes_have_the_outputs_of_their_poolings():
    strides = ((1, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2), (1, 1, 2))
    network = create_network("ultralbm_unet", 1, 2, spatial_dims=3, strides=strides, deep_supervision=True)
    assert network.output_reductions == ((1, 1, 1), (2, 4, 4), (4, 8, 8), (4, 16, 16), (4, 16, 32))
    outputs = network(torch.randn(1, 1, 9, 32, 40))
    assert [tuple(x.shape[2:]) for x in outputs] == [(9, 32, 40), (5, 8, 10), (3, 4, 5), (3, 2, 3), (3, 2, 2)]


@pytest.mark.parametrize("name", ["ultralight_vm_unet", "vm_unet"])
def test_several_outputs_compile_into_one_graph(name):
    network = small(name, deep_supervision=True)
    image = torch.randn(1, 3, 40, 32)
    compiled = torch.compile(network, backend="eager", fullgraph=True)

    with torch.no_grad():
        for ours, theirs in zip(compiled(image), network(image), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
