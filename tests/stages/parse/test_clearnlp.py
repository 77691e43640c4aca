"""ClearNLP's trees as spaCy's English pipelines draw them, beside the Universal Dependencies of the same sentence."""

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc

from stages.parse.clearnlp import is_clearnlp, universal_heads_and_labels
from stages.parse.extract import extract
from stages.parse.tree import Tree

VOCAB = spacy.blank("en").vocab

# Word, part of speech, Penn tag; head and label of ClearNLP; head and label of Universal Dependencies.
# Heads are counted from 1, the root's is 0.
SENTENCES = {
    "a man riding a brown horse": """
        a       DET   DT   2 det    2 det
        man     NOUN  NN   0 ROOT   0 ROOT
        riding  VERB  VBG  2 acl    2 acl
        a       DET   DT   6 det    6 det
        brown   ADJ   JJ   6 amod   6 amod
        horse   NOUN  NN   3 dobj   3 obj
    """,
    "a cup is on the table .": """
        a      DET    DT   2 det    2 det
        cup    NOUN   NN   3 nsubj  6 nsubj
        is     AUX    VBZ  0 ROOT   6 cop
        on     ADP    IN   3 prep   6 case
        the    DET    DT   6 det    6 det
        table  NOUN   NN   4 pobj   0 ROOT
        .      PUNCT  .    3 punct  6 punct
    """,
    "a horse ridden by a man": """
        a       DET   DT   2 det    2 det
        horse   NOUN  NN   0 ROOT   0 ROOT
        ridden  VERB  VBN  2 acl    2 acl
        by      ADP   IN   3 agent  6 case
        a       DET   DT   6 det    6 det
        man     NOUN  NN   4 pobj   3 obl:agent
    """,
    "a dog sitting on top of a car": """
        a        DET   DT   2 det   2 det
        dog      NOUN  NN   0 ROOT  0 ROOT
        sitting  VERB  VBG  2 acl   2 acl
        on       ADP   IN   3 prep  5 case
        top      NOUN  NN   4 pobj  3 obl
        of       ADP   IN   5 prep  8 case
        a        DET   DT   8 det   8 det
        car      NOUN  NN   6 pobj  5 nmod
    """,
    "a man who is holding an umbrella": """
        a         DET   DT   2 det    2 det
        man       NOUN  NN   0 ROOT   0 ROOT
        who       PRON  WP   5 nsubj  5 nsubj
        is        AUX   VBZ  5 aux    5 aux
        holding   VERB  VBG  2 relcl  2 acl:relcl
        an        DET   DT   7 det    7 det
        umbrella  NOUN  NN   5 dobj   5 obj
    """,
    "the man 's dog": """
        the  DET   DT   2 det   2 det
        man  NOUN  NN   4 poss  4 nmod:poss
        's   PART  POS  2 case  2 case
        dog  NOUN  NN   0 ROOT  0 ROOT
    """,
    "there is a dog under the table": """
        there  PRON  EX   2 expl  2 expl
        is     VERB  VBZ  0 ROOT  0 ROOT
        a      DET   DT   4 det   4 det
        dog    NOUN  NN   2 attr  2 nsubj
        under  ADP   IN   2 prep  7 case
        the    DET   DT   7 det   7 det
        table  NOUN  NN   5 pobj  2 obl
    """,
    "two men and a woman playing frisbee in a park": """
        two      NUM    CD   2 nummod  2 nummod
        men      NOUN   NNS  0 ROOT    0 ROOT
        and      CCONJ  CC   2 cc      5 cc
        a        DET    DT   5 det     5 det
        woman    NOUN   NN   2 conj    2 conj
        playing  VERB   VBG  2 acl     2 acl
        frisbee  NOUN   NN   6 dobj    6 obj
        in       ADP    IN   6 prep    10 case
        a        DET    DT   10 det    10 det
        park     NOUN   NN   8 pobj    6 obl
    """,
    "a bench with a cushion": """
        a        DET   DT  2 det   2 det
        bench    NOUN  NN  0 ROOT  0 ROOT
        with     ADP   IN  2 prep  5 case
        a        DET   DT  5 det   5 det
        cushion  NOUN  NN  3 pobj  2 nmod
    """,
    "a group of people sitting at a table": """
        a        DET   DT   2 det   2 det
        group    NOUN  NN   0 ROOT  0 ROOT
        of       ADP   IN   2 prep  4 case
        people   NOUN  NNS  3 pobj  2 nmod
        sitting  VERB  VBG  2 acl   2 acl
        at       ADP   IN   5 prep  8 case
        a        DET   DT   8 det   8 det
        table    NOUN  NN   6 pobj  5 obl
    """,
    "a cat jumping out of a box": """
        a        DET   DT   2 det   2 det
        cat      NOUN  NN   0 ROOT  0 ROOT
        jumping  VERB  VBG  2 acl   2 acl
        out      ADP   IN   3 prep  7 case
        of       ADP   IN   4 prep  7 case
        a        DET   DT   7 det   7 det
        box      NOUN  NN   5 pobj  3 obl
    """,
    "a boy looks from behind a tree": """
        a       DET   DT   2 det    2 det
        boy     NOUN  NN   3 nsubj  3 nsubj
        looks   VERB  VBZ  0 ROOT   0 ROOT
        from    ADP   IN   3 prep   7 case
        behind  ADP   IN   4 prep   7 case
        a       DET   DT   7 det    7 det
        tree    NOUN  NN   5 pobj   3 obl
    """,
    "a girl gives a boy an apple": """
        a      DET   DT   2 det     2 det
        girl   NOUN  NN   3 nsubj   3 nsubj
        gives  VERB  VBZ  0 ROOT    0 ROOT
        a      DET   DT   5 det     5 det
        boy    NOUN  NN   3 dative  3 iobj
        an     DET   DT   7 det     7 det
        apple  NOUN  NN   3 dobj    3 obj
    """,
    "a girl gives apples to a boy": """
        a       DET   DT   2 det     2 det
        girl    NOUN  NN   3 nsubj   3 nsubj
        gives   VERB  VBZ  0 ROOT    0 ROOT
        apples  NOUN  NNS  3 dobj    3 obj
        to      ADP   IN   3 dative  7 case
        a       DET   DT   7 det     7 det
        boy     NOUN  NN   5 pobj    3 obl
    """,
    "a kite is being flown by two boys": """
        a      DET   DT   2 det        2 det
        kite   NOUN  NN   5 nsubjpass  5 nsubj:pass
        is     AUX   VBZ  5 aux        5 aux
        being  AUX   VBG  5 auxpass    5 aux:pass
        flown  VERB  VBN  0 ROOT       0 ROOT
        by     ADP   IN   5 agent      8 case
        two    NUM   CD   8 nummod     8 nummod
        boys   NOUN  NNS  6 pobj       5 obl:agent
    """,
    "a man picks up both a ball and a bat": """
        a      DET    DT   2 det      2 det
        man    NOUN   NN   3 nsubj    3 nsubj
        picks  VERB   VBZ  0 ROOT     0 ROOT
        up     ADP    RP   3 prt      3 compound:prt
        both   CCONJ  CC   7 preconj  7 cc
        a      DET    DT   7 det      7 det
        ball   NOUN   NN   3 dobj     3 obj
        and    CCONJ  CC   7 cc       10 cc
        a      DET    DT   10 det     10 det
        bat    NOUN   NN   7 conj     7 conj
    """,
    "the dog is not on the bed but under it": """
        the    DET    DT   2 det    2 det
        dog    NOUN   NN   3 nsubj  7 nsubj
        is     AUX    VBZ  0 ROOT   7 cop
        not    PART   RB   3 neg    7 advmod
        on     ADP    IN   3 prep   7 case
        the    DET    DT   7 det    7 det
        bed    NOUN   NN   5 pobj   0 ROOT
        but    CCONJ  CC   5 cc     10 cc
        under  ADP    IN   5 conj   10 case
        it     PRON   PRP  9 pobj   7 conj
    """,
    "the man is a chef and wears a hat": """
        the    DET    DT   2 det    2 det
        man    NOUN   NN   3 nsubj  5 nsubj
        is     AUX    VBZ  0 ROOT   5 cop
        a      DET    DT   5 det    5 det
        chef   NOUN   NN   3 attr   0 ROOT
        and    CCONJ  CC   3 cc     7 cc
        wears  VERB   VBZ  3 conj   5 conj
        a      DET    DT   9 det    9 det
        hat    NOUN   NN   7 dobj   7 obj
    """,
    "the bus is red and white": """
        the    DET    DT   2 det    2 det
        bus    NOUN   NN   3 nsubj  4 nsubj
        is     AUX    VBZ  0 ROOT   4 cop
        red    ADJ    JJ   3 acomp  0 ROOT
        and    CCONJ  CC   4 cc     6 cc
        white  ADJ    JJ   4 conj   4 conj
    """,
    "the shelf is full of books in a library": """
        the      DET   DT   2 det    2 det
        shelf    NOUN  NN   3 nsubj  4 nsubj
        is       AUX   VBZ  0 ROOT   4 cop
        full     ADJ   JJ   3 acomp  0 ROOT
        of       ADP   IN   4 prep   6 case
        books    NOUN  NNS  5 pobj   4 obl
        in       ADP   IN   3 prep   9 case
        a        DET   DT   9 det    9 det
        library  NOUN  NN   7 pobj   4 obl
    """,
    "a horse that is next to a fence": """
        a      DET   DT   2 det     2 det
        horse  NOUN  NN   0 ROOT    0 ROOT
        that   PRON  WDT  4 nsubj   5 nsubj
        is     AUX   VBZ  2 relcl   5 cop
        next   ADV   RB   4 advmod  2 acl:relcl
        to     ADP   IN   5 prep    8 case
        a      DET   DT   8 det     8 det
        fence  NOUN  NN   6 pobj    5 obl
    """,
    "a woman with a hat , a scarf and a coat": """
        a      DET    DT  2 det    2 det
        woman  NOUN   NN  0 ROOT   0 ROOT
        with   ADP    IN  2 prep   5 case
        a      DET    DT  5 det    5 det
        hat    NOUN   NN  3 pobj   2 nmod
        ,      PUNCT  ,   5 punct  8 punct
        a      DET    DT  8 det    8 det
        scarf  NOUN   NN  5 conj   5 conj
        and    CCONJ  CC  8 cc     11 cc
        a      DET    DT  11 det   11 det
        coat   NOUN   NN  8 conj   5 conj
    """,
    "all the men are six feet tall": """
        all   DET   PDT  3 predet    3 det
        the   DET   DT   3 det       3 det
        men   NOUN  NNS  4 nsubj     7 nsubj
        are   AUX   VBP  0 ROOT      7 cop
        six   NUM   CD   6 nummod    6 nummod
        feet  NOUN  NNS  7 npadvmod  7 obl
        tall  ADJ   JJ   4 acomp     0 ROOT
    """,
    "a boy learns by watching his father": """
        a         DET   DT    2 det    2 det
        boy       NOUN  NN    3 nsubj  3 nsubj
        learns    VERB  VBZ   0 ROOT   0 ROOT
        by        ADP   IN    3 prep   5 mark
        watching  VERB  VBG   4 pcomp  3 advcl
        his       PRON  PRP$  7 poss   7 nmod:poss
        father    NOUN  NN    5 dobj   5 obj
    """,
    "on the table is a cup": """
        on     ADP   IN   4 prep  3 case
        the    DET   DT   3 det   3 det
        table  NOUN  NN   1 pobj  0 ROOT
        is     AUX   VBZ  0 ROOT  3 cop
        a      DET   DT   6 det   6 det
        cup    NOUN  NN   4 attr  3 nsubj
    """,
    "the table that the vases are on": """
        the    DET   DT   2 det    2 det
        table  NOUN  NN   0 ROOT   0 ROOT
        that   PRON  WDT  7 pobj   6 obl
        the    DET   DT   5 det    5 det
        vases  NOUN  NNS  6 nsubj  6 nsubj
        are    AUX   VBP  2 relcl  2 acl:relcl
        on     ADP   IN   6 prep   3 case
    """,
    "the table the vases are on": """
        the    DET   DT   2 det    2 det
        table  NOUN  NN   0 ROOT   0 ROOT
        the    DET   DT   4 det    4 det
        vases  NOUN  NNS  5 nsubj  6 nsubj
        are    AUX   VBP  2 relcl  6 cop
        on     ADP   IN   5 prep   2 acl:relcl
    """,
    "a path from the house to the lake": """
        a      DET   DT  2 det   2 det
        path   NOUN  NN  0 ROOT  0 ROOT
        from   ADP   IN  2 prep  5 case
        the    DET   DT  5 det   5 det
        house  NOUN  NN  3 pobj  2 nmod
        to     ADP   IN  3 prep  8 case
        the    DET   DT  8 det   8 det
        lake   NOUN  NN  6 pobj  2 nmod
    """,
    "chairs in and around the house": """
        chairs  NOUN   NNS  0 ROOT  0 ROOT
        in      ADP    IN   1 prep  6 case
        and     CCONJ  CC   2 cc    4 cc
        around  ADP    IN   2 conj  2 conj
        the     DET    DT   6 det   6 det
        house   NOUN   NN   4 pobj  1 nmod
    """,
    "a man sits because of the rain": """
        a        DET    DT   2 det    2 det
        man      NOUN   NN   3 nsubj  3 nsubj
        sits     VERB   VBZ  0 ROOT   0 ROOT
        because  SCONJ  IN   3 prep   7 case
        of       ADP    IN   4 pcomp  7 case
        the      DET    DT   7 det    7 det
        rain     NOUN   NN   5 pobj   3 obl
    """,
    "a wall painted blue , in front of which is a bike": """
        a        DET    DT   2 det    2 det
        wall     NOUN   NN   0 ROOT   0 ROOT
        painted  VERB   VBN  2 acl    2 acl
        blue     ADJ    JJ   3 oprd   3 xcomp
        ,        PUNCT  ,    2 punct  2 punct
        in       ADP    IN   10 prep  7 case
        front    NOUN   NN   6 pobj   2 acl:relcl
        of       ADP    IN   7 prep   9 case
        which    PRON   WDT  8 pobj   7 nmod
        is       AUX    VBZ  2 relcl  7 cop
        a        DET    DT   12 det   12 det
        bike     NOUN   NN   10 attr  7 nsubj
    """,
    "in a park , a man reads and a girl sits and sings": """
        in     ADP    IN   7 prep    3 case
        a      DET    DT   3 det     3 det
        park   NOUN   NN   1 pobj    7 obl
        ,      PUNCT  ,    7 punct   7 punct
        a      DET    DT   6 det     6 det
        man    NOUN   NN   7 nsubj   7 nsubj
        reads  VERB   VBZ  0 ROOT    0 ROOT
        and    CCONJ  CC   7 cc      11 cc
        a      DET    DT   10 det    10 det
        girl   NOUN   NN   11 nsubj  11 nsubj
        sits   VERB   VBZ  7 conj    7 conj
        and    CCONJ  CC   11 cc     13 cc
        sings  VERB   VBZ  11 conj   11 conj
    """,
    "more than two dogs trying to be quiet": """
        more    ADJ   JJR  2 amod      2 amod
        than    ADP   IN   3 quantmod  3 advmod
        two     NUM   CD   4 nummod    4 nummod
        dogs    NOUN  NNS  0 ROOT      0 ROOT
        trying  VERB  VBG  4 acl       4 acl
        to      PART  TO   7 aux       8 mark
        be      AUX   VB   5 xcomp     8 cop
        quiet   ADJ   JJ   7 acomp     5 xcomp
    """,
    "the dog is outside with a hat a cat": """
        the      DET   DT   2 det     2 det
        dog      NOUN  NN   3 nsubj   4 nsubj
        is       AUX   VBZ  0 ROOT    4 cop
        outside  ADV   RB   3 advmod  0 ROOT
        with     ADP   IN   4 prep    7 case
        a        DET   DT   7 det     7 det
        hat      NOUN  NN   5 pobj    4 obl
        a        DET   DT   9 det     9 det
        cat      NOUN  NN   5 pobj    7 conj
    """,
    "in front of a house": """
        in     ADP   IN  0 ROOT  2 case
        front  NOUN  NN  1 pobj  0 ROOT
        of     ADP   IN  2 prep  5 case
        a      DET   DT  5 det   5 det
        house  NOUN  NN  3 pobj  2 nmod
    """,
}

