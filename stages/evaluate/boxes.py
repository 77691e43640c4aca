"""Overlap of boxes in the two conventions of the published evaluators."""

from typing import Literal

import numpy as np

from stages.evaluate.detections import Bools, Floats

BoxEdges = Literal["inclusive", "half_open"]
"""`inclusive`: a box from 3 to 5 covers pixels 3, 4 and 5, so it is 3 wide, as in PASCAL VOC. `half_open`: 2 wide."""


def iou_matrix(first: Floats, second: Floats, *, edges: BoxEdges) -> Floats:
    """(A, B) intersection over union of (A, 4) and (B, 4) boxes; 0 where both are empty.

    Boxes with swapped corners, or not a number, overlap nothing.
    """
    one = 1.0 if edges == "inclusive" else 0.0
    left_top = np.maximum(first[:, None, :2], second[None, :, :2])
    right_bottom = np.minimum(first[:, None, 2:], second[None, :, 2:])
    sides = np.maximum(right_bottom - left_top + one, 0.0)
    shared = sides[..., 0] * sides[..., 1]
    union = box_areas(first, edges=edges)[:, None] + box_areas(second, edges=edges)[None, :] - shared
    overlaps: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=(union > 0) & (shared > 0))
    return overlaps


def box_areas(boxes: Floats, *, edges: BoxEdges) -> Floats:
    """(B,) areas in square pixels; 0 for swapped corners."""
    one = 1.0 if edges == "inclusive" else 0.0
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2] + one, 0.0)
    return np.asarray(sides[:, 0] * sides[:, 1], dtype=np.float64)


def union_boxes(first: Floats, second: Floats) -> Floats:
    """(A, 4) smallest boxes around both of (A, 4) and (A, 4), row by row: the box of a phrase."""
    return np.concatenate((np.minimum(first[:, :2], second[:, :2]), np.maximum(first[:, 2:], second[:, 2:])), axis=1)


def touch_only(first: Floats, second: Floats) -> Bools:
    """(A, B) whether two boxes share less than two rows or columns of pixels, counted inclusively."""
    left_top = np.maximum(first[:, None, :2], second[None, :, :2])
    right_bottom = np.minimum(first[:, None, 2:], second[None, :, 2:])
    return np.asarray((left_top >= right_bottom).any(axis=-1), dtype=np.bool_)
