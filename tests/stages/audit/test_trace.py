"""A trace says of a relation which words it rests on, how they were read, and what else they could have meant."""

import json
from dataclasses import replace

import pytest
from audit_sample_made import labelled_by_prior

from schemas import (
    Caption,
    Evidence,
    Image,
    Mention,
    Phrase,
    Provenance,
    Region,
    Relation,
    Repair,
    Scene,
    UserError,
)
from stages.audit import trace_of
from stages.audit.trace import MOST_CANDIDATES, Candidate, TracedEvidence
from stages.pack import committed_scenes
from stages.storage import Folder
from stages.tag.assign import Assigned
from stages.tag.pair_texts import pair_texts
from stages.tag.relations import with_relations

TEXT = "A man rides a horse near a man with a dog"
#       0         1         2         3         4
#       01234567890123456789012345678901234567890
MAN, HORSE, OTHER_MAN, DOG = (0, 5), (12, 19), (25, 30), (36, 41)
RIDES, WITH = (6, 11), (31, 35)


def scene(**changes) -> Scene:
    """Two people (1, 2), two horses (3, 4), a dog (5)."""
    return Scene(
        **{
            "key": "made-1",
            "image": Image("1.jpg", 100, 100),
            "regions": (
                Region(1, "person", (0, 0, 10, 20), source_id="a11"),
                Region(2, "person", (50, 0, 60, 20), source_id="a12"),
                Region(3, "horse", (0, 10, 20, 30)),
                Region(4, "horse", (50, 10, 70, 30)),
                Region(5, "dog", (60, 20, 70, 30)),
            ),
            "captions": (Caption("Two horses", "given"), Caption(TEXT, "blip", "beam", -7.5)),
            "phrases": (
                Phrase(0, (0, 10), "horse", True, (3, 4)),
                Phrase(1, MAN, "man", False, (1, 2)),
                Phrase(1, HORSE, "horse", False, (3, 4)),
                Phrase(1, OTHER_MAN, "man", False, (1, 2)),
                Phrase(1, DOG, "dog", False, (5,)),
            ),
            "mentions": (Mention(1, 1, 2, "ride", RIDES), Mention(1, 3, 4, "with", WITH)),
            "relations": (
                Relation(1, 3, "near", "near", 1.0, "human"),
                Relation(2, 3, "ride", "not riding", 1.0, "human", state="denied"),
                Relation(1, 3, "ride", "rides", 0.8, "tagger", 0.7, evidence=(Evidence(1, MAN, RIDES, HORSE),),
                         verifier_scores={"clip": 0.25}),
                Relation(1, 3, "feed", "feeding", 0.3, "tagger"),
                Relation(2, 4, "ride", "rides", 0.9, "tagger"),
            ),
            "provenance": Provenance("digest", {"caption": "blip 1", "parse": "parse 2"}),
            **changes,
        }
    )  # fmt: skip


def test_a_trace_names_the_relation_and_its_regions() -> None:
    trace = trace_of(scene(), 2)
    assert (trace.key, trace.number, trace.predicate, trace.text) == ("made-1", 2, "ride", "rides")
    assert (trace.subject.id, trace.subject.name, trace.object.id, trace.object.box) == (
        1,
        "person",
        3,
        (0, 10, 20, 30),
    )
    assert (trace.score, trace.probability, trace.source, trace.state) == (0.8, 0.7, "tagger", "asserted")
    assert trace.verifier_scores == {"clip": 0.25}
    assert (trace.job, trace.stages) == ("digest", {"caption": "blip 1", "parse": "parse 2"})
    assert trace.origin == "It rests on the words of a caption."
    assert [region.id for region in trace.regions] == [1, 2, 3, 4, 5]  # 5 is what "a dog" may be


def test_the_caption_is_cut_where_the_evidence_begins_and_ends() -> None:
    (evidence,) = trace_of(scene(), 2).evidence
    assert (evidence.caption, evidence.source, evidence.decoding, evidence.log_probability) == (1, "blip", "beam", -7.5)
    assert evidence.segments == (
        ("A man", "subject"), (" ", ""), ("rides", "predicate"), (" ", ""), ("a horse", "object"),
        (" near a man with a dog", ""),
    )  # fmt: skip


def test_the_words_that_the_relation_bears_come_first() -> None:
    """Caption 0 says it, too; but the score, and so the text, is from caption 1."""
    made = scene(captions=(Caption("A man on a horse", "given"), Caption(TEXT, "given")), mentions=())
    both = (Evidence(0, (0, 5), (6, 8), (9, 16)), Evidence(1, MAN, RIDES, HORSE))
    made = replace(made, relations=(replace(made.relations[2], evidence=both),))
    trace = trace_of(made, 0)
    assert [evidence.caption for evidence in trace.evidence] == [1, 0]
    assert trace.origin == "It rests on the words of 2 captions."


