import threading

import numpy as np
import pytest
import torch

from nnunet_mamba.prediction import sliding_window, torch_engine
from nnunet_mamba.prediction.engine import NonFiniteLogitsError
from nnunet_mamba.prediction.preprocessing import UnsuitableImageError

PICTURE, VOLUME = (999.0, 1.0, 1.0), (3.0, 1.0, 1.0)
REGIONS = {"labels": {"background": 0, "whole": [1, 2], "core": 2}, "order": (1, 2)}
KINDS = {
    "two labels": {},
    "regions": REGIONS,
    "three labels": {"labels": {"background": 0, "a": 1, "b": 2}},
    "ignored": {"labels": {"background": 0, "a": 1, "b": 2, "ignore": 3}},
    "regions, ignored": {"labels": {**REGIONS["labels"], "ignore": 3}, "order": (1, 2)},
    "many labels": {"labels": {"background": 0, **{f"label {i}": i for i in range(1, 257)}}},
}
# Ties within rounding: a batch of another size may be rounded otherwise.
MOST_TIES = 1e-4


def _ours(engine, image, spacing, *, with_probabilities=False):
    prepared = engine.prepare(image, spacing)
    found = engine.segment([prepared], with_probabilities=with_probabilities)[0]
    return engine.bring_back(found, with_probabilities=with_probabilities)


def _windows(engine):
    """What runs the networks of slices."""
    return engine._networks


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


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_slices_of_a_volume_have_nnunets_label_map(make_stock, make_engine, make_image, kind):
    stock = make_stock(n_channels=2, mirror_axes=(0, 1), n_folds=2, **kind)
    image = make_image(2, 5, 30, 33, margin=2)
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
    if with_probabilities:
        data, properties = stock.prepare(image, spacing)
        _, expected = stock.finish(stock.logits(data), properties, with_probabilities=True)
        assert np.abs(probabilities - expected).max() <= 2e-3
    else:
        assert probabilities is None


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
    _windows(engine)._networks[0].register_forward_hook(lambda *_: n_passes.append(1))
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
    many = engine.prepare(make_image(1, engine.slices_at_once, 16, 24), VOLUME)
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


class _Small(torch.nn.Module):
    """A network that has memory for a few windows only."""

    def __init__(self, network, most, error):
        super().__init__()
        self.network, self.most, self.error = network, most, error

    def forward(self, x):
        if len(x) > self.most:
            raise self.error
        return self.network(x)


LACKS = [
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
]


@pytest.mark.parametrize("lack", LACKS, ids=["device", "computer", "library"])
@pytest.mark.parametrize("most", [1, 4, 7])
def test_passes_become_smaller_where_memory_is_short(make_stock, make_engine, make_image, lack, most):
    stock = make_stock(mirror_axes=(0,))
    image = make_image(1, 40, 16, 24)
    expected, _ = _ours(make_engine(stock), image, VOLUME)
    engine = make_engine(stock)
    windows = _windows(engine)
    windows._networks[0] = _Small(windows._networks[0], most, lack)
    windows._most_windows = 32
    for _ in range(2):
        label, _ = _ours(engine, image, VOLUME)
        assert (label != expected).mean() <= MOST_TIES


def test_passes_become_larger_again_where_memory_was_short_for_a_while(
    make_stock, make_engine, make_image, monkeypatch
):
    monkeypatch.setattr(sliding_window, "_PASSES_UNTIL_LARGER", 3)
    engine = make_engine(make_stock())
    image = make_image(1, 40, 16, 24)
    windows = _windows(engine)
    windows._full_pass = windows._most_windows = 16
    windows._networks[0] = network = _Small(windows._networks[0], 2, LACKS[0])
    _ours(engine, image, VOLUME)
    assert windows._most_windows <= 4
    network.most = 16
    for _ in range(3):
        _ours(engine, image, VOLUME)
    assert windows._most_windows == 16


def test_a_window_without_memory_is_a_lack_of_memory(make_stock, make_engine, make_image):
    engine = make_engine(make_stock())
    windows = _windows(engine)
    windows._networks[0] = _Small(windows._networks[0], 0, LACKS[0])
    with pytest.raises(MemoryError, match="too large for the memory that is left"):
        _ours(engine, make_image(1, 1, 16, 24), PICTURE)


def test_a_volume_whose_logits_are_not_finite_is_told_as_such(make_stock, make_engine, make_image):
    stock = make_stock(patch_size=(8, 12, 12))
    stock.networks[0].layer.weight.data.fill_(float("inf"))
    with pytest.raises(NonFiniteLogitsError, match="not finite"):
        _ours(make_engine(stock), make_image(1, 8, 12, 12), (1.0, 1.0, 1.0))


def test_values_that_no_photograph_has_are_refused_on_nnunets_way_too(make_stock, make_engine):
    engine = make_engine(make_stock(schemes=("RGBTo01Normalization",)))
    with pytest.raises(UnsuitableImageError, match="values from 0 to 300"):
        engine.prepare(np.linspace(0, 300, 600).reshape(1, 1, 20, 30), (999.0, 1.0, 2.0))


@pytest.mark.parametrize(("n_threads", "is_idle"), [(2, False), (1, True)])
def test_networks_on_all_cores_leave_none_to_other_threads(make_stock, make_engine, monkeypatch, n_threads, is_idle):
    monkeypatch.setattr(torch_engine, "available_cores", lambda: 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: n_threads)
    assert make_engine(make_stock()).leaves_cores_idle is is_idle
