"""Scenes to JSON and back."""

import json
from dataclasses import replace
from importlib.resources import files

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import (
    BadInputError,
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
    scene_from_json,
    scene_to_json,
)

number = st.floats(allow_nan=False, allow_infinity=False, width=32)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
span = st.tuples(st.integers(0, 50), st.integers(0, 50))
small = st.integers(0, 9)

scene_strategy = st.builds(
    Scene,
    key=st.from_regex(r"[a-z]+-[0-9]+", fullmatch=True),
    image=st.builds(Image, name=text, width=st.none() | small, height=st.none() | small, sha256=st.none() | text),
    regions=st.lists(st.builds(Region, small, text, st.tuples(number, number, number, number)), max_size=3).map(tuple),
    captions=st.lists(st.builds(Caption, text, st.just("given"), st.none(), st.none() | number), max_size=2).map(tuple),
    phrases=st.lists(st.builds(Phrase, small, span, text), max_size=2).map(tuple),
    mentions=st.lists(st.builds(Mention, small, small, small, text, span), max_size=2).map(tuple),
    relations=st.lists(
        st.builds(
            Relation,
            small,
            small,
            text,
            text,
            number,
            st.sampled_from(["tagger", "human"]),
            evidence=st.lists(st.builds(Evidence, small, span, span, span), max_size=2).map(tuple),
            verifier_scores=st.dictionaries(text, number, max_size=2),
        ),
        max_size=2,
    ).map(tuple),
    provenance=st.builds(
        Provenance,
        job=st.none() | text,
        stages=st.dictionaries(text, text, max_size=2),
        repairs=st.lists(st.builds(Repair, text, text, text), max_size=2).map(tuple),
    ),
)


@given(scene_strategy)
def test_json_round_trip(scene):
    data = scene_to_json(scene)
    assert scene_from_json(data) == scene
    assert scene_to_json(scene_from_json(data)) == data
    assert b"\n" not in data


@given(scene_strategy)
def test_the_schema_file_accepts_what_is_written(scene):
    schema = json.loads(files("schemas").joinpath("scene.schema.json").read_text())
    jsonschema.validate(json.loads(scene_to_json(scene)), schema)


def test_pixels_stay_out_of_the_json():
    scene = Scene("a-1", Image("a.jpg", data=b"picture"))
    assert b"picture" not in scene_to_json(scene)
    assert scene_from_json(scene_to_json(scene)).image.data is None


def test_key_order_of_dictionaries_does_not_matter():
    one = Scene("a-1", Image("x"), provenance=Provenance(stages={"a": "1", "b": "2"}))
    two = replace(one, provenance=Provenance(stages={"b": "2", "a": "1"}))
    assert scene_to_json(one) == scene_to_json(two)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"{", "Invalid JSON"),
        (b'{"key": "a"}', "image"),
        (b'{"key": "a", "image": {"name": "x"}, "colour": 1}', "colour"),
        (b'{"key": "a", "image": {"name": "x"}, "regions": [{"id": 0, "name": "b", "box": [0, NaN, 1, 1]}]}', "box.1"),
        (b'{"key": "a", "image": {"name": "x"}, "schema": "relmill.scene/9"}', "relmill.scene/9"),
    ],
)
def test_what_is_no_scene_is_refused_by_field(document, message):
    with pytest.raises(BadInputError, match=message):
        scene_from_json(document)


def test_nan_is_not_written():
    with pytest.raises(ValueError, match="JSON compliant"):
        scene_to_json(Scene("a", Image("x"), regions=(Region(0, "a", (0.0, float("nan"), 1.0, 1.0)),)))
