"""Words for the same thing, by the part of WordNet that captions need: `wordnet.json`, see `WORDNET_CARD.md`."""

from stages.evaluate.synonyms.lookup import share_synset

__all__ = ["share_synset"]
