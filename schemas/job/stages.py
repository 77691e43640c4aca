"""The parts of the job file that configure the stages."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.job.dataset import JobPart


class ScreenJob(JobPart):
    """What a picture and its boxes must be to be labelled."""

    min_side: int = Field(default=8, ge=1)
    """Pictures with a shorter side, in pixels, are rejected (`image-too-small`)."""
    max_pixels: int = Field(default=178_956_970, ge=1)
    """Larger pictures are rejected before decoding. The default is where Pillow refuses (2 x MAX_IMAGE_PIXELS)."""
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
    prompt: str = "a picture of"
    """How every caption starts, not kept in its text. BLIP was trained with this one; empty for none."""
    top_p: float = Field(default=0.9, gt=0, le=1)
    """Nucleus only: sample from the most probable tokens that together reach this probability (RLIPv2: 0.9)."""
    num_beams: int = Field(default=3, ge=1)
    """Beam only: beams searched, at least `per_image` (RLIPv2: 3)."""
    min_length: int = Field(default=5, ge=1)
    """Fewest tokens, start token and prompt counted (RLIPv2: 5)."""
    max_length: int = Field(default=20, ge=1)
    """Most tokens, start token and prompt counted (RLIPv2: 20)."""
    repetition_penalty: float = Field(default=1.1, gt=0)
    """Nucleus only: divides the score of tokens already said (RLIPv2: 1.1)."""
    batch_size: int = Field(default=16, ge=1)
    """Pictures a generate call; smaller batches are filled up with blanks, so let `unit_size` be a multiple of it.
    Halved on out-of-memory."""

    @model_validator(mode="after")
    def _without_idle_settings(self) -> Self:
        others = {"nucleus": ("num_beams",), "beam": ("repetition_penalty", "top_p")}[self.decoding]
        idle = [name for name in others if getattr(self, name) != type(self).model_fields[name].default]
        if idle:
            raise ValueError(f"{idle[0]} has no effect with decoding: {self.decoding}; remove it")
        if self.min_length > self.max_length:
            raise ValueError(f"min_length {self.min_length} is above max_length {self.max_length}")
        return self


CaptionJob = Annotated[GivenCaptions | BlipCaptions, Field(discriminator="backend")]


class ParseJob(JobPart):
    """Which parser reads the captions."""

    model: str = Field(default="builtin", min_length=1)
    """`builtin` is the spaCy pipeline that ships with Relmill and needs no download; else an installed English spaCy
    pipeline by its package name, or the folder of one (Universal Dependencies or ClearNLP labels)."""


class PriorTagger(JobPart):
    """Assign caption relations to regions by a fitted prior over predicates, classes and box geometry."""

    backend: Literal["prior"] = "prior"
    prior: str = "builtin"
    """`builtin`, or a file that `relmill fit-prior` wrote."""
    min_score: float = Field(default=0.0, ge=0, le=1)
    """Relations below this score are not kept."""


TagJob = PriorTagger
