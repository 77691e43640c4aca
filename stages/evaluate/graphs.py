"""Caption graphs against human ones: how much of what a caption says was read, and how much of that is right.

A graph is a set of tuples: `(subject, relation, object)`, `(thing, "is", attribute)`, or `(thing,)` for a thing of
which nothing else is said. Words are compared in lower case, with single spaces, each as the lemma of a noun; that is
what FACTUAL's evaluator does, and nothing else is forgiven: `tennis court` is not `court`. The metrics that compare
head nouns are there to say how much of a score is naming.

| metric | counts | averaged |
|---|---|---|
| `set_match` | captions whose graph is equal as a set | over captions |
| `spice` | F1 of things, attributes and relations, equal or synonymous, matched one to one | over captions |
| `spice_exact` | the same without synonyms | over captions |
| `relations` | equal (subject, relation, object) | over tuples |
| `relations_lenient` | equal head nouns and a word of the relation in common, matched one to one | over tuples |
| `pairs` | equal (head of subject, head of object), whatever the relation | over tuples |
| `attributes` | equal (thing, attribute) | over tuples |

SPICE is after Anderson et al., arXiv:1607.08822. Matching there takes the first fitting tuple; here it is a largest
matching, which does not depend on the order of the tuples and is never smaller.

Intervals are percentile bootstraps over captions: tuples of one caption are right or wrong together, so a binomial
interval over tuples would be too narrow.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.evaluate.estimate import Estimate
from stages.evaluate.synonyms import share_synset
from stages.parse.lemmas import noun_lemma

GraphTuple = tuple[str, ...]
Floats = NDArray[np.float64]

ATTRIBUTE = "is"
"""The relation between a thing and its attribute."""

_CONFIDENCE = 0.95
# Resamples times captions held at once: 4 M numbers are 32 MB.
_RESAMPLED_AT_ONCE = 1 << 22
# Prepositions that WordNet lists as verbs too ("down a drink", "near the shore"): as relations they are the former.
_NOT_VERBS = frozenset({"close", "down", "like", "near", "out", "round", "up"})


@dataclass(frozen=True, slots=True)
class SceneGraph:
    """The graph of one caption. `of` makes it, with all words as they are compared."""

    tuples: frozenset[GraphTuple] = frozenset()

    @classmethod
    def of(cls, tuples: Iterable[Sequence[str]]) -> "SceneGraph":
        """A graph of tuples of one or three words or phrases, as people or parsers write them.

        A thing that stands alone though another tuple is about it says nothing new, and is left out.
        """
        compared = {tuple(as_compared(text) for text in one) for one in tuples}
        assert all(len(one) in {1, 3} for one in compared), compared
        stated = {one for one in compared if len(one) == 3}
        named = _things(stated)
        return cls(frozenset(stated | {one for one in compared if len(one) == 1 and one[0] not in named}))

    @property
    def relations(self) -> frozenset[GraphTuple]:
        """(subject, relation, object), attributes excluded."""
        return frozenset(one for one in self.tuples if len(one) == 3 and one[1] != ATTRIBUTE)

    @property
    def attributes(self) -> frozenset[GraphTuple]:
        """(thing, attribute)."""
        return frozenset((one[0], one[2]) for one in self.tuples if len(one) == 3 and one[1] == ATTRIBUTE)

    @property
    def things(self) -> frozenset[GraphTuple]:
        """(thing,) of everything that any tuple is about."""
        return frozenset((name,) for name in _things(self.tuples))

    @property
    def pairs(self) -> frozenset[GraphTuple]:
        """(head noun of the subject, head noun of the object)."""
        return frozenset((head_noun(subject), head_noun(object_)) for subject, _, object_ in self.relations)

    def by_heads(self) -> "SceneGraph":
        """The graph with each thing called by its head noun alone: `boat` for `sail boat`."""
        lone = [(head_noun(name),) for one in self.tuples if len(one) == 1 for name in one]
        attributes = [(head_noun(thing), ATTRIBUTE, value) for thing, value in self.attributes]
        relations = [(head_noun(subject), said, head_noun(object_)) for subject, said, object_ in self.relations]
        return SceneGraph.of([*lone, *attributes, *relations])


@lru_cache(maxsize=65536)
def as_compared(text: str) -> str:
    """A name, relation or attribute as it is compared: `Two  Dogs` is `two dog`."""
    return " ".join(noun_lemma(word) for word in text.lower().split())


def head_noun(name: str) -> str:
    """The last word of a name."""
    return name.rpartition(" ")[2]


@dataclass(frozen=True, slots=True)
class TupleScore:
    """Tuples read, tuples of the gold graphs, and those in both, over all captions; a tuple counts once a caption."""

    predicted: int
    gold: int
    matched: int
    precision: Estimate
    recall: Estimate
    f1: Estimate

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        rates = {name: getattr(self, name).to_json() for name in ("precision", "recall", "f1")}
        return {"predicted": self.predicted, "gold": self.gold, "matched": self.matched, **rates}


@dataclass(frozen=True, slots=True)
class GraphScore:
    """All metrics over the same captions. None where the gold has no attributes to compare whole graphs by."""

    num_captions: int
    set_match: Estimate | None
    spice: Estimate | None
    spice_exact: Estimate | None
    relations: TupleScore
    relations_lenient: TupleScore
    pairs: TupleScore
    attributes: TupleScore | None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, by the names of the fields."""
        metrics = (*_WHOLE_GRAPH, *_TUPLES)
        values = {name: getattr(self, name) for name in metrics}
        return {"captions": self.num_captions} | {
            name: None if value is None else value.to_json() for name, value in values.items()
        }

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """Metric, precision, recall, F1 or the share of captions, and n, for a table; the first row is its head.

        Percentages with their interval: `72.5 (70.1 to 74.9)`. Metrics that do not apply are left out.
        """
        rows = [("metric", "precision", "recall", "score", "n")]
        for name, title in _WHOLE_GRAPH.items():
            estimate: Estimate | None = getattr(self, name)
            if estimate is not None:
                rows.append((title, "", "", estimate.to_text(), f"{self.num_captions} captions"))
        for name, title in _TUPLES.items():
            score: TupleScore | None = getattr(self, name)
            if score is not None:
                rates = (score.precision.to_text(), score.recall.to_text(), score.f1.to_text())
                rows.append((title, *rates, f"{score.predicted} read, {score.gold} gold"))
        return rows


