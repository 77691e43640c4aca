"""Which sets of conventions a benchmark is evaluated under: those the user names, changed as the user says."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from schemas import UserError
from stages.evaluate.benchmark import with_choices

T = TypeVar("T")


def chosen_conventions(
    benchmark: str, presets: Mapping[str, T], names: Sequence[str], choices: Sequence[str]
) -> dict[str, T]:
    """The columns of the result.

    Args:
        presets: the benchmark's sets of conventions.
        names: those wanted; none are `official` and, if there is one, `corrected`.
        choices: `name=value`, applied to each of them.

    Raises:
        UserError: if a name or value is none of the benchmark's; says which there are.
    """
    for name in names:
        if name not in presets:
            raise UserError(f"--preset {name}: {benchmark} has {', '.join(presets)}")
    wanted = list(dict.fromkeys(names)) or [name for name in ("official", "corrected") if name in presets]
    values = parted(choices)
    return {name: with_choices(presets[name], values, benchmark=benchmark) for name in wanted}


def as_values(conventions: Any) -> dict[str, Any]:
    """Plain values by name."""
    return dataclasses.asdict(conventions)


def parted(choices: Sequence[str]) -> dict[str, str]:
    """`name=value`, each, as names with values; the last of a name counts.

    Raises:
        UserError: if one is not of that form.
    """
    values = {}
    for choice in choices:
        name, equals, value = choice.partition("=")
        if not equals or not name:
            raise UserError(f"--convention {choice!r}: give name=value, such as ap=all_points")
        values[name.strip()] = value.strip()
    return values
