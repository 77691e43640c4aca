"""Batches of a stream for training: PyTorch's `DataLoader`, told positions.

The sampler tells positions and never waits; workers wait for the log. A sampler that waited would hold back batches
that are already made. Nothing about workers is part of the state, which is a position and what its order rests on.
"""

import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.sharedctypes import RawValue
from typing import Any, Generic, Literal, TypeVar

from schemas import BadInputError, RelmillError, TransientError, UserError
from stages.stream.dataset import SceneStream
from stages.stream.sample import Sample
from stages.stream.texts import NearbyTexts

STATE_SCHEMA = "relmill.stream-state/1"

Made = TypeVar("Made")
Tail = Literal["short", "drop"]
"""What becomes of the last batch of a stream that ends, if too few samples are left: it is smaller, or left out."""


@dataclass(frozen=True, slots=True)
class StreamBatch:
    """The samples of one batch, as one rank sees them."""

    start: int
    """Position of its first sample."""
    size: int
    """Samples over all ranks."""
    own: tuple[Sample, ...]
    """Of this rank, with pictures. May be empty in a batch that is smaller than asked for."""
    all: tuple[Sample, ...]
    """Of all ranks, in order; those of other ranks without pictures. Empty unless asked for, as are `texts`."""
    texts: NearbyTexts
    """What the scenes around the batch speak of."""


class StreamLoader(Generic[Made]):
    """Iterates over the batches of a stream from a position on, and tells where it stands.

    Usage::

        loader = StreamLoader(stream, batch_size=64, rank=rank, num_ranks=8, num_workers=4, make=to_tensors)
        loader.load_state_dict(saved)
        for batch in loader:
            train_on(batch)
            saved = loader.state_dict()  # after this batch, whatever workers have prefetched

    State and order know nothing of ranks and workers: a state may be loaded by any rank of any number.
    """

    def __init__(
        self,
        stream: SceneStream,
        *,
        batch_size: int,
        make: Callable[[StreamBatch], Made],
        rank: int = 0,
        num_ranks: int = 1,
        num_workers: int = 0,
        prefetch: int = 2,
        whole_batch: bool = False,
        tail: Tail = "short",
        most_substitutes: int = 1000,
    ) -> None:
        """
        Args:
            stream: what to read.
            batch_size: samples of a batch over all ranks, at least one for each.
            make: turns the samples of a batch into what iteration gives, in the worker.
            rank: which part of each batch is this one's.
            num_ranks: that share each batch.
            num_workers: processes that read ahead; 0 reads in this process.
            prefetch: batches that each worker makes ahead.
            whole_batch: whether `StreamBatch.all` and `texts` are wanted.
            tail: of a stream that ends.
            most_substitutes: damaged samples that this rank takes substitutes for before it gives up.
        """
        if not 0 <= rank < num_ranks <= batch_size:
            raise UserError(
                f"batch_size is {batch_size} for rank {rank} of {num_ranks}; give a batch of at least one sample a rank"
            )
        self._stream = stream
        self._batch_size = batch_size
        self._maker = _Maker(stream, batch_size, rank, num_ranks, whole_batch, tail, make)
        self._num_workers = num_workers
        self._prefetch = prefetch
        self._most_substitutes = most_substitutes
        self.position = 0
        """Samples given out so far, over all ranks."""
        self.num_substitutes = 0
        """Of those given out by this loader, how many stand for damaged ones."""

    def __iter__(self) -> Generator[Made]:
        """Batches from the present position on, until the stream ends.

        Raises:
            RelmillError: what `SceneStream.read` or `make` raised in a worker.
            TransientError: if a worker died.
            BadInputError: if too many samples are damaged.
        """
        from torch.utils.data import DataLoader

        self._stream.settle_layers()
        given_up = RawValue("b", 0) if self._num_workers else None
        loader: Any = DataLoader(
            replace(self._maker, given_up=given_up),  # of a dataset it needs __getitems__ only
            batch_sampler=_Starts(self.position, self._batch_size),
            collate_fn=_as_it_is,
            num_workers=self._num_workers,
            prefetch_factor=self._prefetch if self._num_workers else None,
        )
        deliveries = iter(loader)
        try:
            with dead_readers_told():
                for delivery in deliveries:
                    if isinstance(delivery, RelmillError):
                        raise delivery
                    if delivery is None:
                        return
                    self.num_substitutes += delivery.num_substitutes
                    if self.num_substitutes > self._most_substitutes:
                        raise BadInputError(
                            f"{self.num_substitutes} samples are damaged, more than {self._most_substitutes} "
                            f"(most_substitutes); restore the shards"
                        )
                    self.position += delivery.size
                    yield delivery.made
        finally:
            if given_up is not None:
                given_up.value = 1  # PyTorch gives each worker five seconds to end by itself
            del deliveries, loader

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands: plain JSON values of a few hundred bytes, the same on every rank."""
        config = self._stream.config
        sources = []
        logs = self._stream.logs_at(self.position)
        for source, layers, (length, digest) in zip(config.sources, self._stream.layers(), logs, strict=True):
            order = {"weight": source.weight, "follow": source.follow, "window_shards": source.window_shards,
                     "balance": source.balance}  # fmt: skip
            said = {"layers": layers.number, "layers_sha256": layers.sha256} if layers.number else {}
            sources.append({**order, "log_length": length, "log_sha256": digest, **said})
        return {"schema": STATE_SCHEMA, "position": self.position, "seed": config.seed, "sources": sources}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where a loader stood, of any batch size and number of ranks and workers.

        Raises:
            BadInputError: if the state is of another order, or an output is not the one that was read; says what
                differs.
        """
        if state.get("schema") != STATE_SCHEMA:
            raise BadInputError(f"the stream's state is {state.get('schema')!r}; this relmill reads {STATE_SCHEMA!r}")
        config = self._stream.config
        _check_same("seed", state["seed"], config.seed)
        _check_same("number of sources", len(state["sources"]), len(config.sources))
        for number, (then, now) in enumerate(zip(state["sources"], config.sources, strict=True)):
            for name in ("weight", "follow", "window_shards", "balance"):
                _check_same(f"{name} of source {number + 1} ({now.output})", then[name], getattr(now, name))
            self._stream.check_log(number, then["log_length"], then["log_sha256"])
            self._stream.check_layers(number, then.get("layers", 0), then.get("layers_sha256"))
        self.position = state["position"]


