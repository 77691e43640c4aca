"""The stream as a dataset: positions in, samples out. Any process that has the configuration can answer."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from schemas import BadInputError, UserError
from stages.pack import Layers
from stages.storage import Folder
from stages.stream.mixture import Mixture
from stages.stream.sample import DamagedError, Sample, ShardReader, what_else_differs
from stages.stream.shard_files import ShardCache
from stages.stream.shard_index import IndexCache
from stages.stream.shard_log import ShardLog, vocabulary_of
from stages.stream.source import Source, SourceConfig
from stages.stream.texts import NearbyTexts

Damaged = Literal["raise", "substitute"]
"""What becomes of a sample whose checksum is wrong: an error, or the next sound one of its window in its place."""


@dataclass(frozen=True, kw_only=True)
class StreamConfig:
    """What to read, and in which order: the same for all ranks and workers."""

    sources: tuple[SourceConfig, ...]
    seed: int = 0
    """Of the order. Two sources have different orders, also if they are the same output."""
    epochs: int | None = None
    """After how often reading every scene the stream ends; only with one source. None: never."""
    damaged: Damaged = "raise"
    mixed_vocabularies: bool = False
    """Take sources whose class names differ. What one of them does not say of another one's classes is then unknown."""
    cache: Path | None = None
    """Folder for copies of remote shards; by default `relmill/shards` in the user's cache folder."""
    cache_bytes: int = 16 * 2**30
    """Of all copies together."""

    def __post_init__(self) -> None:
        if not self.sources:
            raise UserError("sources is empty; name at least one output")
        if self.epochs is not None and (self.epochs < 1 or len(self.sources) > 1):
            raise UserError(
                f"epochs is {self.epochs} with {len(self.sources)} sources; give a number of at least 1 with one "
                f"source, and none with several, which have epochs of different lengths"
            )
        if self.cache_bytes < 1:
            raise UserError(f"cache_bytes is {self.cache_bytes}; give a number of at least 1")


