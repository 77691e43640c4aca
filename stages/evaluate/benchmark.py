"""What a benchmark returns: figures by name, and a row a class. The same for all, so one table, CSV and plot serve."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from schemas import UserError

Conventions = TypeVar("Conventions")


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One class of a benchmark: a predicate, an action and role, or an interaction."""

    name: str
    group: str
    """The part of the benchmark it belongs to, such as `rare`; empty if there are no parts."""
    measure: str
    """What `value` is: `AP`, `phrase AP`, `R@50` ..."""
    value: float | None
    """In [0, 1]; None if there is nothing to find."""
    max_recall: float | None
    """Share of the truths found by any prediction; None where the measure is a recall itself."""
    num_truths: int
    num_predictions: int
    num_train: int | None = None
    """Instances among the training annotations, where the benchmark knows them."""


@dataclass(frozen=True, slots=True)
class BenchmarkScore:
    """What one evaluator says of one set of predictions."""

    figures: Mapping[str, float | None]
    """In the order in which the paper's table has them, each in [0, 1]; None if there is nothing to average."""
    classes: tuple[ClassScore, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"figures": dict(self.figures), "classes": [dataclasses.asdict(row) for row in self.classes]}


def mean(values: list[float]) -> float | None:
    """The arithmetic mean, None of nothing."""
    return sum(values) / len(values) if values else None


def with_choices(conventions: Conventions, choices: Mapping[str, str], *, benchmark: str) -> Conventions:
    """Conventions with some of them chosen anew, from the text of `name=value`.

    Raises:
        UserError: if a name or value is none of the benchmark's; says which there are.
    """
    kinds = get_type_hints(type(conventions))
    chosen: dict[str, Any] = {}
    for name, text in choices.items():
        if name not in kinds:
            raise UserError(f"{benchmark}: no convention {name!r}; there are {', '.join(kinds)}")
        chosen[name] = _value(f"{benchmark}: {name}", text, kinds[name])
    return dataclasses.replace(conventions, **chosen)  # type: ignore[type-var]


def _value(where: str, text: str, kind: Any) -> Any:
    if get_origin(kind) is not None:
        allowed = get_args(kind)
        if text not in allowed:
            raise UserError(f"{where} is {text!r}; choose {' or '.join(allowed)}")
        return text
    try:
        value = kind(text)
    except ValueError:
        value = None
    # Every number of a convention is a threshold, a power or a count, and none of them may be negative.
    if value is None or not 0 <= value < float("inf"):
        raise UserError(f"{where} is {text!r}; give {'a whole number' if kind is int else 'a number'}, 0 or more")
    return value
