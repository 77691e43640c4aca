"""Trees with ClearNLP's labels, which spaCy's own English pipelines give, rebuilt as Universal Dependencies.

The two agree on what belongs together and differ on which word leads. In ClearNLP a preposition leads its noun, "is"
its predicate, and "and" hangs on the conjunct before it; in Universal Dependencies all three hang on what follows.

Three steps do the rebuilding, and each makes a tree of a tree, so labels however wrong cannot close a circle: a child
takes the place of its head, a child is hung under its sister, a child is hung beside its head.
"""

from bisect import insort
from collections.abc import Collection
from typing import TYPE_CHECKING

from stages.parse.tree import NOMINAL, VERBAL

if TYPE_CHECKING:
    from spacy.tokens import Doc

# No treebank of Universal Dependencies has these, and nothing can be said in ClearNLP for long without them.
_CLEARNLP_ONLY = frozenset({"pobj", "prep"})
_BE = frozenset({"be", "is", "are", "was", "were", "been", "being", "am", "'s", "'re", "'m"})
_SUBJECTS = frozenset({"nsubj", "nsubjpass", "csubj", "csubjpass"})
_RENAMED = {
    "ROOT": "dep",  # of a word that is no root
    "": "dep",
    "auxpass": "aux:pass",
    "csubjpass": "csubj:pass",
    "dobj": "obj",
    "intj": "discourse",
    "meta": "dep",
    "nsubjpass": "nsubj:pass",
    "poss": "nmod:poss",
    "preconj": "cc",
    "predet": "det",
    "prt": "compound:prt",
    "quantmod": "advmod",
}
_OBLIQUE = frozenset({"prep", "agent", "dative", "pobj", "pcomp", "npadvmod"})
# What a noun stays when it takes the place of its preposition; anything else becomes an oblique or a modifier.
_KEPT = frozenset(
    {"conj", "relcl", "acl", "advcl", "ccomp", "xcomp", "parataxis", "appos", "dobj", "attr", "acomp", "oprd"}
) | _SUBJECTS  # fmt: skip


def is_clearnlp(labels: Collection[str]) -> bool:
    """Whether a parser with these labels builds ClearNLP's trees; `nlp.get_pipe("parser").labels` has them."""
    return not _CLEARNLP_ONLY.isdisjoint(labels)


def universal_heads_and_labels(doc: "Doc") -> tuple[list[int], list[str]]:
    """The tree of a doc with ClearNLP's labels, as Universal Dependencies.

    Reads words, heads, labels and `pos_`, and leaves the doc as it is.

    Returns:
        Head and label of each token, in order. The head of a root is the root itself, its label `ROOT`; no other word
        has that label. The roots are as many as they were, and heads never lead round in a circle.
    """
    tree = _Rebuilt(
        head=[token.head.i for token in doc],
        label=[token.dep_ for token in doc],
        pos=[token.pos_ for token in doc],
        lower=[token.lower_.replace("’", "'") for token in doc],
    )
    for word in tree.bottom_up():
        if _is_be(tree, word):
            _lower_copula(tree, word)
        else:
            _lower_preposition(tree, word)
    _hang_on_next_conjunct(tree)
    _flatten_lists(tree)
    return tree.head, [_universal_label(tree, word) for word in range(len(tree.head))]