class SceneStream:
    """An endless sequence of samples, or one of some epochs, read by position.

    What stands at a position is a function of the seed and of the logs. It waits for commits that a position needs.

    Usage::

        stream = SceneStream(StreamConfig(sources=(SourceConfig(output="out/demo"),), epochs=1))
        stream.read([0, 1, 2])[0].scene()
    """

    def __init__(self, config: StreamConfig) -> None:
        """Take the configuration; files are opened by the process that reads."""
        self.config = config
        self._mixture = Mixture([source.weight for source in config.sources])
        self._opened: _Opened | None = None
        self.stopped: Callable[[], bool] = _never
        """Asked while it waits for a commit; if true, the process ends. For readers whose batches nobody takes."""

    def __reduce__(self) -> tuple[type["SceneStream"], tuple[StreamConfig]]:
        return SceneStream, (self.config,)

    def open(self) -> "SceneStream":
        """Open the outputs now, so that what is wrong with one is told before anything else is done.

        Raises:
            BadInputError: if one is not an output, is empty or incomplete and not followed, or of a newer version, if
                its layers are damaged or of another output, or if class names differ.
        """
        self._here()
        return self

    def read(self, positions: Sequence[int], *, pixels: bool = True) -> list[Sample]:
        """The samples at some positions, in order; fewer if the stream ends before, none if it has ended.

        Args:
            positions: rising.
            pixels: whether the pictures are read, too.

        Raises:
            UserError: if a followed output had no commit for too long.
            BadInputError: if a shard is missing or is not what was committed, or a sample is damaged.
        """
        opened = self._here()
        wanted = np.asarray(positions[: self.num_before_end(positions)], dtype=np.int64)
        sources, numbers = self._mixture.sources(wanted)
        samples: list[Sample | None] = [None] * len(wanted)
        for source in np.unique(sources).tolist():
            places = np.flatnonzero(sources == source)
            shards, rows = opened.sources[source].locate(numbers[places])
            for place, number, shard, row in zip(
                places.tolist(), numbers[places].tolist(), shards.tolist(), rows.tolist(), strict=True
            ):
                samples[place] = self._sample(int(wanted[place]), source, number, (shard, row), pixels=pixels)
        return [sample for sample in samples if sample is not None]

    def texts(self, start: int, size: int) -> NearbyTexts:
        """What the scenes around a batch speak of, of all sources: the same for every rank."""
        opened = self._here()
        sources, numbers = self._mixture.sources(np.arange(start, start + size))
        names: Counter[str] = Counter()
        predicates: Counter[str] = Counter()
        for source in np.unique(sources).tolist():
            texts = opened.sources[source].texts(int(numbers[sources == source][0]))
            names.update(texts.names)
            predicates.update(texts.predicates)
        return NearbyTexts.sorted(names, predicates)

    def all_texts(self) -> NearbyTexts:
        """What all scenes speak of that are committed now. Reads every index."""
        names: Counter[str] = Counter()
        predicates: Counter[str] = Counter()
        for source in self._here().sources:
            texts = source.all_texts()
            names.update(texts.names)
            predicates.update(texts.predicates)
        return NearbyTexts.sorted(names, predicates)

    def num_before_end(self, positions: Sequence[int]) -> int:
        """How many of some rising positions come before the end of the stream; waits until that is known.

        Raises:
            UserError: as `read`.
        """
        kept = len(positions)
        if self.config.epochs is not None:  # there is one source then, whose numbers are the positions
            source = self._here().sources[0]
            while kept and source.window(int(positions[kept - 1])).epoch >= self.config.epochs:
                kept -= 1
        return kept

    def layers(self) -> list[Layers]:
        """What people said of each source since it was labelled, as far as this stream reads it."""
        return self._here().layers

    def settle_layers(self) -> None:
        """Read no layers but those that are there now, in every process that gets this stream from here.

        Else workers that open an output a little later, or for the next epoch, might find more. It waits for nothing:
        an output that has not begun has none. To open a stream settles them, too.

        Raises:
            BadInputError: if layers are damaged.
        """
        if any(source.layers is None for source in self.config.sources):
            self._settle([Layers.of(Folder(one.output), one.layers).number for one in self.config.sources])

    def logs_at(self, position: int) -> list[tuple[int, str]]:
        """Of each source, what the order of all samples before a position rests on.

        Returns:
            Number of entries of its log, and their digest.
        """
        found = []
        for source, given in zip(self._here().sources, self._mixture.given(position), strict=True):
            length = source.log_length(given)
            digest = source.log.digest(length)
            assert digest is not None, "the order rests on entries that were seen"
            found.append((length, digest))
        return found

    def check_log(self, source: int, length: int, digest: str) -> None:
        """Refuse an output whose log does not begin with those entries.

        Raises:
            BadInputError: naming the output.
        """
        log = self._here().sources[source].log
        log.poll()
        if log.digest(length) != digest:
            raise BadInputError(
                f"{log.folder}: its log is not the one that was read before (of its first {length} entries some are "
                f"missing or different). Restore that output, or begin anew"
            )

    def check_layers(self, source: int, number: int, digest: str | None) -> None:
        """Refuse layers that say anything else than those that were read before: the first `number` of the output.

        Raises:
            BadInputError: naming the output.
        """
        layers = self._here().layers[source]
        output = self.config.sources[source].output
        if layers.number != number:
            raise BadInputError(
                f"{output}: {number} of its layers were read before, now {layers.number}; what is learned would be "
                f"another. Read as many again (layers={number}), or begin anew"
            )
        if number and layers.sha256 != digest:
            raise BadInputError(
                f"{output}: its first {number} layers are not those that were read before; restore them, or begin anew"
            )

    def close(self) -> None:
        """Close all files of this process; reading opens them again."""
        if self._opened is not None:
            for reader in self._opened.readers:
                reader.close()
            self._opened = None

    def _here(self) -> "_Opened":
        # A forked worker must not go on with its parent's connections and half-read logs.
        if self._opened is None or self._opened.process != os.getpid():
            self._opened = _Opened.of(self.config, self.stopped)
            self._settle([layers.number for layers in self._opened.layers])
        return self._opened

    def _settle(self, layers: Sequence[int]) -> None:
        sources = zip(self.config.sources, layers, strict=True)
        self.config = replace(self.config, sources=tuple(replace(one, layers=number) for one, number in sources))

    def _sample(self, position: int, source: int, number: int, place: tuple[int, int], *, pixels: bool) -> Sample:
        opened = self._here()
        try:
            return self._read(opened, position, source, place, pixels=pixels, is_substitute=False)
        except DamagedError as error:
            log = opened.sources[source].log
            if self.config.damaged == "raise":
                raise BadInputError(
                    f"{error}{what_else_differs(log.folder, log.shards[place[0]])}; restore the shard, or let the "
                    f"next sound scene take its place (damaged: substitute)"
                ) from error
            for other in opened.sources[source].substitutes(number):
                shards, rows = opened.sources[source].locate(np.array([other]))
                found = int(shards[0]), int(rows[0])
                try:
                    return self._read(opened, position, source, found, pixels=pixels, is_substitute=True)
                except DamagedError:
                    continue
            raise BadInputError(f"{error}, as is every other scene near it; restore the output") from error

    def _read(
        self, opened: "_Opened", position: int, source: int, place: tuple[int, int], *, pixels: bool,
        is_substitute: bool,
    ) -> Sample:  # fmt: skip
        shard = opened.sources[source].log.shards[place[0]]
        index = opened.indexes[source].get(shard)
        # Whoever reads without pictures must find the same scenes damaged as a rank that reads with them.
        checked = pixels or self.config.damaged == "substitute"
        content, image_length, json_start = opened.readers[source].read(shard, index, place[1], pixels=checked)
        if not pixels:
            content, image_length, json_start = content[json_start:], 0, 0
        key = index.keys[place[1]]
        said = opened.layers[source].said_of(key, index.places[place[1]][-1])
        return Sample(position, source, key, is_substitute, content, image_length, json_start, said)


