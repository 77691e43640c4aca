"""What a tagger is asked about a scene: pairs of regions, and the words that captions say of such pairs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from schemas import Mention, Phrase, Scene
from schemas.vocabulary import canonical_name
from stages.tag.assign import Assigned

Refusal = Literal["text-too-long", "text-unknown"]
"""Why a network is not asked about a text: more tokens than the text encoder takes, or words that it never learned."""

Pair = tuple[int, int]
"""Ids of two regions, subject first; never the same."""

# Scores are rounded to six digits before they are compared with the least one; none that would pass is left out here.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class PairTexts:
    """The pairs of a scene and its texts, and which belong together.

    Both are sorted, so that they do not depend on the order of regions and captions: pairs that are decoded together
    see one another.
    """

    pairs: tuple[Pair, ...]
    """P pairs that some mention may speak of; empty if there is nothing to ask."""
    texts: tuple[str, ...]
    """R texts, lower case, without repetition; empty if there are no pairs."""
    mentions: Mapping[Pair, tuple[Mention, ...]]
    """Of each pair, the mentions between its classes: whose phrases may denote the two regions."""
    text_of: Mapping[Mention, str]
    """The text that each of these mentions is asked as."""
    refused: tuple[tuple[str, Refusal], ...] = ()
    """Texts and class names that had to be left out, sorted, and why."""

    def own(self, scores: npt.NDArray[np.float64]) -> Iterator[Assigned]:
        """Each pair with its own mentions.

        Args:
            scores: (P, R) of the pairs against the texts.
        """
        column = {text: number for number, text in enumerate(self.texts)}
        for row, (subject, object_) in enumerate(self.pairs):
            for mention in self.mentions[subject, object_]:
                yield Assigned(mention, subject, object_, float(scores[row, column[self.text_of[mention]]]))

    def union(self, scores: npt.NDArray[np.float64], *, min_score: float) -> Iterator[Assigned]:
        """Each pair with its own mentions, and with one mention of every other text that reaches `min_score`.

        As RLIPv2 stores its labels: what a caption says of person and horse may be said of cup and table.
        """
        yield from self.own(scores)
        # A text may stand for several predicates: its words may be read in more than one way.
        spoken: dict[str, dict[str, Mention]] = {text: {} for text in self.texts}
        for mention in sorted(self.text_of, key=lambda m: (m.caption, m.span, m.subject, m.object)):
            spoken[self.text_of[mention]].setdefault(mention.predicate, mention)
        for row, column in np.argwhere(scores >= min_score - _ROUNDING).tolist():
            for mention in spoken[self.texts[column]].values():
                yield Assigned(mention, *self.pairs[row], float(scores[row, column]))


def pair_texts(scene: Scene, phrases: Sequence[Phrase], *, refusal: Callable[[str], Refusal | None]) -> PairTexts:
    """What to ask about a scene: every mention of every pair that it may speak of, and no region with itself.

    Args:
        phrases: the scene's own, with candidate regions (`with_candidates`).
        refusal: why the network cannot be asked about a text; None if it can. Words of a caption that it refuses are
            replaced by their predicate; if it refuses that as well, the mention is left out, and told.
    """
    names = {region.id: canonical_name(region.name) for region in scene.regions}
    mentions: dict[Pair, list[Mention]] = {}
    text_of: dict[Mention, str] = {}
    refused: dict[str, Refusal] = {}
    for mention in scene.mentions:
        pairs = [(s, o) for s in phrases[mention.subject].regions for o in phrases[mention.object].regions if s != o]
        if not pairs:
            continue
        text = asked_text(scene, mention)
        if reason := refusal(text):
            if refusal(mention.predicate):
                refused[text] = reason
                continue
            text = mention.predicate
        for pair in pairs:
            strange = {names[end]: reason for end in pair if (reason := refusal(names[end]))}
            refused |= strange
            if not strange:
                mentions.setdefault(pair, []).append(mention)
                text_of[mention] = text
    return PairTexts(
        pairs=tuple(sorted(mentions)),
        texts=tuple(sorted(set(text_of.values()))),
        mentions={pair: tuple(found) for pair, found in mentions.items()},
        text_of=text_of,
        refused=tuple(sorted(refused.items())),
    )


def asked_text(scene: Scene, mention: Mention) -> str:
    """The words of a mention as a network is asked about them: the caption's own, as in RLIPv2, not the lemmas.

    In lower case, as the predicates of Visual Genome that taggers learn from; the text encoder tells cases apart.
    """
    return " ".join(scene.captions[mention.caption].text[slice(*mention.span)].lower().split())
