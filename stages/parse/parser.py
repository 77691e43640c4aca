"""The caption parser: texts in, `Parse`s out, each text read once."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from schemas import BadInputError, Span
from stages.parse.clean import clean
from stages.parse.extract import extract
from stages.parse.model import BUILTIN, load_pipeline, pipeline_digest
from stages.parse.parsed import Parse
from stages.parse.row_ops import one_blas_thread

if TYPE_CHECKING:
    from spacy.tokens import Doc

# Docs in memory at once, and texts a call of the network; a larger batch falls out of the processor's cache.
BATCH = 256


class CaptionParser:
    """Reads captions with a spaCy pipeline and the rules of `rules/`.

    >>> parse = CaptionParser().parse(["a man riding a brown horse"])[0]
    >>> parse.relations[0].predicate
    'ride'
    """

    def __init__(self, model: str = BUILTIN, *, sha256: str | None = None) -> None:
        """
        Args:
            model: `builtin`, the name of an installed spaCy package, or a folder.
            sha256: digest that the pipeline must have.

        Raises:
            BadInputError: if the pipeline cannot be loaded or has another digest.
        """
        if sha256 is not None and (found := pipeline_digest(model)) != sha256:
            raise BadInputError(
                f"parse.model: {model} changed since the job began (sha256 {found[:12]}, was {sha256[:12]}); put the "
                f"old one back, or start with another output"
            )
        self._model = load_pipeline(model)

    def parse(self, texts: Iterable[str]) -> list[Parse]:
        """The parse of each text, in order. What it says of a text does not depend on the texts beside it.

        Any text is fine; one without relations gives none. Only the first `MAX_CHARACTERS` are read.
        """
        texts = list(texts)
        distinct = list(dict.fromkeys(texts))
        parsed: dict[str, Parse] = {}
        rest = iter(distinct)
        while batch := list(islice(rest, BATCH)):
            parsed.update(zip(batch, self._batch(batch), strict=True))
        return [parsed[text] for text in texts]

    def _batch(self, texts: Sequence[str]) -> list[Parse]:
        # Strings of a memory zone are freed with it; otherwise every misspelt word of a million captions would stay.
        nlp = self._model.nlp
        cleaned = [clean(text) for text in texts]
        with one_blas_thread(), nlp.memory_zone():
            docs = nlp.pipe((text for text, _ in cleaned), batch_size=BATCH)
            return [_respan(self._read(doc), place) for doc, (_, place) in zip(docs, cleaned, strict=True)]

    def doc(self, text: str) -> "Doc":
        """The parsed doc of a text, for looking at; `parse` never lets one out."""
        with one_blas_thread():
            return self._model.nlp(clean(text)[0])

    def _read(self, doc: "Doc") -> Parse:
        if self._model.is_foreign(doc):
            return Parse()
        return extract(self._model.tree(doc), self._model.conventions)


def _respan(parse: Parse, place: Sequence[int]) -> Parse:
    """The parse with its characters counted in the text as it was given."""

    def respan(span: Span) -> Span:
        return place[span[0]], place[span[1] - 1] + 1

    return Parse(
        tuple(replace(phrase, span=respan(phrase.span)) for phrase in parse.phrases),
        tuple(replace(relation, span=respan(relation.span)) for relation in parse.relations),
        parse.attributes,
    )
