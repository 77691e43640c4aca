"""`relmill audit apply`: what auditors said of a sample, written over the output that it is from, for every reader."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from schemas import BadInputError, ConflictError, UserError
from schemas.audit import AuditItem, AuditSample
from schemas.layer import layer_name
from stages.audit import check_output, log_digest, read_item, read_sample, read_verdicts
from stages.audit.apply import Changes, Decision, changes, decisions, layer_of, sample_sha256
from stages.pack import Layers, append_layer, read_dataset_file
from stages.storage import Folder, permitted

# Each lost race is a layer of somebody else's; nobody has so many auditors.
_MOST_RACES = 20
# Object stores answer after tens of milliseconds.
_THREADS = 8
_MOST_TIES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of the verdicts on a sample. Counts are relations: two items on the same one count once."""

    output: str
    layer: str | None
    """Name of the file that was written; None if there was nothing new."""
    num_asserted: int
    """New or changed, as are the denied ones."""
    num_denied: int
    num_withdrawn: int
    """Said before, and then taken back, or not agreed on any more."""
    num_unchanged: int
    num_unsure: int
    """Of which nobody says anything else. Nothing is written of them."""
    num_not_judged: int
    """Of the sample."""
    ties: tuple[Decision, ...]
    """Nothing is written of them either."""
    num_already_denied: int
    """Relations that the output itself denies, but not people: whether right means that is not for us to say."""

    def __str__(self) -> str:
        lines = [
            f"{self.output}/{self.layer}" if self.layer else f"{self.output}: nothing new, so nothing is written",
            f"asserted   {self.num_asserted}",
            f"denied     {self.num_denied}",
            f"unchanged  {self.num_unchanged}, said before",
            f"withdrawn  {self.num_withdrawn}",
            f"unsure     {self.num_unsure}; not judged {self.num_not_judged}",
            f"ties       {len(self.ties)}" + ("; have one more person judge, then apply again" if self.ties else ""),
            *(f"           {_tie(tie)}" for tie in self.ties[:_MOST_TIES_SHOWN]),
        ]
        if len(self.ties) > _MOST_TIES_SHOWN:
            lines.append(f"           and {len(self.ties) - _MOST_TIES_SHOWN} more")
        if self.num_already_denied:
            lines.append(f"left out   {self.num_already_denied} that the output denies itself; apply assertions only")
        if self.layer:
            lines.append(
                f"next       `relmill inspect {self.output}`, `relmill evaluate labels`, `relmill calibrate` and new "
                f"trainings see them; a training that has begun goes on without"
            )
        return "\n".join(lines)


def apply_verdicts(sample: Path, output: str | None = None) -> Applied:
    """Write what the verdicts on a sample say as a layer over the output that it was drawn from.

    Neither shards nor log are touched, and the log may be sealed. To apply the same verdicts again writes nothing.

    Args:
        sample: its folder.
        output: where the output lies now; None: where it was when the sample was drawn.

    Raises:
        UserError: if nobody has said anything of the sample, or the store cannot create a file only if it is absent.
        BadInputError: if sample, verdicts or layers are damaged, or the output is not the one that the sample is from.
        ConflictError: if others write layers again and again.
        StorageError: if the output cannot be written.
    """
    drawn, items = read_sample(sample)
    decided = decisions(items, read_verdicts(sample, num_items=drawn.num_items))
    if not decided:
        raise UserError(f"{sample}: nobody has judged anything yet; run `relmill audit serve {sample}`")
    folder = Folder(output or drawn.output)
    with permitted(str(folder)):
        read_dataset_file(folder)
        check_output(drawn, folder)
        return _apply(folder, drawn, items, decided, sample_sha256(sample))


def _apply(
    folder: Folder, drawn: AuditSample, items: Sequence[AuditItem], decided: Sequence[Decision], sample: str
) -> Applied:
    for _ in range(_MOST_RACES):
        layers = Layers.of(folder)
        layers.check_log(lambda length: _log_sha256(folder, drawn, length))
        already_denied = _already_denied(folder, changes(layers, sample, decided).items)
        kept = [decision for decision in decided if decision.item.number not in already_denied]
        changed = changes(layers, sample, kept)
        layer = layer_of(
            layers, changed, decided, sample=sample, log_length=drawn.log_length, log_sha256=drawn.log_sha256
        )
        if not changed.written or append_layer(folder, layer):
            name = layer_name(layer.number) if changed.written else None
            return _applied(folder, name, items, kept, changed, num_already_denied=len(already_denied))
    raise ConflictError(
        f"{folder}/layers: {_MOST_RACES} times others wrote a layer just before this one; apply again when they end"
    )


def _applied(
    folder: Folder,
    name: str | None,
    items: Sequence[AuditItem],
    decided: Sequence[Decision],
    changed: Changes,
    *,
    num_already_denied: int,
) -> Applied:
    outcomes = [decision.outcome for decision in decided]
    num_relations = len({(item.key, item.subject_id, item.object_id, item.predicate) for item in items})
    num_judged = sum(outcome != "taken back" for outcome in outcomes) + num_already_denied
    return Applied(
        output=str(folder),
        layer=name,
        num_asserted=changed.num_asserted,
        num_denied=changed.num_denied,
        num_withdrawn=changed.num_withdrawn,
        num_unchanged=changed.num_unchanged,
        num_unsure=outcomes.count("unsure"),
        num_not_judged=num_relations - num_judged,
        ties=tuple(decision for decision in decided if decision.outcome == "tie"),
        num_already_denied=num_already_denied,
    )


def _already_denied(folder: Folder, items: Sequence[AuditItem]) -> frozenset[int]:
    """Numbers of the items whose relation is denied in the shard, and not by people.

    Raises:
        BadInputError: if an item is not what lies there.
    """

    def is_denied(item: AuditItem) -> bool:
        scene = read_item(folder, item, pixels=False)
        relation = scene.relations[item.relation]
        there = relation.subject, relation.object, relation.predicate
        said = item.subject_id, item.object_id, item.predicate
        if there != said:
            raise BadInputError(
                f"item {item.number}: is {said} by the sample, but relation {item.relation} of {item.key} in {folder} "
                f"is {there}; restore the sample, or draw anew"
            )
        return relation.state == "denied" and relation.source != "human"

    with ThreadPoolExecutor(_THREADS) as pool:
        found = list(pool.map(is_denied, items))
    return frozenset(item.number for item, denied in zip(items, found, strict=True) if denied)


def _log_sha256(folder: Folder, drawn: AuditSample, length: int) -> str | None:
    if length == drawn.log_length:
        return drawn.log_sha256  # checked already
    try:
        return log_digest(folder, length)[1]
    except BadInputError:
        return None


def _tie(decision: Decision) -> str:
    item = decision.item
    votes = ", ".join(f"{name}: {vote}" for name, vote in decision.votes) or "each says both"
    return f"item {item.number}, {item.key}: {item.subject} {item.predicate} {item.object} ({votes})"
