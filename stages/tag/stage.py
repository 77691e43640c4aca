"""The tag stage, backend `prior`: relations between regions, each resting on a caption."""

from collections.abc import Sequence

from schemas import BadInputError, Scene
from stages.tag.assign import Assigned, assign
from stages.tag.candidates import PairScorer, PairWeigher, with_candidates
from stages.tag.prior import Prior, load_prior
from stages.tag.relations import with_relations


class PriorTagger:
    """Assigns what captions state to the regions they mean, by a fitted prior."""

    name = "tag"
    batch_size = 256

    def __init__(self, *, prior: str, sha256: str, min_score: float) -> None:
        """
        Args:
            prior: `builtin`, or where the prior's file is.
            sha256: of the prior, so that a file changed under the job is noticed.
            min_score: relations below are not kept.
        """
        self.identity = f"tag/prior/1 {sha256[:12]}"
        self._prior = prior
        self._sha256 = sha256
        self._min_score = min_score
        self._loaded: Prior | None = None

    def setup(self) -> None:
        """Load the prior.

        Raises:
            BadInputError: if the file is missing, damaged, or another than when the job was planned.
        """
        loaded = load_prior(self._prior)
        if loaded.sha256 != self._sha256:
            raise BadInputError(
                f"tag.prior: {self._prior} changed since the job began (sha256 {loaded.sha256[:12]}, was "
                f"{self._sha256[:12]}); put the old file back, or start with another output"
            )
        self._loaded = loaded

    def process(self, scenes: Sequence[Scene]) -> Sequence[Scene]:
        """Fill `phrases[].regions` and add tagger relations behind the human ones."""
        if self._loaded is None:
            self.setup()
        assert self._loaded is not None
        prior = self._loaded
        return [tag_scene(scene, prior, min_score=self._min_score) for scene in scenes]


def tag_scene(scene: Scene, scorer: PairScorer, *, min_score: float = 0.0) -> Scene:
    """A copy of the scene with its captions' mentions turned into relations between its regions.

    See `with_relations` for what stays, what is merged and what is denied.
    """
    phrases = with_candidates(scene)
    weigher = PairWeigher(scene.regions, scorer)
    assigned: list[Assigned] = []
    for index, caption in enumerate(scene.captions):
        own = {i: phrase for i, phrase in enumerate(phrases) if phrase.caption == index}
        mentions = [mention for mention in scene.mentions if mention.caption == index]
        assigned += assign(caption, own, mentions, weigher)
    return with_relations(scene, phrases, assigned, min_score=min_score)
