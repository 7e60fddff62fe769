import numpy as np
import pytest
import torch

from nnunet_mamba.training.augmentation.choices import STICKERS, Stickers
from nnunet_mamba.training.augmentation.stickers_transform import StickersTransform

HALF = Stickers(probability=1, reach=(0.5, 0.5), radius=(50.0, 50.0), colour=8.0)


def standardised(*shape, seed=0):
    image = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    spatial = tuple(range(1, image.ndim))
    return (image - image.mean(spatial, keepdim=True)) / image.std(spatial, keepdim=True)


def covered(image):
    """Where all channels have the colour of the sticker, which is the most frequent one."""
    flat = image.flatten(1)
    values, counts = torch.unique(flat, dim=1, return_counts=True)
    return (image == values[:, counts.argmax()].view(-1, *(1 for _ in image.shape[1:]))).all(0)


@pytest.mark.parametrize("shape", [(3, 60, 80), (1, 64, 64), (2, 12, 40, 20)])
def test_an_image_with_a_sticker_is_standardised_as_one_that_was_photographed_with_it(shape):
    for seed in range(20):
        np.random.seed(seed)
        image = StickersTransform(STICKERS)(image=standardised(*shape))["image"]
        spatial = tuple(range(1, image.ndim))
        torch.testing.assert_close(image.mean(spatial), torch.zeros(shape[0]), atol=1e-4, rtol=0)
        torch.testing.assert_close(image.std(spatial), torch.ones(shape[0]), atol=1e-4, rtol=0)


def test_a_large_one_covers_as_far_as_it_reaches_and_leaves_the_rest_in_its_order():
    np.random.seed(1)
    before = standardised(3, 64, 64)
    after = StickersTransform(HALF)(image=before.clone())["image"]
    hidden = covered(after)
    assert 0.3 < hidden.float().mean() < 0.7
    assert hidden[[0, 0, -1, -1], [0, -1, 0, -1]].any()
    for channel in range(3):
        old, new = before[channel][~hidden], after[channel][~hidden]
        assert torch.equal(old.argsort(), new.argsort())


def test_what_is_labelled_is_not_hidden_and_labels_stay():
    label = torch.zeros(1, 64, 64, dtype=torch.int16)
    label[:, :, 20:44], label[:, :4] = 1, -1
    for seed in range(10):
        np.random.seed(seed)
        out = StickersTransform(HALF)(image=standardised(3, 64, 64), segmentation=label.clone())
        assert torch.equal(out["segmentation"], label)
        hidden = covered(out["image"])
        assert hidden.any()
        assert not (hidden & (label[0] > 0)).any()


def test_an_image_that_is_labelled_everywhere_stays_as_it_is():
    np.random.seed(0)
    image = standardised(3, 16, 16)
    out = StickersTransform(HALF)(image=image.clone(), segmentation=torch.ones(1, 16, 16, dtype=torch.int16))
    assert torch.equal(out["image"], image)


def test_a_plain_image_stays_finite_and_the_seed_settles_the_sticker():
    def drawn(seed, image):
        np.random.seed(seed)
        return StickersTransform(STICKERS)(image=image.clone())["image"]

    assert drawn(0, torch.zeros(3, 8, 8)).isfinite().all()
    image = standardised(3, 32, 32)
    assert torch.equal(drawn(1, image), drawn(1, image))
    assert not torch.equal(drawn(1, image), drawn(2, image))
