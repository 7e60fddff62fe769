import numpy as np
import pytest

from nnunet_mamba.prediction.plan import read_prediction_plan
from nnunet_mamba.prediction.preprocessing import UnsuitableImageError, prepare

PICTURE, VOLUME = (999.0, 1.0, 1.0), (3.0, 1.0, 1.0)
ALL_SCHEMES = (
    *("ZScoreNormalization", "CTNormalization", "NoNormalization", "RescaleTo01Normalization"),
    "RGBTo01Normalization",
)


def _both(stock, image, spacing):
    plan = read_prediction_plan(stock.plans, "2d", stock.dataset_json, where="the model")
    ours = prepare(image, spacing, plan)
    theirs, properties = stock.prepare(image, spacing)
    return ours, theirs, properties


@pytest.mark.parametrize("uses_mask", [False, True])
@pytest.mark.parametrize("shape", [(1, 40, 33), (4, 40, 33)], ids=["picture", "volume"])
def test_numbers_are_those_of_nnunet_to_the_last_bit(make_stock, make_image, uses_mask, shape):
    stock = make_stock(n_channels=5, schemes=ALL_SCHEMES, uses_mask=(uses_mask,) * 5)
    image = make_image(5, *shape, margin=3)
    # Holes in the mask, closed and open ones.
    image[:, :, 10:14, 10:14] = 0
    image[:, :, 20, 20:] = 0
    ours, theirs, properties = _both(stock, image, VOLUME)
    assert ours.data.dtype == np.float32
    assert np.array_equal(ours.data, theirs)
    assert [[part.start, part.stop] for part in ours.box] == properties["bbox_used_for_cropping"]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float64])
def test_stored_types_do_not_matter(make_stock, make_image, dtype):
    ours, theirs, _ = _both(make_stock(), make_image(1, 1, 40, 33, dtype=dtype), PICTURE)
    assert np.array_equal(ours.data, theirs)


def test_pixels_that_lie_side_by_side_are_read_as_well(make_stock, make_image):
    pixels = make_image(40, 33, 3, dtype=np.uint8)
    stock = make_stock(n_channels=3)
    ours, theirs, _ = _both(stock, pixels.transpose(2, 0, 1)[:, None], PICTURE)
    assert np.array_equal(ours.data, theirs)


@pytest.mark.parametrize("transpose", [(1, 0, 2), (2, 0, 1), (2, 1, 0)], ids=str)
def test_axes_are_taken_in_the_order_of_the_plans(make_stock, make_image, transpose):
    stock = make_stock(transpose=transpose)
    ours, theirs, properties = _both(stock, make_image(1, 6, 7, 8, margin=1), (1.0, 1.0, 1.0))
    # The order of summation may differ with the order in memory.
    assert np.abs(ours.data - theirs).max() <= 1e-6
    assert ours.shape == tuple(properties["shape_before_cropping"])


def test_an_image_of_zeros_stays_whole(make_stock):
    ours, theirs, properties = _both(make_stock(), np.zeros((1, 1, 20, 30), np.float32), PICTURE)
    assert np.array_equal(ours.data, theirs)
    assert [[part.start, part.stop] for part in ours.box] == properties["bbox_used_for_cropping"]


def test_leaves_to_nnunet_what_must_be_resampled(make_stock, make_image):
    ours, theirs, _ = _both(make_stock(), make_image(1, 2, 20, 30), (3.0, 1.0, 2.0))
    assert ours is None
    assert theirs.shape == (1, 2, 20, 60)


def test_a_spacing_that_changes_no_size_is_not_resampled(make_stock, make_image):
    ours, theirs, _ = _both(make_stock(), make_image(1, 2, 20, 30), (3.0, 1.01, 0.99))
    assert np.array_equal(ours.data, theirs)


def test_the_image_is_not_changed(make_stock, make_image):
    image = make_image(1, 1, 20, 30)
    before = image.copy()
    _both(make_stock(), image, PICTURE)
    assert np.array_equal(image, before)


@pytest.mark.parametrize(
    ("image", "text"),
    [
        (np.zeros((2, 1, 8, 8)), r"the image has the shape \(2, 1, 8, 8\), expected 1 channels of \(z, y, x\)"),
        (np.zeros((1, 8, 8)), r"shape \(1, 8, 8\), expected"),
        (np.zeros((1, 1, 0, 8)), "expected 1 channels"),
        (np.full((1, 1, 8, 8), np.nan), "values that are NaN or infinite"),
        (np.zeros((1, 1, 8, 8), complex), "values of type complex128, expected numbers"),
    ],
)
def test_refuses_what_is_no_image_of_the_model(make_stock, image, text):
    stock = make_stock()
    plan = read_prediction_plan(stock.plans, "2d", stock.dataset_json, where="the model")
    with pytest.raises(UnsuitableImageError, match=text):
        prepare(image, PICTURE, plan)


def large(value, dtype=np.float32):
    image = np.arange(64, dtype=dtype).reshape(1, 1, 8, 8) + 1
    image[0, 0, 2, 3] = value
    return image


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("scheme", "image"),
    [
        ("ZScoreNormalization", large(1e30)),
        ("ZScoreNormalization", large(-1e30)),
        ("ZScoreNormalization", large(1e300, np.float64)),
        ("RescaleTo01Normalization", np.concatenate([large(3e38), large(-3e38)], axis=2)),
        ("NoNormalization", large(1e300, np.float64)),
    ],
)
def test_refuses_what_float32_cannot_normalise_without_warnings(make_stock, scheme, image):
    stock = make_stock(schemes=(scheme,))
    plan = read_prediction_plan(stock.plans, "2d", stock.dataset_json, where="the model")
    with pytest.raises(UnsuitableImageError, match="too large for the float32 in which nnU-Net normalises them"):
        prepare(image, PICTURE, plan)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("scheme", "value"),
    [
        *(("ZScoreNormalization", 1e17), ("RescaleTo01Normalization", 1e30), ("CTNormalization", 1e30)),
        ("NoNormalization", 1e30),
    ],
)
def test_large_numbers_that_can_be_normalised_are_those_of_nnunet(make_stock, scheme, value):
    ours, theirs, _ = _both(make_stock(schemes=(scheme,)), large(value), PICTURE)
    assert np.isfinite(ours.data).all()
    assert np.array_equal(ours.data, theirs)


def test_refuses_numbers_that_no_photograph_has(make_stock):
    stock = make_stock(schemes=("RGBTo01Normalization",))
    plan = read_prediction_plan(stock.plans, "2d", stock.dataset_json, where="the model")
    with pytest.raises(UnsuitableImageError, match="values from -1 to 300, expected the 0 to 255 of photographs"):
        prepare(np.array([-1.0, 300.0]).reshape(1, 1, 1, 2), PICTURE, plan)
