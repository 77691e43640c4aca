"""FACTUAL (Li et al., arXiv:2305.17497): reading its files, and saying what we read in its words.

Its graphs and ours say the same with different words. What is translated is declared below, and nothing is fitted: an
entry says how captions with those words are annotated in FACTUAL's *train* split; dev and test chose nothing.

| we read | FACTUAL writes | train: so, otherwise |
|---|---|---|
| `have`, stated by "with" | `with` | 613, 205 `have` (a) |
| `wear`, stated by "with" ("a man with a hat") | `with` | 20, 10 `wear`, 8 `have` (b) |
| `wear`, stated by "has", "of" or a possessive | `have` | 89, 16 `wear` (a) |
| `wear`, stated by "on" ("a hat on a man") | `on`, the other way round | 49, 6 `wear` (a) |
| `wear`, stated by "in" | `wear` | 175, 63 `in` (a) |
| `lie ...` | `lay ...` | 662, 0 |
| `cover in`, `cover with`, `line with`, `surround with` | the verb alone, the other way round | 169, 1 |
| `hold up`, `hold onto` | `hold` | 47, 3 |
| the prepositions of `_PREPOSITIONS`, alone or after a verb | | there |
| the spellings of `_SPELLINGS` | | there |
| attribute `piece of`, `slice of`, `patch of`, `part of` | the noun alone | 221, 0 |
| attribute `group of` | stays | 189, 0 |
| attribute of another measure (`pair of`, `row of`) | nothing | 413, 24 stated |
| attribute `1`, `several` and others of `_UNSAID` | nothing | 1,159, 14 stated |
| attribute `wood`, `blond`, `multicolored` | `wooden`, `blonde`, `multi-colored` | 156, 0 |
| `someone`, `somebody` | `person` | 23, 0 |
| what is said of any other pronoun | nothing | |

Numbers are captions that hold our words and whose graph has FACTUAL's form, and those whose graph has ours; what is in
neither is not counted. (a) are relations between two head nouns that both the graph and an earlier parser of ours name,
in the first 20,000 captions; (b) are captions that end with the clothes.

A caption of which nothing is said has a graph of the lone things it names. FACTUAL's has one, and we do not choose: if
the parser read two nouns, both are in the graph, and it is not equal.
"""

import csv
import re
from collections.abc import Iterator

from schemas import BadInputError
from stages.evaluate.caption_lines import GoldCaption, ReadCaption, StatedRelation
from stages.evaluate.graphs import ATTRIBUTE, GraphTuple, SceneGraph
from stages.ingest.files import open_text
from stages.parse.lemmas import noun_lemma, verb_lemma

COLUMNS = ("image_id", "region_id", "caption", "scene_graph")
_EXPECTED_GRAPH = (
    "`( subject , relation , object )` or `( thing , is , attribute )` joined by ` , `, or one `( thing )`"
)
_TUPLE = re.compile(r"\s*\(([^()]*)\)\s*")

