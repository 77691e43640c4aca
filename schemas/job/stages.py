"""The parts of the job file that configure the stages."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.job.dataset import JobPart


class ScreenJob(JobPart):
    """What a picture and its boxes must be to be labelled."""

    min_side: int = Field(default=8, ge=1)
    """Pictures with a shorter side, in pixels, are rejected (`image-too-small`)."""
    max_pixels: int = Field(default=178_956_970, ge=1)
    """Larger pictures are rejected before decoding. The default is where Pillow starts to refuse (2 x MAX_IMAGE_PIXELS)."""
    max_boxes: int = Field(default=1000, ge=1)
    """Scenes with more boxes are rejected (`too-many-boxes`): pairs grow with their square."""


class GivenCaptions(JobPart):
    """Use the captions that came with the dataset."""

    backend: Literal["given"]


class BlipCaptions(JobPart):
    """Caption with BLIP. Needs the `blip` extra: `pip install 'relmill[blip]'`."""

    backend: Literal["blip"]
    model: str = "Salesforce/blip-image-captioning-large"
    """Hub name, or a local folder."""
    revision: str = "main"
    """Hub revision; pin a commit for reproducible runs."""
    per_image: int = Field(default=10, ge=1)
    """Captions per picture (RLIPv2: 10)."""
    decoding: Literal["beam", "nucleus"] = "nucleus"
    """`nucleus` samples; `beam` returns the best `per_image` beams (RLIPv2: beam for one caption, nucleus for ten)."""
    top_p: float = Field(default=0.9, gt=0, le=1)
    num_beams: int = Field(default=3, ge=1)
    min_length: int = Field(default=5, ge=1)
    max_length: int = Field(default=20, ge=1)
    repetition_penalty: float = Field(default=1.1, gt=0)
    batch_size: int = Field(default=16, ge=1)
    """Pictures a generate call; halved on out-of-memory."""


CaptionJob = Annotated[GivenCaptions | BlipCaptions, Field(discriminator="backend")]


class ParseJob(JobPart):
    """Which parser reads the captions."""

    model: Literal["builtin"] = "builtin"
    """`builtin` is the rule pipeline that ships with Relmill and needs no download."""


class PriorTagger(JobPart):
    """Assign caption relations to regions by a fitted prior over predicates, classes and box geometry."""

    backend: Literal["prior"] = "prior"
    prior: str = "builtin"
    """`builtin`, or a file that `relmill fit-prior` wrote."""
    min_score: float = Field(default=0.0, ge=0, le=1)
    """Relations below this score are not kept."""


TagJob = PriorTagger
