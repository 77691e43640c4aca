"""What the parsing model learns from, on a few sentences worked out by hand."""

import gzip
from pathlib import Path

import pytest

from schemas import BadInputError
from stages.evaluate.caption_lines import GoldCaption
from stages.parse.conventions import Conventions, builtin_conventions
from stages.parse.training import train_parser
from stages.parse.training.conventions import count_conventions
from stages.parse.training.silver import proved
from stages.parse.training.train import known_words, treebank_docs
from stages.parse.training.treebank import lower_cased, noun_fragments, read_treebank, runs
from stages.parse.tree import Tree

# Word, part of speech, Penn tag, head (counted from 1), relation.
SENTENCE = """
The DET DT 2 det
man NOUN NN 3 nsubj
holds VERB VBZ 0 root
a DET DT 6 det
red ADJ JJ 6 amod
cup NOUN NN 3 obj
of ADP IN 8 case
tea NOUN NN 6 nmod
. PUNCT . 3 punct
"""
OTHER = """
Dogs NOUN NNS 2 nsubj
run VERB VBP 0 root
. PUNCT . 2 punct
"""
WALL = """
a DET DT 3 det
brick NOUN NN 3 compound
wall NOUN NN 0 root
"""


def conllu(*sentences: str) -> str:
    blocks = []
    for sentence in sentences:
        rows = [line.split() for line in sentence.strip().splitlines()]
        blocks.append(
            "\n".join(
                f"{i}\t{word}\t{word.lower()}\t{pos}\t{tag}\t_\t{head}\t{dep}\t_\t_"
                for i, (word, pos, tag, head, dep) in enumerate(rows, start=1)
            )
        )
    return "\n\n".join(blocks) + "\n\n"


def docs(tmp_path: Path, *sentences: str):
    path = tmp_path / "bank.conllu"
    path.write_text(conllu(*sentences), encoding="utf-8")
    return list(read_treebank(path))


def test_a_treebank_is_read_one_sentence_a_doc_plain_or_gzipped(tmp_path: Path) -> None:
    plain = docs(tmp_path, SENTENCE, OTHER)
    assert [[token.text for token in doc] for doc in plain] == [
        ["The", "man", "holds", "a", "red", "cup", "of", "tea", "."],
        ["Dogs", "run", "."],
    ]
    assert [token.dep_ for token in plain[1]] == ["nsubj", "ROOT", "punct"]
    packed = tmp_path / "bank.conllu.gz"
    packed.write_bytes(gzip.compress((tmp_path / "bank.conllu").read_bytes()))
    assert [doc.text for doc in read_treebank(packed)] == [doc.text for doc in plain]


def test_a_fragment_is_a_noun_phrase_with_its_noun_as_root(tmp_path: Path) -> None:
    (fragment,) = noun_fragments(docs(tmp_path, SENTENCE)[0])
    assert [token.text for token in fragment] == ["a", "red", "cup", "of", "tea"]
    assert [token.dep_ for token in fragment] == ["det", "amod", "ROOT", "case", "nmod"]
    assert [token.head.i for token in fragment] == [2, 2, 2, 4, 2]


def test_a_lower_cased_copy_has_no_full_stop(tmp_path: Path) -> None:
    copy = lower_cased(docs(tmp_path, SENTENCE)[0])
    assert [token.text for token in copy] == ["the", "man", "holds", "a", "red", "cup", "of", "tea"]
    assert copy[2].dep_ == "ROOT"


def test_runs_keep_every_sentence_once_in_order(tmp_path: Path) -> None:
    sentences = docs(tmp_path, *([SENTENCE, OTHER] * 8))
    joined = list(runs(sentences))
    assert [token.text for doc in joined for token in doc] == [token.text for doc in sentences for token in doc]
    assert {len(list(doc.sents)) for doc in joined} == {1, 2, 3}


def test_what_is_learnt_holds_sentences_fragments_and_lower_cased_copies(tmp_path: Path) -> None:
    texts = [doc.text.strip() for doc in treebank_docs(docs(tmp_path, SENTENCE))]
    assert texts == ["The man holds a red cup of tea .", "a red cup of tea", "the man holds a red cup of tea"]


