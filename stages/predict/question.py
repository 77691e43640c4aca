"""What a network is asked about: names and predicates as texts, and how its answers become scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from schemas import BadInputError
from schemas.vocabulary import canonical_name
from stages.evaluate.detections import Bools, LabelSpace
from stages.evaluate.hicodet_classes import PERSON, hico_classes
from stages.ingest.class_lists import coco_objects, vcoco_verbs
from stages.ingest.predicates import canonical_predicate

if TYPE_CHECKING:
    from stages.alif.checkpoint import Checkpoint

_SHOWN = 5


@dataclass(frozen=True, eq=False, kw_only=True)
class Question:
    """Names and predicates, and which triplets of them count. By default all do, with the product of their parts."""

    space: LabelSpace
    """The texts: lower case, spaces between words."""
    subject: str | None = None
    """Only pairs whose likeliest subject is this name are answers."""
    count_subject: bool = True
    """Whether the subject's probability is a factor of the score."""
    possible: Bools | None = None
    """(O, R) which predicates can hold of which object; None: all of all."""


def question_of(objects: Sequence[str], predicates: Sequence[str], *, where: str) -> Question:
    """The question whether any of these predicates holds between any of these names.

    Args:
        where: what they are from, for messages.

    Raises:
        BadInputError: if there is none, or two that are the same but for case and underscores.
    """
    texts = []
    for what, names in (("names of objects", objects), ("predicates", predicates)):
        forms = [canonical_name(name) for name in names]
        if not forms:
            raise BadInputError(f"{where}: has no {what}; say what to look for with --classes or --benchmark")
        twice = next((names[i] for i, form in enumerate(forms) if form in forms[:i]), None)
        if twice is not None:
            raise BadInputError(f"{where}: {what}: {twice!r} is there twice, but for case and underscores; remove it")
        texts.append(tuple(forms))
    return Question(space=LabelSpace(*texts))


def hicodet_question() -> Question:
    """HICO-DET's 80 names and 117 verbs, answered as RLIPv2 did zero-shot ("NF").

    The subject is a person, whose probability is no factor (`PostProcessHOI` of `hoi.py`, with `--zero_shot_eval
    hico`), and verbs that HICO-DET does not have for an object are left out (`correct_mat` of `hico_eval.py`).
    """
    classes = hico_classes()
    texts = question_of(classes.space.objects, classes.space.predicates, where="HICO-DET").space
    return Question(space=texts, subject=PERSON, count_subject=False, possible=classes.table >= 0)


def vcoco_question() -> Question:
    """COCO's 80 names and what V-COCO's actions with a role mean (`sit instr`: sit on), scored as for HICO-DET.

    Actions without a role (`stand`) relate nothing. All are asked of all objects: V-COCO has no list of what can be.
    """
    verbs = [canonical_predicate(verb) for verb in vcoco_verbs().values() if " " in verb]
    texts = question_of(list(coco_objects().values()), verbs, where="V-COCO").space
    return Question(space=texts, subject=PERSON, count_subject=False)


def known_part(question: Question, checkpoint: "Checkpoint") -> tuple[Question, tuple[str, ...]]:
    """The question without texts of words that the network never learned, and those texts.

    Only tokenizers of whole words have such words, to which all of them are one; others spell them.

    Raises:
        BadInputError: if nothing, or no subject, is left to be asked.
    """
    space = question.space
    keeps = [_known(texts, checkpoint) for texts in (space.objects, space.predicates)]
    unknown = tuple(
        text
        for texts, keep in zip((space.objects, space.predicates), keeps, strict=True)
        for text, known in zip(texts, keep.tolist(), strict=True)
        if not known
    )
    if not unknown:
        return question, ()
    some = ", ".join(unknown[:_SHOWN]) + (", ..." if len(unknown) > _SHOWN else "")
    if not all(keep.any() for keep in keeps) or question.subject in unknown:
        raise BadInputError(
            f"the network never learned words of {some}, so there is nothing left to ask; ask about what it was "
            f"trained on, or take a network whose tokenizer spells unknown words"
        )
    objects, predicates = (
        tuple(text for text, known in zip(texts, keep.tolist(), strict=True) if known)
        for texts, keep in zip((space.objects, space.predicates), keeps, strict=True)
    )
    part = Question(
        space=LabelSpace(objects, predicates),
        subject=question.subject,
        count_subject=question.count_subject,
        possible=None if question.possible is None else question.possible[np.ix_(*keeps)],
    )
    return part, unknown


def _known(texts: Sequence[str], checkpoint: "Checkpoint") -> Bools:
    if checkpoint.unknown_token is None:
        return np.ones(len(texts), dtype=np.bool_)
    tokens, _ = checkpoint.tokenize(list(texts))
    return np.asarray((tokens != checkpoint.unknown_token).all(-1).numpy(), dtype=np.bool_)
