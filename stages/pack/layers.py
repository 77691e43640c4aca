"""What people said of an output after it was made: layers of statements over its shards, for every reader.

A statement becomes a relation of its scene, `human`, with the score 1. Those that the scene has keep their places, for
samples and traces name them by place: what people said in the output itself of the same pair and predicate changes its
state where it stands, as the later word counts; everything else is added behind.
"""

import hashlib
import json
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from schemas import BadInputError, Relation, Scene
from schemas.layer import Layer, Statement, layer_name
from stages.storage import Folder

Triple = tuple[int, int, str]
"""Ids of subject and object, and the predicate."""
State = Literal["asserted", "denied"]


@dataclass(slots=True)
class _OfScene:
    """What all layers say of a scene."""

    json_crc32: int
    by_sample: dict[Triple, dict[str, Statement]] = field(default_factory=dict)
    """Of a triple what each sample says of it, the one that spoke last at the end."""


class Layers:
    """The layers of one output, as a reader sees them: read once, whole.

    Usage::

        layers = Layers.of(folder)  # costs one look-up where there are none
        scene = layers.applied(read_scene(folder, row), row["json_crc32"])
    """

    def __init__(self, where: str, layers: Sequence[Layer] = ()) -> None:
        """
        Args:
            where: the output, for messages.
            layers: from the first on.

        Raises:
            BadInputError: if two of them are of different scenes with the same key.
        """
        self._where = where
        self._layers = tuple(layers)
        self._scenes: dict[str, _OfScene] = {}
        for layer in self._layers:
            for key, scene in layer.scenes.items():
                found = self._scenes.setdefault(key, _OfScene(scene.json_crc32))
                if found.json_crc32 != scene.json_crc32:
                    raise self._of_other_scene(key, scene.json_crc32, found.json_crc32, layer.number)
                for statement in scene.statements:
                    of_triple = found.by_sample.setdefault(statement.triple, {})
                    of_triple.pop(layer.sample, None)
                    if statement.state != "withdrawn":
                        of_triple[layer.sample] = statement
        # The last word on each triple, in an order that does not depend on who came when.
        self._said = {
            key: tuple(list(said.values())[-1] for _, said in sorted(scene.by_sample.items()) if said)
            for key, scene in self._scenes.items()
        }

    @classmethod
    def of(cls, folder: Folder, number: int | None = None) -> "Layers":
        """Read the layers of an output.

        Args:
            folder: of the output.
            number: how many, from the first on; None: all that are there now.

        Raises:
            BadInputError: if one is damaged, of another version or not readable, or there are fewer than `number`.
        """
        layers: list[Layer] = []
        while number is None or len(layers) < number:
            name = layer_name(len(layers))
            try:
                data = folder.read(name)
            except FileNotFoundError as error:
                if number is None:
                    break
                raise BadInputError(
                    f"{folder.path(name)}: missing, and {number} layers are to be read; restore it"
                ) from error
            except PermissionError as error:
                raise BadInputError(f"{folder.path(name)}: no permission to read it; grant it") from error
            layer = Layer.from_json(data, name=folder.path(name))
            previous = layers[-1].sha256 if layers else ""
            if (layer.number, layer.previous) != (len(layers), previous):
                raise BadInputError(
                    f"{folder.path(name)}: is layer {layer.number} behind {layer.previous[:16] or 'none'}, not "
                    f"{len(layers)} behind {previous[:16] or 'none'}; restore the layers that belong together"
                )
            layers.append(layer)
        return cls(str(folder), layers)

    @property
    def number(self) -> int:
        """How many there are."""
        return len(self._layers)

    @property
    def last_sha256(self) -> str:
        """Of the last layer; empty if there is none."""
        return self._layers[-1].sha256 if self._layers else ""

    @property
    def sha256(self) -> str:
        """Hex digest of all that they say to readers; what was said and taken back does not count."""
        said = [
            [key, *statement.triple, statement.text, statement.state]
            for key in sorted(self._said)
            for statement in self._said[key]
        ]
        return hashlib.sha256(b"relmill.layers" + json.dumps(said).encode()).hexdigest()

    def counts(self) -> dict[str, int]:
        """`layers`, `scenes`, `asserted` and `denied`, for people."""
        states = [statement.state for said in self._said.values() for statement in said]
        return {
            "layers": self.number,
            "scenes": sum(bool(said) for said in self._said.values()),
            "asserted": states.count("asserted"),
            "denied": states.count("denied"),
        }

    def check_log(self, digest_of: Callable[[int], str | None]) -> None:
        """Refuse layers over another log than that of this output.

        Args:
            digest_of: the digest of the first so many entries of the log; None if it has fewer.

        Raises:
            BadInputError: naming the layer.
        """
        for layer in self._layers:
            if digest_of(layer.log_length) != layer.log_sha256:
                raise BadInputError(
                    f"{self._where}/{layer_name(layer.number)}: lies over the log of another output, or one that has "
                    f"changed (of its first {layer.log_length} entries some are missing or different); restore the "
                    f"output that was audited, or remove its layers"
                )

    def said_of(self, key: str, json_crc32: int) -> tuple[Statement, ...]:
        """What people say of a scene, by subject, object and predicate; mostly nothing.

        Args:
            key: of the scene.
            json_crc32: of its JSON, as the index has it.

        Raises:
            BadInputError: if what they looked at was another scene of that key.
        """
        said = self._said.get(key, ())
        if said and self._scenes[key].json_crc32 != json_crc32:
            raise self._of_other_scene(key, self._scenes[key].json_crc32, json_crc32, self._last_on(key))
        return said

    def of_sample(self, sample: str, key: str) -> Mapping[Triple, Statement]:
        """What is said of a scene by way of one sample, and not withdrawn."""
        scene = self._scenes.get(key)
        if scene is None:
            return {}
        return {triple: said[sample] for triple, said in scene.by_sample.items() if sample in said}

    def applied(self, scene: Scene, json_crc32: int) -> Scene:
        """The scene with what people say of it; itself if that is nothing.

        Raises:
            BadInputError: as `said_of` and `with_statements`.
        """
        said = self.said_of(scene.key, json_crc32)
        return with_statements(scene, said) if said else scene

    def applied_row(self, row: dict[str, Any]) -> dict[str, Any]:
        """The same for a row of an index: its `relations` with what people say, without a look into the shard.

        Raises:
            BadInputError: as `applied`; here a region is known only if a relation of the row names it.
        """
        if row["key"] not in self._said:
            return row
        said = self.said_of(row["key"], row["json_crc32"])
        cells = row["relations"]
        ends = {cell[f"{end}_id"]: (cell[end], cell[f"{end}_box"]) for cell in cells for end in ("subject", "object")}
        _check_regions(row["key"], said, ends)
        triples = [
            (cell["subject_id"], cell["object_id"], cell["predicate"]) if cell["source"] == "human" else None
            for cell in cells
        ]
        states, new = _placed(triples, said)
        relations = [cell | {"state": state} if state else cell for cell, state in zip(cells, states, strict=True)]
        for one, state in new:
            (subject, subject_box), (object_, object_box) = ends[one.subject], ends[one.object]
            relations.append(
                {
                    "subject_id": one.subject,
                    "subject": subject,
                    "subject_box": subject_box,
                    "predicate": one.predicate,
                    "object_id": one.object,
                    "object": object_,
                    "object_box": object_box,
                    "text": one.text,
                    "score": 1.0,
                    "probability": None,
                    "source": "human",
                    "state": state,
                }
            )
        return row | {"relations": relations, "num_relations": len(relations)}

    def _last_on(self, key: str) -> int:
        return max(layer.number for layer in self._layers if key in layer.scenes)

    def _of_other_scene(self, key: str, said: int, found: int, number: int) -> BadInputError:
        return BadInputError(
            f"{self._where}/{layer_name(number)}: what it says is of another scene {key!r} (crc32 {said:08x}, here "
            f"{found:08x}); it lies over another output. Restore the output that was audited, or remove its layers"
        )


