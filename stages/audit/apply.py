"""From verdicts to what people say of an output: which relations hold, which do not, and where they do not agree.

| verdict | becomes |
|---|---|
| `right` | the predicate is asserted of this pair |
| `wrong`, `wrong predicate`, `wrong box` | it is denied of this pair, as boxed |
| `unsure` | nothing |

Of several auditors the majority counts; a tie is nothing. Items of one sample on the same pair and predicate, which two
sources may have said, are one relation: an auditor has one vote on it, and none after saying both.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from schemas import BadInputError
from schemas.audit import AuditItem, Judgement, Verdict
from schemas.layer import Layer, SceneStatements, Statement
from stages.audit.sample_files import ITEMS_FILE, SAMPLE_FILE
from stages.audit.verdict_log import latest
from stages.pack import Layers

State = Literal["asserted", "denied"]

_STATES: dict[Judgement, State] = {
    "right": "asserted",
    "wrong": "denied",
    "wrong predicate": "denied",
    "wrong box": "denied",
}


@dataclass(frozen=True, slots=True)
class Decision:
    """What the auditors of a relation came to."""

    item: AuditItem
    """The first of the sample that is on this pair and predicate."""
    outcome: Literal["asserted", "denied", "tie", "unsure", "taken back"]
    votes: tuple[tuple[str, State], ...]
    """Auditor and vote, by name; without those who are unsure."""
    heard: frozenset[str]
    """Who said anything of it at any time, also what they took back."""

    @property
    def state(self) -> State | None:
        """None if they came to nothing."""
        return self.outcome if self.outcome in ("asserted", "denied") else None

    @property
    def statement(self) -> Statement | None:
        """What is to be written; None if they came to nothing."""
        if self.state is None:
            return None
        auditors = tuple(name for name, vote in self.votes if vote == self.state)
        item = self.item
        return Statement(item.subject_id, item.object_id, item.predicate, item.text, self.state, auditors)


@dataclass(frozen=True)
class Changes:
    """What decisions change of what an output's layers say of a sample."""

    written: dict[str, list[Statement]]
    """By key: new, changed and withdrawn statements."""
    items: list[AuditItem]
    """Of the new and changed ones."""
    num_asserted: int
    num_denied: int
    num_withdrawn: int
    num_unchanged: int
    """Said before, and said now."""


def decisions(items: Sequence[AuditItem], verdicts: Sequence[Verdict]) -> list[Decision]:
    """What the auditors came to, of every relation that somebody spoke of, in the order of the sample.

    Args:
        items: of the sample, by number.
        verdicts: of `read_verdicts`: all that was ever said.
    """
    first: dict[tuple[str, int, int, str], AuditItem] = {}
    for item in items:
        first.setdefault(_triple(item), item)
    heard: dict[int, set[str]] = {}
    for verdict in verdicts:
        heard.setdefault(first[_triple(items[verdict.item])].number, set()).add(verdict.auditor)
    votes: dict[int, dict[str, set[State]]] = {}
    for (auditor, number), verdict in latest(verdicts).items():
        of_relation = votes.setdefault(first[_triple(items[number])].number, {}).setdefault(auditor, set())
        if verdict.judgement in _STATES:
            of_relation.add(_STATES[verdict.judgement])
    return [_decision(items[number], votes.get(number, {}), frozenset(heard[number])) for number in sorted(heard)]


def changes(layers: Layers, sample: str, decided: Iterable[Decision]) -> Changes:
    """What is to be written so that the layers say what was decided.

    The state alone tells whether something was said before: who agrees later adds nothing. A statement is withdrawn
    only if somebody who made it has spoken here, so that a sample may be judged in several copies, and each applied.

    Args:
        layers: of the output.
        sample: digest of the sample, of `sample_sha256`.
        decided: on its relations.
    """
    written: dict[str, list[Statement]] = {}
    judged: list[AuditItem] = []
    counts = {"asserted": 0, "denied": 0, "withdrawn": 0, "unchanged": 0}
    for decision in decided:
        item, new = decision.item, decision.statement
        old = layers.of_sample(sample, item.key).get((item.subject_id, item.object_id, item.predicate))
        if new is None:
            if old is None or decision.heard.isdisjoint(old.auditors):
                continue
            new = Statement(*old.triple, old.text, "withdrawn", old.auditors)
        elif old is not None and old.state == new.state:
            counts["unchanged"] += 1
            continue
        else:
            judged.append(item)
        counts[new.state] += 1
        written.setdefault(item.key, []).append(new)
    return Changes(written, judged, **{f"num_{name}": number for name, number in counts.items()})


def layer_of(
    layers: Layers, changed: Changes, decided: Sequence[Decision], *, sample: str, log_length: int, log_sha256: str
) -> Layer:
    """The next layer of an output.

    Args:
        layers: that it has.
        changed: what is to be written, of `changes`.
        decided: what the changes follow from.
        sample: digest of the sample.
        log_length: entries of the commit log when the sample was drawn.
        log_sha256: of these entries.
    """
    crc32s = {decision.item.key: decision.item.scene.crc32 for decision in decided}
    return Layer(
        number=layers.number,
        previous=layers.last_sha256,
        log_length=log_length,
        log_sha256=log_sha256,
        sample=sample,
        auditors=tuple(sorted(frozenset[str]().union(*(decision.heard for decision in decided)))),
        scenes={
            key: SceneStatements(crc32s[key], tuple(sorted(said, key=lambda one: one.triple)))
            for key, said in sorted(changed.written.items())
        },
    )


def sample_sha256(folder: Path) -> str:
    """Hex digest of a sample: of what was drawn, not of what was said of it.

    Raises:
        BadInputError: if it cannot be read.
    """
    digest = hashlib.sha256(b"relmill.audit-sample")
    for name in (SAMPLE_FILE, ITEMS_FILE):
        try:
            digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
        except OSError as error:
            raise BadInputError(f"{folder / name}: cannot be read: {error}") from error
    return digest.hexdigest()


def _decision(item: AuditItem, said: dict[str, set[State]], heard: frozenset[str]) -> Decision:
    votes = tuple((name, next(iter(states))) for name, states in sorted(said.items()) if len(states) == 1)
    asserting = sum(vote == "asserted" for _, vote in votes)
    denying = len(votes) - asserting
    if asserting != denying:
        return Decision(item, "asserted" if asserting > denying else "denied", votes, heard)
    if votes or any(len(states) > 1 for states in said.values()):
        return Decision(item, "tie", votes, heard)
    return Decision(item, "unsure" if said else "taken back", votes, heard)


def _triple(item: AuditItem) -> tuple[str, int, int, str]:
    return item.key, item.subject_id, item.object_id, item.predicate