def test_long_captions_are_kept_whole() -> None:
    long = TEXT + " and" * 300
    (evidence,) = trace_of(scene(captions=(Caption("Two horses", "given"), Caption(long, "given"))), 2).evidence
    assert "".join(segment.text for segment in evidence.segments) == evidence.text == long


def test_the_parse_is_told_as_far_as_the_scene_keeps_it() -> None:
    (evidence,) = trace_of(scene(), 2).evidence
    assert [(phrase.number, phrase.text, phrase.head, phrase.regions, phrase.role) for phrase in evidence.phrases] == [
        (1, "A man", "man", (1, 2), "subject"),
        (2, "a horse", "horse", (3, 4), "object"),
        (3, "a man", "man", (1, 2), ""),
        (4, "a dog", "dog", (5,), ""),
    ]
    mention = evidence.mention
    assert mention is not None
    assert (mention.subject, mention.predicate, mention.text, mention.object) == (1, "ride", "rides", 2)


def test_candidates_are_the_pairs_that_the_words_may_mean_best_first() -> None:
    """Pair (2, 4) is asserted by other words, (2, 3) was denied by a person, (1, 4) got nothing."""
    (evidence,) = trace_of(scene(), 2).evidence
    assert evidence.candidates == (
        Candidate(2, 4, chosen=False, relation=4, score=0.9, same_words=False, human=""),
        Candidate(1, 3, chosen=True, relation=2, score=0.8, same_words=True, human=""),
        Candidate(1, 4, chosen=False, relation=None, score=None, same_words=False, human=""),
        Candidate(2, 3, chosen=False, relation=None, score=None, same_words=False, human="denied"),
    )
    assert evidence.num_candidates == 4


def test_no_region_is_paired_with_itself() -> None:
    """ "A man near a man": both words may mean 1 and 2."""
    near = Relation(1, 2, "near", "near", 0.5, "tagger", evidence=(Evidence(1, MAN, (20, 24), OTHER_MAN),))
    made = scene(mentions=(Mention(1, 1, 3, "near", (20, 24)),), relations=(near,))
    (evidence,) = trace_of(made, 0).evidence
    assert [(one.subject, one.object) for one in evidence.candidates] == [(1, 2), (2, 1)]


def test_candidates_are_those_that_taggers_are_asked_about(tmp_path) -> None:
    """In real labels: the pairs of `pair_texts`, the chosen one among them once, with its relation's score."""
    folder = Folder(str(labelled_by_prior(tmp_path / "out")))
    num_traced = 0
    for labelled in committed_scenes(folder, pixels=False):
        asked = pair_texts(labelled, labelled.phrases, refusal=lambda text: None).mentions
        for number, relation in enumerate(labelled.relations):
            trace = trace_of(labelled, number)
            json.dumps(trace.to_json(), allow_nan=False)
            assert len(trace.evidence) == len(relation.evidence)
            for evidence in trace.evidence if relation.source == "tagger" else ():
                found = {(one.subject, one.object) for one in evidence.candidates}
                assert found == {pair for pair, mentions in asked.items() if any(same(evidence, m) for m in mentions)}
                (chosen,) = [one for one in evidence.candidates if one.chosen]
                assert (chosen.subject, chosen.object) == (relation.subject, relation.object)
                assert (chosen.score, chosen.same_words) == (relation.score, True)
                num_traced += 1
    assert num_traced > 10


def same(evidence: TracedEvidence, mention: Mention) -> bool:
    traced = evidence.mention
    assert traced is not None
    return (evidence.caption, traced.subject, traced.object, traced.predicate, traced.span) == (
        mention.caption, mention.subject, mention.object, mention.predicate, mention.span,
    )  # fmt: skip


def test_a_crowd_keeps_its_best_pairs_and_the_chosen_one() -> None:
    """30 people and 30 horses are 900 pairs; the chosen one scores least of all."""
    people, horses = range(30), range(30, 60)
    made = scene(
        regions=tuple(Region(i, "person" if i < 30 else "horse", (0, 0, 1, 1)) for i in range(60)),
        captions=(Caption("A man rides a horse", "given"),),
        phrases=(Phrase(0, MAN, "man", False, tuple(people)), Phrase(0, HORSE, "horse", False, tuple(horses))),
        mentions=(Mention(0, 0, 1, "ride", RIDES),),
        relations=(),
    )
    found = [Assigned(made.mentions[0], s, o, 0.1 if (s, o) == (5, 40) else 0.5) for s in people for o in horses]
    made = with_relations(made, made.phrases, found, min_score=0.0)
    place = next(i for i, relation in enumerate(made.relations) if relation.score == 0.1)
    (evidence,) = trace_of(made, place).evidence
    assert (len(evidence.candidates), evidence.num_candidates) == (MOST_CANDIDATES, 900)
    assert (evidence.candidates[-1].chosen, evidence.candidates[-1].score) == (True, 0.1)


