"""Backend `given`: the captions that came with the dataset."""

from collections.abc import Sequence
from dataclasses import replace

from schemas import Repair, Scene

_NO_CAPTION = Repair(
    "caption", "no-caption", "the dataset has no caption for this picture; it can get no relations from captions"
)


class GivenCaptioner:
    """Keeps a scene's captions as they are. One without captions goes on, and its provenance says so."""

    name = "caption"
    identity = "given/1"
    batch_size = 1024

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, scenes: Sequence[Scene]) -> list[Scene]:
        """Return every scene; those without a caption carry the repair `no-caption`, so that reports count them."""
        return [scene if scene.captions else _note_no_caption(scene) for scene in scenes]


def _note_no_caption(scene: Scene) -> Scene:
    repairs = (*scene.provenance.repairs, _NO_CAPTION)
    return replace(scene, provenance=replace(scene.provenance, repairs=repairs))
