"""Screen: look at every picture and box once, before anything costs GPU time.

Pictures are kept as the bytes they are; what cannot be labelled is rejected with its reason. Boxes end inside the
picture, with a positive area. EXIF orientation is ignored on purpose: boxes of COCO and its kin are in the stored order
of pixels.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace

from PIL import Image as Pillow

from schemas import Box, Image, Region, Rejected, Relation, Repair, Scene
from schemas.job import ScreenJob
from stages.ingest import ImageSource, UnsafeNameError
from stages.picture import FORMATS, open_picture

# Annotators round: boxes that end up to one pixel outside are normal in every dataset and no one's fault, and noting
# each would bury the repairs that mean something.
_QUIET_PX = 1.0


class Screen:
    """Reads, checks and measures pictures; clips boxes.

    Args:
        images: where pictures come from; None for a job without pixels, whose boxes are clipped to the annotated size,
            if there is one.
        job: the limits.
        boxes_are_fractions: boxes are in [0, 1] of the picture's size, and become pixels here.

    Raises:
        ValueError: if boxes are fractions and there are no pictures to say of what.
    """

    name = "screen"
    identity = "screen/1"
    batch_size = 64

    def __init__(self, images: ImageSource | None, job: ScreenJob, *, boxes_are_fractions: bool) -> None:
        if images is None and boxes_are_fractions:
            raise ValueError("boxes that are fractions of a picture need the pictures")
        self._images, self._job, self._boxes_are_fractions = images, job, boxes_are_fractions

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, scenes: Sequence[Scene]) -> list[Scene | Rejected]:
        """One outcome per scene, in the same order.

        Raises:
            TransientError: if the store of the pictures failed.
        """
        return [self._screen(scene) for scene in scenes]

    def _screen(self, scene: Scene) -> Scene | Rejected:
        if len(scene.regions) > self._job.max_boxes:
            return _rejected(scene, "too-many-boxes", f"{len(scene.regions)} boxes; at most {self._job.max_boxes}")
        if self._images is not None:
            image = self._read(scene, self._images)
            if isinstance(image, Rejected):
                return image
            scene = replace(scene, image=image)
        return _fit_boxes(scene, boxes_are_fractions=self._boxes_are_fractions)

    def _read(self, scene: Scene, images: ImageSource) -> Image | Rejected:
        """The picture with bytes, format, size and digest, or why it cannot be used."""
        name = scene.image.name
        try:
            data = images.read(name)
        except UnsafeNameError as error:
            return _rejected(scene, "image-unsafe-path", str(error))
        except FileNotFoundError:
            return _rejected(scene, "image-missing", f"no picture {name!r} in the image folder")
        except PermissionError:
            return _rejected(scene, "image-unreadable", f"no permission to read {name!r}")
        decoded = self._decode(scene, data)
        if isinstance(decoded, Rejected):
            return decoded
        width, height, ending = decoded
        return Image(name, width, height, ending, hashlib.sha256(data).hexdigest(), data)

    def _decode(self, scene: Scene, data: bytes) -> Rejected | tuple[int, int, str]:
        """Decode a picture completely; its width, height and file ending, or why not."""
        try:
            with open_picture(data) as picture:
                width, height = picture.size
                if (problem := self._problem(scene, picture)) is not None:
                    return _rejected(scene, *problem)
                # At an eighth of the size a JPEG is still read to its last byte, at a fraction of the cost.
                picture.draft(None, (max(1, width // 8), max(1, height // 8)))
                picture.load()
                return width, height, FORMATS[picture.format or ""]
        except MemoryError:
            raise
        except Pillow.DecompressionBombError as error:
            return _rejected(scene, "image-too-large", f"{error}")
        except Exception as error:  # noqa: BLE001 - decoders raise whatever they stumble over
            is_cut = not data or isinstance(error, EOFError) or "truncated" in str(error).lower()
            detail = f"{scene.image.name!r}, {len(data)} bytes: {type(error).__name__}: {error}"
            return _rejected(scene, "image-truncated" if is_cut else "image-undecodable", detail)

    def _problem(self, scene: Scene, picture: Pillow.Image) -> tuple[str, str] | None:
        """What the header alone says against a picture: reason and detail."""
        width, height = picture.size
        if min(width, height) < self._job.min_side:
            return "image-too-small", f"{width} x {height} pixels; each side at least {self._job.min_side}"
        if width * height > self._job.max_pixels:
            return "image-too-large", f"{width} x {height} pixels; at most {self._job.max_pixels} in all"
        frames = getattr(picture, "n_frames", 1)
        if frames > 1 and picture.format != "MPO":
            return "image-animated", f"{frames} frames; boxes and captions speak of one picture"
        annotated = scene.image.width, scene.image.height
        if annotated not in ((None, None), (width, height)):
            turned = "; it is stored turned by 90 degrees" if annotated == (height, width) else ""
            detail = f"{width} x {height} pixels, but annotated as {annotated[0]} x {annotated[1]}{turned}"
            return "image-size-mismatch", detail
        return None


def _fit_boxes(scene: Scene, *, boxes_are_fractions: bool) -> Scene:
    """Boxes in pixels and inside the picture; regions that have none left, and relations between them, dropped."""
    width, height = scene.image.width or math.inf, scene.image.height or math.inf
    repairs: list[Repair] = []
    regions: list[Region] = []
    for region in scene.regions:
        x1, y1, x2, y2 = region.box
        box = (x1 * width, y1 * height, x2 * width, y2 * height) if boxes_are_fractions else region.box
        fitted, reason = fit_box(box, width, height)
        if reason is not None:
            end = "dropped" if fitted is None else f"clipped to {_shown(fitted)}"
            detail = f"region {region.id} ({region.name}) {_shown(box)} in {width} x {height}: {end}"
            repairs.append(Repair(Screen.name, reason, detail))
        if fitted is not None:
            regions.append(region if fitted == region.box else replace(region, box=fitted))
    relations = _relations_between(regions, scene.relations, repairs)
    return replace(
        scene,
        regions=tuple(regions),
        relations=tuple(relations),
        provenance=replace(scene.provenance, repairs=(*scene.provenance.repairs, *repairs)),
    )


def fit_box(box: Box, width: float, height: float) -> tuple[Box | None, str | None]:
    """Clip a box to `[0, width] x [0, height]`: the box, or None if nothing is left, and the reason for a repair.

    A box that is returned has a positive area. Infinite sizes clip nothing on their side.
    """
    x1, y1, x2, y2 = box
    if not all(map(math.isfinite, box)):
        return None, "box-not-finite"
    if x2 <= x1 or y2 <= y1:
        return None, "box-zero-area"
    inside = (max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height)))
    if inside[2] <= inside[0] or inside[3] <= inside[1]:
        return None, "box-outside"
    moved = max(abs(a - b) for a, b in zip(box, inside, strict=True))
    return inside, "box-clipped" if moved > _QUIET_PX else None


def _relations_between(
    regions: Sequence[Region], relations: Sequence[Relation], repairs: list[Repair]
) -> list[Relation]:
    """The relations whose regions are all there; a repair for each of the others."""
    left = {region.id for region in regions}
    kept = []
    for relation in relations:
        if relation.subject in left and relation.object in left:
            kept.append(relation)
        else:
            detail = f"{relation.text!r} between regions {relation.subject} and {relation.object}: a region was dropped"
            repairs.append(Repair(Screen.name, "relation-without-region", detail))
    return kept


def _rejected(scene: Scene, reason: str, detail: str) -> Rejected:
    return Rejected(scene.key, Screen.name, reason, detail)


def _shown(box: Box) -> str:
    return "[" + ", ".join(f"{value:g}" for value in box) + "]"
