"""What a black margin surrounds is found, moved and brought back as nnU-Net's preprocessing does it."""

import numpy as np
import pytest
import torch

from nnunet_mamba import create_network
from nnunet_mamba.export.content import OUTSIDE, content_of
from nnunet_mamba.export.image_network import ImageNetwork
from nnunet_mamba.prediction.plan import SCHEMES, Heads, Normalization, PredictionPlan
from nnunet_mamba.prediction.preprocessing import prepare

SIZE = (32, 64)
CT = {"mean": 120.0, "std": 45.0, "percentile_00_5": 12.0, "percentile_99_5": 230.0}
# Above, below, left and right: none, narrow and wide, odd and even, on all sides and on one, and all but one pixel.
FRAMES = [(0, 0, 0, 0), (0, 0, 7, 9), (5, 0, 3, 0), (0, 12, 20, 13), (1, 4, 0, 1), (30, 1, 0, 63)]


def framed(frame):
    above, below, left, right = frame
    h, w = SIZE
    image = np.zeros((3, h, w), np.float32)
    inside = image[:, above : h - below, left : w - right]
    inside[...] = np.random.default_rng(0).integers(1, 256, inside.shape)
    return image


def prepared(image, normalizations):
    plan = PredictionPlan(
        configuration="2d",
        patch_size=SIZE,
        spacing=(1.0, 1.0),
        transpose_forward=(0, 1, 2),
        normalizations=normalizations,
        heads=Heads(n_heads=1, region_values=(1,)),
        needs_nnunet=None,
    )
    return prepare(image[:, None], (1.0, 1.0, 1.0), plan)


def in_the_middle(data):
    """A window with zeros around data (c, y, x), the smaller margin first, as nnU-Net fills it."""
    missing = [whole - size for whole, size in zip(SIZE, data.shape[1:], strict=True)]
    return np.pad(data, [(0, 0), *((n // 2, n - n // 2) for n in missing)])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_network_sees_what_nnunet_shows_it(scheme):
    network = create_network("ultralight_vm_unet", 3, 1).eval()
    normalizations = (Normalization(scheme=scheme, intensities=CT),) * 3
    seen = []
    network.segment = lambda x: seen.append(x) or x[:, :1]
    images = np.stack([framed(frame) for frame in FRAMES])

    ImageNetwork([network], normalizations, has_regions=True, cuts_margin=True)(torch.from_numpy(images))

    for image, found in zip(images, seen[0], strict=True):
        expected = in_the_middle(prepared(image, normalizations).data[:, 0])
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("heads", "background"), [(1, None), (3, 0)])
def test_logits_lie_where_their_pixels_are_and_the_margin_is_background(heads, background):
    images = torch.from_numpy(np.stack([framed(frame) for frame in FRAMES]))
    content = content_of(images)
    shown = content.moved(images[:, :1].expand(-1, heads, -1, -1))

    found = content.logits(shown, has_regions=background is None)

    for image, logits in zip(images, found, strict=True):
        for head, of_head in enumerate(logits):
            margin = 0.0 if head == background else -OUTSIDE
            torch.testing.assert_close(of_head, torch.where(image[0] > 0, image[0], margin))


def test_pixels_of_content_that_are_black_themselves_stay_content():
    image = torch.from_numpy(framed((4, 4, 4, 4)))[None]
    image[:, :, 10:20, 10:30] = 0
    assert content_of(image).where.sum() == 24 * 56


def test_one_channel_suffices():
    image = torch.zeros(1, 3, *SIZE)
    image[0, 2, 3, 4] = -0.5
    assert content_of(image).where.nonzero().tolist() == [[0, 0, 3, 4]]


def test_a_black_image_is_content_as_a_whole():
    content = content_of(torch.zeros(2, 3, *SIZE))
    assert content.where.all()
    assert not content.by_rows.any()
    assert not content.by_columns.any()


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("axes", [(1,), (2,), (1, 2)])
def test_mirrored_copies_of_what_nnunet_shows_are_not_moved(frame, axes):
    image = framed(frame)
    data = prepared(image, (Normalization(scheme="NoNormalization"),) * 3).data[:, 0]
    mirrored = torch.from_numpy(in_the_middle(data))[None].flip([axis + 1 for axis in axes])
    assert torch.equal(content_of(mirrored).moved(mirrored), mirrored)
