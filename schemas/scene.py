"""`Scene`: the one record that flows from ingest to the trainer, and the parts it is made of.

A stage never edits a scene; it returns a copy (`dataclasses.replace`) with its own field filled. The JSON member of a
shard is this dataclass and nothing else, `image.data` left out because the picture is the other member.

Boxes are `(x1, y1, x2, y2)` in pixels of the original picture, half-open, floats, origin at the top left.
Character spans are `(start, end)`, half-open, into the text of the caption they belong to.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from pydantic import ConfigDict

SCHEMA_VERSION = "relmill.scene/1"

Box = tuple[float, float, float, float]
Span = tuple[int, int]

# Unknown keys in a stored scene are an error: a reader that drops them would lose what a newer writer said.
_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Image:
    """A picture: its name in the dataset, what it measures, and (outside the JSON) its original encoded bytes."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: str
    """Path relative to the dataset's image folder; never absolute, so that moving a dataset changes no byte."""
    width: int | None = None
    """Pixels. None until a picture was read, for datasets that do not say."""
    height: int | None = None
    format: str | None = None
    """File ending of the encoded bytes without a dot (`jpg`, `png`, ...), found from the bytes, not from the name."""
    sha256: str | None = None
    """Hex digest of the encoded bytes."""
    data: bytes | None = field(default=None, repr=False, compare=False)
    """The original encoded bytes, never re-encoded; kept out of the JSON. None in a job without pixels."""


@dataclass(frozen=True, slots=True)
class Region:
    """A named box. `id` is unique within its scene and is what relations and phrases refer to."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    id: int
    name: str
    """Canonical class name: lower case, single spaces."""
    box: Box
    score: float = 1.0
    source: Literal["annotated", "grounded"] = "annotated"
    source_id: str | None = None
    """The dataset's own id of this annotation, to trace it back."""


@dataclass(frozen=True, slots=True)
class Caption:
    """A sentence about the picture and where it came from."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    text: str
    source: Literal["given", "blip"]
    decoding: str | None = None
    """`beam` or `nucleus` for generated captions."""
    log_probability: float | None = None
    """Natural logarithm of the probability of the whole token sequence under the captioner."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """A noun phrase of a caption and the regions it may denote."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    caption: int
    span: Span
    head: str
    """Lemma of the head noun, lower case."""
    plural: bool = False
    """The phrase speaks of several things ("two men"), so several regions may bear its relations."""
    regions: tuple[int, ...] = ()
    """Ids of the regions whose class name this phrase may denote; filled by the tag stage, sorted."""


@dataclass(frozen=True, slots=True)
class Mention:
    """A relation that a caption states between two of its phrases, before anyone says which regions are meant."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    caption: int
    subject: int
    """Index into `Scene.phrases`."""
    object: int
    """Index into `Scene.phrases`."""
    predicate: str
    """Canonical: lemma, and preposition if there is one (`sit on`)."""
    span: Span
    """The words that state the relation; `caption.text[start:end]` is the surface text."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The caption words that a relation rests on. Spans are into that caption's text."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    caption: int
    subject: Span
    predicate: Span
    object: Span


@dataclass(frozen=True, slots=True)
class Relation:
    """A predicate between two regions. What no relation says is unknown, never negative."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    subject: int
    """Region id."""
    object: int
    """Region id."""
    predicate: str
    """Canonical: lemma, and preposition if there is one."""
    text: str
    """Surface text: the caption's words, or the dataset's own predicate name."""
    score: float
    """In [0, 1]; what it means is the source's affair, see the docs of the tag backends."""
    source: Literal["tagger", "caption", "geometry", "human", "derived"]
    probability: float | None = None
    """Calibrated probability that the relation holds; None while no calibration has been fitted."""
    state: Literal["asserted", "denied"] = "asserted"
    evidence: tuple[Evidence, ...] = ()
    verifier_scores: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Repair:
    """Something in the input that a stage mended rather than reject the scene: what, where and why."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    stage: str
    reason: str
    """Short stable slug, e.g. `box-zero-area`."""
    detail: str


@dataclass(frozen=True, slots=True)
class Provenance:
    """What made this scene: enough to run it again or to blame the right model."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    job: str | None = None
    """Digest of the parts of the job file that change the output."""
    stages: dict[str, str] = field(default_factory=dict)
    """Stage name to the identity of what ran: backend, version, model and revision or digest."""
    repairs: tuple[Repair, ...] = ()


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture with everything said about it."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    key: str
    """`<dataset>-<image_id>`: unique, stable, file-safe."""
    image: Image
    regions: tuple[Region, ...] = ()
    captions: tuple[Caption, ...] = ()
    phrases: tuple[Phrase, ...] = ()
    mentions: tuple[Mention, ...] = ()
    relations: tuple[Relation, ...] = ()
    provenance: Provenance = Provenance()
    schema: str = SCHEMA_VERSION
