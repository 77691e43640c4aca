"""Pictures with their captions as the training keeps them."""

import re
from dataclasses import dataclass

from schemas import Scene

# BLIP's published `pre_caption` blanks these out; a comma stays. Here the question mark goes as well: no caption asks.
_BLANKED = re.compile(r"[.!?\"()*#:;~]")


@dataclass(frozen=True, slots=True)
class CaptionedPicture:
    """What is said of a picture; the pixels are read when a batch needs them."""

    key: str
    image_name: str
    source: int
    """Which of the datasets has the picture."""
    captions: tuple[str, ...]
    """At least one, cleaned, no two alike."""


def captioned_picture(scene: Scene, *, source: int, prompt: str) -> CaptionedPicture | None:
    """The captions of a scene, cleaned; None if it has none."""
    captions = (clean_caption(caption.text, prompt=prompt) for caption in scene.captions)
    different = tuple(dict.fromkeys(caption for caption in captions if caption))
    return CaptionedPicture(scene.key, scene.image.name, source, different) if different else None


def clean_caption(text: str, *, prompt: str) -> str:
    """A caption in lower case, without sentence marks, and without the prompt that will be put in front of it."""
    words = _BLANKED.sub(" ", text.lower()).split()
    start = prompt.lower().split()
    # Else the captioner would learn to say it twice: "a picture of a picture of a dog".
    if start and words[: len(start)] == start:
        words = words[len(start) :]
    return " ".join(words)


def names_sides(picture: CaptionedPicture) -> bool:
    """Whether a caption says left or right, so that it is not true of the mirrored picture."""
    return any(word.startswith(("left", "right")) for text in picture.captions for word in text.split())