RELATIONS = {
    "a man riding a brown horse": ["man ride horse"],
    "a cup is on the table .": ["cup on table"],
    "a horse ridden by a man": ["man ride horse"],
    "a dog sitting on top of a car": ["dog sit on top of car"],
    "a man who is holding an umbrella": ["man hold umbrella"],
    "the man 's dog": ["man have dog"],
    "there is a dog under the table": ["dog under table"],
    "two men and a woman playing frisbee in a park": [
        "man play frisbee", "man play in park", "woman play frisbee", "woman play in park",
    ],
    "a bench with a cushion": ["bench have cushion"],
    "a group of people sitting at a table": ["people sit at table"],
    "a cat jumping out of a box": ["cat jump out of box"],
    "a girl gives apples to a boy": ["girl give apple", "girl give to boy"],
    "a kite is being flown by two boys": ["boy fly kite"],
    "a man picks up both a ball and a bat": ["man pick up ball", "man pick up bat"],
    "the man is a chef and wears a hat": ["man wear hat"],
    "the shelf is full of books in a library": ["shelf full of book", "shelf in library"],
    "a horse that is next to a fence": ["horse next to fence"],
    "a woman with a hat , a scarf and a coat": ["woman wear coat", "woman wear hat", "woman wear scarf"],
    "on the table is a cup": ["cup on table"],
    "the table the vases are on": ["vase on table"],
}  # fmt: skip


