"""Boxes of relations that each bring their own: those that are equal are one."""

from collections.abc import Callable
from typing import Any

from stages.evaluate.read.raw import Field, Fields

End = tuple[Any, Any, str, str]
"""Name and box of one end of a relation, and the fields in which they stood."""


class BoxesOnce:
    """Collects the ends of an image's relations; equal names with equal boxes are one box."""

    def __init__(self) -> None:
        self.boxes: list[Any] = []
        self.names: list[Any] = []
        self.subjects: list[int] = []
        self.objects: list[int] = []
        self._stood: list[tuple[str, str]] = []
        self._ends: list[tuple[str, str]] = []
        self._place: dict[str, int] = {}

    def add(self, subject: End, object_: End) -> None:
        """Add the ends of the next relation."""
        self.subjects.append(self._box(subject))
        self.objects.append(self._box(object_))
        self._ends.append((subject[2], object_[2]))

    def fields(self, *, predicate: Field, score: Field) -> Fields:
        """Where everything stood; a box, where it first did."""

        def of_box(which: int) -> Callable[[int], str]:
            return lambda i: self._stood[i][which]

        return Fields(
            box=of_box(1),
            label=of_box(0),
            subject=lambda i: self._ends[i][0],
            object=lambda i: self._ends[i][1],
            predicate=predicate,
            score=score,
            box_score=of_box(1),
        )

    def _box(self, end: End) -> int:
        name, box, of_name, of_box = end
        # Whatever stands there has a repr; what is wrong with it is found by the checks.
        place = self._place.setdefault(f"{name!r} {box!r}", len(self.boxes))
        if place == len(self.boxes):
            self.boxes.append(box)
            self.names.append(name)
            self._stood.append((of_name, of_box))
        return place
