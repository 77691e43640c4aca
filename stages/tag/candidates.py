"""What a caption could be about: regions for its phrases, and log-weights for the pairs of its relations."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from schemas import Phrase, Region, Scene, Vocabulary
from schemas.vocabulary import canonical_name
from stages.tag.geometry import geometry_bins


class PairScorer(Protocol):
    """What scores pairs; `Prior` does, and so do the ablations of `benchmarks/assignment.py`."""

    def log_prior(self, subject: str, predicate: str, object_: str) -> float: ...

    def log_likelihood_ratio(
        self, subject: str, predicate: str, object_: str, bins: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float64]: ...


@dataclass(frozen=True, slots=True)
class PairWeights:
    """Log-weights of the pairs between two phrases' candidates, both (S, O), -inf where both are one region."""

    evidence: npt.NDArray[np.float64]
    """Likelihood ratio of the geometry: related against unrelated."""
    total: npt.NDArray[np.float64]
    """`evidence` and log P(predicate | classes), which decides what "bike" is."""


class PairWeigher:
    """Weighs the pairs of one scene. Captions of a picture repeat each other, so what was weighed is kept."""

    def __init__(self, regions: Iterable[Region], scorer: PairScorer) -> None:
        self._regions = {region.id: region for region in regions}
        self._scorer = scorer
        self._known: dict[tuple[str, tuple[int, ...], tuple[int, ...]], PairWeights] = {}
        areas = ((r.box[2] - r.box[0]) * (r.box[3] - r.box[1]) for r in self._regions.values())
        self._largest_area = max(areas, default=0.0)

    def weights(self, predicate: str, subjects: tuple[int, ...], objects: tuple[int, ...]) -> PairWeights:
        """Weigh every pair of these region ids as subject and object of the predicate."""
        key = (predicate, subjects, objects)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._weigh(predicate, subjects, objects)
        return known

    def _weigh(self, predicate: str, subjects: tuple[int, ...], objects: tuple[int, ...]) -> PairWeights:
        evidence = np.full((len(subjects), len(objects)), -np.inf)
        total = evidence.copy()
        s_boxes, o_boxes = (np.array([self._regions[i].box for i in ids]) for ids in (subjects, objects))
        s_names, o_names = (np.array([self._regions[i].name for i in ids]) for ids in (subjects, objects))
        different = np.array(subjects)[:, None] != np.array(objects)[None]
        for s_name in sorted(set(s_names.tolist())):
            for o_name in sorted(set(o_names.tolist())):
                s, o = np.nonzero((s_names == s_name)[:, None] & (o_names == o_name)[None] & different)
                if len(s):
                    bins = geometry_bins(s_boxes[s], o_boxes[o], largest_area=self._largest_area)
                    evidence[s, o] = self._scorer.log_likelihood_ratio(s_name, predicate, o_name, bins)
                    total[s, o] = evidence[s, o] + self._scorer.log_prior(s_name, predicate, o_name)
        return PairWeights(evidence, total)


def with_candidates(scene: Scene) -> tuple[Phrase, ...]:
    """The scene's phrases, each with the ids of the regions it may denote, sorted; empty if its words name no region.

    Whole words, the longest class name that ends the phrase: "a handbag" is no person, "a hot dog" no dog.
    """
    by_name: dict[str, list[int]] = {}
    for region in scene.regions:
        by_name.setdefault(canonical_name(region.name), []).append(region.id)
    vocabulary = _vocabulary(tuple(sorted(by_name)))
    phrases = []
    for phrase in scene.phrases:
        text = scene.captions[phrase.caption].text[slice(*phrase.span)]
        ids = sorted(i for name in vocabulary.denoted(text) for i in by_name[name])
        phrases.append(Phrase(phrase.caption, phrase.span, phrase.head, phrase.plural, tuple(ids)))
    return tuple(phrases)


@lru_cache(maxsize=4096)
def _vocabulary(names: tuple[str, ...]) -> Vocabulary:
    """Pictures of a dataset share few sets of classes, and a vocabulary costs a table of forms."""
    return Vocabulary.of(names)
