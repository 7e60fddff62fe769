import pytest
import torch

from nnunet_mamba.blocks.patch_resampling import PatchEmbedding, PatchExpanding, PatchMerging


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


def test_embedding_sees_its_own_patch_alone():
    embedding = PatchEmbedding(3, 8, patch_size=4)
    image = torch.randn(1, 3, 8, 12)
    changed = image.clone()
    changed[:, :, 4:, 8:] += 1

    with torch.no_grad():
        difference = (embedding(image) - embedding(changed)).abs().sum(dim=3)[0]

    assert difference.shape == (2, 3)
    assert difference[1, 2] > 0
    assert difference.sum() == difference[1, 2]


@pytest.mark.parametrize(("size", "merged"), [((6, 4), (3, 2)), ((7, 5), (3, 2))])
def test_merging_halves_and_drops_what_is_odd(size, merged):
    merging = PatchMerging(4)
    x = torch.randn(2, *size, 4)

    with torch.no_grad():
        y = merging(x)
        assert torch.equal(y, merging(x[:, : 2 * merged[0], : 2 * merged[1]]))

    assert y.shape == (2, *merged, 8)


def test_merging_reads_the_columns_of_a_patch():
    merging = PatchMerging(1)
    seen = []
    merging.norm.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))

    merging(torch.arange(16.0).reshape(1, 4, 4, 1))

    assert seen[0][0, 0, 0].tolist() == [0, 4, 1, 5]
    assert seen[0][0, 1, 1].tolist() == [10, 14, 11, 15]


@pytest.mark.parametrize("factor", [2, 4])
def test_expanding_lays_every_patch_out_at_its_pixel(factor):
    expanding = PatchExpanding(6, factor=factor, out_channels=5)
    x = torch.randn(2, 3, 4, 6)

    with torch.no_grad():
        y = expanding(x)
        patches = expanding.patches(x)

    assert y.shape == (2, 3 * factor, 4 * factor, 5)
    for row, column in [(0, 0), (2, 3), (1, 2)]:
        patch = y[:, row * factor : (row + 1) * factor, column * factor : (column + 1) * factor]
        assert torch.equal(patch, patches[:, row, column])
