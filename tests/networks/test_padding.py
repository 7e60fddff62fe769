import torch

from nnunet_mamba.networks.padding import crop_outputs, crop_to, pad_to_multiple, reduced_size


def test_image_that_fits_is_returned_itself():
    image = torch.randn(1, 2, 8, 4)

    assert pad_to_multiple(image, (4, 4)) is image


def test_last_row_and_column_are_repeated():
    image = torch.arange(6.0).reshape(1, 1, 2, 3)

    padded = pad_to_multiple(image, (4, 4))

    expected = [[0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5], [3, 4, 5, 5]]
    assert padded[0, 0].tolist() == expected


def test_single_pixel_and_volume():
    assert torch.equal(pad_to_multiple(torch.full((1, 1, 1, 1), 3.0), (32, 32)), torch.full((1, 1, 32, 32), 3.0))
    assert pad_to_multiple(torch.zeros(1, 1, 1, 4, 9), (4, 4, 4)).shape == (1, 1, 4, 4, 12)


def test_axes_may_have_multiples_of_their_own():
    assert pad_to_multiple(torch.zeros(1, 1, 5, 4, 9), (1, 4, 8)).shape == (1, 1, 5, 4, 16)


def test_crop_undoes_padding_and_copies_nothing():
    image = torch.randn(2, 3, 5, 9)

    assert torch.equal(crop_to(pad_to_multiple(image, (8, 8)), (5, 9)), image)
    assert crop_to(image, image.shape[2:]) is image


def test_positions_in_part_count():
    assert reduced_size((33, 64, 1), (4, 4, 2)) == (9, 16, 1)


def test_one_output_is_cropped_to_the_image_and_several_to_their_own_sizes():
    outputs = [torch.zeros(1, 2, 64, 64), torch.zeros(1, 2, 16, 16)]
    assert crop_outputs(outputs[0], (33, 40), ()).shape == (1, 2, 33, 40)
    assert [x.shape[2:] for x in crop_outputs(outputs, (33, 40), ((1, 1), (4, 4)))] == [(33, 40), (9, 10)]