def with_statements(scene: Scene, said: Sequence[Statement]) -> Scene:
    """A scene with what people say of it; relations that it has keep their places.

    Args:
        said: at most one of each triple, none of them withdrawn.

    Raises:
        BadInputError: if one names a region that the scene does not have.
    """
    _check_regions(scene.key, said, {region.id: region for region in scene.regions})
    triples = [
        (relation.subject, relation.object, relation.predicate) if relation.source == "human" else None
        for relation in scene.relations
    ]
    states, new = _placed(triples, said)
    kept = [
        replace(relation, state=state) if state else relation
        for relation, state in zip(scene.relations, states, strict=True)
    ]
    added = [
        Relation(one.subject, one.object, one.predicate, one.text, 1.0, "human", state=state) for one, state in new
    ]
    return replace(scene, relations=(*kept, *added))


def append_layer(folder: Folder, layer: Layer) -> bool:
    """Write a layer behind the ones that are there. False, and nothing changed, if somebody else put one there first.

    Raises:
        UserError: if the store cannot create a file only if it is absent.
        StorageError: if it cannot be written.
    """
    folder.check_writable_log()
    try:
        return folder.create(layer_name(layer.number), layer.to_json())
    finally:
        folder.remove_folder("tmp")


def _placed(
    triples: Sequence[Triple | None], said: Sequence[Statement]
) -> tuple[list[State | None], list[tuple[Statement, State]]]:
    """Where statements go among the relations of a scene.

    Args:
        triples: of each relation of people; None of every other relation.
        said: at most one statement of a triple.

    Returns:
        The new state of each relation, None where nobody speaks of it; and the statements that no relation is of.
    """
    states = {one.triple: _state(one) for one in said}
    there = set(triples)
    return (
        [None if triple is None else states.get(triple) for triple in triples],
        [(one, states[one.triple]) for one in said if one.triple not in there],
    )


def _state(statement: Statement) -> State:
    assert statement.state != "withdrawn", statement  # Layers keep none
    return statement.state


def _check_regions(key: str, said: Sequence[Statement], known: Container[int]) -> None:
    for one in said:
        for region in (one.subject, one.object):
            if region not in known:
                raise BadInputError(
                    f"{key}: a layer relates region {region} by {one.predicate!r}, which the scene does not have; "
                    f"restore the layers of this output"
                )
