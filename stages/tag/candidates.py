"""What a caption could be about: regions for its phrases, and log-weights for the pairs of its relations."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from schemas import Mention, Phrase, Region, Scene, Vocabulary
from schemas.vocabulary import canonical_name
from stages.tag.geometry import geometry_bins


class PairScorer(Protocol):
    """What scores pairs; `Prior` does, and so do the ablations of `benchmarks/assignment.py`."""

    def log_prior(self, subject: str, predicate: str, object_: str) -> float: ...

    def log_likelihood_ratio(
        self, subject: str, predicate: str, object_: str, bins: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float64]: ...


class PairWeights:
    """Log-weights of the pairs between two phrases' candidates.

    `evidence` is the likelihood ratio of the geometry; `total` adds log P(predicate | classes), which decides between
    a bicycle and a motorcycle when the caption says "bike". Both (S, O); -inf on the diagonal of equal regions.
    """

    def __init__(self, evidence: npt.NDArray[np.float64], total: npt.NDArray[np.float64]) -> None:
        self.evidence = evidence
        self.total = total


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


def pair_weights(
    mention: Mention, subjects: Sequence[Region], objects: Sequence[Region], scorer: PairScorer, *, largest_area: float
) -> PairWeights:
    """Weigh every pair of a subject's and an object's candidates for what the mention states of them."""
    evidence = np.full((len(subjects), len(objects)), -np.inf)
    total = evidence.copy()
    s_boxes, o_boxes = (np.array([r.box for r in regions], dtype=np.float64) for regions in (subjects, objects))
    s_names, o_names = (np.array([r.name for r in regions]) for regions in (subjects, objects))
    same = np.array([r.id for r in subjects])[:, None] == np.array([r.id for r in objects])[None]
    for s_name in sorted(set(s_names.tolist())):
        for o_name in sorted(set(o_names.tolist())):
            s, o = np.nonzero((s_names == s_name)[:, None] & (o_names == o_name)[None] & ~same)
            if not len(s):
                continue
            bins = geometry_bins(s_boxes[s], o_boxes[o], largest_area=largest_area)
            evidence[s, o] = scorer.log_likelihood_ratio(s_name, mention.predicate, o_name, bins)
            total[s, o] = evidence[s, o] + scorer.log_prior(s_name, mention.predicate, o_name)
    return PairWeights(evidence, total)


@lru_cache(maxsize=4096)
def _vocabulary(names: tuple[str, ...]) -> Vocabulary:
    """Pictures of a dataset share few sets of classes, and a vocabulary costs a table of forms."""
    return Vocabulary.of(names)