class _Rebuilt:
    """A tree while it is rebuilt. Labels stay ClearNLP's until the end, for every step goes by them."""

    def __init__(self, *, head: list[int], label: list[str], pos: list[str], lower: list[str]) -> None:
        self.head, self.label, self.pos, self.lower = head, label, pos, lower
        self.children: list[list[int]] = [[] for _ in head]
        for word, above in enumerate(head):
            if above != word:
                self.children[above].append(word)
        self.prepositions: dict[int, int] = {}
        """Word to the last preposition whose place it took."""
        self.predicates: set[int] = set()
        """Words that took the place of "is"."""
        self.of_clause: set[int] = set()
        """Words that hung on "is": they belong to the clause, not to the noun that became its head."""

    def bottom_up(self) -> list[int]:
        """All words, each before its head as the tree stands now."""
        order = [word for word, above in enumerate(self.head) if above == word]
        for word in order:
            order += self.children[word]
        return order[::-1]

    def kids(self, word: int, *labels: str) -> list[int]:
        return [child for child in self.children[word] if self.label[child] in labels]

    def hang(self, word: int, above: int) -> None:
        """Hang a word under a sister or beside its head; `above == word` makes it a root."""
        old = self.head[word]
        if old != word:
            self.children[old].remove(word)
        self.head[word] = above
        if above != word:
            insort(self.children[above], word)

    def take_place(self, child: int, *, leaving: str) -> None:
        """A child changes places with its head, whose label it gets; the head gets the label `leaving`."""
        old = self.head[child]
        above = self.head[old]
        self.hang(child, child if above == old else above)
        self.hang(old, child)
        self.label[child], self.label[old] = self.label[old], leaving

    def is_clause(self, word: int) -> bool:
        return self.pos[word] in VERBAL or word in self.predicates


# Prepositions


def _lower_preposition(tree: _Rebuilt, word: int) -> None:
    """Put the noun or clause behind a preposition in its place; nothing happens if there is none."""
    noun = _complement(tree, word)
    if noun is None:
        return
    above, others = tree.head[word], [k for k in tree.children[word] if k != noun]
    # "in and around the house": the noun hangs on the second, of which it is both the noun and the conjunct.
    joined = tree.prepositions.get(noun) if tree.label[noun] == "conj" else None
    tree.take_place(noun, leaving="mark" if tree.is_clause(noun) else "case")
    tree.prepositions[noun] = word
    if joined is not None:
        tree.hang(joined, word)
        tree.label[joined] = "conj"
    for other in others:
        if joined is not None and tree.label[other] == "cc":
            tree.hang(other, joined)
        elif tree.label[other] == "prep" and above != word:
            # "from the house to the lake" is two places of one walk.
            tree.hang(other, above)
        else:
            tree.hang(other, noun)
            if tree.label[other] == "pobj":
                tree.label[other] = "conj"


def _complement(tree: _Rebuilt, word: int) -> int | None:
    """What stands behind a preposition, its own noun or that of the next in a chain ("out of the box")."""
    named = tree.label[word] in {"prep", "agent"}
    if tree.pos[word] in NOMINAL or (tree.pos[word] in VERBAL and not named):
        return None
    may_chain = named or tree.pos[word] in {"ADP", "SCONJ"}
    chained = [k for k in tree.children[word] if may_chain and k in tree.prepositions]
    for found in (
        tree.kids(word, "pobj"),
        tree.kids(word, "pcomp"),
        [k for k in chained if tree.label[k] == "prep"],
        [k for k in chained if tree.label[k] == "conj"],
    ):
        if found:
            return next((k for k in found if k > word), found[0])
    return None


# Copulas


def _is_be(tree: _Rebuilt, word: int) -> bool:
    return tree.lower[word] in _BE and tree.pos[word] in VERBAL and tree.label[word] not in {"aux", "auxpass"}


def _lower_copula(tree: _Rebuilt, be: int) -> None:
    """Put the predicate in the place of "is"; in "there is a dog" the verb stays and the dog is its subject."""
    if any(tree.lower[k] != "it" for k in tree.kids(be, "expl")):
        for subject in tree.kids(be, "attr")[:1]:
            tree.label[subject] = "nsubj"
        return
    predicate = _predicate(tree, be)
    if predicate is None:
        return
    others = [k for k in tree.children[be] if k != predicate]
    tree.take_place(predicate, leaving="cop")
    tree.predicates.add(predicate)
    tree.of_clause.update(others)
    for other in others:
        tree.hang(other, predicate)


