"""Noun phrases: where one begins and ends, what the thing is called, and what is said of it."""

from collections.abc import Iterator

from stages.parse.lexicon import lexicon
from stages.parse.parsed import ParsedPhrase
from stages.parse.reading import Reading

_BEFORE = frozenset({"det", "amod", "compound", "nummod", "flat", "goeswith"})
_BEHIND = frozenset({"flat", "goeswith", "compound", "nummod"})
_NESTED = _BEFORE | {"advmod", "cc", "conj", "punct"}
_NO_HEADS = frozenset(
    {"compound", "flat", "fixed", "collapsed", "case", "amod", "goeswith", "nummod", "det", "advmod", "mark", "cc",
     "punct", "discourse"}
)  # fmt: skip
# "dark green leaves" are dark green, "big green leaves" are big and green.
_SHADES = frozenset({"dark", "light", "bright", "pale", "deep"})
_EMPTY_ADVERBS = frozenset({"very", "so", "too"})


def phrase_heads(r: Reading) -> Iterator[int]:
    """Nouns that name a thing: no part of another's name, no measure of what is behind it."""
    tree = r.tree
    for word in range(len(tree)):
        if tree.pos[word] in {"NOUN", "PROPN"} and tree.dep[word] not in _NO_HEADS and r.measured(word) is None:
            yield word


def phrase_of(r: Reading, head: int) -> ParsedPhrase:
    """The phrase of a head word."""
    words = _phrase_words(r, head)
    one = r.tree.lower[head] in {"one", "ones"}
    lemma = r.lemma(r.meant_by_one(head) if one else head)
    name = [r.tree.lower[k] for k in modifiers(r, head) if k not in r.apart and role_of(r, k, head) == "name"]
    return ParsedPhrase(
        span=(r.tree.spans[words[0]][0], r.tree.spans[words[-1]][1]),
        head=lemma,
        name=" ".join([*name, lemma]),
        plural=r.is_plural(head),
    )


def attributes_of(r: Reading, head: int) -> Iterator[str]:
    """What is said of the thing: adjectives, materials, numbers, groups."""
    yield from _premodifying(r, head)
    yield from _counting(r, head)
    yield from _predicated(r, head)


def modifiers(r: Reading, head: int) -> list[int]:
    """Adjectives and nouns before the head that modify it, lists of them taken apart, left to right."""
    found = [k for k in r.tree.kids(head, "amod", "compound") if k < head and r.tree.subtype[k] != "prt"]
    for k in found:
        found += [c for c in r.tree.kids(k, "conj", "amod", "compound") if c < head and c not in found]
    return sorted(found)


def role_of(r: Reading, modifier: int, head: int) -> str:
    """What people make of this modifier: `name`, `attribute`, `owner` or `dropped`."""
    return r.conventions.role(r.tree.lower[modifier], r.lemma(head), compound=r.tree.dep[modifier] == "compound")


def _premodifying(r: Reading, head: int) -> Iterator[str]:
    tree, own = r.tree, modifiers(r, head)
    shades = {k for k in own if tree.lower[k] in _SHADES and k + 1 in own}
    for k in own:
        if k in shades or k in r.apart or role_of(r, k, head) != "attribute":
            continue
        said = _with_adverbs(r, k)
        shaded = k - 1 in shades and not said.startswith(tree.lower[k - 1])
        yield f"{tree.lower[k - 1]} {said}" if shaded else r.conventions.value(said)


def _counting(r: Reading, head: int) -> Iterator[str]:
    tree = r.tree
    for k in tree.kids(head, "nummod"):
        if k < head and tree.lower[k] not in {"one", "1"}:
            yield str(lexicon().maps["numbers"].get(tree.lower[k], tree.lower[k]))
    measure = tree.head[head]
    if measure != head and r.measured(measure) == head:
        role = r.conventions.of.get(r.lemma(measure))
        if role in {"attribute", "attribute of"}:
            yield tree.lower[measure] + (" of" if role == "attribute of" else "")


def _predicated(r: Reading, head: int) -> Iterator[str]:
    """The top is blue, a door that is open: the adjective is the predicate of the noun."""
    tree, subject = r.tree, head
    if tree.dep[subject] == "conj" and tree.dep[tree.head[subject]] == "nsubj":
        subject = tree.head[subject]
    predicates = [tree.head[subject]] if tree.dep[subject] == "nsubj" else []
    predicates += tree.kids(head, "acl")
    for predicate in predicates:
        if tree.pos[predicate] != "ADJ" or not tree.kids(predicate, "cop"):
            continue
        for word in [predicate, *(c for c in tree.kids(predicate, "conj") if tree.pos[c] == "ADJ")]:
            yield r.conventions.value(_with_adverbs(r, word))


def _with_adverbs(r: Reading, word: int) -> str:
    adverbs = [k for k in r.tree.kids(word, "advmod") if k < word and r.tree.lower[k] not in _EMPTY_ADVERBS]
    return " ".join(r.tree.lower[k] for k in [*adverbs, word])


def _phrase_words(r: Reading, head: int) -> range:
    """The words of a phrase without its prepositions and clauses, contiguous, the head among them."""
    tree, start, end = r.tree, head, head + 1
    while start > 0 and _is_within(r, start - 1, head):
        start -= 1
    while end < len(tree) and tree.dep[end] in _BEHIND and tree.head[end] == head:
        end += 1
    while start < head and tree.dep[start] in {"punct", "cc"}:
        start += 1
    return range(start, end)


def _is_within(r: Reading, word: int, head: int) -> bool:
    """Whether a word before the head is a determiner or modifier of it, or part of one."""
    tree = r.tree
    if tree.subtype[word] == "poss":
        return tree.head[word] == head and tree.pos[word] in {"PRON", "DET"}
    while tree.head[word] != head:
        if tree.dep[word] not in _NESTED or tree.head[word] == word:
            return False
        word = tree.head[word]
    return tree.dep[word] in _BEFORE