def rows_of(sentence: str) -> list[list[str]]:
    return [line.split() for line in SENTENCES[sentence].strip().splitlines()]


def doc_of(sentence: str) -> Doc:
    """The doc as spaCy's own English pipelines annotate it."""
    words, pos, tags, heads, deps, _, _ = zip(*rows_of(sentence), strict=True)
    above = [int(head) - 1 if head != "0" else index for index, head in enumerate(heads)]
    return Doc(VOCAB, words, heads=above, deps=list(deps), pos=list(pos), tags=list(tags))


def tree_of(doc: Doc) -> Tree:
    heads, labels = universal_heads_and_labels(doc)
    return Tree(
        spans=[(word.idx, word.idx + len(word)) for word in doc],
        lower=[word.lower_ for word in doc],
        pos=[word.pos_ for word in doc],
        tag=[word.tag_ for word in doc],
        dep=[label.partition(":")[0] for label in labels],
        subtype=[label.partition(":")[2] for label in labels],
        head=heads,
    )


@pytest.mark.parametrize("sentence", SENTENCES)
def test_sentence_becomes_the_tree_worked_out_by_hand(sentence: str) -> None:
    heads, labels = universal_heads_and_labels(doc_of(sentence))
    got = [
        f"{head + 1 if head != word else 0} {label}"
        for word, (head, label) in enumerate(zip(heads, labels, strict=True))
    ]
    assert got == [f"{row[5]} {row[6]}" for row in rows_of(sentence)]


