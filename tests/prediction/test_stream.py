import threading

import pytest

from nnunet_mamba.prediction import stream as stream_module
from nnunet_mamba.prediction.stream import Stream

PICTURE = (999.0, 1.0, 1.0)


@pytest.fixture
def engine(make_stock, make_engine):
    return make_engine(make_stock())


@pytest.fixture(params=[True, False], ids=["in threads", "between passes"])
def in_threads(request):
    return request.param


def _stream(engine, make_image, save, load=None, in_threads=True):
    def prepared(seed):
        return engine.prepare(make_image(1, 1, 16, 24, seed=seed), PICTURE), f"context of {seed}"

    return Stream(engine, load=load or prepared, save=save, in_threads=in_threads)


def _label(engine, make_image, seed):
    found = engine.segment([engine.prepare(make_image(1, 1, 16, 24, seed=seed), PICTURE)], with_probabilities=False)
    return engine.bring_back(found[0], with_probabilities=False)[0]


def test_results_come_in_order_and_belong_to_their_items(engine, make_image, in_threads):
    stream = _stream(
        engine,
        make_image,
        save=lambda item, context, label, _: (item, context, int(label.sum())),
        in_threads=in_threads,
    )
    outcomes = list(stream.outcomes(range(70)))
    assert [outcome.item for outcome in outcomes] == list(range(70))
    for seed in (0, 33, 69):
        found, context, total = outcomes[seed].result
        assert (found, context) == (seed, f"context of {seed}")
        assert abs(total - int(_label(engine, make_image, seed).sum())) <= 1


def test_an_image_that_cannot_be_read_costs_only_itself(engine, make_image, in_threads):
    def load(seed):
        if seed in (0, 5, 19):
            raise ValueError(f"no image {seed}")
        return engine.prepare(make_image(1, 1, 16, 24, seed=seed), PICTURE), "context"

    outcomes = list(
        _stream(engine, make_image, save=lambda item, *_: item, load=load, in_threads=in_threads).outcomes(range(20))
    )
    assert [outcome.item for outcome in outcomes] == list(range(20))
    assert {outcome.item: str(outcome.error) for outcome in outcomes if outcome.error} == {
        seed: f"no image {seed}" for seed in (0, 5, 19)
    }
    assert [outcome.result for outcome in outcomes if not outcome.error] == [
        seed for seed in range(20) if seed not in (0, 5, 19)
    ]


def test_an_image_whose_logits_are_not_finite_costs_only_itself(engine, make_image, in_threads):
    def load(seed):
        image = make_image(1, 1, 16, 24, seed=seed)
        prepared = engine.prepare(image, PICTURE)
        if seed == 3:
            prepared.slices.fill(float("inf"))
        return prepared, "context"

    outcomes = list(
        _stream(engine, make_image, save=lambda item, *_: item, load=load, in_threads=in_threads).outcomes(range(6))
    )
    assert [outcome.item for outcome in outcomes if outcome.error] == [3]
    assert "not finite" in str(outcomes[3].error)


def test_what_cannot_be_written_ends_the_stream(engine, make_image, in_threads):
    def save(item, *_):
        if item == 2:
            raise OSError("no space left")
        return item

    with pytest.raises(OSError, match="no space left"):
        list(_stream(engine, make_image, save=save, in_threads=in_threads).outcomes(range(50)))


def test_a_stream_that_is_left_early_ends_its_threads(engine, make_image):
    before = threading.active_count()
    for _ in _stream(engine, make_image, save=lambda item, *_: item).outcomes(range(200)):
        break
    assert threading.active_count() <= before


def test_only_so_many_images_wait_at_once(engine, make_image):
    lock, loaded, written, most = threading.Lock(), 0, 0, 0

    def load(seed):
        nonlocal loaded, most
        with lock:
            loaded += 1
            most = max(most, loaded - written)
        return engine.prepare(make_image(1, 1, 16, 24, seed=seed % 5), PICTURE), "context"

    def save(item, *_):
        nonlocal written
        with lock:
            written += 1

    engine._networks._full_pass = engine._networks._most_windows = 8
    n_taken = sum(1 for _ in _stream(engine, make_image, save=save, load=load).outcomes(range(2000)))
    # Those on their way to the network, in a group, and on their way to the disk.
    assert n_taken == 2000
    assert most <= 12 + 8 + 32 + 8


def test_no_images_are_no_outcomes(engine, make_image):
    assert list(_stream(engine, make_image, save=lambda item, *_: item).outcomes([])) == []


def test_large_images_after_small_ones_wait_in_smaller_numbers(engine, make_image, monkeypatch):
    monkeypatch.setattr(stream_module, "_MOST_BYTES_WAITING", 2**20)
    lock, waiting, most = threading.Lock(), 0, 0

    def load(seed):
        nonlocal waiting, most
        shape = (16, 24) if seed < 20 else (256, 256)
        prepared = engine.prepare(make_image(1, 1, *shape, seed=seed), PICTURE)
        with lock:
            waiting += prepared.slices.nbytes
            most = max(most, waiting)
        return prepared, prepared.slices.nbytes

    def save(item, n_bytes, *_):
        nonlocal waiting
        with lock:
            waiting -= n_bytes

    list(_stream(engine, make_image, save=save, load=load).outcomes(range(80)))
    # Of 60 large ones of 2**18 bytes: on their way when the first was weighed, in a group, and on the way to the disk.
    assert most <= 2**18 * (12 + 8 + 4 + 8)


def test_an_image_that_cannot_be_brought_back_costs_only_itself(engine, make_image):
    def save(item, *_):
        if item == 2:
            raise ValueError("the file has changed")
        return item

    outcomes = list(_stream(engine, make_image, save=save).outcomes(range(5)))
    assert {outcome.item: str(outcome.error) for outcome in outcomes if outcome.error} == {2: "the file has changed"}


def test_what_is_done_is_told_at_once(engine, make_image):
    engine._networks._full_pass = engine._networks._most_windows = 1
    loaded = []

    def load(seed):
        loaded.append(seed)
        return engine.prepare(make_image(1, 1, 16, 24, seed=seed), PICTURE), "context"

    outcomes = _stream(engine, make_image, save=lambda item, *_: item, load=load).outcomes(range(200))
    next(outcomes)
    assert len(loaded) < 60
    outcomes.close()


@pytest.mark.parametrize("is_threaded", [True, False])
def test_images_in_memory_are_handled_between_passes_if_wanted(engine, make_image, is_threaded):
    names = set()

    def save(item, *_):
        names.add(threading.current_thread().name)
        return item

    list(_stream(engine, make_image, save, in_threads=is_threaded).outcomes(range(9)))
    assert (names == {threading.current_thread().name}) is not is_threaded
