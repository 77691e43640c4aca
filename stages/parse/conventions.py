"""Naming conventions counted on human scene graphs; see `training/conventions.py` for how."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

CONVENTIONS_FILE = "conventions.json"
# The pipeline that ships with Relmill, with its conventions and words; MODEL_CARD.md tells of it.
BUILTIN_FOLDER = Path(__file__).parent / "builtin"

# What a noun before "of" is if it is no thing of its own: "a group of people" speaks of people.
MEASURES = frozenset({"measure", "attribute", "attribute of"})


@dataclass(frozen=True, slots=True)
class Conventions:
    """What people make of modifiers and of nouns before "of"."""

    pairs: Mapping[str, Mapping[str, str]]
    """Modifier to noun to role, where it differs from `modifiers`."""
    modifiers: Mapping[str, str]
    heads: Mapping[str, str]
    """Role of most modifiers of this noun, for unknown ones."""
    values: Mapping[str, str]
    """Modifier to the attribute's usual word: `wood` to `wooden`."""
    of: Mapping[str, str]
    """Noun before "of" to what it is: `measure`, `attribute of`, or the relation from it (`>`) or to it (`<`)."""

    def role(self, modifier: str, head: str, *, compound: bool) -> str:
        """What a modifier is to the noun behind it."""
        known = self.pairs.get(modifier, {}).get(head) or self.modifiers.get(modifier)
        if known is not None:
            return known
        return self.heads.get(head, "name") if compound else "attribute"

    def value(self, modifier: str) -> str:
        """The attribute that a modifier gives: "wood" makes wooden."""
        return self.values.get(modifier, modifier)

    def to_json(self) -> bytes:
        """The file `conventions.json` of a model."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=0, sort_keys=True).encode() + b"\n"

    @classmethod
    def from_json(cls, text: bytes) -> "Conventions":
        """What `to_json` wrote."""
        return cls(**json.loads(text))


@cache
def builtin_conventions() -> Conventions:
    """The conventions that ship with Relmill, read once."""
    return Conventions.from_json((BUILTIN_FOLDER / CONVENTIONS_FILE).read_bytes())
