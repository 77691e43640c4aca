"""The layer: what people said of an output after it was made, beside its shards.

    layers/00000000.json   layers/00000001.json   ...

Contiguous from 0, each created only if absent and never changed; a reader asks for the next number. A layer is a file
of its own so that neither shards nor log are written again: the log may be sealed, and readers may be in the midst.

It is one JSON document that a reader takes whole. Verdicts are thousands: 4,000 statements are 0.5 MB and a tenth of a
second in each process that opens the output. Measured for 100,000, it is 13 MB, three seconds and 0.2 GB; what grows
beyond that should be Parquet, ordered by key, so that a reader takes the part of its shard.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from schemas.errors import BadInputError

LAYER_VERSION = "relmill.layer/1"

_STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, slots=True)
class Statement:
    """What people say of a predicate of an ordered pair of regions.

    To readers it is a relation of the scene with the source `human` and the score 1.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    subject: int
    """Region id."""
    object: int
    """Region id."""
    predicate: str
    """Canonical."""
    text: str
    """Surface text of the relation that was judged."""
    state: Literal["asserted", "denied", "withdrawn"]
    """`withdrawn` takes back what an earlier layer of the same sample says of it."""
    auditors: tuple[str, ...]
    """Who says so, by alphabet; of a withdrawal, who said so before."""

    @property
    def triple(self) -> tuple[int, int, str]:
        """What it speaks of."""
        return self.subject, self.object, self.predicate


@dataclass(frozen=True, slots=True)
class SceneStatements:
    """What a layer says of a scene."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    json_crc32: int
    """Of the scene's JSON in its shard, as the index has it: the very scene that people looked at."""
    statements: tuple[Statement, ...]
    """By subject, object and predicate."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One entry of the log of layers. Its content is a function of output, sample and verdicts: no clock, no host."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    number: int
    previous: str
    """`sha256` of the layer before this one; empty in the first."""
    log_length: int
    """Entries of the commit log over which this lies; the log may have more."""
    log_sha256: str
    """Of these entries; see `stages.pack.LogDigest`."""
    sample: str
    """Digest of the audit sample that the statements are from."""
    auditors: tuple[str, ...]
    """Whose verdicts were looked at, by alphabet."""
    scenes: dict[str, SceneStatements]
    """By key."""
    schema: str = LAYER_VERSION

    @property
    def sha256(self) -> str:
        """Hex digest of its content, which its file has beside it."""
        return _digest(asdict(self))

    def to_json(self) -> bytes:
        """One line of JSON."""
        return _canonical({**asdict(self), "sha256": self.sha256}) + b"\n"

    @classmethod
    def from_json(cls, data: bytes, *, name: str) -> "Layer":
        """Read what `to_json` wrote.

        Args:
            name: of the file, for messages.

        Raises:
            BadInputError: if it is no layer, is damaged, or is of another version; names file and field.
        """
        try:
            document = json.loads(data)
        except ValueError as error:
            raise BadInputError(f"{name}: not valid JSON ({error}); the layer is damaged, restore it") from error
        version = document.get("schema") if isinstance(document, dict) else None
        if version != LAYER_VERSION:
            raise BadInputError(
                f"{name}: schema is {version!r}; this relmill reads {LAYER_VERSION!r}. Install the newer relmill, or "
                f"restore the layer if it is damaged"
            )
        said = document.pop("sha256", None)
        if (found := _digest(document)) != said:
            raise BadInputError(
                f"{name}: its content has sha256 {found}, not {said!r}; the layer is damaged, restore it"
            )
        try:
            # JSON has lists where the layer has tuples, which only JSON may be taken for when checked strictly.
            layer: Layer = _adapter().validate_json(_canonical(document))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise BadInputError(f"{name}: {field}: {first['msg']} (found {first['input']!r}); restore it") from error
        return layer


def layer_name(number: int) -> str:
    """`layers/00000042.json`."""
    return f"layers/{number:08d}.json"


@cache
def _adapter() -> TypeAdapter[Layer]:
    return TypeAdapter(Layer)


def _canonical(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=True, separators=(",", ":"), sort_keys=True).encode("ascii")


def _digest(document: dict[str, Any]) -> str:
    return hashlib.sha256(_canonical(document)).hexdigest()
