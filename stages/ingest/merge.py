"""One region for a thing that was boxed several times.

HICO-DET's annotators drew person and object afresh for every triplet: a person who rides, straddles and races one
motorcycle is there as three boxes a few pixels apart. Left so, every scene would hold phantom twins, and "which
person?" would have no answer.
"""

from collections.abc import Collection

from schemas import Box
from schemas.vocabulary import canonical_name
from stages.ingest.draft import Draft

# Own measurement over all same-class pairs of boxes in a picture. In V-COCO, where a thing has one box, 7 of 4,304
# pairs overlap by 0.7 or more. In HICO-DET (train) 83,489 pairs do, and the count has its minimum at 0.3 to 0.4; what
# lies between that and 0.7 may be either, and is left apart.
SAME_THING_IOU = 0.7


class MergedRegions:
    """Adds regions to a draft, giving a box that is there already the region it has.

    Boxes merge if they have the same name and are equal or overlap by `min_iou`; the first box stays.
    """

    def __init__(self, draft: Draft, *, min_iou: float = SAME_THING_IOU) -> None:
        self._draft, self._min_iou = draft, min_iou
        self._by_name: dict[str, list[int]] = {}
        self._by_box: dict[tuple[str, Box], int] = {}
        self._num_merged = 0

    def add(self, name: str, box: Box, *, apart_from: Collection[int] = (), source_id: object = None) -> int | None:
        """The region of a box: an earlier one or a new one; None (and a repair) if the name is empty.

        Args:
            apart_from: regions that this cannot be, unless the boxes are equal: other ends of its relations. Two people
                who hug overlap, and are two.
        """
        canonical = canonical_name(name)
        known = self._by_box.get((canonical, box))
        if known is not None:
            return known
        overlaps = [
            (overlap, -other)
            for other in self._by_name.get(canonical, ())
            if other not in apart_from and (overlap := iou(box, self._draft.regions[other].box)) >= self._min_iou
        ]
        if overlaps:
            # The best overlap; of equal ones the earliest.
            region: int | None = -max(overlaps)[1]
            self._num_merged += 1
        else:
            region = self._draft.region(name, box, source_id=source_id)
        if region is not None:
            self._by_box[canonical, box] = region
            if not overlaps:
                self._by_name.setdefault(canonical, []).append(region)
        return region

    def close(self) -> None:
        """Note in the draft how many boxes were merged into an unequal one."""
        if self._num_merged:
            detail = f"{self._num_merged} boxes overlap one of the same name by {self._min_iou:g} or more; taken as one"
            self._draft.repair("boxes-merged", detail)


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes with positive area."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)
