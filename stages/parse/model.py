"""Loading the spaCy pipeline that a job names."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from schemas import BadInputError
from stages.parse.clearnlp import is_clearnlp, universal_heads_and_labels
from stages.parse.conventions import BUILTIN_FOLDER, CONVENTIONS_FILE, Conventions
from stages.parse.noun_chunks import install_noun_chunks
from stages.parse.row_ops import row_ops
from stages.parse.tree import Tree

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

WORDS_FILE = "words.txt"
BUILTIN = "builtin"
# What the rules do not read; a component that nobody reads only costs time.
_UNREAD = ["ner", "lemmatizer", "senter", "entity_linker", "entity_ruler", "textcat", "textcat_multilabel", "spancat"]


@dataclass(frozen=True, slots=True)
class ParsingModel:
    """A loaded pipeline, and what was learnt beside it."""

    nlp: "Language"
    conventions: Conventions
    clearnlp: bool
    """Whether the parser gives ClearNLP labels, as spaCy's own English pipelines do."""
    words: frozenset[str]
    """Lower-case words of the training data; English is told from other languages by them."""

    def tree(self, doc: "Doc") -> Tree:
        """The tree of a parsed doc with Universal Dependencies labels, whatever labels the pipeline gives."""
        if self.clearnlp:
            return Tree.from_labels(doc, *universal_heads_and_labels(doc))
        return Tree.of(doc)

    def is_foreign(self, doc: "Doc") -> bool:
        """Whether a text is hardly English: fewer than half its words are known. Names and typing errors are fine."""
        words = [token.lower_ for token in doc if token.is_alpha]
        known = sum(word in self.words for word in words)
        return 2 * known < len(words)


def load_pipeline(model: str) -> ParsingModel:
    """Load `builtin`, an installed spaCy package by name, or a folder.

    Conventions and words are those of the folder, or the built-in ones where it has none.

    Raises:
        BadInputError: if there is no such pipeline, it is damaged or not English, or it does not parse.
    """
    nlp = _load(model)
    own = BUILTIN_FOLDER if model == BUILTIN else Path(model)
    folder = own if (own / CONVENTIONS_FILE).is_file() and (own / WORDS_FILE).is_file() else BUILTIN_FOLDER
    try:
        conventions = Conventions.from_json((folder / CONVENTIONS_FILE).read_bytes())
        words = frozenset((folder / WORDS_FILE).read_text(encoding="utf-8").split())
    except (OSError, ValueError, TypeError) as error:
        raise BadInputError(
            f"parse.model {model!r}: {CONVENTIONS_FILE} or {WORDS_FILE} of {folder} cannot be read: {error}; put back "
            f"what `relmill train-parser` wrote"
        ) from error
    clearnlp = is_clearnlp(nlp.pipe_labels["parser"])
    if not clearnlp:
        install_noun_chunks(nlp)
    return ParsingModel(nlp, conventions, clearnlp, words)


def _load(model: str) -> "Language":
    import spacy

    with batch_independent():
        if model == BUILTIN:
            return spacy.load(BUILTIN_FOLDER)
        try:
            nlp = spacy.load(model, exclude=_UNREAD)
        except Exception as error:  # a damaged pipeline fails in as many ways as it has files
            raise BadInputError(
                f"parse.model {model!r} cannot be loaded: {error}; give `builtin`, the name of an installed spaCy "
                f"pipeline or the folder of one"
            ) from error
    if nlp.lang != "en" or "parser" not in nlp.pipe_names:
        raise BadInputError(
            f"parse.model {model!r} is a pipeline for {nlp.lang!r} with {nlp.pipe_names}; an English one with a "
            f"`parser` is needed"
        )
    return nlp


def pipeline_digest(model: str) -> str:
    """Hex digest of everything in a pipeline's folder, for the job's identity.

    Raises:
        BadInputError: as `load_pipeline`.
    """
    if model == BUILTIN:
        return _folder_digest(BUILTIN_FOLDER)
    path = Path(model)
    if path.is_dir():
        return _folder_digest(path)
    from spacy.util import get_package_path, is_package

    if not is_package(model):
        raise BadInputError(
            f"parse.model {model!r}: no such folder and no such installed package; give `builtin`, the name of an "
            f"installed spaCy pipeline or the folder of one"
        )
    return _folder_digest(get_package_path(model))


@contextmanager
def batch_independent() -> Iterator[None]:
    """What is loaded inside computes row by row; see `row_ops.py`. Other pipelines of the process stay as they are."""
    from thinc.api import get_current_ops, set_current_ops

    before = get_current_ops()
    set_current_ops(row_ops())
    try:
        yield
    finally:
        set_current_ops(before)


def _folder_digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
            digest.update(path.read_bytes())
    return digest.hexdigest()
