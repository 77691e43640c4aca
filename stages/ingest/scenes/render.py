"""Draw a layout with Pillow, larger than needed and scaled down, and encode it."""

from collections.abc import Iterable
from io import BytesIO
from random import Random

from PIL import Image, ImageDraw

from stages.ingest.scenes.backdrop import backdrop
from stages.ingest.scenes.figures.shape import EDGE_PX, Point, Shape
from stages.ingest.scenes.layout import Layout

SUPERSAMPLING = 3
_JPEG_QUALITY = 90
_SHADOW_OPACITY = 62


def render(layout: Layout, *, seed: int, index: int) -> Image.Image:
    """The picture, RGB. Seed and index decide the clouds and the wallpaper, which no box depends on."""
    k = SUPERSAMPLING
    canvas = backdrop(layout.setting, (layout.width * k, layout.height * k), Random(f"{seed}-{index}-backdrop"))
    shadow = ImageDraw.Draw(canvas, "RGBA")
    for x1, y1, x2, y2 in layout.shadows:
        shadow.ellipse((x1 * k, y1 * k, x2 * k, y2 * k), fill=(20, 20, 30, _SHADOW_OPACITY))
    paint(ImageDraw.Draw(canvas), (shape for _, shape in layout.parts), k)
    return canvas.reduce(k)


def encode(picture: Image.Image) -> bytes:
    """JPEG bytes, the same for the same picture and the same version of libjpeg."""
    out = BytesIO()
    picture.save(out, "JPEG", quality=_JPEG_QUALITY)
    return out.getvalue()


def paint(draw: ImageDraw.ImageDraw, shapes: Iterable[Shape], k: float) -> None:
    """Draw shapes in pixels, enlarged `k` times, in the given order."""
    edge = EDGE_PX * k
    for shape in shapes:
        points = [(x * k, y * k) for x, y in shape.points]
        if shape.kind == "polygon":
            if shape.edge:
                closed = [*points, points[0], points[1]]
                draw.line(closed, fill=shape.edge, width=round(2 * edge), joint="curve" if len(points) < 12 else None)
            draw.polygon(points, fill=shape.fill)
        elif shape.kind == "ring":
            radius, half = (r * k for r in shape.radii)
            (x, y), outer = points[0], radius + half
            draw.ellipse(
                (x - outer, y - outer, x + outer, y + outer), outline=shape.fill, width=max(1, round(2 * half))
            )
        else:
            radii = [r * k for r in shape.radii]
            if shape.edge:
                _stroke(draw, points, [r + edge for r in radii], shape.edge)
            _stroke(draw, points, radii, shape.fill)


def _stroke(draw: ImageDraw.ImageDraw, points: list[Point], radii: list[float], colour: tuple[int, int, int]) -> None:
    for (x, y), r in zip(points, radii, strict=True):
        draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)
    for (x1, y1), (x2, y2), r1, r2 in zip(points, points[1:], radii, radii[1:], strict=False):
        length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
        if length == 0:
            continue
        nx, ny = (y1 - y2) / length, (x2 - x1) / length
        draw.polygon(
            (
                (x1 + nx * r1, y1 + ny * r1),
                (x2 + nx * r2, y2 + ny * r2),
                (x2 - nx * r2, y2 - ny * r2),
                (x1 - nx * r1, y1 - ny * r1),
            ),
            fill=colour,
        )
