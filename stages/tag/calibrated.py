"""A tagger whose relations also get the probability that they are right."""

from collections.abc import Sequence
from dataclasses import replace

from schemas import Rejected, Scene
from stages.contract import Stage, wants_gpu
from stages.tag.calibration import KindCalibration


class CalibratedTagger:
    """Runs a tagger, and fills the probability of each relation that it makes; nothing else changes.

    The calibration travels to the workers with the stage: a few kB, and no file that could change meanwhile.
    """

    name = "tag"

    def __init__(self, tagger: Stage, calibration: KindCalibration, *, sha256: str) -> None:
        """
        Args:
            tagger: not set up yet.
            calibration: of its labels.
            sha256: of the whole calibration.
        """
        self._tagger = tagger
        self._calibration = calibration
        self.identity = f"{tagger.identity} calibration={sha256[:12]}"
        self.batch_size = tagger.batch_size
        self.wants_gpu = wants_gpu(tagger)

    def setup(self) -> None:
        """Set the tagger up; its errors pass through."""
        self._tagger.setup()

    def process(self, scenes: Sequence[Scene]) -> list[Scene | Rejected]:
        """What the tagger makes of them, with probabilities."""
        return [
            outcome if isinstance(outcome, Rejected) else self._calibrated(outcome)
            for outcome in self._tagger.process(scenes)
        ]

    def _calibrated(self, scene: Scene) -> Scene:
        # A tagger takes away the relations of an earlier one, so all that are of a tagger are its own.
        relations = tuple(
            replace(one, probability=self._calibration.probability(one.predicate, one.score))
            if one.source == "tagger"
            else one
            for one in scene.relations
        )
        return replace(scene, relations=relations)
