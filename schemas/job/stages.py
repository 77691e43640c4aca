"""The parts of the job file that configure the stages."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

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
    """Hub name, or a local folder. `builtin` is a very small one that ships with Relmill, trained on procedural scenes
    and good for nothing else."""
    revision: str = "main"
    """Hub revision; pin a commit for reproducible runs."""
    per_image: int = Field(default=10, ge=1)
    """Captions per picture (RLIPv2: 10)."""
    decoding: Literal["beam", "nucleus"] = "nucleus"
    """`nucleus` samples; `beam` returns the best `per_image` beams (RLIPv2: beam for one caption, nucleus for ten)."""
    keep_given: bool = True
    """Whether captions that came with the dataset stay, in front. Without them, human relations lose the words that
    they were read from."""
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
    calibration: str | None = None
    """File that `relmill calibrate` wrote, on labels of the same prior: each relation then also gets the probability
    that it is right. Scores stay, and so does what is kept."""


class RelationTagger(JobPart):
    """Score caption relations by looking at the picture, with RLIPv2's Relation Tagger or one trained by Relmill. Needs
    PyTorch: `pip install 'relmill[blip]'`."""

    backend: Literal["relation_tagger"]
    model: str = Field(default="builtin", min_length=1)
    """`builtin` is a small network that ships with Relmill, trained on procedural scenes and good for nothing else; or
    the folder of one: `config.json` and `model.safetensors`, as `relmill convert-rlipv2` and `train-tagger` write."""
    min_score: float = Field(default=0.05, ge=0, le=1)
    """Relations below this score are not kept (RLIPv2: 0.05)."""
    scope: Literal["own_texts", "image_union"] = "own_texts"
    """Which texts a pair is scored against: `own_texts`, those that a caption states of its two classes; `image_union`,
    all texts of the picture's captions, as RLIPv2 does."""
    pairs_per_group: int = Field(default=100, ge=1)
    """Pairs that are decoded together, and see one another (RLIPv2: 100)."""
    short_side: int | None = Field(default=None, ge=1)
    """Pixels that the shorter side of a picture is scaled to; by default as in the network's training (RLIPv2: 800)."""
    longest: int | None = Field(default=None, ge=1)
    """Most pixels of the longer side; the shorter gives way. By default as in the network's training (RLIPv2: 1333)."""
    batch_size: int = Field(default=8, ge=1)
    """Pictures encoded together, of similar size. Halved on out-of-memory."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """`bfloat16` computes products in half precision: faster on a GPU, less exact."""
    compile: bool = False
    """Compile the network with torch.compile at a worker's first pictures: minutes then, for faster ones after."""
    calibration: str | None = None
    """File that `relmill calibrate` wrote, on labels of the same network: each relation then also gets the probability
    that it is right. Scores stay, and so does what is kept."""


def _prior_unless_said(part: Any) -> Any:
    """Jobs from before there was a choice do not name the backend."""
    return {"backend": "prior", **part} if isinstance(part, dict) and "backend" not in part else part


TagJob = Annotated[PriorTagger | RelationTagger, Field(discriminator="backend"), BeforeValidator(_prior_unless_said)]
