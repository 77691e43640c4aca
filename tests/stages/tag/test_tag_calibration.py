"""Calibrations: what their maps say, what their file may hold, and what a calibrated tagger changes."""

import json
import math
import pickle
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import BadInputError, Image, Region, Rejected, Relation, Scene
from schemas.job import PriorTagger, RelationTagger
from stages.tag import Calibration, load_calibration, open_tagger
from stages.tag.calibrated import CalibratedTagger
from stages.tag.calibration import LEAST, FamilyMap, KindCalibration, KnotMap, LogisticMap

PLAIN = LogisticMap(0.0, 1.0)
STEEP = FamilyMap(("ride", "walk"), 40, 0.5, 0.5, KnotMap((0.2, 0.6), (0.1, 0.9)))


def kind(pooled=PLAIN, **families: FamilyMap) -> KindCalibration:
    return KindCalibration("logistic", 10.0, 40, 20, 0.5, 0.5, pooled, families)


def calibration(**changes) -> Calibration:
    return replace(Calibration({"tagger": kind(motion=STEEP)}, ("tag/prior/1 0123",)), **changes)


def scene(*relations: Relation) -> Scene:
    regions = (Region(0, "person", (0.0, 0.0, 9.0, 9.0)), Region(1, "horse", (2.0, 2.0, 9.0, 9.0)))
    return Scene("made-0", Image("0.jpg"), regions, relations=relations)


class Labels:
    """A tagger that has its answers at hand."""

    name, identity, batch_size, wants_gpu = "tag", "tag/made/1 abc", 7, True

    def __init__(self, *outcomes: Scene | Rejected) -> None:
        self._outcomes = outcomes
        self.ready = False

    def setup(self) -> None:
        self.ready = True

    def process(self, scenes: Sequence[Scene]) -> Sequence[Scene | Rejected]:
        return self._outcomes


# Maps


def test_the_identity_leaves_scores_as_they_are():
    scores = np.array([0.001, 0.25, 0.5, 0.999])
    assert PLAIN(scores).tolist() == scores.tolist()


def test_a_logistic_map_worked_out_by_hand():
    # logit(0.8) = log 4; -log 2 + 2 log 4 = log 8; 8 / 9.
    assert LogisticMap(-math.log(2), 2.0)(np.array([0.8]))[0] == pytest.approx(8 / 9, abs=1e-6)


def test_a_knot_map_is_straight_between_its_knots_and_level_beyond():
    found = STEEP.map(np.array([0.0, 0.2, 0.3, 0.4, 0.6, 1.0]))
    assert found.tolist() == [0.1, 0.1, 0.3, 0.5, 0.9, 0.9]


@given(
    st.one_of(
        st.builds(LogisticMap, st.floats(-1e6, 1e6), st.floats(0, 1e6)),
        st.lists(st.tuples(st.floats(0, 1), st.floats(1e-9, 1 - 1e-9)), min_size=1, unique_by=lambda knot: knot[0]).map(
            lambda knots: KnotMap(tuple(sorted(s for s, _ in knots)), tuple(sorted(p for _, p in knots)))
        ),
    ),
    st.lists(st.floats(0, 1), min_size=1),
)
def test_probabilities_never_fall_as_scores_rise_and_are_never_0_or_1(of_scores, scores):
    found = of_scores(np.sort(np.array(scores)))
    assert (np.diff(found) >= 0).all()
    assert found.min() >= LEAST
    assert found.max() <= 1 - LEAST


def test_a_predicate_goes_by_its_family_and_one_never_seen_by_the_pooled_map():
    found = kind(motion=STEEP)
    assert found.probability("walk", 0.3) == 0.3
    assert found.probability("walk", 0.4) == 0.5
    assert found.probability("juggle", 0.4) == 0.4


# The file


def test_what_is_written_is_read_back(tmp_path):
    one = calibration(fitted={"sources": [{"kind": "sample"}]})
    path = tmp_path / "calibration.json"
    path.write_bytes(one.to_json())
    assert load_calibration(str(path)) == one
    assert load_calibration(path.as_uri()).sha256 == one.sha256


