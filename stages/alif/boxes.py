"""Boxes as tensors: the two ways to write one, and their generalised intersection over union (GIoU).

Letters: N and M numbers of boxes; `...` any leading dimensions.

- cxcywh: centre x, centre y, width, height, as the network predicts and learns them, as parts of the image's sides;
- xyxy: left, top, right, bottom.
"""

import torch
from torch import Tensor


def boxes_cxcywh_to_xyxy(boxes_cxcywh: Tensor) -> Tensor:
    """(..., 4) centre, width and height to (..., 4) corners, in the same unit."""
    centre, size = boxes_cxcywh.split(2, dim=-1)
    return torch.cat((centre - size / 2, centre + size / 2), dim=-1)


def boxes_xyxy_to_cxcywh(boxes_xyxy: Tensor) -> Tensor:
    """(..., 4) corners to (..., 4) centre, width and height, in the same unit."""
    left_top, right_bottom = boxes_xyxy.split(2, dim=-1)
    return torch.cat(((left_top + right_bottom) / 2, right_bottom - left_top), dim=-1)


def generalized_iou(first_xyxy: Tensor, second_xyxy: Tensor) -> Tensor:
    """Generalised IoU of two sets of boxes, element by element, for matching and loss.

    IoU - (hull - union) / hull, where the hull is the smallest box around both: 1 for equal boxes, towards -1 for
    boxes far apart (Rezatofighi et al., CVPR 2019, algorithm 1). Value and gradient are finite for boxes without area
    too; those have IoU 0, where the published code divides 0 by 0.

    Args:
        first_xyxy: (..., 4); right >= left and bottom >= top.
        second_xyxy: (..., 4); leading dimensions are broadcast against those of `first_xyxy`.

    Returns:
        (...,) between -1 and 1.
    """
    shared = _area(
        torch.maximum(first_xyxy[..., :2], second_xyxy[..., :2]),
        torch.minimum(first_xyxy[..., 2:], second_xyxy[..., 2:]),
    )
    hull = _area(
        torch.minimum(first_xyxy[..., :2], second_xyxy[..., :2]),
        torch.maximum(first_xyxy[..., 2:], second_xyxy[..., 2:]),
    )
    union = _area(first_xyxy[..., :2], first_xyxy[..., 2:]) + _area(second_xyxy[..., :2], second_xyxy[..., 2:]) - shared
    return _part(shared, union) - _part(hull - union, hull)


def pairwise_generalized_iou(first_xyxy: Tensor, second_xyxy: Tensor) -> Tensor:
    """(..., N, M) generalised IoU of every one of (..., N, 4) boxes with every one of (..., M, 4)."""
    return generalized_iou(first_xyxy[..., :, None, :], second_xyxy[..., None, :, :])


def _area(left_top: Tensor, right_bottom: Tensor) -> Tensor:
    width, height = (right_bottom - left_top).clamp(min=0).unbind(-1)
    return width * height


def _part(part: Tensor, whole: Tensor) -> Tensor:
    """`part / whole`, or 0 where `whole` is too small an area to tell from none.

    The inner `where` keeps the division out of the gradient: 0 times infinity would make it not a number.
    """
    smallest = torch.finfo(whole.dtype).eps ** 2  # a square whose side is the rounding error of a coordinate near 1
    divisible = whole > smallest
    return torch.where(divisible, part / torch.where(divisible, whole, 1.0), 0.0)