def test_known_words_are_no_rarities(tmp_path: Path) -> None:
    assert known_words(docs(tmp_path, SENTENCE, SENTENCE, SENTENCE, OTHER)) == [
        "a",
        "cup",
        "holds",
        "man",
        "of",
        "red",
        "tea",
        "the",
    ]
    assert known_words(docs(tmp_path, OTHER)) == []


@pytest.mark.parametrize(
    ("graph", "role"),
    [
        ([("wall", "is", "brick"), ("man", "near", "wall")], "attribute"),
        ([("man", "near", "brick wall")], "name"),
        ([("man", "near", "wall"), ("brick", "have", "wall")], "owner"),
        ([("man", "near", "wall")], "dropped"),
    ],
)
def test_a_modifier_is_what_most_people_make_of_it(tmp_path: Path, graph: list[tuple[str, ...]], role: str) -> None:
    (wall,) = docs(tmp_path, WALL)
    counted = count_conventions((Tree.of(wall), graph) for _ in range(3))
    assert counted.role("brick", "wall", compound=True) == role
    assert Conventions.from_json(counted.to_json()) == counted


def test_a_noun_before_of_is_what_most_people_make_of_it(tmp_path: Path) -> None:
    (sentence,) = docs(tmp_path, SENTENCE)
    for graph, expected in (
        ([("cup", "with", "tea")], "> with"),
        ([("tea", "in", "cup")], "< in"),
        ([("man", "hold", "tea")], "measure"),
        ([("tea", "is", "cup of")], "attribute of"),
    ):
        assert count_conventions((Tree.of(sentence), graph) for _ in range(3)).of == {"cup": expected}


def test_a_tree_is_proved_only_by_the_graph_that_people_wrote(tmp_path: Path) -> None:
    (doc,) = docs(tmp_path, SENTENCE)
    right = GoldCaption(doc.text, (("man", "hold", "cup"), ("tea", "in", "cup"), ("cup", "is", "red")), "row 1")
    wrong = GoldCaption(doc.text, (("man", "hold", "tea"),), "row 2")
    kept = list(proved([(right, doc), (wrong, doc)], builtin_conventions()))
    assert kept == [doc]


def test_bad_training_input_is_named(tmp_path: Path) -> None:
    captions = tmp_path / "captions.csv"
    captions.write_text('image_id,region_id,caption,scene_graph\n1,1,a dog,"( dog )"\n')
    with pytest.raises(BadInputError, match="has neither ewt-train"):
        train_parser(tmp_path, captions, tmp_path / "out")
    bad = tmp_path / "bad.conllu"
    bad.write_text("1\tonly\tthree\n")
    with pytest.raises(BadInputError, match=r"bad\.conllu: cannot be read as CoNLL-U"):
        list(read_treebank(bad))
    (tmp_path / "there").mkdir()
    with pytest.raises(BadInputError, match="exists already"):
        train_parser(tmp_path, captions, tmp_path / "there")


@pytest.mark.slow
def test_a_short_training_gives_a_pipeline_that_parses_and_the_same_again(tmp_path: Path) -> None:
    for name in ("ewt-train", "gum-train", "pud", "ewt-dev", "gum-dev"):
        (tmp_path / f"{name}.conllu").write_text(conllu(*([SENTENCE, OTHER] * 10)), encoding="utf-8")
    captions = tmp_path / "captions.csv"
    row = 'a red cup of tea,"( tea , in , cup ) , ( cup , is , red )"'
    captions.write_text("image_id,region_id,caption,scene_graph\n" + f"1,1,{row}\n" * 4, encoding="utf-8")
    digests = []
    for run in ("one", "two"):
        rounds = train_parser(tmp_path, captions, tmp_path / run, steps=(10, 10))
        assert [done.steps for done in rounds] == [10, 10]
        model = tmp_path / run / "model"
        digests.append({str(p.relative_to(model)): p.read_bytes() for p in model.rglob("*") if p.is_file()})
        assert str(tmp_path) not in (tmp_path / run / "model" / "config.cfg").read_text()
    assert digests[0] == digests[1]
    from stages.parse import CaptionParser

    assert len(CaptionParser(str(tmp_path / "one" / "model")).parse(["the man holds a cup"])) == 1