_WHOLE_GRAPH = {"set_match": "Set Match", "spice": "SPICE", "spice_exact": "SPICE, no synonyms"}
_TUPLES = {
    "relations": "relations",
    "relations_lenient": "relations, lenient",
    "pairs": "pairs",
    "attributes": "attributes",
}


def score_graphs(
    graphs: Iterable[tuple[SceneGraph, SceneGraph]],
    *,
    relations_only: bool = False,
    num_resamples: int = 1000,
    seed: int = 0,
) -> GraphScore:
    """Score (read, gold) graphs, one pair a caption.

    Args:
        graphs: in any order; the order changes the intervals only as another seed would.
        relations_only: the gold says nothing of attributes and lone things, so only relations and pairs are scored,
            with each thing called by its head noun.
        num_resamples: bootstrap resamples, at least 1.
        seed: of the bootstrap; the same seed and captions give the same intervals.

    Raises:
        ValueError: if `num_resamples` is below 1.
    """
    if num_resamples < 1:
        raise ValueError(f"num_resamples is {num_resamples}; give a positive number")
    pairs = list(graphs)
    if relations_only:
        pairs = [(read.by_heads(), gold.by_heads()) for read, gold in pairs]
    counted = {name: count for name, count in _COUNTS.items() if not (relations_only and name == "attributes")}
    columns = {name: _columns([count(read, gold) for read, gold in pairs]) for name, count in counted.items()}
    if not relations_only:
        for name, measure in _MEASURES.items():
            columns[name] = np.array([[measure(read, gold), 1.0] for read, gold in pairs]).reshape(-1, 2)

    sums = _Sums(columns, num_captions=len(pairs), num_resamples=num_resamples, seed=seed)
    return GraphScore(
        num_captions=len(pairs),
        set_match=_mean(sums, "set_match"),
        spice=_mean(sums, "spice"),
        spice_exact=_mean(sums, "spice_exact"),
        relations=_tuple_score(sums, "relations"),
        relations_lenient=_tuple_score(sums, "relations_lenient"),
        pairs=_tuple_score(sums, "pairs"),
        attributes=None if relations_only else _tuple_score(sums, "attributes"),
    )


