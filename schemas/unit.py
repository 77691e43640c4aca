"""The unit of work: a few scenes, in order, that become one shard."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unit:
    """Where the planned records of a unit lie. Small, so that it travels instead of the records."""

    number: int
    """Place in the plan, and number of the unit's commit."""
    id: str
    """Hex digest of the dataset's fingerprint, the keys and the job: equal ids mean equal work."""
    file: str
    """Records file, relative to the output folder: JSON lines, one gzip member a unit."""
    offset: int
    """First byte of the unit's gzip member."""
    length: int
    """Bytes of the member."""
    num_records: int
    taken_back: tuple[tuple[str, int], ...] = ()
    """For a retry unit, whose records were all counted dead before: under which reasons (`dead.<stage>.<reason>`), and
    how many under each. Empty for a planned unit."""
