"""What an audit is made of: a sample of relations, and what people say of each of them.

A sample is a folder:

    sample.json                what was drawn from what: `AuditSample` without its items
    items.jsonl                a line for each drawn relation, in the order in which they are judged: `AuditItem`
    verdicts/<auditor>.jsonl   what each auditor said, a line each, in the order in which they said it: `Verdict`
    report.html, report.json   of `relmill audit report`

The first two are written once. Verdicts are only ever appended; the last one of an auditor on an item counts.
"""

import math
import re
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from pydantic import ConfigDict

from schemas.errors import UserError
from schemas.scene import Box

SAMPLE_VERSION = "relmill.audit-sample/1"

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)

Dimension = Literal["predicate", "score", "source", "subject", "object", "dataset"]
"""What a sample may be stratified by. `dataset` is the part of the key before its first dash; `score` its tenth."""

Judgement = Literal["right", "wrong", "wrong box", "wrong predicate", "unsure"]
"""What an auditor says of a relation. `wrong box`: something on the picture does stand in this relation, but not what
is in these boxes, or the boxes fit badly. `wrong predicate`: these two are related otherwise. `wrong`: neither."""

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}"
"""Of an auditor: also the name of a file."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """A part of the population from which so many were drawn at random, without replacement."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    values: dict[str, str]
    """Dimension to value, e.g. `{"predicate": "ride", "score": "0.4-0.5"}`. Empty: all that is too rare to have a
    stratum of its own, taken together."""
    population: int
    """Relations in it, at least `drawn`."""
    drawn: int
    """At least 1."""

    @property
    def weight(self) -> float:
        """How many relations of the population each drawn one stands for: the inverse of its chance to be drawn."""
        return self.population / self.drawn


@dataclass(frozen=True, slots=True)
class Place:
    """Where a member of a shard lies: the bytes `[offset, offset + length)`, and their crc32."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    offset: int
    length: int
    crc32: int


@dataclass(frozen=True, slots=True)
class AuditItem:
    """A drawn relation, with all that is needed to find it again in its output."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    number: int
    """Place in the sample, from 0. The order is random over all strata, so that who stops early has a sample, too."""
    stratum: int
    """Place in `AuditSample.strata`."""
    key: str
    """Of its scene."""
    relation: int
    """Place in the scene's relations, from 0."""
    shard: str
    """Name of the tar in the output."""
    image: Place | None
    """None if the output has no pictures."""
    scene: Place
    """Of the scene's JSON."""
    width: int | None
    """Pixels of the picture."""
    height: int | None
    subject_id: int
    subject: str
    """Class name."""
    subject_box: Box
    predicate: str
    object_id: int
    object: str
    object_box: Box
    text: str
    """As the caption or dataset has it."""
    score: float
    probability: float | None
    source: str


@dataclass(frozen=True, slots=True)
class AuditSample:
    """What was drawn from what."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    output: str
    """Folder or URL of the output."""
    log_length: int
    """Entries of its log when the sample was drawn."""
    log_sha256: str
    """Of these entries; see `stages.audit.log_digest`."""
    seed: int
    by: tuple[Dimension, ...]
    where: str | None
    """Condition in SQL on the population. Relations are asserted and not of people, unless it speaks of `state` and of
    `source`."""
    population: int
    """Relations that could have been drawn."""
    strata: tuple[Stratum, ...]
    num_items: int
    auditors: tuple[str, ...] = ()
    """Who judges it; empty: anybody, everything."""
    overlap: float = 1.0
    """Part of the items, from the first on, that all auditors judge. The others are dealt out one by one."""
    schema: str = SAMPLE_VERSION

    def items_of(self, auditor: str) -> list[int]:
        """Numbers of the items that an auditor is to judge, in order.

        Raises:
            UserError: if the sample has named auditors, and this is none.
        """
        check_auditor(auditor)
        if not self.auditors:
            return list(range(self.num_items))
        if auditor not in self.auditors:
            raise UserError(f"{auditor!r} is no auditor of this sample; it has {', '.join(self.auditors)}")
        num_shared = math.ceil(self.overlap * self.num_items - 1e-9)
        place = self.auditors.index(auditor)
        own = range(num_shared + place, self.num_items, len(self.auditors))
        return [*range(num_shared), *own]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an auditor said of an item, at some time."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    item: int
    auditor: str
    judgement: Judgement | None
    """None takes back what was said before."""
    note: str = ""
    time: str = ""
    """UTC, ISO 8601, by the clock of the machine that wrote it. For people; nothing is computed from it."""
    v: int = 1


def check_auditor(name: str) -> None:
    """Refuse a name that could not be that of a file.

    Raises:
        UserError: saying what names are.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise UserError(
            f"auditor {name!r}: give a name of at most 40 letters, digits, dots, dashes and underscores that begins "
            f"with a letter or digit"
        )


JUDGEMENTS: tuple[Judgement, ...] = get_args(Judgement)
MOST_NOTE = 2000
"""Characters of a note."""