def _predicate(tree: _Rebuilt, be: int) -> int | None:
    """What "is" says of its subject: a noun, an adjective, a place or an adverb; None if it has nothing to join."""
    subjects = [k for k in tree.children[be] if tree.label[k] in _SUBJECTS]
    complements = tree.kids(be, "attr", "acomp")
    places = [k for k in tree.kids(be, "prep") if k in tree.prepositions and not tree.is_clause(k)]
    fronted, behind = [k for k in places if k < be], [k for k in places if k > be]
    if fronted and not subjects and complements and tree.label[complements[0]] == "attr" and complements[0] > be:
        tree.label[complements[0]] = "nsubj"  # "on the table is a cup"
        return fronted[-1]
    if complements:
        return complements[0]
    if behind:
        return behind[0]
    if fronted and subjects and subjects[0] > be:
        return fronted[-1]
    # "the dog is outside", "the table that the vases are on"
    bare = [k for k in tree.kids(be, "advmod", "prep") if k > be and tree.pos[k] in {"ADV", "ADP"}]
    return bare[-1] if bare and not tree.kids(be, "xcomp", "ccomp") else None


# Lists


def _hang_on_next_conjunct(tree: _Rebuilt) -> None:
    """Hang "and" and the commas of a list on the conjunct that follows."""
    for word in range(len(tree.head)):
        for mark in tree.kids(word, "cc", "punct"):
            sisters = [k for k in tree.children[word] if k > mark and tree.label[k] not in {"cc", "punct"}]
            if tree.label[mark] == "cc":
                sisters = [k for k in sisters if tree.label[k] == "conj"]
            if mark > word and sisters and tree.label[sisters[0]] == "conj":
                tree.hang(mark, sisters[0])


def _flatten_lists(tree: _Rebuilt) -> None:
    """Hang every conjunct on the first: ClearNLP chains them."""
    for word in range(len(tree.head)):
        if tree.label[word] != "conj" or tree.head[word] == word:
            continue
        first = tree.head[word]
        # "a man reads and a girl sits and sings": who has a subject begins a list of its own.
        while tree.label[first] == "conj" and tree.head[first] != first and not tree.kids(first, *_SUBJECTS, "expl"):
            first = tree.head[first]
        if first != tree.head[word]:
            tree.hang(word, first)


# Labels


def _universal_label(tree: _Rebuilt, word: int) -> str:
    above, label, pos = tree.head[word], tree.label[word], tree.pos[word]
    if above == word:
        return "ROOT"
    under_verb = tree.pos[above] in VERBAL
    if label in _OBLIQUE or (word in tree.prepositions and label not in _KEPT):
        return _oblique_label(tree, word)
    universal = _RENAMED.get(label, label)
    if label in {"attr", "acomp", "oprd"}:  # of other verbs than "is": "looks happy"
        universal = "xcomp" if under_verb else "dep"
    elif label in {"acl", "relcl"} and under_verb:
        universal = "advcl" if label == "acl" else "advcl:relcl"
    elif label == "relcl":
        universal = "acl:relcl"
    elif label == "aux" and pos == "PART":  # "to" of an infinitive
        universal = "mark"
    elif label == "neg":
        universal = "det" if pos == "DET" else "advmod"
    elif label == "nmod" and word < above:
        universal = "amod" if pos in {"ADJ", "VERB"} else "compound"
    return universal


def _oblique_label(tree: _Rebuilt, word: int) -> str:
    above, label, pos = tree.head[word], tree.label[word], tree.pos[word]
    under_noun = tree.pos[above] not in {*VERBAL, "ADJ", "ADV", "ADP"} and word not in tree.of_clause
    if label == "dative" and word not in tree.prepositions and pos != "ADP":
        return "iobj"
    if tree.is_clause(word):
        return "acl" if under_noun else "advcl"
    if pos == "ADV":
        return "advmod"
    if label == "agent":
        return "obl:agent"
    return "nmod" if under_noun else "obl"
