import threading

import numpy as np
import pytest

from nnunet_mamba.prediction.sliding_window import NonFiniteLogitsError

PICTURE, VOLUME = (999.0, 1.0, 1.0), (3.0, 1.0, 1.0)
REGIONS = {"labels": {"background": 0, "whole": [1, 2], "core": 2}, "order": (1, 2)}
# Ties within rounding: a batch of another size may be rounded otherwise.
MOST_TIES = 1e-4


def _ours(engine, image, spacing, *, with_probabilities=False):
    prepared = engine.prepare(image, spacing)
    found = engine.segment([prepared], with_probabilities=with_probabilities)[0]
    return engine.bring_back(found, with_probabilities=with_probabilities)


def _agree(ours, theirs):
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    assert (ours != theirs).mean() <= MOST_TIES
    assert len(np.unique(theirs)) > 1, "nothing would be compared"


@pytest.mark.parametrize("shape", [(16, 24), (9, 11), (50, 24), (45, 70), (12, 90)], ids=str)
@pytest.mark.parametrize("mirror_axes", [(), (0,), (0, 1)], ids=str)
def test_a_picture_of_any_size_has_nnunets_label_map(make_stock, make_engine, make_image, shape, mirror_axes):
    stock = make_stock(mirror_axes=mirror_axes)
    image = make_image(1, 1, *shape, margin=1)
    label, _ = _ours(make_engine(stock), image, PICTURE)
    _agree(label, stock.label_map(image, PICTURE))


@pytest.mark.parametrize(
    "kind", [{}, REGIONS, {"labels": {"background": 0, "a": 1, "b": 2}}], ids=["2", "regions", "3"]
)
def test_slices_of_a_volume_have_nnunets_label_map(make_stock, make_engine, make_image, kind):
    stock = make_stock(n_channels=2, mirror_axes=(0, 1), n_folds=2, **kind)
    image = make_image(2, 21, 30, 33, margin=2)
    label, _ = _ours(make_engine(stock), image, VOLUME)
    _agree(label, stock.label_map(image, VOLUME))


@pytest.mark.parametrize("kind", [{}, REGIONS], ids=["labels", "regions"])
def test_probabilities_are_nnunets(make_stock, make_engine, make_image, kind):
    stock = make_stock(**kind)
    image = make_image(1, 1, 30, 33, margin=4)
    data, properties = stock.prepare(image, PICTURE)
    expected_label, expected = stock.finish(stock.logits(data), properties, with_probabilities=True)
    label, probabilities = _ours(make_engine(stock), image, PICTURE, with_probabilities=True)
    assert probabilities.dtype == np.float32
    assert np.abs(probabilities - expected).max() <= 2e-3
    _agree(label, expected_label)


@pytest.mark.parametrize("transpose", [(1, 0, 2), (2, 0, 1)], ids=str)
def test_axes_come_back_in_the_images_order(make_stock, make_engine, make_image, transpose):
    stock = make_stock(transpose=transpose)
    image = make_image(1, 20, 21, 22, margin=2)
    label, _ = _ours(make_engine(stock), image, (1.0, 1.0, 1.0))
    _agree(label, stock.label_map(image, (1.0, 1.0, 1.0)))


@pytest.mark.parametrize("with_probabilities", [False, True])
def test_what_is_resampled_goes_nnunets_way(make_stock, make_engine, make_image, with_probabilities):
    stock = make_stock(n_folds=2)
    image, spacing = make_image(1, 3, 30, 33, margin=2), (3.0, 0.7, 1.3)
    label, probabilities = _ours(make_engine(stock), image, spacing, with_probabilities=with_probabilities)
    _agree(label, stock.label_map(image, spacing))
    assert (probabilities is not None) == with_probabilities


def test_networks_of_volumes_go_nnunets_way(make_stock, make_engine, make_image, capsys):
    stock = make_stock(patch_size=(8, 12, 12), mirror_axes=(0, 2), n_folds=2)
    image = make_image(1, 11, 18, 12)
    expected = stock.label_map(image, (1.0, 1.0, 1.0))
    engine = make_engine(stock)
    capsys.readouterr()
    label, _ = _ours(engine, image, (1.0, 1.0, 1.0))
    assert capsys.readouterr().out == ""
    _agree(label, expected)


def test_neighbours_of_one_size_share_their_passes(make_stock, make_engine, make_image):
    engine = make_engine(make_stock(mirror_axes=(0,)))
    images = [make_image(1, 1, 16, 24, seed=seed) for seed in range(5)]
    prepared = [engine.prepare(image, PICTURE) for image in images]
    n_passes = []
    engine._networks[0].register_forward_hook(lambda *_: n_passes.append(1))
    alone = [engine.segment([one], with_probabilities=False)[0].label for one in prepared]
    assert len(n_passes) == 5
    together = [found.label for found in engine.segment(prepared, with_probabilities=False)]
    assert len(n_passes) == 6
    assert all((one != other).mean() <= MOST_TIES for one, other in zip(alone, together, strict=True))


def test_images_of_other_sizes_have_no_room_in_a_group(make_stock, make_engine, make_image):
    engine = make_engine(make_stock())
    small, padded, large = (engine.prepare(make_image(1, 1, *shape), PICTURE) for shape in ((16, 24), (5, 6), (17, 24)))
    assert engine.has_room([small], padded)
    assert not engine.has_room([small], large)
    many = engine.prepare(make_image(1, engine._window.slices_at_once, 16, 24), VOLUME)
    assert not engine.has_room([small], many)


def test_several_threads_may_predict_at_once(make_stock, make_engine, make_image):
    engine = make_engine(make_stock())
    images = [make_image(1, 1, 20, 30, seed=seed) for seed in range(8)]
    expected = [_ours(engine, image, PICTURE)[0] for image in images]
    found = [None] * len(images)

    def predict(index):
        found[index] = _ours(engine, images[index], PICTURE)[0]

    threads = [threading.Thread(target=predict, args=(index,)) for index in range(len(images))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


def test_refuses_outputs_that_are_not_finite(make_stock, make_engine, make_image):
    stock = make_stock()
    stock.networks[0].layer.weight.data[0, 0, 0, 0] = float("nan")
    with pytest.raises(NonFiniteLogitsError, match="not finite; are the weights damaged"):
        _ours(make_engine(stock), make_image(1, 1, 16, 24), PICTURE)
