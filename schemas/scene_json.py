"""Scene to JSON and back. The bytes are a function of the scene alone, so equal scenes give equal shards."""

import json
from dataclasses import fields
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from schemas.errors import BadInputError
from schemas.scene import (
    SCHEMA_VERSION,
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
)

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


@cache
def _adapter() -> TypeAdapter[Scene]:
    return TypeAdapter(Scene)


# The parts of a scene to the names of their fields, in order; `image.data` is the only field left out.
_NAMES = {
    kind: tuple(f.name for f in fields(kind) if f.name != "data")
    for kind in (Scene, Image, Region, Caption, Phrase, Mention, Relation, Evidence, Repair, Provenance)
}


def _plain(value: Any) -> Any:
    """Dataclasses to dictionaries in field order. Millions of scenes pass here: plain values are told apart first."""
    kind = type(value)
    if kind is str or kind is float or kind is int or value is None:
        return value
    if kind is tuple:
        return [_plain(item) for item in value]
    names = _NAMES.get(kind)
    if names is not None:
        return {name: _plain(getattr(value, name)) for name in names}
    return dict(sorted(value.items())) if kind is dict else value


def scene_to_json(scene: Scene) -> bytes:
    """Write a scene as one line of UTF-8 JSON, without the picture's bytes.

    Raises:
        ValueError: if a number is NaN or infinite; JSON has no such numbers.
    """
    return _ENCODER.encode(_plain(scene)).encode("utf-8", errors="strict")


def scene_from_json(data: bytes | str) -> Scene:
    """Read what `scene_to_json` wrote; `image.data` is None until the caller attaches the picture.

    Raises:
        BadInputError: if the JSON is no scene of this schema version; the message names the field.
    """
    try:
        scene = _adapter().validate_json(data, strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise BadInputError(f"not a {SCHEMA_VERSION} record: {where}: {first['msg']}") from error
    if scene.schema != SCHEMA_VERSION:
        raise BadInputError(f"schema is {scene.schema!r}; this version of relmill reads {SCHEMA_VERSION!r}")
    return scene


def scene_json_schema() -> dict[str, Any]:
    """JSON Schema of the shard's JSON member; `schemas/scene.schema.json` is this, as a file."""
    schema = _adapter().json_schema(mode="serialization")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["$id"] = SCHEMA_VERSION
    image = schema["$defs"]["Image"]
    image["properties"].pop("data")
    return schema
