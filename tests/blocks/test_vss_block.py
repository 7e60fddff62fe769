import pytest
import torch

from nnunet_mamba.blocks.vss_block import VSSBlock


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


def test_training_leaves_dropped_cases_as_they_are_and_strengthens_the_others():
    block = VSSBlock(4, drop_path=0.5)
    x = torch.randn(64, 2, 3, 4)

    with torch.no_grad():
        change = block(x) - x
        expected = 2 * (block.eval()(x) - x)

    dropped = ~change.flatten(1).any(dim=1)
    assert 16 < int(dropped.sum()) < 48
    torch.testing.assert_close(change[~dropped], expected[~dropped], rtol=1e-4, atol=1e-5)


def test_prediction_drops_nothing():
    block, x = VSSBlock(4, drop_path=0.9), torch.randn(8, 2, 3, 4)
    certain = VSSBlock(4)
    certain.load_state_dict(block.state_dict())

    with torch.no_grad():
        assert torch.equal(block.eval()(x), certain(x))


def test_half_precision_map_becomes_float32_under_autocast():
    x = torch.randn(2, 3, 5, 8).bfloat16()

    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert VSSBlock(8)(x).dtype == torch.float32


def test_compiles_into_one_graph():
    block, x = VSSBlock(8, drop_path=0.2).eval(), torch.randn(2, 3, 5, 8)

    with torch.no_grad():
        assert torch.equal(torch.compile(block, backend="eager", fullgraph=True)(x), block(x))


@pytest.mark.parametrize("drop_path", [-0.1, 1.0])
def test_refuses_a_drop_path_that_is_no_probability_below_one(drop_path):
    with pytest.raises(ValueError, match=rf"drop_path={drop_path}, expected a probability in \[0, 1\)"):
        VSSBlock(4, drop_path=drop_path)


@pytest.mark.parametrize("shape", [(2, 6, 4, 5), (4, 5, 6)])
def test_refuses_maps_of_another_width_or_rank(shape):
    with pytest.raises(ValueError, match=r"VSSBlock: map of shape .* expected \(b, h, w, d_model\) with d_model = 6"):
        VSSBlock(6)(torch.zeros(shape))
