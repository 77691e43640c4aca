"""What lies behind the figures: sky, hills, sand, water, a road, a room. Nothing in it belongs to a class."""

from random import Random

import numpy as np
from PIL import Image, ImageDraw

from stages.ingest.scenes.palette import Colour, shade
from stages.ingest.scenes.situations.situation import Setting

_SKIES: tuple[tuple[Colour, Colour], ...] = (
    ((118, 178, 232), (214, 234, 246)),
    ((150, 192, 226), (238, 236, 222)),
    ((172, 188, 206), (226, 230, 234)),
    ((104, 160, 222), (246, 226, 204)),
)
_WALLS: tuple[Colour, ...] = ((236, 226, 204), (206, 222, 226), (226, 210, 214), (214, 222, 200))


def backdrop(setting: Setting, size: tuple[int, int], rng: Random) -> Image.Image:
    """An RGB picture of `size`, without any thing in it."""
    width, height = size
    if setting == "room":
        return _room(width, height, rng)
    top, low = rng.choice(_SKIES)
    horizon = int(height * {"meadow": 0.47, "park": 0.49, "street": 0.46, "beach": 0.42, "sea": 0.36}[setting])
    image = _gradient(width, height, [(0.0, top), (horizon / height, low), (1.0, low)])
    draw = ImageDraw.Draw(image)
    _clouds(draw, width, horizon, rng)
    if setting in ("meadow", "park"):
        _hills(draw, width, horizon, rng)
        _ground(image, horizon, ((132, 178, 96), (98, 152, 70)))
        _tufts(draw, width, horizon, height, rng)
        if setting == "park":
            _path(draw, width, horizon, height, rng)
    elif setting == "street":
        _houses(draw, width, horizon, rng)
        _ground(image, horizon, ((190, 186, 180), (172, 168, 162)))
        _road(draw, width, horizon, height)
    elif setting == "beach":
        _ground(image, horizon, ((70, 140, 182), (110, 180, 204)))
        shore = int(height * 0.6)
        _waves(draw, width, horizon, shore, rng)
        _ground(image, shore, ((236, 218, 172), (222, 198, 148)))
        draw.line([(0, shore), (width, shore)], fill=(246, 248, 248), width=max(2, height // 150))
    else:
        _ground(image, horizon, ((62, 128, 172), (44, 106, 158)))
        _waves(draw, width, horizon, height, rng)
    return image


def _gradient(width: int, height: int, stops: list[tuple[float, Colour]]) -> Image.Image:
    at = [share * height for share, _ in stops]
    rows = np.arange(height)
    column = np.stack([np.interp(rows, at, [colour[c] for _, colour in stops]) for c in range(3)], axis=1)
    return Image.fromarray(np.rint(column).astype(np.uint8)[:, None, :]).resize(
        (width, height), Image.Resampling.NEAREST
    )


def _ground(image: Image.Image, top: int, tones: tuple[Colour, Colour]) -> None:
    width, height = image.size
    image.paste(_gradient(width, height - top, [(0.0, tones[0]), (1.0, tones[1])]), (0, top))


def _clouds(draw: ImageDraw.ImageDraw, width: int, horizon: int, rng: Random) -> None:
    for _ in range(rng.randint(1, 3)):
        x, y, r = rng.uniform(0, width), rng.uniform(0.1, 0.55) * horizon, rng.uniform(0.05, 0.1) * horizon
        for dx, dy, k in ((-1.6, 0.3, 0.8), (-0.6, -0.2, 1.1), (0.7, 0, 1.2), (1.8, 0.3, 0.7)):
            draw.ellipse(
                [x + dx * r - k * r, y + dy * r - k * r * 0.7, x + dx * r + k * r, y + dy * r + k * r * 0.7],
                fill=(248, 250, 252),
            )


def _hills(draw: ImageDraw.ImageDraw, width: int, horizon: int, rng: Random) -> None:
    for tone in ((148, 178, 158), (126, 166, 124)):
        for _ in range(2):
            x, rx = rng.uniform(0, width), rng.uniform(0.3, 0.6) * width
            ry = rng.uniform(0.08, 0.22) * horizon
            draw.ellipse([x - rx, horizon - ry, x + rx, horizon + ry], fill=tone)


def _tufts(draw: ImageDraw.ImageDraw, width: int, horizon: int, height: int, rng: Random) -> None:
    for _ in range(46):
        y = rng.uniform(horizon + 0.04 * height, height)
        k = (y - horizon) / (height - horizon) * height * 0.022
        x = rng.uniform(0, width)
        tone = rng.choice(((84, 138, 62), (116, 168, 82)))
        for dx in (-0.6, 0, 0.6):
            draw.line([(x, y), (x + dx * k, y - k)], fill=tone, width=2)


def _path(draw: ImageDraw.ImageDraw, width: int, horizon: int, height: int, rng: Random) -> None:
    x = rng.uniform(0.2, 0.8) * width
    bend = rng.uniform(-0.3, 0.3) * width
    depth = height - horizon
    points = [
        (x + bend * (1 - t) ** 2, horizon + depth * t, (0.012 + 0.2 * t**1.6) * width)
        for t in (0.02, 0.15, 0.35, 0.6, 1.0)
    ]
    draw.polygon(
        [(px - w, py) for px, py, w in points] + [(px + w, py) for px, py, w in reversed(points)], fill=(214, 200, 168)
    )


def _houses(draw: ImageDraw.ImageDraw, width: int, horizon: int, rng: Random) -> None:
    x = 0.0
    while x < width:
        w, h = rng.uniform(0.14, 0.24) * width, rng.uniform(0.45, 0.8) * horizon
        wall = rng.choice(((206, 190, 170), (190, 176, 178), (178, 190, 196), (214, 202, 180), (196, 168, 150)))
        draw.rectangle([x, horizon - h, x + w, horizon], fill=wall)
        draw.rectangle([x, horizon - h, x + w, horizon - h * 0.95], fill=shade(wall, 0.7))
        for i in range(3):
            for j in range(3):
                left, top = x + w * (0.14 + 0.28 * i), horizon - h * (0.86 - 0.28 * j)
                draw.rectangle([left, top, left + w * 0.15, top + h * 0.14], fill=(126, 146, 164))
        x += w


def _road(draw: ImageDraw.ImageDraw, width: int, horizon: int, height: int) -> None:
    top = horizon + (height - horizon) * 0.28
    draw.rectangle([0, top, width, height], fill=(120, 122, 128))
    draw.rectangle([0, top - height * 0.012, width, top], fill=(206, 204, 200))
    y = top + (height - top) * 0.52
    for i in range(7):
        x = (i + 0.1) * width / 7
        draw.rectangle([x, y, x + width * 0.07, y + height * 0.012], fill=(232, 230, 222))


def _waves(draw: ImageDraw.ImageDraw, width: int, top: int, bottom: int, rng: Random) -> None:
    for _ in range(34):
        y = rng.uniform(top + 2, bottom - 2)
        k = 0.25 + (y - top) / (bottom - top + 1)
        x, w = rng.uniform(-0.1, 1) * width, 0.05 * k * width
        draw.arc([x, y - w * 0.2, x + w * 2, y + w * 0.3], 200, 340, fill=(176, 212, 228), width=max(2, int(3 * k)))


def _room(width: int, height: int, rng: Random) -> Image.Image:
    wall = rng.choice(_WALLS)
    floor = rng.choice(((178, 136, 96), (160, 120, 88), (186, 170, 150)))
    edge = int(height * 0.64)
    image = _gradient(width, height, [(0.0, shade(wall, 1.2)), (1.0, shade(wall, 0.94))])
    _ground(image, edge, (shade(floor, 0.9), floor))
    draw = ImageDraw.Draw(image)
    for i in range(-6, 18):
        x = width * (i / 12)
        draw.line(
            [(width / 2 + (x - width / 2) * 0.62, edge), (width / 2 + (x - width / 2) * 1.3, height)],
            fill=shade(floor, 0.85),
            width=2,
        )
    draw.rectangle([0, edge - height * 0.02, width, edge], fill=shade(wall, 0.75))
    x, w = rng.uniform(0.06, 0.6) * width, 0.24 * width
    frame = [x, height * 0.09, x + w, height * 0.4]
    draw.rectangle(frame, fill=(176, 214, 238), outline=(250, 250, 248), width=max(4, width // 110))
    draw.line([(x + w / 2, frame[1]), (x + w / 2, frame[3])], fill=(250, 250, 248), width=max(3, width // 160))
    return image
