"""The job file of `relmill train`: what a network learns, from which outputs, and how.

Keys without a default here have one that depends on the network or on `recipe`; the text below the key says which.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.job.dataset import JobPart

Share = Annotated[float, Field(ge=0, le=1)]
Pixels = Annotated[int, Field(ge=1)]


class TrainSource(JobPart):
    """An output of `relmill label` to learn from."""

    output: str
    """Its folder or URL. Relative paths resolve against the job file."""
    weight: float = Field(default=1.0, gt=0)
    """Of its scenes among those of all sources."""
    follow: bool = False
    """Read what is committed while labelling goes on, in that order; then, once it is complete, in random order."""
    timeout_s: float = Field(default=600.0, gt=0)
    """With `follow`: how long to wait for the next commit."""
    window_shards: int = Field(default=16, ge=1)
    """Shards whose scenes are mixed. A window begins when all of them are committed."""
    balance: float | None = Field(default=None, gt=0, le=1)
    """Repeat scenes with predicates that less than this part of all scenes assert, e.g. 0.01. By default none is."""
    learn: Literal["all", "human", "pseudo"] = "all"
    """Whose relations are learned from: all, those that people asserted or denied, or all others."""
    complete: bool = False
    """Whoever made these labels left nothing out, as in `scenes`: what is not said does not hold. Of pseudo-labels
    never."""


class TrainValidation(JobPart):
    """Pictures on which the network is measured at each state; the best state becomes the network."""

    output: str
    """Folder or URL of an output with human relations, of other pictures than those of `sources`."""
    limit: int = Field(default=500, ge=1)
    """Its first scenes that have human relations, in the order of its log."""
    batch_size: int = Field(default=8, ge=1)
    """Pictures measured together, of similar size."""


class TrainLabels(JobPart):
    """How relations become targets."""

    target: Literal["soft", "hard"] | None = None
    """How far an asserted relation is learned to hold: its calibrated probability (its score, where there is none),
    or 1. Default: soft; published, finetune: hard."""
    threshold: Share | None = None
    """Relations that are learned as less are left out; of hard targets those of a lower score. Default: 0.2, as
    published."""
    absent: Literal["unknown", "negative"] | None = None
    """What a predicate is of a pair of which nobody says it, if somebody says it of another pair of the picture.
    Default: unknown; published, finetune: negative."""
    max_pairs: int | None = Field(default=None, ge=1)
    """Pairs of a scene that are kept. Default: 100, as published."""
    kept: Literal["best", "first"] | None = None
    """Which pairs are kept if a scene has too many. Default: best; published, finetune: first."""
    no_interaction: bool = False
    """Learn `no interaction` of pairs that people deny to `interact with`: HICO-DET has it as one of its 117 verbs, and
    asks for it."""
    unknown_pairs: bool | None = None
    """Whether nobody knows what holds of a pair that was not judged. Default: true; published, finetune: false, all is
    wrong of it."""
    unknown_weight: Share | None = None
    """How much what nobody knows counts, as if it did not hold, beside what is known: 0, not at all, to 1, as much.
    Default: 0.5."""


class TrainAugment(JobPart):
    """How pictures are varied. Sizes are, by default, the published ones, in proportion to the network's pictures."""

    flip: Share | None = None
    """Chance that left and right change places, in words, too. Default: 0.5."""
    short_sides: tuple[Pixels, ...] | None = Field(default=None, min_length=1)
    """Pixels of the shorter side for the network; each picture draws one. Default: 480 to 800 of 800."""
    longest: Pixels | None = None
    """Most pixels of the longer side. Default: the network's."""
    crop: Share | None = None
    """Chance that the network sees a part of the picture only. Default: 0.5."""
    crop_short_sides: tuple[Pixels, ...] | None = Field(default=None, min_length=1)
    """Pixels that the shorter side is taken to have while a crop is drawn. Default: 400, 500 or 600 of 800."""
    crop_size: tuple[Pixels, Pixels] | None = None
    """Least and most pixels of each side of a crop, of a picture with such a shorter side. Default: 384 to 600 of
    800."""
    keep_pairs: bool | None = None
    """Whether a crop must show one of the labelled pairs wholly. Default: true; published, finetune: false."""
    min_visible: Share | None = None
    """Share of its area that a region must show to stay a region. Default: 0.5; published, finetune: 0."""
    colours: Share | None = None
    """Most by which brightness, contrast and saturation change, each for itself. Default: 0; finetune: 0.4."""


class TrainRuntime(JobPart):
    """Who shares the batches. Nothing here is part of the training's identity: it may be resumed with other values."""

    workers: int = Field(default=1, ge=1)
    """Processes that share each batch; more than one are run by Ray Train."""
    gpus_per_worker: float | None = Field(default=None, ge=0)
    """GPUs that each reserves. Left out: 1 if the cluster has so many, else 0."""
    address: str | None = None
    """Ray cluster to train on (`auto`, `ray://...`), with one worker, too. Left out: this machine."""
    readers: int = Field(default=1, ge=0)
    """Processes of each worker that read pictures ahead; 0 reads between the steps."""


