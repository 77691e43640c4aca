"""What flows through Relmill. Imports nothing of ours; everything else imports this."""

from schemas.errors import (
    BadInputError,
    ConflictError,
    InternalError,
    JobError,
    OutOfMemoryError,
    RelmillError,
    StorageError,
    TransientError,
    UserError,
)
from schemas.outcome import Dead, Outcome, Rejected
from schemas.scene import (
    SCHEMA_VERSION,
    Box,
    Caption,
    Evidence,
    Image,
    Mention,
    Phrase,
    Provenance,
    Region,
    Relation,
    Repair,
    Scene,
    Span,
)
from schemas.scene_json import scene_from_json, scene_json_schema, scene_to_json
from schemas.vocabulary import Vocabulary

__all__ = [
    "SCHEMA_VERSION",
    "BadInputError",
    "Box",
    "Caption",
    "ConflictError",
    "Dead",
    "Evidence",
    "Image",
    "InternalError",
    "JobError",
    "Mention",
    "OutOfMemoryError",
    "Outcome",
    "Phrase",
    "Provenance",
    "Region",
    "Rejected",
    "Relation",
    "RelmillError",
    "Repair",
    "Scene",
    "Span",
    "StorageError",
    "TransientError",
    "UserError",
    "Vocabulary",
    "scene_from_json",
    "scene_json_schema",
    "scene_to_json",
]
