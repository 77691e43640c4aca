"""Caption: sentences about a picture, from the dataset (`given`) or from a model (`blip`)."""

from schemas.job import CaptionJob, GivenCaptions
from stages.caption.blip import BlipCaptioner, open_blip
from stages.caption.given import GivenCaptioner
from stages.contract import Stage

__all__ = ["BlipCaptioner", "GivenCaptioner", "open_captioner"]


def open_captioner(job: CaptionJob, *, seed: int) -> Stage:
    """The caption stage that a job asks for. `seed` decides what a sampling backend draws.

    Raises:
        UserError: if the backend's extra is not installed, or its model folder holds no weights that may be loaded.
    """
    if isinstance(job, GivenCaptions):
        return GivenCaptioner()
    return open_blip(job, seed=seed)