class TrainJob(JobPart):
    """A pre-training job."""

    output: str
    """Folder of the network: local path or URL. Relative paths resolve against the job file."""
    sources: tuple[TrainSource, ...] = Field(min_length=1)
    """What is learned from; several are mixed by weight."""
    steps: int = Field(ge=1)
    """Of the optimizer."""
    network: str = Field(default="tiny", min_length=1)
    """`tiny`, a small one trained from nothing; or the folder of one to train further, which looks for pairs itself
    (ParSeD or ParSeDA), as this command and `relmill convert-rlipv2` write it."""
    fusion: Literal["between", "after"] | None = None
    """Of `tiny`: where picture and texts meet, `between` the encoder's layers (ALIF) or `after` them (late fusion).
    Default: between."""
    num_pairs: int | None = Field(default=None, ge=1)
    """Pairs that are looked for on a picture. Default: those of the network, of `tiny` 100, as published. Of a trained
    network at most as many as it has; the first ones are kept, as RLIPv2 does for HICO-DET (64)."""
    short_side: Pixels | None = None
    """Pixels of a picture's shorter side in use, and the most in training; the longer side has 5/3 of it at most.
    Written into the network. Default: as the network's configuration says, 160 for `tiny`."""
    recipe: Literal["relmill", "published", "finetune"] = "relmill"
    """Where the defaults come from: our choices for pre-training, RLIPv2's, or RLIPv2's for fine-tuning on labels of
    people (HICO-DET, V-COCO, Open Images)."""
    validation: TrainValidation | None = None
    """What the network is measured on; left out, the last state is the network."""
    labels: TrainLabels = TrainLabels()
    augment: TrainAugment = TrainAugment()
    predicate_target: Literal["quality", "pseudo_quality", "hard"] | None = None
    """How far a predicate of a found pair is to be held for true: as far as it is and the boxes are right (`quality`);
    with `pseudo_quality` predicates whose texts are alike hold, too (RLIPv2's relational pseudo-labels); wherever the
    boxes are, with `hard`, which needs hard labels (RLIPv2 on V-COCO). Default: `pseudo_quality`, as published;
    `quality` with the recipe `finetune` (RLIPv2 on HICO-DET and Open Images), and for the small network, whose text
    encoder never read anything, and would come to find all texts alike."""
    texts: Literal["sampled", "all"] | None = None
    """What a batch is asked about: what its pictures need, filled up to `num_objects` and `num_relations`; or always
    all class names and predicates of the sources, which none may then `follow`. Default: sampled; finetune: all."""
    num_objects: int = Field(default=333, ge=1)
    """Most object names that a batch is asked about, besides "no objects"; those of its pictures, then others by
    frequency (published: 333)."""
    num_relations: int = Field(default=167, ge=1)
    """Most predicates that a batch is asked about (published: 167)."""
    batch_size: int = Field(default=16, ge=1)
    """Pictures of a step, of all workers together (published: 64)."""
    seed: int = Field(default=0, ge=0)
    """Of start values, order, views, texts and dropout."""
    learning_rate: float | None = Field(default=None, gt=0)
    """After the warm-up. Default: 1e-3 for `tiny`, else 1.41e-4 (published, with 64 pictures a step; in fine-tuning of
    ResNet-50 on HICO-DET, while it is 1e-4 of Swin, on few pictures and on other datasets)."""
    slow_rate: float | None = Field(default=None, ge=0)
    """The backbone and the text encoder learn at this part of the rate. Default: 1 for `tiny`, where they start from
    nothing, too, else 0.1 (published)."""
    weight_decay: float = Field(default=1e-4, ge=0)
    max_gradient_norm: float = Field(default=0.1, gt=0)
    """Gradients of all weights together are scaled down to this length (published: 0.1)."""
    warmup_steps: int | None = Field(default=None, ge=0)
    """Steps over which the learning rate rises from near 0. Default: a tenth of all, at most 200; published,
    finetune: 0."""
    schedule: Literal["cosine", "step"] | None = None
    """How the learning rate falls: along a cosine to 0, or to a tenth after 3/4 of the steps. Default: cosine;
    published, finetune: step."""
    average: float | None = Field(default=None, ge=0, lt=1)
    """Decay of a moving average of the weights, which is then what is measured and kept; 0 for none. Default: 0.9997;
    published, finetune: 0."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the network's products; losses are always taken in float32."""
    save_every: int = Field(default=500, ge=1)
    """Steps between two states that the training can go on from."""
    report_every: int = Field(default=50, ge=1)
    """Steps between two lines of figures."""
    keep_last: int = Field(default=1, ge=1)
    """States that are kept, besides the best one."""
    damaged: Literal["raise", "substitute"] = "raise"
    """What becomes of a sample whose checksum is wrong: an error, or the next sound one in its place."""
    mixed_vocabularies: bool = False
    """Take sources whose class names differ."""
    cache: str | None = None
    """Folder for copies of remote shards. Default: `relmill/shards` in the user's cache folder."""
    cache_gb: float = Field(default=16.0, gt=0)
    """Most that lies there, in GB (10^9 bytes)."""
    runtime: TrainRuntime = TrainRuntime()

    @property
    def asks_all(self) -> bool:
        """Whether every batch is asked about all texts of the sources."""
        return (self.texts or ("all" if self.recipe == "finetune" else "sampled")) == "all"

    @property
    def _default_target(self) -> str:
        return "soft" if self.recipe == "relmill" else "hard"

    @model_validator(mode="after")
    def _without_idle_settings(self) -> Self:
        if self.network != "tiny" and self.fusion is not None:
            raise ValueError(f"fusion has no effect with network: {self.network}, which has its own; remove it")
        followed = [source.output for source in self.sources if source.follow]
        if self.asks_all and followed:
            raise ValueError(
                f"texts: all needs finished outputs, but {followed[0]} is followed; give texts: sampled, or remove "
                f"follow"
            )
        if self.predicate_target == "hard" and (self.labels.target or self._default_target) != "hard":
            raise ValueError("predicate_target: hard learns predicates that are true or not; give labels.target: hard")
        if self.batch_size < self.runtime.workers:
            raise ValueError(
                f"batch_size is {self.batch_size}, fewer pictures than the {self.runtime.workers} workers that share "
                f"them; give a greater batch_size or fewer runtime.workers"
            )
        return self
