"""What `doc.noun_chunks` gives on trees of Universal Dependencies, and the laws it obeys on any tree."""

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc

from stages.parse.noun_chunks import install_noun_chunks, noun_chunks

NLP = spacy.blank("en")


def parsed(text: str) -> Doc:
    """A doc from `word/POS/head/label` for each word; heads are counted from 1, the root's is 0."""
    words, pos, above, deps = zip(*(row.rsplit("/", 3) for row in text.split()), strict=True)
    heads = [int(head) - 1 if head != "0" else index for index, head in enumerate(above)]
    return Doc(NLP.vocab, words, heads=heads, deps=list(deps), pos=list(pos))


def chunks(doc: Doc) -> list[str]:
    return [doc[start:end].text for start, end, _ in noun_chunks(doc)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "A/DET/2/det man/NOUN/3/nsubj rides/VERB/0/ROOT a/DET/6/det brown/ADJ/6/amod horse/NOUN/3/obj "
            "in/ADP/9/case the/DET/9/det park/NOUN/3/obl",
            ["A man", "a brown horse", "the park"],
            id="objects and obliques are phrases, without their prepositions",
        ),
        pytest.param(
            "a/DET/2/det horse/NOUN/0/ROOT ridden/VERB/2/acl by/ADP/6/case a/DET/6/det man/NOUN/3/obl:agent",
            ["a horse", "a man"],
            id="a subtype makes no difference",
        ),
        pytest.param(
            "the/DET/2/det man/NOUN/5/nmod:poss 's/PART/2/case big/ADJ/5/amod dog/NOUN/0/ROOT",
            ["the man 's big dog"],
            id="a possessor is part of the phrase",
        ),
        pytest.param(
            "his/PRON/2/nmod:poss dog/NOUN/3/nsubj likes/VERB/0/ROOT her/PRON/3/obj",
            ["his dog", "her"],
            id="pronouns are phrases, possessive ones are not",
        ),
        pytest.param(
            "a/DET/2/det dog/NOUN/0/ROOT ,/PUNCT/5/punct a/DET/5/det cat/NOUN/2/conj and/CCONJ/8/cc two/NUM/8/nummod "
            "birds/NOUN/2/conj",
            ["a dog", "a cat", "two birds"],
            id="each conjunct is a phrase, without commas and conjunctions",
        ),
        pytest.param(
            "a/DET/6/det big/ADJ/6/amod ,/PUNCT/4/punct brown/ADJ/6/amod tennis/NOUN/6/compound ball/NOUN/0/ROOT",
            ["a big , brown tennis ball"],
            id="a comma between modifiers does not end the phrase",
        ),
        pytest.param(
            "a/DET/5/det black/ADJ/5/amod and/CCONJ/4/cc white/ADJ/2/conj cat/NOUN/0/ROOT",
            ["a black and white cat"],
            id="nor does a conjunction between modifiers",
        ),
        pytest.param(
            "It/PRON/5/nsubj is/AUX/5/cop not/PART/5/advmod a/DET/5/det dog/NOUN/0/ROOT",
            ["It", "a dog"],
            id="subject, copula and adverb of a clause stay outside its noun",
        ),
        pytest.param(
            "almost/ADV/2/advmod all/DET/3/det dogs/NOUN/4/nsubj bark/VERB/0/ROOT",
            ["almost all dogs"],
            id="an adverb of a determiner is inside",
        ),
        pytest.param(
            "a/DET/2/det statue/NOUN/0/ROOT of/ADP/4/case Queen/PROPN/2/nmod Victoria/PROPN/4/flat",
            ["a statue", "Queen Victoria"],
            id="names go on behind their first word",
        ),
        pytest.param(
            "on/ADP/3/case the/DET/3/det left/NOUN/5/nmod a/DET/5/det dog/NOUN/0/ROOT",
            ["the left", "a dog"],
            id="a prepositional phrase before the noun is a phrase of its own",
        ),
        pytest.param(
            "a/DET/2/det man/NOUN/0/ROOT who/PRON/6/nsubj is/AUX/6/cop a/DET/6/det cook/NOUN/2/acl:relcl",
            ["a man", "who", "a cook"],
            id="a noun that leads a relative clause is a phrase",
        ),
        pytest.param("run/VERB/0/ROOT fast/ADV/1/advmod", [], id="no noun, no phrase"),
    ],
)
def test_phrases_of(text: str, expected: list[str]) -> None:
    assert chunks(parsed(text)) == expected


