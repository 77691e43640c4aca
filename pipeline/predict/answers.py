"""Pictures in, what a network says of each out, in their order: read ahead by threads, batched by size."""

import itertools
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from pipeline.predict.pictures import Picture, problem_of
from schemas import TransientError
from stages.evaluate.detections import ImagePrediction
from stages.predict import Predictor, View

_READERS = 4


@dataclass(frozen=True, slots=True)
class Unread:
    """A picture that cannot be read, and why."""

    name: str
    problem: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A picture and what the network says of it."""

    name: str
    width: int
    height: int
    data: bytes | None
    """The encoded picture, if it was to be kept."""
    prediction: ImagePrediction


@dataclass(frozen=True, slots=True)
class _Read:
    name: str
    view: View
    data: bytes | None


def answers(
    predictor: Predictor, pictures: Iterable[Picture], *, window: int, keep_data: bool
) -> Generator[Answer | Unread, None, None]:
    """One outcome a picture, in order.

    Args:
        pictures: read while the network looks at those before them; at most two windows are in memory.
        window: pictures among which those of similar size are looked at together.
        keep_data: whether the answers have the pictures' bytes.

    Raises:
        TransientError: if a store failed.
        MemoryError: if a picture is too large for what is left.
        BadInputError, OutOfMemoryError: as `Predictor.predict`.
    """

    def read(picture: Picture) -> _Read | Unread:
        try:
            data = picture.read()
            return _Read(picture.name, predictor.view(data), data if keep_data else None)
        except (MemoryError, TransientError):
            raise
        except Exception as error:  # noqa: BLE001 - decoders raise whatever they stumble over
            return Unread(picture.name, problem_of(error))

    pool = ThreadPoolExecutor(_READERS, thread_name_prefix="predict-read")
    rest = iter(pictures)
    waiting: list[Future[_Read | Unread]] = []
    try:
        while True:
            ahead = [pool.submit(read, one) for one in itertools.islice(rest, window)]
            if waiting:
                yield from _answered(predictor, [future.result() for future in waiting])
            if not ahead:
                return
            waiting = ahead
    finally:
        pool.shutdown(cancel_futures=True)


def _answered(predictor: Predictor, read: list[_Read | Unread]) -> Iterator[Answer | Unread]:
    predictions = iter(predictor.predict([one.view for one in read if isinstance(one, _Read)]))
    for one in read:
        if isinstance(one, Unread):
            yield one
        else:
            yield Answer(one.name, one.view.width, one.view.height, one.data, next(predictions))