# Our preposition to FACTUAL's; the numbers as in the table above.
_PREPOSITIONS = {
    "at end of": "in end of",  # 15, 0
    "atop": "on top of",  # 24, 0
    "below": "under",  # 36, 0
    "beneath": "under",  # 87, 0
    "in between": "between",  # 42, 0
    "in middle of": "on middle of",  # 76, 2
    "inside of": "inside",  # 40, 1
    "on other side of": "on side of",  # 11, 5
    "outside of": "outside",  # 24, 0
    "to the left of": "at the left of",  # 32, 0
    "to the right of": "on the right side of",  # 36, 0
    "toward": "towards",  # 28, 0
    "underneath": "under",  # 83, 0
}
# Compounds that captions write apart or together and FACTUAL one way: all of those with four captions of train or more.
_SPELLINGS = {
    "cell phone": "cellphone",  # 108, 0
    "counter top": "countertop",  # 27, 0
    "head band": "headband",  # 5, 0
    "hotdog": "hot dog",  # 27, 0
    "side walk": "sidewalk",  # 29, 0
    "snow board": "snowboard",  # 15, 3
    "stove top": "stovetop",  # 4, 0
    "streetlight": "street light",  # 16, 0
    "surf board": "surfboard",  # 48, 0
    "t shirt": "t-shirt",  # 9, 0
    "tshirt": "t-shirt",  # 7, 0
    "wet suit": "wetsuit",  # 20, 0
}
_TURNED = {"cover in": "cover", "cover with": "cover", "line with": "line", "surround with": "surround"}
_PREDICATES = {"hold up": "hold", "hold onto": "hold"}
_VALUES = {"wood": "wooden", "blond": "blonde", "multicolored": "multi-colored", "multi colored": "multi-colored"}
_MEASURES = {"group": "group of", "part": "part", "patch": "patch", "piece": "piece", "slice": "slice"}
_UNSAID = frozenset(
    ("1", "all", "another", "any", "both", "each", "few", "many", "more", "most", "multiple", "numerous", "one",
     "other", "several", "some", "various")
)  # fmt: skip
_NAMES = {"someone": "person", "somebody": "person", "guy": "person"}
# FACTUAL resolves pronouns or leaves them out; `it` is among the 3,860 things of train, once.
_PRONOUNS = frozenset(
    ("another", "anybody", "anyone", "anything", "everybody", "everyone", "everything", "he", "her", "hers", "herself",
     "him", "himself", "his", "i", "it", "its", "itself", "me", "mine", "nobody", "nothing", "one", "ones", "other",
     "others", "ours", "she", "something", "that", "their", "theirs", "them", "themselves", "there", "these", "they",
     "this", "those", "us", "we", "what", "which", "who", "whom", "you", "yours")
)  # fmt: skip
# "a woman holding her purse": that she has it goes without saying.
_POSSESSIVE_PRONOUNS = frozenset(("his", "her", "its", "their"))
_POSSESSION = frozenset(("'s", "'", "’s", "’", "of", "has", "have", "having", "had"))


def read_factual(path: str) -> list[GoldCaption]:
    """The captions of a FACTUAL file (CSV, plain or gzipped), in its order.

    Raises:
        BadInputError: if a column is missing or a graph is malformed; names file, row and column.
    """
    captions = []
    for where, row in _rows(path):
        if not row["caption"].strip():
            raise BadInputError(f"{where}, column caption: is empty; expected a caption")
        captions.append(GoldCaption(row["caption"], tuple(_tuples(row["scene_graph"], where)), where))
    return captions


def factual_graph(read: ReadCaption) -> SceneGraph:
    """The graph of a parsed caption by FACTUAL's conventions, which the module's table lists."""
    attributes = ((factual_name(name), ATTRIBUTE, factual_attribute(value)) for name, value in read.attributes)
    relations = (factual_relation(r) for r in read.relations if not _goes_without_saying(r))
    stated = [
        (subject, relation, object_)
        for subject, relation, object_ in (*attributes, *relations)
        if subject and object_ and relation
    ]
    lone = [(name,) for name in map(factual_name, read.names) if name]
    return SceneGraph.of(stated or lone)


def _goes_without_saying(relation: StatedRelation) -> bool:
    """What a possessive pronoun owns, and the second half of "a cart with luggage on it"."""
    return relation.text.lower() in _POSSESSIVE_PRONOUNS or "pronoun" in relation.rule.split(" + ")


def factual_relation(relation: StatedRelation) -> tuple[str | None, str, str | None]:
    """Subject, relation and object in FACTUAL's words; None for a pronoun."""
    subject, object_ = factual_name(relation.subject), factual_name(relation.object)
    predicate, turned = _predicate(relation.predicate, frozenset(relation.text.lower().split()))
    return (object_, predicate, subject) if turned else (subject, predicate, object_)


