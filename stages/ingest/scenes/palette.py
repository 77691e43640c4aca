"""Colours by the names that captions use, and the tones a drawing mixes from them."""

from random import Random

Colour = tuple[int, int, int]

# A colour name is a promise that a caption may repeat, so the tones are far apart.
NAMED: dict[str, Colour] = {
    "red": (206, 52, 48),
    "blue": (48, 98, 190),
    "green": (58, 150, 74),
    "yellow": (240, 200, 58),
    "orange": (234, 134, 42),
    "purple": (132, 78, 168),
    "pink": (238, 138, 172),
    "white": (240, 240, 236),
    "black": (52, 52, 58),
    "brown": (136, 88, 52),
    "gray": (144, 148, 154),
}

BRIGHT = ("red", "blue", "green", "yellow", "orange", "purple", "pink", "white")

INK: Colour = (44, 38, 42)
METAL: Colour = (96, 100, 110)
TYRE: Colour = (48, 48, 52)
GLASS: Colour = (188, 220, 236)
WOOD: Colour = (164, 114, 68)
LEAVES: tuple[Colour, ...] = ((70, 132, 66), (92, 148, 70), (58, 116, 76))
SKIN: tuple[Colour, ...] = ((246, 210, 178), (228, 178, 138), (188, 130, 92), (128, 84, 58))
HAIR: tuple[Colour, ...] = ((46, 36, 32), (94, 60, 36), (190, 140, 66), (140, 62, 34), (150, 146, 144))


def shade(colour: Colour, factor: float) -> Colour:
    """A darker (`factor` below 1) or lighter (above 1) tone of a colour."""
    if factor <= 1:
        red, green, blue = (round(c * factor) for c in colour)
    else:
        red, green, blue = (round(c + (255 - c) * (factor - 1)) for c in colour)
    return red, green, blue


def pick(rng: Random, names: tuple[str, ...] = BRIGHT, *, other_than: str | None = None) -> str:
    """One colour name out of `names`."""
    return rng.choice([name for name in names if name != other_than])