def test_other_relations_of_the_pair_are_told_best_first() -> None:
    trace = trace_of(scene(), 2)
    assert [(other.number, other.predicate, other.source, other.score) for other in trace.others] == [
        (0, "near", "human", 1.0),
        (3, "feed", "tagger", 0.3),
    ]


@pytest.mark.parametrize(
    ("place", "origin"),
    [
        (0, "A person asserted it; it rests on no caption."),
        (1, "A person denied it; it rests on no caption."),
        (3, "The tagger gave these two regions words that a caption says of others; no caption says it of these."),
    ],
)
def test_a_relation_without_a_caption_says_so(place: int, origin: str) -> None:
    trace = trace_of(scene(), place)
    assert (trace.origin, trace.evidence) == (origin, ())


def test_what_a_person_and_a_caption_say_is_traced_to_both() -> None:
    said = Relation(1, 3, "ride", "rides", 1.0, "human", evidence=(Evidence(1, MAN, RIDES, HORSE),))
    trace = trace_of(scene(relations=(said,)), 0)
    assert trace.origin == "A person asserted it; a caption of the dataset speaks of it."
    assert len(trace.evidence[0].candidates) == 4


def test_a_denied_label_is_traced_as_well() -> None:
    """A verifier may deny what a tagger said: its own pair is still the chosen one, with its score."""
    made = scene()
    denied = Relation(1, 3, "ride", "rides", 0.8, "tagger", state="denied", evidence=made.relations[2].evidence)
    trace = trace_of(scene(relations=(denied,)), 0)
    assert trace.state == "denied"
    assert (trace.evidence[0].candidates[0].chosen, trace.evidence[0].candidates[0].score) == (True, 0.8)


def test_evidence_whose_mention_is_gone_has_no_candidates() -> None:
    (evidence,) = trace_of(scene(mentions=()), 2).evidence
    assert (evidence.mention, evidence.candidates, evidence.num_candidates) == (None, (), 0)
    assert [phrase.role for phrase in evidence.phrases] == ["subject", "object", "", ""]


def test_repairs_are_those_that_name_the_pair_or_nothing() -> None:
    repairs = [
        Repair("screen", "box-clipped", "region 1 (person) [0, 0, 10, 20] in 9 x 9: clipped to [0, 0, 9, 9]"),
        Repair("screen", "box-clipped", "region 5 (dog) [0, 0, 10, 20] in 9 x 9: clipped to [0, 0, 9, 9]"),
        Repair("screen", "box-clipped", "region 13 (dog) [0, 0, 10, 20] in 9 x 9: clipped to [0, 0, 9, 9]"),
        Repair("ingest", "relation-without-region", "'on' between regions 4 and 3: a region was dropped"),
        Repair("ingest", "box-is-crowd", "annotation a13 outlines a group; box dropped"),
        Repair("ingest", "duplicate-annotation-id", "annotation a11 is there twice"),
        Repair("ingest", "image-size-invalid", "the annotations say 0 x 0; taken as unknown"),
        Repair("parse", "caption-too-long", "caption 0 has 9000 characters; only the first 8000 were read"),
        Repair("ingest", "caption-empty", "caption is ''; dropped"),
    ]
    trace = trace_of(scene(provenance=Provenance(repairs=tuple(repairs))), 2)
    assert [repairs.index(repair) for repair in trace.repairs] == [0, 3, 5, 6, 8]
    assert trace.num_repairs == 9


def test_plain_values_are_plain() -> None:
    document = trace_of(scene(), 2).to_json()
    assert json.loads(json.dumps(document)) == document
    assert document["subject"]["box"] == [0, 0, 10, 20]
    assert document["evidence"][0]["segments"][0] == {"text": "A man", "role": "subject"}
    assert document["evidence"][0]["candidates"][1]["chosen"] is True


@pytest.mark.parametrize("place", [-1, 5])
def test_a_place_that_is_none_is_refused(place: int) -> None:
    with pytest.raises(UserError, match=f"made-1: no relation {place}; its relations are 0 to 4"):
        trace_of(scene(), place)


def test_a_scene_without_relations_says_so() -> None:
    with pytest.raises(UserError, match="it has no relations"):
        trace_of(scene(relations=()), 0)


def test_a_relation_of_a_region_that_is_not_there_is_refused() -> None:
    with pytest.raises(UserError, match="relation 0 names region 9, which the scene does not have"):
        trace_of(scene(relations=(Relation(1, 9, "on", "on", 1.0, "human"),)), 0)
