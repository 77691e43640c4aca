"""Reads what `evaluate labels` needs of output folders: scenes as their indexes hold them, human relations by key.

What people said since, in layers, is theirs as what they said in the dataset, and outweighs it.
"""

from array import array
from collections.abc import Callable, Iterator, Mapping
from math import isfinite
from typing import Any, Literal, get_args

from pipeline.report.sample import committed_rows
from schemas import BadInputError, Image, Region, Relation, Scene
from stages.pack import CommitLog, Layers, read_dataset_file
from stages.storage import Folder, permitted

_SOURCES = get_args(Relation.__annotations__["source"])
_STATES = get_args(Relation.__annotations__["state"])


class Output:
    """The scenes of an output, as far as its indexes hold them."""

    def __init__(self, url: str) -> None:
        self._folder = Folder(url)
        with permitted(url):
            self.job = str(read_dataset_file(self._folder)["job"])
            self.layers = Layers.of(self._folder)
        self.sealed = False
        """Known once `scenes` has come to its end."""

    def scenes(self) -> Iterator[tuple[str, Scene]]:
        """Every committed scene, with the name of its index for messages."""
        number = 0
        for commit in CommitLog(self._folder).entries():
            number += 1
            self.sealed = commit.sealed
            place = self._folder.path(commit.index.name) if commit.index else ""
            with permitted(place):
                for row in committed_rows(self._folder, commit):
                    yield place, _scene(place, row, self.layers)
        if not number:
            raise BadInputError(f"{self._folder}: nothing is committed yet; run `relmill label`")


class HumanRelations:
    """The human relations of an output by key, 77 bytes each: boxes, three numbers of names, the state."""

    def __init__(self, output: Output) -> None:
        self.job, self.layers = output.job, output.layers
        self._numbers: dict[str, int] = {}
        self._starts = array("q", [0])
        self._found = bytearray()
        self._names: dict[str, int] = {}
        self._boxes, self._words, self._denied = array("d"), array("i"), array("b")
        for place, scene in output.scenes():
            if scene.key in self._numbers:
                raise BadInputError(f"{place}: scene {scene.key!r} is there twice; keys are unique within an output")
            self._numbers[scene.key] = len(self._found)
            self._found.append(0)
            self._keep(scene)
        self._texts = list(self._names)

    def find(self, key: str) -> Scene | None:
        """The scene with that key, only its human relations and their regions; None if the truth does not have it."""
        number = self._numbers.get(key)
        if number is None:
            return None
        self._found[number] = 1
        return self._scene(key, number)

    def unfound(self) -> Iterator[Scene]:
        """The scenes with a human assertion that nobody asked for, in the order of the output."""
        for key, number in self._numbers.items():
            if not self._found[number] and not all(self._denied[self._starts[number] : self._starts[number + 1]]):
                yield self._scene(key, number)

    def _scene(self, key: str, number: int) -> Scene:
        regions, relations = [], []
        for row in range(self._starts[number], self._starts[number + 1]):
            subject, predicate, object_ = (self._texts[word] for word in self._words[3 * row : 3 * row + 3])
            x1, y1, x2, y2, u1, v1, u2, v2 = self._boxes[8 * row : 8 * row + 8]
            # Regions are compared by name and box, so each relation may have two of its own.
            regions += [Region(2 * row, subject, (x1, y1, x2, y2)), Region(2 * row + 1, object_, (u1, v1, u2, v2))]
            state: Literal["asserted", "denied"] = "denied" if self._denied[row] else "asserted"
            relations.append(Relation(2 * row, 2 * row + 1, predicate, predicate, 1.0, "human", state=state))
        return Scene(key, Image(""), tuple(regions), relations=tuple(relations))

    def _keep(self, scene: Scene) -> None:
        regions = {region.id: region for region in scene.regions}
        for relation in scene.relations:
            if relation.source == "human":
                ends = regions[relation.subject], regions[relation.object]
                for word in (ends[0].name, relation.predicate, ends[1].name):
                    self._words.append(self._names.setdefault(word, len(self._names)))
                self._boxes.extend((*ends[0].box, *ends[1].box))
                self._denied.append(relation.state == "denied")
        self._starts.append(len(self._denied))


def _scene(place: str, row: dict[str, Any], layers: Layers) -> Scene:
    """What an index row says of relations and their regions, and people since.

    Raises:
        BadInputError: naming file, scene, relation, field, value found and expected.
    """
    regions: dict[int, Region] = {}
    relations = []
    for number, cell in enumerate(row.get("relations") or ()):
        for field, (fits, expected) in _FIELDS.items():
            value = cell.get(field)
            if not fits(value):
                raise BadInputError(
                    f"{place}: {row['key']}: relation {number}: {field} is {value!r}; expected {expected}"
                )
        for end in ("subject", "object"):
            x1, y1, x2, y2 = cell[f"{end}_box"]
            regions[cell[f"{end}_id"]] = Region(cell[f"{end}_id"], cell[end], (x1, y1, x2, y2))
        relations.append(
            Relation(
                subject=cell["subject_id"],
                object=cell["object_id"],
                predicate=cell["predicate"],
                text=cell["predicate"],
                score=cell["score"],
                source=cell["source"],
                probability=cell["probability"],
                state=cell["state"],
            )
        )
    scene = Scene(row["key"], Image(""), tuple(regions.values()), relations=tuple(relations))
    return layers.applied(scene, row.get("json_crc32", -1))


def _is_id(value: Any) -> bool:
    return type(value) is int


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_share(value: Any) -> bool:
    return isinstance(value, float) and 0 <= value <= 1


def _is_box(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(isinstance(x, float) and isfinite(x) for x in value)


_FIELDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    **{f"{end}_id": (_is_id, "a whole number") for end in ("subject", "object")},
    **dict.fromkeys(("subject", "predicate", "object"), (_is_text, "a text")),
    **{f"{end}_box": (_is_box, "four finite numbers") for end in ("subject", "object")},
    "score": (_is_share, "a number in [0, 1]"),
    "probability": (lambda value: value is None or _is_share(value), "a number in [0, 1], or null"),
    "source": (_SOURCES.__contains__, f"one of {', '.join(_SOURCES)}"),
    "state": (_STATES.__contains__, f"one of {', '.join(_STATES)}"),
}