@contextlib.contextmanager
def dead_readers_told() -> Iterator[None]:
    """Translate what PyTorch says of a worker that died.

    It says so wherever this process is when the signal comes, which may be in the midst of a training step.

    Raises:
        TransientError: if one did.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker (pid" not in str(error):
            raise  # of `make`: "Caught RuntimeError in DataLoader worker process 0"
        raise TransientError(
            f"a worker that reads ahead died, killed or out of memory ({error}); go on from the last state, with "
            f"fewer workers if memory is short"
        ) from error


def _check_same(what: str, then: object, now: object) -> None:
    if then != now:
        raise BadInputError(
            f"{what} was {then} when the stream's state was saved, and is {now}; the order would be another one. Go on "
            f"with the old value, or begin anew"
        )


@dataclass(frozen=True, slots=True)
class _Starts:
    """Where batches begin, without end."""

    first: int
    size: int

    def __iter__(self) -> Iterator[list[int]]:
        start = self.first
        while True:
            yield [start]
            start += self.size


@dataclass(frozen=True, slots=True)
class _Delivery(Generic[Made]):
    """What a worker sends for a batch. (None: the stream has ended; an error: it cannot be read.)"""

    made: Made
    size: int
    num_substitutes: int


@dataclass
class _Maker(Generic[Made]):
    """Makes batches, as the dataset of a `DataLoader`."""

    stream: SceneStream
    batch_size: int
    rank: int
    num_ranks: int
    whole_batch: bool
    tail: Tail
    make: Callable[[StreamBatch], Made]
    given_up: Any = None
    """A number in memory that all processes share: 1 if nobody takes batches any more. None in this process."""

    def __getitems__(self, starts: Sequence[int]) -> _Delivery[Made] | RelmillError | None:
        if self.given_up is not None:
            self.stream.stopped = lambda: bool(self.given_up.value)
        # An error as a value: what PyTorch makes of an exception in a worker has its traceback in the message.
        try:
            return self._deliver(starts[0])
        except RelmillError as error:
            return error

    def _deliver(self, start: int) -> _Delivery[Made] | None:
        size = self.stream.num_before_end(range(start, start + self.batch_size))
        if not size or (size < self.batch_size and self.tail == "drop"):
            return None
        first, end = self.rank * size // self.num_ranks, (self.rank + 1) * size // self.num_ranks
        positions = range(start, start + size)
        own = self.stream.read(positions[first:end])
        everyone: list[Sample] = []
        texts = NearbyTexts({}, {})
        if self.whole_batch:
            texts = self.stream.texts(start, size)
            others = [*positions[:first], *positions[end:]]
            read = self.stream.read(others, pixels=False)
            everyone = [*read[:first], *own, *read[first:]]
        batch = StreamBatch(start, size, tuple(own), tuple(everyone), texts)
        return _Delivery(self.make(batch), size, sum(sample.is_substitute for sample in own))


def _as_it_is(delivery: Any) -> Any:
    return delivery
