"""One output as an endless sequence of scenes: the n-th sample is a function of the log and the seed."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas import BadInputError, UserError
from stages.stream.balance import PredicateCounts, handed_out
from stages.stream.order import permutation
from stages.stream.shard_index import IndexCache, total_size
from stages.stream.shard_log import ShardLog
from stages.stream.texts import NearbyTexts

_SHARDS, _SCENES, _SHARE = 1, 2, 3  # what a draw is for, so that no two have the same key
_KEPT_WINDOWS = 4


@dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """An output to read, and in which order.

    An epoch is cut into windows of some shards; the scenes of a window come in random order. In the first epoch of a
    followed output the shards come as they were committed, in every other epoch in random order.
    """

    output: str
    """Folder or URL of an output of `relmill label`."""
    weight: float = 1.0
    """Of its samples among those of all sources."""
    follow: bool = False
    """Read what is committed while the run goes on. The same flag gives the same order when it has ended."""
    timeout_s: float = 600.0
    """How long to wait for the next commit."""
    window_shards: int = 16
    """Shards whose scenes are mixed. A window begins when all of them are committed."""
    balance: float | None = None
    """Repeat scenes with predicates that less than this part of all scenes assert, e.g. 0.01; see `balance.py`. Of a
    followed output that part is counted over what was committed when the window began. None: every scene once."""
    layers: int | None = None
    """How many layers of what people said since are read. None: all that are there when the output is opened, and the
    same from then on. The order does not depend on them."""

    def __post_init__(self) -> None:
        if self.window_shards < 1:
            raise UserError(f"window_shards is {self.window_shards}; give a number of at least 1")
        if self.layers is not None and self.layers < 0:
            raise UserError(f"layers is {self.layers}; give a number of at least 0, or none for all")
        if not self.timeout_s > 0:
            raise UserError(f"timeout_s is {self.timeout_s}; give a number above 0")
        if self.balance is not None and not 0 < self.balance <= 1:
            raise UserError(f"balance is {self.balance}; give a part of all scenes, above 0 and at most 1")


@dataclass(frozen=True)
class Window:
    """Some shards whose scenes are mixed."""

    epoch: int
    first: int
    """Number of its first sample in the sequence."""
    end: int
    """Number of the first sample behind it."""
    shards: tuple[int, ...]
    """Places in the log's shards, in the order of this epoch."""


