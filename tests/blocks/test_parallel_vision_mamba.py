import pytest
import torch

from nnunet_mamba.blocks.parallel_vision_mamba import ParallelVisionMamba


def record_input_shapes(modules):
    shapes = []
    for module in modules:
        module.register_forward_hook(lambda _module, inputs, _output: shapes.append(tuple(inputs[0].shape)))
    return shapes


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


@pytest.fixture
def image():
    return torch.randn(2, 8, 3, 5)


def test_shared_chunks_are_one_call(image):
    layer = ParallelVisionMamba(8, 6, n_parallel=4)
    shapes = record_input_shapes(layer.mambas)

    assert layer(image).shape == (2, 6, 3, 5)

    assert shapes == [(2, 3 * 5, 8)]


def test_unshared_chunks_have_a_block_each(image):
    layer = ParallelVisionMamba(8, 6, n_parallel=4, shared_mamba=False)
    shapes = record_input_shapes(layer.mambas)

    layer(image)

    assert shapes == [(2, 3 * 5, 2)] * 4
    assert len({parameter.data_ptr() for parameter in layer.mambas.parameters()}) == 4 * 9


def test_unshared_blocks_with_equal_weights_equal_a_shared_one(image):
    shared = ParallelVisionMamba(8, 6)
    unshared = ParallelVisionMamba(8, 6, shared_mamba=False)
    copies = {
        key.replace("mambas.0", f"mambas.{i}"): value for key, value in shared.state_dict().items() for i in range(4)
    }
    unshared.load_state_dict(copies)

    with torch.no_grad():
        torch.testing.assert_close(unshared(image), shared(image), rtol=1e-5, atol=1e-6)


def test_one_norm_is_used_before_and_after_the_blocks(image):
    layer = ParallelVisionMamba(8, 6)
    shapes = record_input_shapes([layer.norm])

    layer(image)

    assert shapes == [(2, 15, 8)] * 2


def test_tokens_are_the_positions_row_by_row():
    layer = ParallelVisionMamba(8, 6)
    image = torch.randn(1, 8, 3, 5)
    changed = image.clone()
    changed[:, :, 1, 2] += torch.randn(8)

    with torch.no_grad():
        difference = (layer(image) - layer(changed)).abs().sum(dim=1)[0]

    assert not difference.flatten()[:7].any()
    assert difference.flatten()[7:].all()


def test_volume_is_mixed_like_the_image_of_its_flattened_positions():
    layer = ParallelVisionMamba(8, 6)
    volume = torch.randn(2, 8, 2, 3, 4)

    with torch.no_grad():
        assert torch.equal(layer(volume).flatten(2), layer(volume.flatten(2, 3)).flatten(2))


def test_autocast_stays_near_full_precision(image):
    layer = ParallelVisionMamba(8, 6)

    with torch.no_grad():
        expected = layer(image)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            result = layer(image)

    # bfloat16 keeps 8 bits, and only the last projection is computed in it.
    torch.testing.assert_close(result.float(), expected, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("n_parallel", [3, 16])
def test_refuses_channels_that_do_not_split(n_parallel):
    with pytest.raises(ValueError, match=f"8 channels cannot be split into n_parallel={n_parallel} equal chunks"):
        ParallelVisionMamba(8, 6, n_parallel=n_parallel)
