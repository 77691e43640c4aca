"""What the scenes around a position speak of: the texts that a batch may be asked about besides its own."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stages.stream.shard_index import ShardIndex


@dataclass(frozen=True)
class NearbyTexts:
    """Texts of all relations in the windows that a batch is of, by alphabet, each with how often it occurs.

    Of the windows rather than of all data: an output that grows has no whole yet, and of a finished one the window of
    some thousand scenes is a fair sample.
    """

    names: Mapping[str, int]
    """Of subjects and objects."""
    predicates: Mapping[str, int]

    @classmethod
    def of(cls, indexes: Iterable[ShardIndex]) -> "NearbyTexts":
        """Counted over some shards, read with their predicates."""
        names: Counter[str] = Counter()
        predicates: Counter[str] = Counter()
        for index in indexes:
            names.update(index.names)
            for code in index.occurrences[:, 1].tolist():
                predicates[index.predicates[code]] += 1
        return cls.sorted(names, predicates)

    @classmethod
    def sorted(cls, names: Mapping[str, int], predicates: Mapping[str, int]) -> "NearbyTexts":
        """By alphabet."""
        return cls(*({text: counts[text] for text in sorted(counts)} for counts in (names, predicates)))