def spoiled(change) -> bytes:
    document = json.loads(calibration().to_json())
    change(document["kinds"]["tagger"], document)
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda of, all_: all_.update(schema="relmill.calibration/2"),
            "version 'relmill.calibration/2', .* fit it again",
        ),
        (lambda of, all_: all_.pop("schema"), "version None"),
        (lambda of, all_: all_.update(more=1), "damaged calibration: more: "),
        (lambda of, all_: all_.update(kinds={}), "no kind of labels has a map"),
        (lambda of, all_: of.pop("pooled"), "kinds.tagger.pooled: "),
        (lambda of, all_: of["pooled"].update(slope=-0.1), "slope is -0.1; probabilities would fall"),
        (lambda of, all_: of["pooled"].update(slope=float("nan")), "NaN is no number"),
        (lambda of, all_: of["pooled"].update(intercept=float("inf")), "Infinity is no number"),
        (lambda of, all_: of["pooled"].update(intercept="0"), "intercept: "),
        (lambda of, all_: of["pooled"].update(form="table"), "pooled: .*'logistic', 'knots'"),
        (lambda of, all_: knots(of).update(scores=[0.6, 0.2]), r"scores of knots have to rise within \[0, 1\]"),
        (lambda of, all_: knots(of).update(scores=[0.2, 1.2]), r"scores of knots have to rise within \[0, 1\]"),
        (lambda of, all_: knots(of).update(scores=[0.2]), "1 scores and 2 probabilities"),
        (lambda of, all_: knots(of).update(scores=[], probabilities=[]), "0 scores and 0 probabilities"),
        (lambda of, all_: knots(of).update(probabilities=[0.9, 0.1]), "probabilities of knots fall"),
        (lambda of, all_: knots(of).update(probabilities=[0.0, 0.9]), "above 0 and below 1"),
        (lambda of, all_: knots(of).update(probabilities=[0.1, 1.0]), "above 0 and below 1"),
        (lambda of, all_: of["families"].update(more=of["families"]["motion"]), "predicate 'ride' is in two families"),
    ],
)
def test_a_damaged_or_newer_file_is_named_with_what_is_wrong(change, message):
    with pytest.raises(BadInputError, match=rf"here\.json: .*{message}"):
        Calibration.from_json(spoiled(change), name="here.json")


def knots(of):
    return of["families"]["motion"]["map"]


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"3", b"\xff\xfe"])
def test_what_is_no_calibration_is_refused(text):
    with pytest.raises(BadInputError, match=r"here\.json: "):
        Calibration.from_json(text, name="here.json")


# Tagging


def test_only_the_taggers_relations_get_a_probability_and_nothing_else_changes():
    before = scene(
        Relation(0, 1, "ride", "rides", 1.0, "human"),
        Relation(0, 1, "near", "near", 0.4, "geometry"),
        Relation(0, 1, "juggle", "juggling", 0.25, "tagger"),
        Relation(0, 1, "ride", "riding", 0.4, "tagger"),
    )
    lost = Rejected("made-1", "tag", "no-pixels", "")
    tagger = CalibratedTagger(Labels(before, lost), kind(motion=STEEP), sha256="0123456789abcdef")
    tagger.setup()
    after, rejected = tagger.process([before, before])
    assert rejected == lost
    assert isinstance(after, Scene)
    assert [one.probability for one in after.relations] == [None, None, 0.25, 0.5]
    assert replace(after, relations=tuple(replace(one, probability=None) for one in after.relations)) == before


def test_the_stage_says_what_runs_and_is_otherwise_as_its_tagger():
    tagger = CalibratedTagger(Labels(), kind(), sha256="0123456789abcdef")
    assert tagger.identity == "tag/made/1 abc calibration=0123456789ab"
    assert (tagger.name, tagger.batch_size, tagger.wants_gpu) == ("tag", 7, True)


def job(folder: Path, one: Calibration) -> PriorTagger:
    path = folder / "calibration.json"
    path.write_bytes(one.to_json())
    return PriorTagger(calibration=str(path))


def test_a_job_without_a_calibration_runs_the_same_stage_as_ever():
    assert open_tagger(PriorTagger()).identity.count(" ") == 1


def test_a_calibrated_tagger_survives_the_way_to_a_worker_without_its_file_and_without_scikit_learn(
    tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    settings = job(tmp_path, calibration(taggers=()))
    sent = pickle.dumps(open_tagger(settings))
    (tmp_path / "calibration.json").unlink()
    tagger = pickle.loads(sent)
    tagger.setup()
    assert list(tagger.process([scene()])) == [scene()]


def test_a_calibration_of_the_same_model_is_taken_whatever_else_its_tagger_was_set_to(tmp_path):
    model = " ".join(open_tagger(PriorTagger()).identity.split()[:2])
    settings = job(tmp_path, calibration(taggers=(model,)))
    again = open_tagger(settings.model_copy(update={"min_score": 0.3}))
    assert again.identity == f"{model} calibration={calibration(taggers=(model,)).sha256[:12]}"


def test_a_calibration_of_other_scores_is_refused(tmp_path):
    with pytest.raises(
        BadInputError, match=r"tag\.calibration: .*json was fitted on scores of tag/prior/1 0123, which"
    ):
        open_tagger(job(tmp_path, calibration()))
    with pytest.raises(BadInputError, match=r"tag\.calibration: .*has no map of a tagger's labels, only of caption"):
        open_tagger(job(tmp_path, calibration(kinds={"caption": kind()})))


def test_a_missing_file_is_named_for_both_backends(tmp_path):
    where = str(tmp_path / "nowhere.json")
    for settings in (PriorTagger(calibration=where), RelationTagger(backend="relation_tagger", calibration=where)):
        with pytest.raises(BadInputError, match=r"tag\.calibration: no file .*nowhere\.json; give a file that"):
            open_tagger(settings)
