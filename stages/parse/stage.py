"""The parse stage: captions in, phrases and mentions out."""

from collections.abc import Sequence
from dataclasses import replace

from schemas import Mention, Phrase, Repair, Scene
from stages.parse.clean import MAX_CHARACTERS
from stages.parse.parsed import Parse
from stages.parse.parser import CaptionParser

# Raised when the rules would read other relations in the same tree.
RULES_VERSION = 2


class Parser:
    """Reads each scene's captions with a spaCy pipeline and the rules."""

    name = "parse"
    batch_size = 256

    def __init__(self, *, model: str, sha256: str) -> None:
        """
        Args:
            model: `builtin`, an installed spaCy package, or a folder.
            sha256: of the pipeline, so that one changed under the job is noticed.
        """
        self.identity = f"parse/{RULES_VERSION} {sha256[:12]}"
        self._model = model
        self._sha256 = sha256
        self._parser: CaptionParser | None = None

    def setup(self) -> None:
        """Load the pipeline.

        Raises:
            BadInputError: if it is missing, damaged, or another than when the job was planned.
        """
        self._parser = CaptionParser(self._model, sha256=self._sha256)

    def process(self, scenes: Sequence[Scene]) -> Sequence[Scene]:
        """Fill `phrases` and `mentions` of each scene from its captions, replacing what was there."""
        if self._parser is None:
            self.setup()
        assert self._parser is not None
        texts = [caption.text for scene in scenes for caption in scene.captions]
        parsed = dict(zip(texts, self._parser.parse(texts), strict=True))
        return [_with_parses(scene, [parsed[caption.text] for caption in scene.captions]) for scene in scenes]


def _with_parses(scene: Scene, parses: list[Parse]) -> Scene:
    phrases: list[Phrase] = []
    mentions: list[Mention] = []
    repairs = [repair for repair in scene.provenance.repairs if repair.stage != "parse"]
    for index, (caption, parse) in enumerate(zip(scene.captions, parses, strict=True)):
        base = len(phrases)
        phrases += [Phrase(index, phrase.span, phrase.head, phrase.plural) for phrase in parse.phrases]
        stated = [
            Mention(index, r.subject + base, r.object + base, r.predicate, r.span)
            for r in parse.relations
            if r.subject != r.object  # "two buses next to each other": one phrase, and no telling which bus is which
        ]
        mentions += dict.fromkeys(stated)
        if len(caption.text) > MAX_CHARACTERS:
            detail = f"caption {index} has {len(caption.text)} characters; only the first {MAX_CHARACTERS} were read"
            repairs.append(Repair("parse", "caption-too-long", detail))
    provenance = replace(scene.provenance, repairs=tuple(repairs))
    return replace(scene, phrases=tuple(phrases), mentions=tuple(mentions), provenance=provenance)
