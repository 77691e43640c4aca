"""From a tree to a `Parse`: prepositions out of the tree, every rule over every word, lists multiplied out."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache

from schemas import Span
from stages.parse.agreement import mend_verbs
from stages.parse.attach import reattach
from stages.parse.conventions import Conventions
from stages.parse.parsed import Parse, ParsedAttribute, ParsedRelation
from stages.parse.phrases import attributes_of, phrase_heads, phrase_of
from stages.parse.prepositions import collapse_prepositions
from stages.parse.reading import Link, Reading
from stages.parse.rules import RULES, Rule
from stages.parse.things import PERSONAL, RECIPROCAL
from stages.parse.tree import Tree

# Lists multiply out. More pairs than this of one link, or more relations of one caption, come from no sentence about a
# picture; what is over is left out.
MAX_PAIRS = 64
MAX_RELATIONS = 256

_OWN_PHRASES = frozenset({"nmod", "acl", "obl", "appos"})
_Related = dict[tuple[int, str, int], Link]


def extract(tree: Tree, conventions: Conventions | None = None) -> Parse:
    """Read a tree, by the built-in conventions or others; it is changed on the way."""
    mend_verbs(tree)
    collapse_prepositions(tree)
    reattach(Reading(tree, conventions))
    reading = Reading(tree, conventions)
    links = [
        link
        for word in range(len(tree))
        for rule in _rules_by_dep().get(tree.dep[word], ())
        for link in rule.find(reading, word)
    ]
    related = _multiplied(reading, links)
    heads = {*phrase_heads(reading), *(word for s, _, o in related for word in (s, o))}
    phrases = {head: phrase_of(reading, head) for head in heads}
    number = {head: i for i, head in enumerate(sorted(heads, key=lambda head: (phrases[head].span, head)))}
    relations = [
        ParsedRelation(number[s], predicate, number[o], _span(tree, link.words), link.rule)
        for (s, predicate, o), link in related.items()
    ]
    said = {word for link in links for word in link.words}
    active = list(_activities(reading, said))
    return Parse(
        tuple(phrases[head] for head in number),
        tuple(sorted(relations, key=lambda one: (one.subject, one.span, one.object, one.predicate))),
        tuple(
            ParsedAttribute(number[head], value)
            for head in number
            for value in dict.fromkeys([*attributes_of(reading, head), *(v for doer, v in active if doer == head)])
        ),
    )


def _multiplied(r: Reading, links: Iterable[Link]) -> _Related:
    """Subject, predicate and object to the link that states it, lists, groups and pronouns followed."""
    related: _Related = {}
    for link in links:
        if _is_negated(r.tree, link):
            continue
        said = min(link.words)
        first = _shared_subject(r, link)
        # In "a boy holding a frisbee and a girl", what is said stands before the girl, and is said of the boy alone.
        subjects = [s for s in r.things(first) if not first < said < s]
        objects = r.things(link.object)
        if r.tree.lower[link.object] in RECIPROCAL:
            pairs = [(s, o) for s in subjects for o in subjects if s != o or len(subjects) == 1]
        else:
            pairs = [(s, o) for s in subjects for o in objects if s != o]
        named = _naming_pronouns(r, link)
        for s, o in pairs[:MAX_PAIRS]:
            predicate = "wear" if link.worn and r.is_worn(s, o) else link.predicate
            if len(related) < MAX_RELATIONS:
                related.setdefault((s, predicate, o), named)
    return related


def _shared_subject(r: Reading, link: Link) -> int:
    """The first of a list whose last member the parser gave the phrase behind the list.

    "trees and bushes growing on a lawn": both grow. Not where the list is itself an object, or a member has a phrase of
    its own: there, what stands behind belongs to what stands before it.
    """
    tree, last = r.tree, link.subject
    if tree.dep[last] != "conj" or min(link.words) < last:
        return last
    first = tree.head[last]
    if tree.dep[first] not in {"ROOT", "root"} or not r.is_nominal(first):
        return last
    own = any(tree.dep[k] in _OWN_PHRASES and k < last for member in r.conjuncts(first) for k in tree.children[member])
    return last if own else first


def _is_negated(tree: Tree, link: Link) -> bool:
    """No dog, neither dog, is not riding, is not on the table (where "not" hangs on the table)."""
    ends = (link.object, link.subject)
    if any(tree.lower[k] in {"no", "neither"} for word in ends for k in tree.kids(word, "det")):
        return True
    return any(
        tree.lower[k] in {"not", "n't", "never"}
        for word in (*link.words, link.object)
        for k in tree.kids(word, "advmod")
    )


def _naming_pronouns(r: Reading, link: Link) -> Link:
    """The link, its rule naming the pronouns and the "one" that were resolved on the way."""
    said = {r.tree.lower[link.subject], r.tree.lower[link.object]}
    followed = ["pronoun"] if said & PERSONAL else ["one"] if "one" in said else []
    return replace(link, rule=" + ".join([link.rule, *followed])) if followed else link


def _activities(r: Reading, said: set[int]) -> Iterable[tuple[int, str]]:
    """Who is doing something to nobody: "two women skiing" are skiing."""
    tree = r.tree
    for verb in range(len(tree)):
        busy = tree.tag[verb] == "VBG" and r.is_verb(verb) and not tree.kids(verb, "obj", "obl", "xcomp")
        if busy and verb not in said:
            for doer in r.doers(verb):
                for thing in r.things(doer.word):
                    yield thing, tree.lower[verb]


def _span(tree: Tree, words: tuple[int, ...]) -> Span:
    return tree.spans[min(words)][0], tree.spans[max(words)][1]


@cache
def _rules_by_dep() -> dict[str, tuple[Rule, ...]]:
    table: dict[str, tuple[Rule, ...]] = {}
    for rule in RULES:
        for dep in rule.deps:
            table[dep] = (*table.get(dep, ()), rule)
    return table
