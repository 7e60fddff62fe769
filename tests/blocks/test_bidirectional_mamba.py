import pytest
import torch

from nnunet_mamba.blocks.bidirectional_mamba import BidirectionalMamba


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


@pytest.fixture
def tokens():
    return torch.randn(2, 70, 12)


def flip_channels(tokens):
    return torch.cat([chunk.flip(2) for chunk in tokens.chunk(2, dim=2)], dim=2)


def test_adds_what_the_shared_block_makes_of_the_reversed_sequence(tokens):
    layer = BidirectionalMamba(6)

    with torch.no_grad():
        expected = layer.mambas[0](tokens, n_parallel=2) + layer.mambas[0](tokens.flip(1), n_parallel=2).flip(1)

        torch.testing.assert_close(layer(tokens, n_parallel=2), expected, rtol=1e-5, atol=1e-6)
    assert len(layer.mambas) == 1


def test_published_flip_turns_the_channels_of_each_chunk_around(tokens):
    layer = BidirectionalMamba(6, flip="channels")

    with torch.no_grad():
        turned = flip_channels(layer.mambas[0](flip_channels(tokens), n_parallel=2))
        expected = layer.mambas[0](tokens, n_parallel=2) + turned

        torch.testing.assert_close(layer(tokens, n_parallel=2), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("flip", ["sequence", "channels"])
def test_gradients_of_both_directions_reach_the_shared_block(tokens, flip):
    layer = BidirectionalMamba(6, flip=flip).double()
    block, tokens = layer.mambas[0], tokens.double()[:, :9].requires_grad_()
    turn = flip_channels if flip == "channels" else lambda x: x.flip(1)
    leaves = [tokens, *layer.parameters()]

    ours = torch.autograd.grad(layer(tokens, n_parallel=2).square().sum(), leaves)
    mixed = block(tokens, n_parallel=2) + turn(block(turn(tokens), n_parallel=2))
    expected = torch.autograd.grad(mixed.square().sum(), leaves)

    torch.testing.assert_close(ours, expected, rtol=1e-8, atol=1e-9)


def test_unshared_directions_have_a_block_each(tokens):
    layer = BidirectionalMamba(6, shared=False)

    with torch.no_grad():
        first, second = (
            mamba(x) for mamba, x in zip(layer.mambas, (tokens[..., :6], tokens[..., :6].flip(1)), strict=True)
        )

        torch.testing.assert_close(layer(tokens[..., :6]), first + second.flip(1), rtol=1e-5, atol=1e-6)
    assert len({parameter.data_ptr() for parameter in layer.parameters()}) == 2 * 9


@pytest.mark.parametrize("shared", [True, False])
def test_one_direction_is_one_block(tokens, shared):
    layer = BidirectionalMamba(12, directions="forward", shared=shared)

    with torch.no_grad():
        assert torch.equal(layer(tokens), layer.mambas[0](tokens))
    assert len(layer.mambas) == 1


@pytest.mark.parametrize(("flip", "sees_later_tokens"), [("sequence", True), ("channels", False)])
def test_only_the_reversed_sequence_sees_later_tokens(tokens, flip, sees_later_tokens):
    layer = BidirectionalMamba(12, flip=flip)
    changed = tokens.clone()
    changed[:, 40:] += 1

    with torch.no_grad():
        difference = (layer(tokens) - layer(changed)).abs().amax(dim=(0, 2))

    assert bool(difference[:40].any()) == sees_later_tokens
    assert difference[40:].all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"directions": "backward"}, "directions='backward', expected 'both' or 'forward'"),
        ({"flip": "tokens"}, "flip='tokens', expected 'sequence' or 'channels'"),
    ],
)
def test_refuses_unknown_options(options, message):
    with pytest.raises(ValueError, match=message):
        BidirectionalMamba(6, **options)