@pytest.mark.parametrize("sentence", RELATIONS)
def test_the_rules_read_the_rebuilt_tree(sentence: str) -> None:
    parse = extract(tree_of(doc_of(sentence)))
    heads = [phrase.head for phrase in parse.phrases]
    got = sorted(f"{heads[found.subject]} {found.predicate} {heads[found.object]}" for found in parse.relations)
    assert got == RELATIONS[sentence]


def test_labels_of_a_parser_tell_the_scheme() -> None:
    assert is_clearnlp(["ROOT", "nsubj", "dobj", "pobj", "prep", "punct"])
    assert not is_clearnlp(["ROOT", "nsubj", "nsubj:pass", "obj", "obl", "case", "aux", "punct"])
    assert not is_clearnlp([])


def test_the_doc_is_left_as_it_is() -> None:
    doc = doc_of("a cup is on the table .")
    universal_heads_and_labels(doc)
    assert [word.dep_ for word in doc] == ["det", "nsubj", "ROOT", "prep", "det", "pobj", "punct"]


def test_an_empty_doc_gives_empty_lists() -> None:
    assert universal_heads_and_labels(Doc(VOCAB)) == ([], [])


LABELS = """
    nsubj nsubjpass csubj dobj dative pobj pcomp prep agent attr acomp oprd xcomp ccomp advcl acl relcl conj cc preconj
    det predet amod advmod npadvmod nmod compound nummod quantmod poss case prt aux auxpass expl mark neg appos
    parataxis dep intj meta punct ROOT
"""
UNIVERSAL = """
    ROOT nsubj nsubj:pass csubj obj iobj obl obl:agent nmod nmod:poss xcomp ccomp advcl advcl:relcl acl acl:relcl conj
    cc det amod advmod compound compound:prt nummod case aux aux:pass cop expl mark appos parataxis dep discourse punct
"""
POS = ["NOUN", "PRON", "VERB", "AUX", "ADJ", "ADV", "ADP", "SCONJ", "CCONJ", "DET", "NUM", "PART", "PUNCT"]


