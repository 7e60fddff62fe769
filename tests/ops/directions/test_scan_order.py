import pytest
import torch

from nnunet_mamba.ops.directions.scan_order import merge_scans, swap_channels_and_tokens, unroll_map, unroll_maps

SIZES = [(3, 5), (4, 4), (6, 2), (1, 7), (7, 1), (1, 1), (2, 3, 4), (5,)]


def positions(spatial):
    """The positions of a map in the order in which each direction reads them, by the obvious loops."""
    if len(spatial) == 1:
        forwards = [[(x,) for x in range(spatial[0])]]
    elif len(spatial) == 2:
        h, w = spatial
        forwards = [[(y, x) for y in range(h) for x in range(w)], [(y, x) for x in range(w) for y in range(h)]]
    else:
        d, h, w = spatial
        forwards = [
            [(z, y, x) for z in range(d) for y in range(h) for x in range(w)],
            [(z, y, x) for y in range(h) for x in range(w) for z in range(d)],
            [(z, y, x) for x in range(w) for z in range(d) for y in range(h)],
        ]
    return forwards + [order[::-1] for order in forwards]


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


@pytest.fixture(params=SIZES, ids=str)
def spatial(request):
    return request.param


def test_a_map_is_read_along_every_axis_forwards_and_backwards(spatial):
    x = torch.randn(2, 3, *spatial)

    scans = unroll_map(x)

    assert scans.is_contiguous()
    assert scans.shape == (2, 2 * len(spatial), 3, x[0, 0].numel())
    for direction, order in enumerate(positions(spatial)):
        for token, position in enumerate(order):
            assert torch.equal(scans[:, direction, :, token], x[(..., *position)])


def test_each_of_several_maps_is_read_in_its_own_direction(spatial):
    maps = torch.randn(2, 2 * len(spatial), 3, *spatial)

    scans = unroll_maps(maps)

    assert scans.is_contiguous()
    assert scans.shape == (*maps.shape[:3], maps[0, 0, 0].numel())
    for direction, order in enumerate(positions(spatial)):
        for token, position in enumerate(order):
            assert torch.equal(scans[:, direction, :, token], maps[(slice(None), direction, ..., *position)])


def test_merged_position_is_the_sum_of_its_tokens(spatial):
    # Whole numbers, whose sums do not depend on the order of the summands.
    scans = torch.randint(-99, 99, (2, 2 * len(spatial), 3, torch.Size(spatial).numel())).float()
    expected = torch.zeros(2, 3, *spatial)
    for direction, order in enumerate(positions(spatial)):
        for token, position in enumerate(order):
            expected[(..., *position)] += scans[:, direction, :, token]

    assert torch.equal(merge_scans(scans, spatial), expected)


def test_strided_operands_are_read_as_they_look():
    x = torch.randn(2, 4, 5, 3).permute(0, 3, 1, 2)
    maps = torch.randn(2, 4, 9, 4, 5)[:, :, 2:5]
    scans = torch.randn(20, 3, 4, 2).permute(3, 2, 1, 0)

    assert torch.equal(unroll_map(x), unroll_map(x.contiguous()))
    assert torch.equal(unroll_maps(maps), unroll_maps(maps.contiguous()))
    assert torch.equal(merge_scans(scans, (4, 5)), merge_scans(scans.contiguous(), (4, 5)))


def test_operands_are_left_as_they_were():
    x, scans = torch.randn(1, 2, 3, 4), torch.randn(1, 4, 2, 12)
    copies = x.clone(), scans.clone()

    unroll_map(x), merge_scans(scans, (3, 4))

    assert torch.equal(x, copies[0])
    assert torch.equal(scans, copies[1])


@pytest.mark.parametrize("spatial", [(5,), (3, 4), (7, 1), (2, 3, 2)], ids=str)
def test_gradients_are_right_to_second_order(spatial):
    n, length = len(spatial), torch.Size(spatial).numel()
    cases = (
        (unroll_map, torch.randn(2, 1, *spatial, dtype=torch.float64)),
        (unroll_maps, torch.randn(1, 2 * n, 2, *spatial, dtype=torch.float64)),
        (lambda scans: merge_scans(scans, spatial), torch.randn(2, 2 * n, 1, length, dtype=torch.float64)),
    )
    for function, operand in cases:
        operand.requires_grad_()
        assert torch.autograd.gradcheck(function, operand)
        assert torch.autograd.gradgradcheck(function, operand)


@pytest.mark.parametrize("shape", [(2, 3, 5), (1, 1, 1), (3, 70, 64), (0, 2, 3)])
def test_channels_and_tokens_are_swapped_in_memory(shape):
    x = torch.randn(shape)

    for operand in (x, x.mT.contiguous().mT):
        swapped = swap_channels_and_tokens(operand)
        assert torch.equal(swapped, x.mT)
        assert swapped.is_contiguous()


def test_gradient_of_the_swap_is_the_swapped_gradient():
    x = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)

    assert torch.autograd.gradcheck(swap_channels_and_tokens, x)
    assert torch.autograd.gradgradcheck(swap_channels_and_tokens, x)


def test_compiles_into_one_graph_with_gradients():
    def there_and_back(x):
        scans = unroll_map(x) + unroll_maps(x[:, None].expand(-1, 4, -1, -1, -1))
        return swap_channels_and_tokens(merge_scans(scans, x.shape[2:]).flatten(2))

    x = torch.randn(2, 3, 4, 5, requires_grad=True)
    compiled = torch.compile(there_and_back, backend="eager", fullgraph=True)

    (gradient,) = torch.autograd.grad(there_and_back(x).square().sum(), x)
    (compiled_gradient,) = torch.autograd.grad(compiled(x).square().sum(), x)

    assert torch.equal(compiled(x), there_and_back(x))
    assert torch.equal(compiled_gradient, gradient)
