"""How a scene ends when it is not written: rejected by a stage's judgement, or dead of an exception."""

from dataclasses import dataclass

from schemas.scene import Scene


@dataclass(frozen=True, slots=True)
class Rejected:
    """A stage looked at the scene and refused it. Its own kind of result, not an error."""

    key: str
    stage: str
    reason: str
    """Short stable slug, used alike by code, counters and tests: `image-truncated`."""
    detail: str = ""
    """One sentence for a person: the value found, the value expected."""


@dataclass(frozen=True, slots=True)
class Dead:
    """A scene on which a stage failed, alone, after every retry."""

    key: str
    stage: str
    reason: str
    """Slug: `exception`, `out-of-memory`, `worker-died`, `timeout`."""
    detail: str = ""
    """Type and message of the exception."""
    traceback: str = ""
    attempts: int = 1


Outcome = Scene | Rejected | Dead
"""How a scene stands: going on, or ended."""