@st.composite
def docs(draw: st.DrawFn) -> Doc:
    """One or two trees, projective or not, with any labels, most of them those that are rebuilt."""
    size = draw(st.integers(1, 14))
    order = draw(st.permutations(range(size)))
    heads = list(range(size))
    for place, word in enumerate(order[1:]):
        heads[word] = order[draw(st.integers(0, place))]
    if size > 3 and draw(st.booleans()):
        heads[order[-1]] = order[-1]
    label = st.sampled_from(["prep", "pobj", "pcomp", "conj", "cc", "attr", "ROOT"]) | st.sampled_from(LABELS.split())
    words = draw(st.lists(st.sampled_from(["is", "x", "there", "on"]), min_size=size, max_size=size))
    pos = [draw(st.sampled_from(["AUX", "VERB"] if word == "is" else ["ADP", *POS])) for word in words]
    return Doc(VOCAB, words, heads=heads, deps=[draw(label) for _ in words], pos=pos)


@settings(max_examples=400)
@given(docs())
def test_any_tree_becomes_a_tree_of_universal_labels(doc: Doc) -> None:
    heads, labels = universal_heads_and_labels(doc)
    assert len(heads) == len(labels) == len(doc)
    assert sum(head == word for word, head in enumerate(heads)) == sum(word.head.i == word.i for word in doc)
    for word in range(len(doc)):
        path = [word]
        while heads[path[-1]] != path[-1]:
            path.append(heads[path[-1]])
            assert len(path) <= len(doc), "heads lead round in a circle"
        assert [labels[step] == "ROOT" for step in path] == [False] * (len(path) - 1) + [True]
    assert set(labels) <= set(UNIVERSAL.split())


@settings(max_examples=200)
@given(docs())
def test_no_tree_is_too_wrong_for_the_rules(doc: Doc) -> None:
    extract(tree_of(doc))
