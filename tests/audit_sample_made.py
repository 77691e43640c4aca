"""A small labelled output, and a sample of all that is in it."""

import random
from collections import Counter
from pathlib import Path

from pipeline.label import label, prepare
from schemas.audit import AuditItem, AuditSample, Place, Stratum
from schemas.job import build_job
from stages.audit import VerdictLog, log_digest, write_sample
from stages.pack import CommitLog, read_index
from stages.storage import Folder


def labelled_by_prior(folder: Path, count: int = 12, *, seed: int = 5, **dataset) -> Path:
    """A finished output of drawn scenes with captions, phrases, mentions and evidence, in a second or two."""
    document = {
        "dataset": {"format": "scenes", "count": count, "seed": seed, **dataset}, "caption": {"backend": "given"},
        "parse": {"model": "builtin"}, "tag": {"backend": "prior", "prior": "builtin"}, "output": str(folder),
        "unit_size": 8,
    }  # fmt: skip
    assert label(prepare(build_job(document)), quiet=True).sealed
    return folder


def sample_of_all(output: Path, folder: Path, *, drawn: int | None = None, auditors=(), overlap=1.0,
                  seed: int = 0) -> tuple[AuditSample, list[AuditItem]]:  # fmt: skip
    """Write a sample of the asserted relations that are not of people, stratified by predicate.

    Args:
        drawn: at most so many of each predicate; all, if left out.
    """
    source, draw = Folder(str(output)), random.Random(seed)
    found = [
        (row, number, relation)
        for commit in CommitLog(source).entries()
        for row in read_index(source, commit)
        for number, relation in enumerate(row["relations"])
        if relation["source"] != "human" and relation["state"] == "asserted"
    ]
    draw.shuffle(found)
    population = Counter(relation["predicate"] for _, _, relation in found)
    taken, seen = [], Counter()
    for row, number, relation in found:
        if drawn is None or seen[relation["predicate"]] < drawn:
            seen[relation["predicate"]] += 1
            taken.append((row, number, relation))
    predicates = sorted(population)
    items = [
        _item(i, predicates.index(relation["predicate"]), row, number, relation)
        for i, (row, number, relation) in enumerate(taken)
    ]
    strata = tuple(Stratum({"predicate": name}, population[name], seen[name]) for name in predicates)
    length, digest = log_digest(source)
    sample = AuditSample(
        output=str(output), log_length=length, log_sha256=digest, seed=seed, by=("predicate",), where=None,
        population=len(found), strata=strata, num_items=len(items), auditors=tuple(auditors), overlap=overlap,
    )  # fmt: skip
    write_sample(folder, sample, items)
    return sample, items


def judge(folder: Path, auditor: str, judgements: dict, *, num_items: int, notes: dict | None = None) -> None:
    """Append an auditor's verdicts: item to judgement."""
    log = VerdictLog(folder, auditor, num_items=num_items, now=lambda: "2030-01-02T03:04:05+00:00")
    for item, judgement in judgements.items():
        log.append(item, judgement, (notes or {}).get(item, ""))
    log.close()


def _item(number: int, stratum: int, row: dict, place: int, relation: dict) -> AuditItem:
    return AuditItem(
        number=number, stratum=stratum, key=row["key"], relation=place, shard=row["shard"],
        image=None if row["image_offset"] is None else _place(row, "image"), scene=_place(row, "json"),
        width=row["width"], height=row["height"], subject_id=relation["subject_id"], subject=relation["subject"],
        subject_box=tuple(relation["subject_box"]), predicate=relation["predicate"], object_id=relation["object_id"],
        object=relation["object"], object_box=tuple(relation["object_box"]), text=relation["text"],
        score=relation["score"], probability=relation["probability"], source=relation["source"],
    )  # fmt: skip


def _place(row: dict, kind: str) -> Place:
    return Place(row[f"{kind}_offset"], row[f"{kind}_length"], row[f"{kind}_crc32"])