def factual_name(name: str) -> str | None:
    """The name of a thing as FACTUAL spells it; None for a pronoun."""
    plain = " ".join(name.lower().split())
    if plain in _PRONOUNS:
        return None
    spelled = f" {_NAMES.get(plain, plain)} "
    for ours, theirs in _SPELLINGS.items():
        spelled = spelled.replace(f" {ours} ", f" {theirs} ")
    return spelled.strip()


def factual_attribute(value: str) -> str | None:
    """The value of an attribute as FACTUAL writes it; None if it leaves it out."""
    plain = " ".join(value.lower().split())
    if plain.endswith(" of"):
        return _MEASURES.get(noun_lemma(plain.removesuffix(" of")))
    return None if plain in _UNSAID else _VALUES.get(plain, plain)


def _predicate(ours: str, said: frozenset[str]) -> tuple[str, bool]:
    """FACTUAL's relation, and whether it runs the other way. `said`: the words of the caption that state it."""
    if ours == "have":
        return ("with" if "with" in said and said.isdisjoint(_POSSESSION) else "have"), False
    if ours == "wear":
        return _worn(said)
    if ours in _TURNED:
        return _TURNED[ours], True
    theirs = _PREDICATES.get(ours, ours)
    if theirs == "lie" or theirs.startswith("lie "):
        theirs = "lay" + theirs.removeprefix("lie")
    for preposition, other in _PREPOSITIONS.items():
        if theirs == preposition or theirs.endswith(f" {preposition}"):
            return theirs.removesuffix(preposition) + other, False
    return theirs, False


def _worn(said: frozenset[str]) -> tuple[str, bool]:
    if said == {"on"}:
        return "on", True
    if "on" in said or any(verb_lemma(word) == "wear" for word in said):  # "with a hat on", "wearing"
        return "wear", False
    if "with" in said:
        return "with", False
    return ("wear" if said.isdisjoint(_POSSESSION) else "have"), False


def _rows(path: str) -> Iterator[tuple[str, dict[str, str]]]:
    """`(where, column to value)` of each row; rows are counted from 1, the line of column names excluded."""
    with open_text(path) as file:
        reader = csv.reader(file, strict=True)
        try:
            header = next(reader, [])
            if missing := [column for column in COLUMNS[2:] if column not in header]:
                found = ",".join(header)[:80]
                raise BadInputError(
                    f"{path}: has no column {missing[0]!r}; found {found!r}, expected {','.join(COLUMNS)}"
                )
            for number, row in enumerate(reader, start=1):
                where = f"{path}: row {number}"
                if len(row) != len(header):
                    raise BadInputError(
                        f"{where}: {len(row)} values for {len(header)} columns; expected {','.join(header)}"
                    )
                yield where, dict(zip(header, row, strict=True))
        except csv.Error as error:
            raise BadInputError(f"{path}: line {reader.line_num}: not valid CSV ({error})") from error


def _tuples(graph: str, where: str) -> Iterator[GraphTuple]:
    """The tuples of a graph as FACTUAL writes it: `( man , ride , horse ) , ( horse , is , brown )`."""
    at = 0
    while True:
        found = _TUPLE.match(graph, at)
        if found is None:
            raise _malformed(where, graph, f"no `( ... )` at character {at}")
        parts = tuple(part.strip() for part in found.group(1).split(","))
        if len(parts) not in {1, 3}:
            raise _malformed(where, graph, f"`({found.group(1)})` has {len(parts)} parts")
        if not all(parts):
            raise _malformed(where, graph, f"`({found.group(1)})` has an empty part")
        yield parts
        if found.end() == len(graph):
            return
        if graph[found.end()] != ",":
            raise _malformed(where, graph, f"{graph[found.end()]!r} at character {found.end()}")
        at = found.end() + 1


def _malformed(where: str, graph: str, problem: str) -> BadInputError:
    return BadInputError(f"{where}, column scene_graph: {problem} in {graph[:120]!r}; expected {_EXPECTED_GRAPH}")