def spice(read: SceneGraph, gold: SceneGraph, *, synonyms: bool = True) -> float:
    """F1 over things, attributes and relations of one caption; 1 if both graphs are empty, 0 if one is.

    Tuples match if each of their parts does: equal, or with a synset of WordNet in common. Relations are compared as a
    whole, like SPICE does, but WordNet has few of them: `sit on` is no entry. So two relations are also synonymous if
    all behind the first word is equal and the first words are synonymous verbs: `jump over` and `leap over`, but not
    `sit on` and `sit in`.
    """
    a = [*read.things, *read.attributes, *read.relations]
    b = [*gold.things, *gold.attributes, *gold.relations]
    if not a and not b:
        return 1.0
    fits = _synonymous if synonyms else _equal
    return 2 * largest_matching(a, b, fits) / (len(a) + len(b))


def largest_matching(
    left: Sequence[GraphTuple], right: Sequence[GraphTuple], fits: Callable[[GraphTuple, GraphTuple], bool]
) -> int:
    """How many can be matched one to one where `fits` says which may be (augmenting paths, Kuhn 1955)."""
    edges = [[j for j, other in enumerate(right) if fits(one, other)] for one in left]
    owner: dict[int, int] = {}

    def placed(i: int, seen: set[int]) -> bool:
        for j in edges[i]:
            if j not in seen:
                seen.add(j)
                if j not in owner or placed(owner[j], seen):
                    owner[j] = i
                    return True
        return False

    return sum(placed(i, set()) for i in range(len(edges)))


def _things(tuples: Iterable[GraphTuple]) -> set[str]:
    return {name for one in tuples for name in (one[:1] if len(one) == 1 or one[1] == ATTRIBUTE else (one[0], one[2]))}


# What is counted of a caption: read, gold, both


def _same(read: frozenset[GraphTuple], gold: frozenset[GraphTuple]) -> tuple[int, int, int]:
    return len(read), len(gold), len(read & gold)


def _lenient(read: SceneGraph, gold: SceneGraph) -> tuple[int, int, int]:
    a, b = sorted(read.relations), sorted(gold.relations)
    return len(a), len(b), largest_matching(a, b, _alike)


_COUNTS: Mapping[str, Callable[[SceneGraph, SceneGraph], tuple[int, int, int]]] = {
    "relations": lambda read, gold: _same(read.relations, gold.relations),
    "relations_lenient": _lenient,
    "pairs": lambda read, gold: _same(read.pairs, gold.pairs),
    "attributes": lambda read, gold: _same(read.attributes, gold.attributes),
}


_MEASURES: Mapping[str, Callable[[SceneGraph, SceneGraph], float]] = {
    "set_match": lambda read, gold: float(read == gold),
    "spice": spice,
    "spice_exact": lambda read, gold: spice(read, gold, synonyms=False),
}


def _columns(rows: Sequence[tuple[int, int, int]]) -> Floats:
    return np.array(rows, dtype=np.float64).reshape(-1, 3)


# What fits what


