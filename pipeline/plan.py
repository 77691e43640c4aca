"""The plan: a dataset cut into units by sorted key, once, before anything is labelled.

Annotation files are read here and nowhere else. A plan depends on the dataset and the job alone; cutting it again
gives the same files, so a planner that was killed is simply run again.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.records import records_to_gzip
from schemas import BadInputError, Rejected, Scene, Vocabulary
from schemas.unit import Unit
from stages.ingest import Dataset
from stages.storage import Folder

# One records file holds this many units: some tens of MB, few enough files for 10^5 units.
_UNITS_PER_FILE = 2048

_UNITS_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("num_records", pa.int32(), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """`plan.json`, the last file of a plan to be written: a plan without it is unfinished."""

    job: str
    num_records: int
    num_units: int
    num_rejected: int
    """Records that ingest already refused; they are committed as rejected with their unit."""
    rejected: dict[str, int]
    num_regions: int
    num_captions: int
    num_human_relations: int
    vocabulary_sha256: str


@dataclass(frozen=True)
class Plan:
    """The units of a job, in order."""

    summary: PlanSummary
    units: Sequence[Unit]
    vocabulary: Vocabulary


def open_plan(folder: Folder, job_digest: str) -> Plan | None:
    """The plan of this job in this output, or None if there is no finished one."""
    place = _place(job_digest)
    try:
        summary = PlanSummary(**json.loads(folder.read(f"{place}/plan.json")))
        table = pq.read_table(pa.BufferReader(folder.read(f"{place}/units.parquet")))
        classes = json.loads(folder.read(f"{place}/vocabulary.json"))["classes"]
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise BadInputError(f"{folder.path(place)}: the plan is damaged ({error}); remove that folder") from error
    units = [Unit(number=number, **row) for number, row in enumerate(table.to_pylist())]
    return Plan(summary, units, Vocabulary({name: tuple(words) for name, words in classes.items()}))


def make_plan(
    folder: Folder,
    dataset: Dataset,
    *,
    job_digest: str,
    fingerprint: str,
    unit_size: int,
    progress: Callable[[int], None] = lambda _: None,
) -> Plan:
    """Cut a dataset into units and write the plan. Memory is bounded; `progress` is told the records read so far.

    Raises:
        BadInputError: if an annotation file is not what it should be, or holds no image.
        StorageError: if the output cannot be written.
    """
    place = _place(job_digest)
    tally = _Tally()
    units: list[Unit] = []
    cuts = _cut(tally.watch(dataset.records(), progress), unit_size)
    for number_of_file, group in enumerate(_groups(cuts, _UNITS_PER_FILE)):
        name = f"{place}/records-{number_of_file:05d}.jsonl.gz"
        with folder.scratch() as path:
            with path.open("wb") as file:
                for records in group:
                    offset, data = file.tell(), records_to_gzip(records)
                    file.write(data)
                    identity = _unit_id(fingerprint, [record.key for record in records], job_digest)
                    units.append(Unit(len(units), identity, name, offset, len(data), len(records)))
            _put(folder, path, name)
    if not units:
        raise BadInputError(f"dataset {dataset.name}: no image found; nothing to label")

    vocabulary = Vocabulary.of(tally.classes)
    summary = tally.summary(job_digest, len(units), vocabulary)
    rows = [
        {key: value for key, value in asdict(unit).items() if key not in ("number", "taken_back")} for unit in units
    ]
    with folder.scratch() as path:
        pq.write_table(pa.Table.from_pylist(rows, schema=_UNITS_SCHEMA), path, compression="zstd")
        _put(folder, path, f"{place}/units.parquet")
    folder.create(f"{place}/vocabulary.json", vocabulary.to_json())
    folder.create(f"{place}/plan.json", json.dumps(asdict(summary), indent=1, sort_keys=True).encode() + b"\n")
    return Plan(summary, units, vocabulary)


class _Tally:
    """Counts records as they stream by."""

    def __init__(self) -> None:
        self.classes: set[str] = set()
        self._records = self._regions = self._captions = self._human = 0
        self._rejected: dict[str, int] = {}

    def watch(self, records: Iterator[Scene | Rejected], progress: Callable[[int], None]) -> Iterator[Scene | Rejected]:
        for record in records:
            self._records += 1
            if isinstance(record, Rejected):
                self._rejected[record.reason] = self._rejected.get(record.reason, 0) + 1
            else:
                self.classes.update(region.name for region in record.regions)
                self._regions += len(record.regions)
                self._captions += len(record.captions)
                self._human += sum(relation.source == "human" for relation in record.relations)
            if self._records % 1000 == 0:
                progress(self._records)
            yield record
        progress(self._records)

    def summary(self, job_digest: str, num_units: int, vocabulary: Vocabulary) -> PlanSummary:
        return PlanSummary(
            job=job_digest,
            num_records=self._records,
            num_units=num_units,
            num_rejected=sum(self._rejected.values()),
            rejected=dict(sorted(self._rejected.items())),
            num_regions=self._regions,
            num_captions=self._captions,
            num_human_relations=self._human,
            vocabulary_sha256=vocabulary.sha256,
        )


def _cut(records: Iterator[Scene | Rejected], size: int) -> Iterator[list[Scene | Rejected]]:
    while unit := list(islice(records, size)):
        yield unit


def _groups(cuts: Iterator[list[Scene | Rejected]], size: int) -> Iterator[Iterator[list[Scene | Rejected]]]:
    """Consecutive runs of `size` units, as iterators, so that only one unit is held at a time."""
    for first in cuts:
        yield _chain(first, islice(cuts, size - 1))


def _chain(first: list[Scene | Rejected], rest: Iterator[list[Scene | Rejected]]) -> Iterator[list[Scene | Rejected]]:
    yield first
    yield from rest


def _unit_id(fingerprint: str, keys: Sequence[str], job_digest: str) -> str:
    digest = hashlib.sha256()
    for part in (fingerprint, job_digest, *keys):
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()[:32]


def _put(folder: Folder, path: Any, name: str) -> None:
    """Publish a plan file; one left by a planner that was killed has the same bytes, or is replaced by ours."""
    if not folder.publish(path, name) and folder.read(name) != path.read_bytes():
        folder.replace(name, path.read_bytes())


def _place(job_digest: str) -> str:
    return f"plan/{job_digest[:16]}"