class Source:
    """The sequence of one output. Opened in each process that reads."""

    def __init__(self, config: SourceConfig, log: ShardLog, indexes: IndexCache, key: tuple[int, ...]) -> None:
        """
        Args:
            config: what to read, and how.
            log: of the output.
            indexes: of its shards.
            key: of the order.
        """
        self._config = config
        self.log = log
        self._indexes = indexes
        self._key = key
        self._sizes: NDArray[np.int64] = total_size([])
        self._epoch: tuple[int, NDArray[np.int64], NDArray[np.int64]] | None = None
        self._drawn: OrderedDict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = OrderedDict()
        self._counts = PredicateCounts()
        self._num_counted = 0
        self._texts: dict[int, NearbyTexts] = {}

    def locate(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(n,) place of the shard in the log, and (n,) row in it, of some samples; waits until they are committed.

        Args:
            numbers: (n,) rising.

        Raises:
            UserError: if nothing was committed for too long.
            BadInputError: if the output is damaged, or has no scene.
        """
        shards, rows = np.empty_like(numbers), np.empty_like(numbers)
        done = 0
        while done < len(numbers):
            window = self.window(int(numbers[done]))
            until = int(np.searchsorted(numbers, window.end))
            here = slice(done, until)
            order, sizes = self._order(window)
            scenes = order[numbers[here] - window.first]
            slots = np.searchsorted(sizes, scenes, side="right") - 1
            shards[here] = np.array(window.shards)[slots]
            rows[here] = scenes - sizes[slots]
            done = until
        return shards, rows

    def window(self, number: int) -> Window:
        """The window of a sample; waits until it has all its shards."""
        return self._arrival_window(number) or self._random_window(number)

    def texts(self, number: int) -> NearbyTexts:
        """What the window of a sample speaks of."""
        window = self.window(number)
        if window.first not in self._texts:
            indexes = (self._indexes.get(self.log.shards[place], with_predicates=True) for place in window.shards)
            self._texts = {window.first: NearbyTexts.of(indexes)}
        return self._texts[window.first]

    def all_texts(self) -> NearbyTexts:
        """What the whole output speaks of, as far as it is committed."""
        self.log.poll()
        return NearbyTexts.of(self._indexes.get(shard, with_predicates=True) for shard in self.log.shards)

    def substitutes(self, number: int) -> Iterator[int]:
        """The other samples of a window: those that come after this one, then those before it."""
        window = self.window(number)
        yield from range(number + 1, window.end)
        yield from range(window.first, number)

    def log_length(self, number: int) -> int:
        """Entries of the log that decide the order of all samples before this one."""
        if number == 0:
            return 0
        window = self.window(number - 1)
        if window.epoch == 0 and self._config.follow:
            return max(self.log.shards[place].log_length for place in window.shards)
        return self.log.length

    def _arrival_window(self, number: int) -> Window | None:
        """In the first epoch of a followed output, else None."""
        if not self._config.follow:
            return None
        log, size = self.log, self._config.window_shards
        place = self._shard_at(number)
        if place is None:
            log.wait(lambda: self._shard_at(number) is not None)
            place = self._shard_at(number)
        if place is None:
            return None  # the log is sealed and has fewer
        start = place // size * size
        log.wait(lambda: len(log.shards) >= start + size)
        shards = tuple(range(start, min(start + size, len(log.shards))))
        sizes = self._all_sizes()
        return Window(0, int(sizes[start]), int(sizes[shards[-1] + 1]), shards)

    def _random_window(self, number: int) -> Window:
        """In any other epoch; the log is complete then."""
        total = int(self._all_sizes()[-1])
        if not total:
            raise BadInputError(f"{self.log.folder}: is complete and has no scenes; see its report for where they went")
        epoch, within = divmod(number, total)
        if self._epoch is None or self._epoch[0] != epoch:
            order = permutation(len(self.log.shards), *self._key, _SHARDS, epoch)
            self._epoch = epoch, order, total_size([self.log.shards[place] for place in order])
        _, order, sizes = self._epoch
        size = self._config.window_shards
        start = (int(np.searchsorted(sizes, within, side="right")) - 1) // size * size
        end = min(start + size, len(order))
        first = epoch * total
        return Window(epoch, first + int(sizes[start]), first + int(sizes[end]), tuple(order[start:end].tolist()))

    def _shard_at(self, number: int) -> int | None:
        """Place of the committed shard that has the number-th scene in the order of commits."""
        sizes = self._all_sizes()
        return int(np.searchsorted(sizes, number, side="right")) - 1 if number < sizes[-1] else None

    def _all_sizes(self) -> NDArray[np.int64]:
        if len(self._sizes) != len(self.log.shards) + 1:
            self._sizes = total_size(self.log.shards)
        return self._sizes

    def _order(self, window: Window) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(n,) the scenes of a window as they come, and (m + 1,) how many are before each of its shards."""
        if window.first not in self._drawn:
            sizes = total_size([self.log.shards[place] for place in window.shards])
            order = permutation(int(sizes[-1]), *self._key, _SCENES, window.first)
            if self._config.balance is not None:
                order = self._balanced(window, order, self._config.balance)
            self._drawn[window.first] = order, sizes
            while len(self._drawn) > _KEPT_WINDOWS:
                self._drawn.popitem(last=False)
        self._drawn.move_to_end(window.first)
        return self._drawn[window.first]

    def _balanced(self, window: Window, order: NDArray[np.int64], threshold: float) -> NDArray[np.int64]:
        arriving = self._config.follow and window.epoch == 0
        counts = self._counted(window.shards[-1] + 1 if arriving else len(self.log.shards))
        indexes = [self._indexes.get(self.log.shards[place], with_predicates=True) for place in window.shards]
        drawn = handed_out([counts.factors(index, threshold) for index in indexes], order, *self._key, _SHARE,
                           window.first)  # fmt: skip
        # Copies of a scene lie side by side in it.
        return drawn[permutation(len(drawn), *self._key, _SHARE, window.first)]

    def _counted(self, num_shards: int) -> PredicateCounts:
        """Over the first shards of the log."""
        if num_shards < self._num_counted:
            self._counts, self._num_counted = PredicateCounts(), 0
        for shard in self.log.shards[self._num_counted : num_shards]:
            self._counts.add(self._indexes.get(shard, with_predicates=True))
        self._num_counted = num_shards
        return self._counts