def _equal(a: GraphTuple, b: GraphTuple) -> bool:
    return a == b


def _alike(a: GraphTuple, b: GraphTuple) -> bool:
    heads = head_noun(a[0]) == head_noun(b[0]) and head_noun(a[2]) == head_noun(b[2])
    return heads and not set(a[1].split()).isdisjoint(b[1].split())


def _synonymous(a: GraphTuple, b: GraphTuple) -> bool:
    if len(a) != len(b):
        return False
    if len(a) == 3:
        return share_synset(a[0], b[0]) and share_synset(a[2], b[2]) and _same_relation(a[1], b[1])
    return all(share_synset(x, y) for x, y in zip(a, b, strict=True))


def _same_relation(a: str, b: str) -> bool:
    if a == b:
        return True
    (verb_a, _, rest_a), (verb_b, _, rest_b) = a.partition(" "), b.partition(" ")
    if verb_a in _NOT_VERBS or verb_b in _NOT_VERBS:
        return False
    whole = share_synset(a, b, part_of_speech="verb")
    return whole or (rest_a == rest_b and share_synset(verb_a, verb_b, part_of_speech="verb"))


# Estimates


class _Sums:
    """Column sums over the captions and over each bootstrap resample of them, the same resamples for all metrics."""

    def __init__(self, columns: Mapping[str, Floats], *, num_captions: int, num_resamples: int, seed: int) -> None:
        self._start = dict(zip(columns, np.cumsum([0, *(part.shape[1] for part in columns.values())]), strict=False))
        table = np.concatenate(list(columns.values()), axis=1)
        resampled = _resampled_sums(table, num_resamples=num_resamples, seed=seed) if num_captions else table
        # The first row is the captions themselves.
        self._sums: Floats = np.concatenate([table.sum(axis=0, keepdims=True), resampled])

    def __contains__(self, metric: str) -> bool:
        return metric in self._start

    def of(self, metric: str, column: int) -> Floats:
        """(1 + resamples,) sums of a column of a metric, the first over the captions as they are."""
        values: Floats = self._sums[:, self._start[metric] + column]
        return values


def _resampled_sums(table: Floats, *, num_resamples: int, seed: int) -> Floats:
    """(resamples, columns) from (captions, columns), captions drawn with replacement."""
    n = len(table)
    random = np.random.default_rng(seed)
    at_once = max(1, _RESAMPLED_AT_ONCE // n)
    sums = []
    for start in range(0, num_resamples, at_once):
        num = min(at_once, num_resamples - start)
        chosen = random.integers(n, size=(num, n)) + n * np.arange(num)[:, None]
        times = np.bincount(chosen.ravel(), minlength=num * n).reshape(num, n)
        sums.append(times @ table)
    return np.concatenate(sums)


def _ratio(part: Floats, whole: Floats) -> Estimate:
    if not whole[0]:
        return Estimate(None, None)
    value = float(part[0] / whole[0])
    # A resample without any such tuple says nothing about the ratio.
    measured = whole[1:] > 0
    if not measured.any():
        return Estimate(value, None)
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(part[1:][measured] / whole[1:][measured], (tail, 1 - tail))
    # Where all resamples are equal, rounding must not move a bound past the figure itself.
    return Estimate(value, (min(float(low), value), max(float(high), value)))


def _mean(sums: _Sums, metric: str) -> Estimate | None:
    return _ratio(sums.of(metric, 0), sums.of(metric, 1)) if metric in sums else None


def _tuple_score(sums: _Sums, metric: str) -> TupleScore:
    predicted, gold, matched = (sums.of(metric, column) for column in range(3))
    return TupleScore(
        predicted=int(predicted[0]),
        gold=int(gold[0]),
        matched=int(matched[0]),
        precision=_ratio(matched, predicted),
        recall=_ratio(matched, gold),
        f1=_ratio(2 * matched, predicted + gold),
    )
