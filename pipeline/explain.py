"""`relmill parse --explain`: what the parser reads in one caption, and why."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.load_parser import load_parser
from schemas import Span, UserError

if TYPE_CHECKING:
    from spacy.tokens import Doc

    from stages.parse.parsed import Parse


@dataclass(frozen=True, slots=True)
class Explanation:
    """One caption with its tree and its parse."""

    caption: str
    doc: "Doc"
    parse: "Parse"

    def to_text(self) -> str:
        """Caption, tree, phrases and relations for a terminal; a relation ends with the rules that found it."""
        parts = [
            ("tree", ("", "word", "UPOS", "tag", "relation", "head"), list(self._words())),
            ("phrases", ("", "text", "characters", "head", "name", "attributes"), list(self._phrases())),
            ("relations", ("subject", "predicate", "object", "text", "characters", "rule"), list(self._relations())),
        ]
        tables = [f"{name}\n{_aligned([head, *rows])}" if rows else f"no {name}" for name, head, rows in parts]
        return "\n\n".join([_printable(self.caption), *tables])

    def to_svg(self) -> str:
        """The tree drawn with arcs by displaCy: an SVG document that needs nothing from elsewhere."""
        from spacy.displacy import parse_deps
        from spacy.displacy.render import DependencyRenderer

        # Left to itself, it draws "dog." as one word, and gives each drawing a random id.
        drawing = parse_deps(self.doc, {"collapse_punct": False})
        words = [{**word, "text": _printable(word["text"])} for word in drawing["words"]]
        return DependencyRenderer().render_svg("tree", words, drawing["arcs"])

    def write_svg(self, path: Path) -> None:
        """Write the drawing to a file.

        Raises:
            UserError: if it cannot be written.
        """
        try:
            path.write_text(self.to_svg(), encoding="utf-8")
        except OSError as error:
            raise UserError(
                f"{path}: cannot be written: {error.strerror}; give --svg a file in another folder"
            ) from error

    def _words(self) -> Iterator[Sequence[str]]:
        for token in self.doc:
            head = "" if token.head.i == token.i else f"{token.head.i + 1} {_printable(token.head.text)}"
            yield str(token.i + 1), _printable(token.text), token.pos_, token.tag_, token.dep_, head

    def _phrases(self) -> Iterator[Sequence[str]]:
        for index, phrase in enumerate(self.parse.phrases):
            said = [attribute.value for attribute in self.parse.attributes if attribute.phrase == index]
            shown = ", ".join(map(_printable, (["plural"] if phrase.plural else []) + said))
            yield str(index + 1), *self._place(phrase.span), _printable(phrase.head), _printable(phrase.name), shown

    def _relations(self) -> Iterator[Sequence[str]]:
        for relation in self.parse.relations:
            subject, object_ = self._named(relation.subject), self._named(relation.object)
            yield subject, _printable(relation.predicate), object_, *self._place(relation.span), relation.rule

    def _named(self, phrase: int) -> str:
        return f"{phrase + 1} {_printable(self.parse.phrases[phrase].name)}"

    def _place(self, span: Span) -> tuple[str, str]:
        return _printable(self.caption[slice(*span)]), f"{span[0]}-{span[1]}"


def explain(caption: str, *, model: str) -> Explanation:
    """Parse one caption and keep the tree.

    Raises:
        BadInputError: if the pipeline cannot be loaded.
    """
    parser = load_parser(model)
    return Explanation(caption, parser.doc(caption), parser.parse([caption])[0])


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(f"  {line}".rstrip() for line in lines)


def _printable(text: str) -> str:
    """The text, with escapes for what would move the cursor or cannot be encoded."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
