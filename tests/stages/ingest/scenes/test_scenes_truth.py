"""Boxes equal what is drawn, relations hold in the geometry, captions say only what is true."""

import itertools
from collections import Counter

import numpy as np
import pytest
from PIL import Image, ImageDraw

from schemas import Vocabulary
from stages.ingest.predicates import canonical_predicate
from stages.ingest.scenes import open_scenes
from stages.ingest.scenes.captions import describe
from stages.ingest.scenes.figures.shape import EDGE_PX
from stages.ingest.scenes.layout import compose
from stages.ingest.scenes.lexicon import PREPOSITIONS, VERBS, Fact, entailed, surface
from stages.ingest.scenes.render import SUPERSAMPLING, paint
from stages.ingest.scenes.situations import SITUATIONS

COUNT = 300
SEED = 11


@pytest.fixture(scope="module")
def records():
    return list(open_scenes(count=COUNT, seed=SEED, name="scenes", limit=None).records())


@pytest.fixture(scope="module")
def layouts():
    return [compose(SEED, index) for index in range(COUNT)]


def triplets(records):
    for scene in records:
        for relation in scene.relations:
            yield scene.regions[relation.subject], relation.predicate, scene.regions[relation.object]


def test_boxes_are_inside_the_picture_with_positive_area(records):
    for scene in records:
        for number, region in enumerate(scene.regions):
            x1, y1, x2, y2 = region.box
            assert region.id == number
            assert 0 <= x1 < x2 <= scene.image.width
            assert 0 <= y1 < y2 <= scene.image.height
            assert min(x2 - x1, y2 - y1) > 2, (scene.key, region)


def test_boxes_equal_drawn_extents(layouts):
    """Each thing drawn alone on transparent ground; its opaque pixels give the box."""
    k = SUPERSAMPLING
    for layout in layouts[:24]:
        for number, box in enumerate(layout.boxes):
            canvas = Image.new("RGBA", (layout.width * k, layout.height * k), (0, 0, 0, 0))
            paint(ImageDraw.Draw(canvas), (shape for owner, shape in layout.parts if owner == number), k)
            drawn = canvas.reduce(k).getchannel("A").getbbox()
            assert np.abs(np.subtract(drawn, box)).max() <= 1.5, (layout.things[number].name, drawn, box)


def test_nothing_is_hidden_by_what_stands_before_it(layouts):
    """At least a quarter of what is drawn of each thing stays in sight."""
    for layout in layouts[:60]:
        ids = Image.new("L", (layout.width, layout.height), 255)
        for owner, shape in layout.parts:
            if owner is not None:
                one = shape.__class__(shape.kind, shape.points, shape.radii, owner, owner if shape.edge else None, 0)
                paint(ImageDraw.Draw(ids), [one], 1)
        seen = np.bincount(np.asarray(ids).ravel(), minlength=256)
        for number, thing in enumerate(layout.things):
            alone = Image.new("L", ids.size, 0)
            for owner, shape in layout.parts:
                if owner == number:
                    one = shape.__class__(shape.kind, shape.points, shape.radii, 1, 1 if shape.edge else None, 0)
                    paint(ImageDraw.Draw(alone), [one], 1)
            assert seen[number] >= 0.25 * np.asarray(alone).sum(), (layout.situations, thing.name)


def test_relations_refer_to_distinct_regions_and_occur_once(records):
    for scene in records:
        seen = Counter()
        for relation in scene.relations:
            assert relation.subject != relation.object
            assert relation.subject in range(len(scene.regions))
            assert relation.object in range(len(scene.regions))
            assert relation.source == "human"
            assert relation.score == 1.0
            assert relation.text == surface(relation.predicate)
            seen[relation.subject, relation.predicate, relation.object] += 1
        assert seen
        assert max(seen.values()) == 1


def test_variety(records):
    records = records[:200]
    assert len({predicate for _, predicate, _ in triplets(records)}) >= 16
    assert len({region.name for scene in records for region in scene.regions}) >= 14
    assert len({caption.text for scene in records for caption in scene.captions}) > 500


def test_every_situation_occurs(layouts):
    found = {name for layout in layouts for name in layout.situations}
    assert found == {situation.name for situation in SITUATIONS}


def test_most_pictures_have_a_rival_of_a_related_class(records):
    """Another instance of the subject's or the object's class that is in no such relation: "which person?" matters."""
    share = sum(_has_rival(scene) for scene in records) / len(records)
    assert share >= 0.6


def _has_rival(scene):
    for relation in scene.relations:
        if not relation.evidence:
            continue
        pairs = {(r.subject, r.object) for r in scene.relations if r.predicate == relation.predicate}
        subject, obj = scene.regions[relation.subject], scene.regions[relation.object]
        for a, b in itertools.product(scene.regions, repeat=2):
            if a.id != b.id and (a.name, b.name) == (subject.name, obj.name) and (a.id, b.id) not in pairs:
                return True
    return False


def overlap(a, b):
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def gap(a, b):
    """Distance between two boxes along the farther axis; 0 if they touch."""
    return max(0.0, a[0] - b[2], b[0] - a[2], a[1] - b[3], b[1] - a[3])


def centre(box):
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


TOUCHING = {"ride", "hold", "wear", "carry", "drive", "read", "pet", "push", "pull", "drink from", "lean against",
            "sit on", "sit in", "lie on", "stand on", "on", "in", "under", "sit under"}  # fmt: skip


