"""Captions whose parse is proved by its result: kept where the relations read in the tree are those people wrote.

No caption has a human tree. But a tree from which the rules read exactly the human graph is right where it matters, and
teaches the parser what captions look like. Two of three captions pass; the rest is left out, not mended.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from stages.evaluate.caption_lines import GoldCaption, read_caption
from stages.evaluate.factual import factual_graph
from stages.parse.conventions import Conventions
from stages.parse.extract import extract
from stages.parse.tree import Tree

if TYPE_CHECKING:
    from spacy.tokens import Doc


def proved(parsed: Iterable[tuple[GoldCaption, "Doc"]], conventions: Conventions) -> Iterator["Doc"]:
    """The docs whose relations equal the human ones; where people wrote none, the whole graph must be equal."""
    for caption, doc in parsed:
        read = factual_graph(read_caption(extract(Tree.of(doc), conventions), caption.text))
        gold = caption.graph
        if read.relations == gold.relations and (gold.relations or read == gold):
            yield doc