def test_without_a_parse_it_refuses_as_spacy_does() -> None:
    with pytest.raises(ValueError, match="E029"):
        list(noun_chunks(Doc(NLP.vocab, ["a", "dog"])))


def test_an_empty_doc_has_no_phrases() -> None:
    assert chunks(Doc(NLP.vocab)) == []


def test_of_a_span_those_that_lie_inside() -> None:
    doc = parsed("a/DET/2/det dog/NOUN/0/ROOT on/ADP/5/case a/DET/5/det bed/NOUN/2/nmod")
    assert list(noun_chunks(doc[1:5])) == [(3, 5, NLP.vocab.strings["NP"])]
    assert list(noun_chunks(doc[2:2])) == []


def test_installed_it_is_what_docs_and_spans_use() -> None:
    nlp = spacy.blank("en")
    install_noun_chunks(nlp)
    words, pos = ["dogs", "chase", "a", "cat"], ["NOUN", "VERB", "DET", "NOUN"]
    doc = Doc(nlp.vocab, words, heads=[1, 1, 3, 1], deps=["nsubj", "ROOT", "det", "obj"], pos=pos)
    assert [chunk.text for chunk in doc.noun_chunks] == ["dogs", "a cat"]
    assert [chunk.label_ for chunk in doc.noun_chunks] == ["NP", "NP"]
    assert [chunk.text for chunk in doc[1:].noun_chunks] == ["a cat"]


POS = ["NOUN", "PROPN", "PRON", "VERB", "AUX", "ADJ", "ADV", "ADP", "CCONJ", "SCONJ", "DET", "NUM", "PART", "PUNCT"]
DEPS = [
    "nsubj", "obj", "obl", "obl:agent", "nmod", "nmod:poss", "conj", "cc", "case", "mark", "punct", "det", "amod",
    "compound", "flat", "advmod", "nummod", "acl", "acl:relcl", "appos", "dep",
]  # fmt: skip


@st.composite
def docs(draw: st.DrawFn) -> Doc:
    """Any tree, projective or not, with any labels; the order in which words join it is random."""
    size = draw(st.integers(1, 12))
    order = draw(st.permutations(range(size)))
    heads = list(range(size))
    for place, word in enumerate(order[1:]):
        heads[word] = order[draw(st.integers(0, place))]
    deps = [draw(st.sampled_from(DEPS)) if heads[word] != word else "ROOT" for word in range(size)]
    pos = [draw(st.sampled_from(POS)) for _ in range(size)]
    return Doc(NLP.vocab, ["x"] * size, heads=heads, deps=deps, pos=pos)


@settings(max_examples=300)
@given(docs())
def test_on_any_tree_phrases_are_in_order_apart_and_begin_well(doc: Doc) -> None:
    last = 0
    for start, end, _ in noun_chunks(doc):
        assert last <= start < end <= len(doc)
        assert any(word.pos_ in {"NOUN", "PROPN", "PRON"} for word in doc[start:end])
        assert doc[start:end].root.pos_ in {"NOUN", "PROPN", "PRON"}
        if end - start > 1:
            assert doc[start].pos_ not in {"ADP", "CCONJ", "SCONJ", "PUNCT"}
            assert doc[start].dep_ not in {"case", "cc", "mark", "punct"}
        last = end
