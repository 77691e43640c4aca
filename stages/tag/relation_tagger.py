"""The tag stage, backend `relation_tagger`: caption relations scored by a network that looks at the picture.

RLIPv2's Relation Tagger, section 3.3 of the paper: regions are the queries, what captions say the labels. Unlike the
published script, a pair is asked only what a caption says of its own two classes, and a picture is encoded once.

A relation's score is the sigmoid of the network's logit for the pair and the caption's words: in (0, 1), and not
calibrated.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from schemas import BadInputError, Phrase, Rejected, Repair, Scene, UserError
from schemas.job import RelationTagger
from schemas.vocabulary import canonical_name
from stages.optional import require_torch
from stages.picture import decode_rgb
from stages.tag.assign import Assigned
from stages.tag.candidates import with_candidates
from stages.tag.pair_texts import PairTexts, Refusal, pair_texts
from stages.tag.relations import with_relations
from stages.tag.tagger_network import Floats, PictureQuestion, TaggerNetwork, class_numbers

if TYPE_CHECKING:
    from stages.alif.config import AlifConfig, PictureSize

_BUILTIN_FOLDER = Path(__file__).parent / "builtin_tagger"
_DETAILS: dict[Refusal, str] = {
    "text-too-long": "the text encoder does not take",
    "text-unknown": "the network never learned words of",
}
_SHOWN = 80


def open_relation_tagger(job: RelationTagger) -> "NetworkTagger":
    """A tagger that has not loaded its network yet; the files are read once, for their digest.

    What can be wrong with them is told here, before an output is bound to the job.

    Raises:
        BadInputError: if `tag.model` is no folder of a network, or of another kind of network.
        UserError: if PyTorch is not installed, or a setting does not fit the network.
    """
    require_torch("tag.backend relation_tagger")
    from stages.alif.checkpoint import checkpoint_config

    sha256 = _digest(job.model)
    try:
        config = checkpoint_config(_folder(job.model))
    except BadInputError as error:
        raise BadInputError(f"tag.model: {error}") from error
    _picture_size(job, config)
    return NetworkTagger(job, sha256=sha256)


class NetworkTagger:
    """Scores what captions state of each pair of regions that they may mean.

    Every pair of a mention is scored, and all above `min_score` are kept: unlike the prior, the network does not
    decide which pair a caption means. What a scene gets is a function of the scene, the network, the settings and the
    kind of device; scenes beside it, which share its batch, change the last digits at most.
    """

    name = "tag"
    wants_gpu = True
    """The runtime gives it a whole GPU by default, if there is one."""

    def __init__(self, job: RelationTagger, *, sha256: str) -> None:
        """
        Args:
            sha256: of the network's files, so that a file changed under the job is noticed.
        """
        self._job = job
        self._sha256 = sha256
        self._network: TaggerNetwork | None = None
        self.batch_size = job.batch_size
        self.identity = _identity(job, sha256)

    def setup(self) -> None:
        """Load the network: on a GPU if there is one, else on the CPU.

        Raises:
            BadInputError: if its files are missing, damaged, of another kind of network, or other than when the job
                was planned.
            UserError: if PyTorch is not installed, the tokenizer cannot be had, or a setting does not fit the network.
        """
        require_torch("tag.backend relation_tagger")
        import torch

        from stages.alif.checkpoint import load_checkpoint

        found = _digest(self._job.model)
        if found != self._sha256:
            raise BadInputError(
                f"tag.model: the files in {self._job.model} changed since the job began (sha256 {found[:12]}, was "
                f"{self._sha256[:12]}); give every worker the old files, or start with another output"
            )
        checkpoint = load_checkpoint(_folder(self._job.model))
        self._network = TaggerNetwork(
            checkpoint,
            device=torch.device("cuda" if torch.cuda.is_available() else "cpu"),
            picture=_picture_size(self._job, checkpoint.config),
            precision=self._job.precision,
            pairs_per_group=self._job.pairs_per_group,
            most_pictures=self._job.batch_size,
            compiled=self._job.compile,
        )

    def process(self, scenes: Sequence[Scene]) -> list[Scene | Rejected]:
        """Fill `phrases[].regions` and add tagger relations behind the others; without pixels a scene is rejected.

        A scene whose captions speak of no pair of its regions goes on without relations of the tagger.
        """
        if self._network is None:
            self.setup()
        assert self._network is not None
        network = self._network
        phrases = [with_candidates(scene) for scene in scenes]
        asked = [
            pair_texts(scene, of_scene, refusal=network.refusal)
            for scene, of_scene in zip(scenes, phrases, strict=True)
        ]
        seen = [i for i, scene in enumerate(scenes) if scene.image.data is not None and asked[i].pairs]
        # One picture at a time: decoded, a large one takes a hundred times the memory it has here.
        found = network.score([self._question(network, scenes[i], asked[i]) for i in seen])
        scores = dict(zip(seen, found, strict=True))
        return [
            self._tagged(scene, phrases[i], asked[i], scores.get(i))
            if scene.image.data is not None
            else self._no_pixels(scene)
            for i, scene in enumerate(scenes)
        ]

    def _question(self, network: TaggerNetwork, scene: Scene, asked: PairTexts) -> PictureQuestion:
        assert scene.image.data is not None
        picture = decode_rgb(scene.image.data)
        # A class name that the network refuses stands in no pair, and would be no text.
        regions = [region for region in scene.regions if not network.refusal(canonical_name(region.name))]
        row = {region.id: i for i, region in enumerate(regions)}
        corners = np.array([region.box for region in regions], dtype=np.float64)
        low, high = corners[:, :2], corners[:, 2:]
        classes, box_classes = class_numbers([canonical_name(region.name) for region in regions])
        return PictureQuestion(
            pixels=network.pixels(picture),
            boxes_cxcywh=np.concatenate([(low + high) / 2, high - low], axis=1) / (picture.size * 2),
            box_classes=box_classes,
            classes=classes,
            pairs=np.array([[row[s], row[o]] for s, o in asked.pairs], dtype=np.int64),
            texts=asked.texts,
        )

    def _tagged(self, scene: Scene, phrases: tuple[Phrase, ...], asked: PairTexts, scores: Floats | None) -> Scene:
        min_score = self._job.min_score
        assigned: Iterable[Assigned] = ()
        if scores is not None:
            union = self._job.scope == "image_union"
            assigned = asked.union(scores, min_score=min_score) if union else asked.own(scores)
        return _with_repairs(with_relations(scene, phrases, assigned, min_score=min_score), asked.refused)

    def _no_pixels(self, scene: Scene) -> Rejected:
        detail = f"tag.backend relation_tagger needs the picture {scene.image.name!r}"
        return Rejected(scene.key, self.name, "no-pixels", detail)


def _with_repairs(scene: Scene, refused: Sequence[tuple[str, Refusal]]) -> Scene:
    known = scene.provenance.repairs
    shown = [(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...", reason) for text, reason in refused]
    told = [Repair("tag", reason, f"{_DETAILS[reason]} {text!r}; not asked") for text, reason in shown]
    new = tuple(dict.fromkeys(repair for repair in told if repair not in known))
    return replace(scene, provenance=replace(scene.provenance, repairs=known + new)) if new else scene


def _folder(model: str) -> Path:
    """Of the network named in a job."""
    return _BUILTIN_FOLDER if model == "builtin" else Path(model)


def _digest(model: str) -> str:
    from stages.alif.checkpoint import checkpoint_sha256

    try:
        return checkpoint_sha256(_folder(model))
    except BadInputError as error:
        raise BadInputError(f"tag.model: {error}") from error


def _picture_size(job: RelationTagger, config: "AlifConfig") -> "PictureSize":
    """What pictures are scaled to, once it is clear that the settings fit the network.

    Raises:
        BadInputError: if it is another kind of network.
        UserError: if a setting does not fit it.
    """
    from stages.alif.config import PictureSize
    from stages.alif.queries import PUBLISHED_PAIRS

    if config.decoding != "pairs":
        raise BadInputError(
            f"tag.model: the network in {job.model} looks for pairs itself (decoding {config.decoding}); give a "
            f"Relation Tagger, which takes given pairs (decoding pairs)"
        )
    if not config.repairs.shared_slots and job.pairs_per_group > PUBLISHED_PAIRS:
        raise UserError(
            f"tag.pairs_per_group is {job.pairs_per_group}, but this network was converted with its {PUBLISHED_PAIRS} "
            f"published slots; give at most so many, or convert it without --published"
        )
    trained = config.picture
    try:
        return PictureSize(short_side=job.short_side or trained.short_side, longest=job.longest or trained.longest)
    except ValueError as error:
        raise UserError(f"tag.{error}") from error


def _identity(job: RelationTagger, sha256: str) -> str:
    """What runs, with every setting that changes a score, be it in the last digits."""
    return (
        f"tag/relation_tagger/1 sha256:{sha256} {job.scope} min_score={job.min_score:g} "
        f"pairs_per_group={job.pairs_per_group} size={job.short_side or 'own'}..{job.longest or 'own'} {job.precision} "
        f"batch_size={job.batch_size} compile={str(job.compile).lower()}"
    )
