"""From the numbers or names that a file writes to the benchmark's class numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

from schemas.vocabulary import canonical_name
from stages.ingest.predicates import canonical_predicate


class Codes(dict[Any, int]):
    """What a file may write for a class, and the class; raises KeyError for anything else.

    Numbers are those given. Names are found whatever their case and whether `_` or a space parts their words. With
    `canonical`, a name of Relmill's own (`sit on`) also finds the class that is written otherwise (`sitting_on`), if
    it is the only one of that meaning.
    """

    def __init__(self, names: Sequence[str], numbers: Mapping[int, int], *, canonical: bool, predicates: bool) -> None:
        super().__init__(numbers)
        self.names = tuple(names)
        self._plain = {_plain(name): number for number, name in enumerate(names)}
        self._canonical: dict[str, int] = {}
        self._to_canonical = canonical_predicate if predicates else canonical_name
        if canonical:
            forms = [self._to_canonical(name) for name in names]
            self._canonical = {form: number for number, form in enumerate(forms) if forms.count(form) == 1}

    def __missing__(self, code: Any) -> int:
        if not isinstance(code, str):
            raise KeyError(code)
        number = self._plain.get(_plain(code))
        if number is None and self._canonical:
            number = self._canonical.get(self._to_canonical(code))
        if number is None:
            raise KeyError(code)
        self[code] = number
        return number

    @property
    def expected(self) -> str:
        """What may stand there, for a message."""
        numbers = sorted(code for code in self if isinstance(code, int))
        some = ", ".join(self.names[:3]) + (", ..." if len(self.names) > 3 else "")
        by_name = f"one of {len(self.names)} names ({some})"
        return f"{numbers[0]} to {numbers[-1]} or {by_name}" if numbers else by_name


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").lower().split())
