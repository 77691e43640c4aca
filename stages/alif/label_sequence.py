"""The texts that a batch is asked about: RLIPv2's label sequence extension (`engine.py`)."""

from collections.abc import Iterable, Mapping

import numpy as np

NO_OBJECTS = "no objects"
"""The last object text of every batch, as published: the class of a query without an object."""


class TextSampler:
    """Draws the texts of a batch: those that its pictures need, and others by frequency in the training data.

    Other texts beside the true ones make the network tell them apart. Published, a batch is always filled up. With
    `always_full` false the number of others is drawn, as a tagger is later asked about few texts as well as about
    many, and all of them take part in the fusion.
    """

    def __init__(self, counts: Mapping[str, int], num_texts: int, *, always_full: bool) -> None:
        """
        Args:
            counts: how often each text occurs, in an order that does not depend on chance.
            num_texts: most texts of a batch. A batch that needs more has more.
            always_full: whether there are as many others as there is room for.
        """
        self._texts = list(counts)
        self._weights = np.array([counts[text] for text in self._texts], dtype=np.float64)
        self._places = {text: place for place, text in enumerate(self._texts)}
        self._num_texts = num_texts
        self._always_full = always_full

    def draw(self, needed: Iterable[str], rng: np.random.Generator) -> list[str]:
        """The texts of a batch, sorted; drawn without replacement, each with a chance after its frequency."""
        chosen = sorted(set(needed))
        weights = self._weights.copy()
        weights[[self._places[text] for text in chosen if text in self._places]] = 0
        num_more = max(0, min(self._num_texts - len(chosen), int(np.count_nonzero(weights))))
        if not self._always_full:
            num_more = int(rng.integers(num_more + 1))
        if num_more > 0:
            more = rng.choice(len(weights), size=num_more, replace=False, p=weights / weights.sum())
            chosen = sorted([*chosen, *(self._texts[place] for place in more)])
        return chosen
