"""Many images through one engine: reading, computing and writing overlap, and memory stays flat."""

import errno
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from nnunet_mamba.prediction.engine import Engine, NonFiniteLogitsError, PreparedImage, Segmented
from nnunet_mamba.prediction.label_maps import LabelMap
from nnunet_mamba.prediction.preprocessing import FloatArray

# What one image may raise without ending the others: it is unsuitable, or too large for the memory.
IMAGE_ERRORS = (ValueError, MemoryError)
# Images that wait for the network, and label maps that wait for the disk: so many of each at most, and so many bytes.
_MOST_WAITING = 32
# What writing one file may raise where others can be written.
_ERRORS_OF_ONE_FILE = (
    *(errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY),
    *(errno.EACCES, errno.ENOENT),
)
_MOST_BYTES_WAITING = 512 * 2**20
_MOST_THREADS = 4
# So many images are read ahead for one pass.
_GROUP = 8

Item = TypeVar("Item")
Context = TypeVar("Context")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Outcome(Generic[Item, Result]):
    """What became of an image.

    Args:
        item: that stands for it.
        result: what was made of its label map; None if it failed.
        error: why it failed.
    """

    item: Item
    result: Result | None = None
    error: Exception | None = None


class Stream(Generic[Item, Context, Result]):
    """Predicts images one after the other, while the next ones are read and the last ones written.

    Args:
        engine: that predicts.
        load: reads an item, prepares it with the engine, and returns what else ``save`` needs; runs in threads.
        save: makes the result of an item, what ``load`` returned besides, its label map, and its probabilities if
            they are wanted; runs in threads.
        with_probabilities: whether they are.
        in_threads: False calls ``load`` and ``save`` between passes, for images in memory whose networks use every
            processor core already.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        load: Callable[[Item], tuple[PreparedImage, Context]],
        save: Callable[[Item, Context, LabelMap, FloatArray | None], Result],
        with_probabilities: bool = False,
        in_threads: bool = True,
    ) -> None:
        self._engine = engine
        self._load = load
        self._save = save
        self._with_probabilities = with_probabilities
        self._n_threads = max(2, min(_MOST_THREADS, os.cpu_count() or 1)) if in_threads else 0
        self._largest = 1

    def outcomes(self, items: Iterable[Item]) -> Iterator[Outcome[Item, Result]]:
        """Yield what became of each item, in order.

        Args:
            items: taken as they are needed.

        Raises:
            OSError: ``save`` has raised it, as for a full disk: nothing could be written for the others either.
        """
        with self._executor("reading") as readers, self._executor("writing") as writers:
            waiting: deque[tuple[Item, Future[Result] | Exception]] = deque()
            try:
                for loaded, found in self._segmented(items, readers):
                    written = found if isinstance(found, Exception) else writers.submit(self._finish, loaded, found)
                    waiting.append((loaded.item, written))
                    while waiting and (len(waiting) > self._most_waiting() or _is_done(waiting[0][1])):
                        yield _outcome(*waiting.popleft())
                while waiting:
                    yield _outcome(*waiting.popleft())
            finally:
                for pool in (readers, writers):
                    pool.shutdown(cancel_futures=True)

    def _executor(self, activity: str) -> Executor:
        return ThreadPoolExecutor(self._n_threads, f"nnunet_mamba_{activity}") if self._n_threads else _AtOnce()

    def _most_waiting(self) -> int:
        return max(2, min(_MOST_WAITING, _MOST_BYTES_WAITING // self._largest))

    def _finish(self, loaded: "_Loaded[Item, Context]", found: Segmented) -> Result:
        label, probabilities = self._engine.bring_back(found, with_probabilities=self._with_probabilities)
        assert loaded.context is not None
        return self._save(loaded.item, loaded.context, label, probabilities)

    def _segmented(
        self, items: Iterable[Item], readers: Executor
    ) -> "Iterator[tuple[_Loaded[Item, Context], Segmented | Exception]]":
        """Yield what the network says of each item, or why it says nothing, in order."""
        group: list[_Loaded[Item, Context]] = []
        for loaded in self._loaded(items, readers):
            image = loaded.image
            if group and (image is None or not self._engine.has_room(_images(group), image)):
                yield from self._predicted(group)
                group = []
            if image is not None:
                group.append(loaded)
            else:
                assert loaded.error is not None
                yield loaded, loaded.error
        if group:
            yield from self._predicted(group)

    def _loaded(self, items: Iterable[Item], readers: Executor) -> "Iterator[_Loaded[Item, Context]]":
        """Yield the items as they are loaded, in order, with the next ones on their way."""
        ahead: deque[tuple[Item, Future[tuple[PreparedImage, Context]]]] = deque()
        for item in items:
            ahead.append((item, readers.submit(self._load_and_weigh, item)))
            # Enough for the threads and the next pass, so that a large image after small ones finds room.
            while len(ahead) >= min(self._most_waiting(), self._n_threads + min(self._engine.slices_at_once, _GROUP)):
                yield self._next_loaded(*ahead.popleft())
        while ahead:
            yield self._next_loaded(*ahead.popleft())

    def _next_loaded(self, item: Item, future: "Future[tuple[PreparedImage, Context]]") -> "_Loaded[Item, Context]":
        try:
            image, context = future.result()
        except (*IMAGE_ERRORS, OSError) as error:
            return _Loaded(item=item, error=error)
        return _Loaded(item=item, image=image, context=context)

    def _load_and_weigh(self, item: Item) -> tuple[PreparedImage, Context]:
        image, context = self._load(item)
        self._largest = max(self._largest, image.slices.nbytes)
        return image, context

    def _predicted(
        self, group: "Sequence[_Loaded[Item, Context]]"
    ) -> "Iterator[tuple[_Loaded[Item, Context], Segmented | Exception]]":
        try:
            found = self._engine.segment(_images(group), with_probabilities=self._with_probabilities)
        except (NonFiniteLogitsError, MemoryError) as error:
            # One of them may be the cause, and costs only itself.
            if len(group) == 1:
                yield group[0], error
            else:
                for loaded in group:
                    yield from self._predicted([loaded])
            return
        kept = [0 if one.logits is None else one.logits.nbytes for one in found]
        self._largest = max(self._largest, *kept)
        yield from zip(group, found, strict=True)


class _AtOnce(Executor):
    """Calls what it is given at once, in the thread that gives it."""

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> "Future[Result]":
        future: Future[Result] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except (*IMAGE_ERRORS, OSError) as error:
            future.set_exception(error)
        return future


@dataclass(frozen=True, kw_only=True)
class _Loaded(Generic[Item, Context]):
    """An item that has been read, or the reason why not."""

    item: Item
    image: PreparedImage | None = None
    context: Context | None = None
    error: Exception | None = None


def _images(group: "Sequence[_Loaded[Item, Context]]") -> list[PreparedImage]:
    return [loaded.image for loaded in group if loaded.image is not None]


def _is_done(found: "Future[Result] | Exception") -> bool:
    return isinstance(found, Exception) or found.done()


def _outcome(item: Item, found: "Future[Result] | Exception") -> Outcome[Item, Result]:
    if isinstance(found, Exception):
        return Outcome(item=item, error=found)
    try:
        return Outcome(item=item, result=found.result())
    except IMAGE_ERRORS as error:
        return Outcome(item=item, error=error)
    except OSError as error:
        if error.errno not in _ERRORS_OF_ONE_FILE:
            raise
        return Outcome(item=item, error=error)
