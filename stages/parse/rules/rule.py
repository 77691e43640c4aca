"""What a rule is."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from stages.parse.reading import Link, Reading


@dataclass(frozen=True, slots=True)
class Rule:
    """Finds the relations that a word states by standing in one of these dependency relations to its head."""

    name: str
    deps: tuple[str, ...]
    find: Callable[[Reading, int], Iterable[Link]]
    examples: Mapping[str, tuple[str, ...]]
    """Sentences with all relations that they state; a test reads each."""
