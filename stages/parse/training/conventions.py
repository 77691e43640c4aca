"""Counting naming conventions on human scene graphs: is "brick" in "brick wall" a part of the name or an attribute?

People who write scene graphs agree on much that grammar does not tell. "tennis court" is one thing, "brick wall" a wall
that is brick, "car door" a door that a car has. So it is counted, on captions with human graphs, what became of each
modifier before each noun, and of each noun before "of".
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from stages.parse.conventions import Conventions
from stages.parse.lemmas import noun_lemma
from stages.parse.phrases import modifiers
from stages.parse.prepositions import collapse_prepositions
from stages.parse.reading import Reading
from stages.parse.tree import Tree

Triple = tuple[str, ...]

# A pair of modifier and noun counts by itself from this often; a word by itself from this often.
MIN_PAIR = 2
MIN_WORD = 3


# Counting must not rest on what was counted before.
_NONE = Conventions({}, {}, {}, {}, {})


def count_conventions(captions: Iterable[tuple[Tree, Sequence[Triple]]]) -> Conventions:
    """Count over captions with their trees and human tuples: triples, "is" before an attribute, or a lone thing."""
    pairs: dict[tuple[str, str], Counter[str]] = {}
    modifiers_: dict[str, Counter[str]] = {}
    heads: dict[str, Counter[str]] = {}
    values: dict[str, Counter[str]] = {}
    of: dict[str, Counter[str]] = {}
    for tree, tuples in captions:
        triples = [(*one, "", "")[:3] for one in tuples]
        collapse_prepositions(tree)
        reading = Reading(tree, _NONE)
        for modifier, head, role, value in _modifier_roles(reading, triples):
            pairs.setdefault((modifier, head), Counter())[role] += 1
            modifiers_.setdefault(modifier, Counter())[role] += 1
            heads.setdefault(head, Counter())[role] += 1
            if role == "attribute":
                values.setdefault(modifier, Counter())[value] += 1
        for noun, role in _of_roles(reading, triples):
            of.setdefault(noun, Counter())[role] += 1
    by_modifier = {m: _most(c) for m, c in sorted(modifiers_.items()) if c.total() >= MIN_WORD}
    by_head = {h: _most(c) for h, c in sorted(heads.items()) if c.total() >= MIN_WORD}
    by_pair: dict[str, dict[str, str]] = {}
    for (modifier, head), counts in sorted(pairs.items()):
        if counts.total() >= MIN_PAIR and _most(counts) != by_modifier.get(modifier):
            by_pair.setdefault(modifier, {})[head] = _most(counts)
    renamed = {
        m: _most(c)
        for m, c in sorted(values.items())
        if c.total() >= MIN_WORD and _most(c) != m and c[_most(c)] > c.total() / 2
    }
    of_nouns = {n: _most(c) for n, c in sorted(of.items()) if c.total() >= MIN_WORD}
    return Conventions(by_pair, by_modifier, by_head, renamed, of_nouns)


def _most(counts: Counter[str]) -> str:
    return min(counts, key=lambda role: (-counts[role], role))


def _modifier_roles(r: Reading, triples: Sequence[Triple]) -> Iterator[tuple[str, str, str, str]]:
    """Modifier, head, what the annotator made of it, and the attribute's words."""
    names = _names(triples)
    for head in range(len(r.tree)):
        own = modifiers(r, head)
        lemma = r.lemma(head)
        bearing = [name for name in names if name.split()[-1] == lemma]
        joined = {r.tree.lower[k] + lemma for k in own} & set(names)
        if joined:
            yield next(r.tree.lower[k] for k in own if r.tree.lower[k] + lemma in joined), lemma, "name", ""
        if not own or len(bearing) != 1:
            continue
        (name,) = bearing
        values = [o for s, p, o in triples if p == "is" and _name(s) == name]
        said = {word for value in values for word in value.split()}
        unsaid = [v for v in values if not set(v.split()) & {r.tree.lower[k] for k in own}]
        for k in own:
            word = r.tree.lower[k]
            if word in name.split()[:-1] or noun_lemma(word) in name.split()[:-1]:
                yield word, lemma, "name", ""
            elif word in said:
                yield word, lemma, "attribute", next(v for v in values if word in v.split()) if len(own) == 1 else word
            elif any(
                _name(s).split()[-1:] == [noun_lemma(word)] and _name(o) == name and p != "is" for s, p, o in triples
            ):
                yield word, lemma, "owner", ""
            elif len(own) == 1 and len(unsaid) == 1 and unsaid[0][:3] == word[:3]:
                yield word, lemma, "attribute", unsaid[0]
            else:
                yield word, lemma, "dropped", ""


def _of_roles(r: Reading, triples: Sequence[Triple]) -> Iterator[tuple[str, str]]:
    """Noun before "of", and what the annotator made of it and the noun behind."""
    tree = r.tree
    # A list: of two relations between the same things the first counts, and a set has no first.
    ends = [(_name(s).split()[-1], p, _name(o).split()[-1]) for s, p, o in triples if s and o and p != "is"]
    said = {(_name(s).split()[-1], o) for s, p, o in triples if p == "is"}
    things = {name.split()[-1] for name in _names(triples)}
    for word in range(len(tree)):
        case = r.case(word) if tree.dep[word] == "nmod" else None
        head = tree.head[word]
        # "on the corner of a building" is a place, and no corner; see prepositions.py.
        if case is None or case.text != "of" or not r.is_nominal(head) or r.case(head) is not None:
            continue
        a, b = r.lemma(head), r.lemma(word)
        between = [p for s, p, o in ends if (s, o) == (a, b)]
        back = [p for s, p, o in ends if (s, o) == (b, a)]
        form = tree.lower[head]
        if between:
            yield a, f"> {between[0]}"
        elif back:
            yield a, f"< {back[0]}"
        elif a not in things and b in things:
            if (b, f"{form} of") in said:
                yield a, "attribute of"
            elif (b, form) in said or (b, a) in said:
                yield a, "attribute"
            else:
                yield a, "measure"


def _name(raw: str) -> str:
    words = raw.lower().split()
    return " ".join([*words[:-1], noun_lemma(words[-1])]) if words else "?"


def _names(triples: Sequence[Triple]) -> list[str]:
    found: dict[str, None] = {}
    for s, p, o in triples:
        found[_name(s)] = None
        if p not in {"is", ""}:
            found[_name(o)] = None
    return list(found)