@dataclass(frozen=True)
class _Opened:
    """What one process has open."""

    process: int
    sources: list[Source]
    indexes: list[IndexCache]
    readers: list[ShardReader]
    layers: list[Layers]

    @classmethod
    def of(cls, config: StreamConfig, stopped: Callable[[], bool]) -> "_Opened":
        cache = ShardCache(config.cache or _default_cache(), config.cache_bytes)
        opened = cls(os.getpid(), [], [], [], [])
        vocabularies = []
        for number, source in enumerate(config.sources):
            folder = Folder(source.output)
            patience_s = source.timeout_s if source.follow else 0
            vocabularies.append(vocabulary_of(folder, timeout_s=patience_s, stopped=stopped))
            log = ShardLog(folder, timeout_s=source.timeout_s, stopped=stopped)
            if not source.follow:
                log.check_complete()
            layers = Layers.of(folder, source.layers)
            if layers.number:
                log.poll()
                layers.check_log(log.digest)
            opened.layers.append(layers)
            # A batch may reach from one window into the next.
            indexes = IndexCache(folder, most=2 * source.window_shards)
            opened.sources.append(Source(source, log, indexes, (config.seed, number)))
            opened.indexes.append(indexes)
            opened.readers.append(ShardReader(folder, cache, num_open=2 * min(source.window_shards, 64)))
        if not config.mixed_vocabularies and len(set(vocabularies)) > 1:
            other = next(i for i, vocabulary in enumerate(vocabularies) if vocabulary != vocabularies[0])
            raise BadInputError(
                f"{config.sources[0].output} and {config.sources[other].output} have different class names (see their "
                f"vocabulary.json). Label both with the same classes, or allow it with mixed_vocabularies"
            )
        return opened


def _never() -> bool:
    return False


def _default_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "relmill" / "shards"