def test_geometry_agrees_with_the_predicate(records):
    for subject, predicate, obj in triplets(records):
        a, b = subject.box, obj.box
        size = max(a[3] - a[1], b[3] - b[1])
        told = (subject.name, predicate, obj.name, a, b)
        if predicate in TOUCHING:
            assert overlap(a, b) > 0, told
        if predicate in ("ride", "sit on", "stand on", "lie on") or (predicate == "on" and obj.name != "boat"):
            assert centre(a)[1] < centre(b)[1], told
            assert b[0] - 0.1 * size < centre(a)[0] < b[2] + 0.1 * size, told
        if predicate == "wear":
            assert centre(b)[1] < a[1] + 0.3 * (a[3] - a[1]), told
        if predicate in ("under", "lie under", "sit under", "stand under"):
            assert centre(a)[1] > b[1], told
            assert b[0] < centre(a)[0] < b[2], told
            assert a[3] > centre(b)[1], told
        if predicate in ("kick", "feed", "throw", "chase"):
            assert gap(a, b) < 0.5 * size, told
        if predicate.endswith("next to"):
            assert overlap(a, b) < 0.3 * min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])), told
            assert gap(a, b) < 0.5 * size, told
        if predicate.endswith("in front of"):
            assert a[3] > b[3], told
            assert overlap(a, b) > 0, told
        if predicate.endswith("behind"):
            assert a[3] < b[3], told
        if predicate == "jump over":
            assert a[3] < b[3] + 0.05 * size, told
            assert a[1] < b[1], told
        if predicate == "fly":
            assert b[3] < centre(a)[1], told


def test_three_to_five_different_captions_all_given(records):
    for scene in records:
        texts = [caption.text for caption in scene.captions]
        assert 3 <= len(texts) <= 5
        assert len(set(texts)) == len(texts)
        assert all(caption.source == "given" for caption in scene.captions)


def test_captions_name_only_classes_in_the_picture(records):
    vocabulary = Vocabulary.of({region.name for scene in records for region in scene.regions})
    for scene in records:
        present = {region.name for region in scene.regions}
        for number, caption in enumerate(scene.captions):
            # "a woman pets a sheep" names no pet: the words of the predicate are left out.
            spans = [e.predicate for r in scene.relations for e in r.evidence if e.caption == number]
            for match in vocabulary.find(caption.text):
                if not any(start <= match.start < end for start, end in spans):
                    assert set(match.names) <= present, (scene.key, caption.text)


def test_every_statement_of_a_caption_is_true_and_its_spans_read_the_words(layouts):
    from random import Random

    stating = 0
    for index, layout in enumerate(layouts):
        vocabulary = Vocabulary.of(thing.name for thing in layout.things)
        for sentence in describe(layout, Random(index)):
            for statement in sentence.statements:
                stating += 1
                fact = statement.fact
                assert fact in layout.facts, sentence.text
                ends = ((fact.subject, statement.subject), (fact.object, statement.object))
                for number, (start, end) in ends:
                    assert layout.things[number].name in vocabulary.denoted(sentence.text[start:end])
                start, end = statement.predicate
                spoken = sentence.text[start:end].removesuffix(" by").lower()
                assert spoken.split()[0] in _words_of(fact.predicate), sentence.text
            for number, (start, end) in sentence.mentioned:
                assert layout.things[number].name in vocabulary.denoted(sentence.text[start:end])
    assert stating > 2 * COUNT


def _words_of(predicate):
    verb = VERBS.get(predicate)
    return (verb.base, verb.third, verb.ing, verb.participle) if verb else predicate.split()[:1]


def test_evidence_reads_the_relation_out_of_the_caption(records):
    stated = 0
    for scene in records:
        for relation in scene.relations:
            for evidence in relation.evidence:
                stated += 1
                text = scene.captions[evidence.caption].text
                start, end = evidence.predicate
                assert text[start:end].removesuffix(" by").lower().split()[0] in _words_of(relation.predicate)
        assert any(relation.evidence for relation in scene.relations), scene.key
    assert stated > COUNT


@pytest.mark.parametrize("predicate", sorted({*VERBS, *PREPOSITIONS}))
def test_predicates_are_canonical_in_every_form(predicate):
    forms = [predicate, surface(predicate)]
    if verb := VERBS.get(predicate):
        forms += [f"{form} {verb.preposition}".strip() for form in (verb.third, verb.ing)]
    assert {canonical_predicate(form) for form in forms} == {predicate}


def test_entailment_follows_the_object_and_is_complete():
    names = ["person", "horse", "skateboard", "dog"]
    found = set(entailed([Fact(0, "ride", 1), Fact(0, "ride", 2), Fact(3, "stand behind", 0)], names))
    assert found == {
        Fact(0, "ride", 1),
        Fact(0, "on", 1),
        Fact(0, "sit on", 1),
        Fact(0, "ride", 2),
        Fact(0, "on", 2),
        Fact(0, "stand on", 2),
        Fact(3, "stand behind", 0),
        Fact(3, "behind", 0),
        Fact(0, "in front of", 3),
    }


def test_the_edge_is_part_of_the_box():
    """A box that left the dark outline out would be off by it on every side."""
    layout = compose(0, 0)
    number, box = 0, layout.boxes[0]
    bare = [shape.extent() for owner, shape in layout.parts if owner == number]
    assert box[0] == pytest.approx(max(0, min(extent[0] for extent in bare) - EDGE_PX), abs=0.01)
