"""What people said since: layers over shards, as readers see them, and what is no layer of an output."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import BadInputError, Image, Region, Relation, Scene
from schemas.commit import DATASET_VERSION
from schemas.layer import Layer, SceneStatements, Statement, layer_name
from schemas.unit import Unit
from stages.pack import (
    CommitLog,
    Layers,
    LogDigest,
    append_layer,
    committed_scenes,
    pack_unit,
    read_index,
    read_scene,
    with_statements,
)
from stages.storage import Folder

REGIONS = (Region(1, "person", (0, 0, 4, 8)), Region(2, "horse", (1, 2, 9, 9)), Region(7, "hat", (0, 0, 2, 2)))
SCENE = Scene(
    "s-1", Image("1.jpg", 10, 10, "jpg"), REGIONS,
    relations=(
        Relation(1, 2, "ride", "riding", 0.4, "tagger"),
        Relation(1, 7, "wear", "wears", 1.0, "human"),
        Relation(1, 2, "lead", "lead", 1.0, "human", state="denied"),
    ),
)  # fmt: skip


def said(predicate: str, state: str, *, subject: int = 1, object_: int = 2) -> Statement:
    return Statement(subject, object_, predicate, predicate, state, ("ann",))


def digest_of(folder: Folder) -> LogDigest:
    digest = LogDigest()
    for entry in CommitLog(folder).entries():
        digest.add(entry)
    return digest


@pytest.fixture
def output(tmp_path: Path) -> Folder:
    """Two scenes in a shard."""
    folder = Folder(str(tmp_path / "out"))
    folder.create("dataset.json", json.dumps({"schema": DATASET_VERSION, "job": "x"}).encode())
    scenes = [SCENE, replace(SCENE, key="s-2")]
    CommitLog(folder).append(pack_unit(Unit(0, "u0", "records", 0, 0, 2), scenes, folder), None)
    return folder


def crc32_of(output: Folder, key: str) -> int:
    return next(row["json_crc32"] for row in read_index(output, CommitLog(output).read(0)) if row["key"] == key)


def write(output: Folder, statements: dict[str, list[Statement]], *, sample: str = "a", **changes) -> Layer:
    """The next layer of the output."""
    layers, log = Layers.of(output), digest_of(output)
    scenes = {key: SceneStatements(crc32_of(output, key), tuple(some)) for key, some in statements.items()}
    layer = Layer(layers.number, layers.last_sha256, log.length, str(log.of(log.length)), sample, ("ann",), scenes)
    layer = replace(layer, **changes)
    assert append_layer(output, layer)
    return layer


def relations(scene: Scene) -> list[tuple]:
    return [(one.subject, one.predicate, one.object, one.source, one.state) for one in scene.relations]


def test_what_people_say_stands_behind_what_the_scene_has_and_changes_their_own_words_in_place():
    found = with_statements(
        SCENE, [said("lead", "asserted"), said("ride", "denied"), said("wear", "asserted", object_=7)]
    )
    assert relations(found) == [
        (1, "ride", 2, "tagger", "asserted"),
        (1, "wear", 7, "human", "asserted"),
        (1, "lead", 2, "human", "asserted"),
        (1, "ride", 2, "human", "denied"),
    ]
    assert found.relations[:2] == SCENE.relations[:2]
    assert found.relations[3] == Relation(1, 2, "ride", "ride", 1.0, "human", state="denied")


def test_an_output_without_layers_costs_one_look_up_and_changes_no_scene(output: Folder, monkeypatch):
    asked = []
    read = Folder.read
    monkeypatch.setattr(Folder, "read", lambda folder, name, *a: asked.append(name) or read(folder, name, *a))
    layers = Layers.of(output)
    assert asked == ["layers/00000000.json"]
    assert layers.applied(SCENE, 1) is SCENE
    assert layers.said_of("s-1", 1) == ()
    assert layers.counts() == {"layers": 0, "scenes": 0, "asserted": 0, "denied": 0}


def test_readers_see_what_layers_say_and_the_shards_stay_as_they_are(output: Folder):
    before = {path: path.read_bytes() for path in Path(output.url).rglob("*") if path.is_file()}
    write(output, {"s-2": [said("ride", "asserted")]})
    one, two = committed_scenes(output)
    assert one == SCENE
    assert relations(two) == [*relations(SCENE), (1, "ride", 2, "human", "asserted")]
    row = read_index(output, CommitLog(output).read(0))[1]
    assert read_scene(output, row) == replace(SCENE, key="s-2"), "who does not ask reads the shard"
    assert read_scene(output, row, layers=Layers.of(output)) == two
    after = {path: path.read_bytes() for path in Path(output.url).rglob("*") if path.is_file()}
    assert {path.name for path in after.keys() - before.keys()} == {"00000000.json"}
    assert before.items() <= after.items()


STATES = st.sampled_from(["asserted", "denied"])
TRIPLES = st.tuples(st.sampled_from([1, 2, 7]), st.sampled_from([1, 2, 7]), st.sampled_from(["ride", "lead", "wear"]))
RELATIONS = st.builds(
    lambda triple, source, state: Relation(*triple[:2], triple[2], triple[2], 0.5, source, state=state),
    TRIPLES, st.sampled_from(["human", "tagger"]), STATES,
)  # fmt: skip


@given(st.lists(RELATIONS, max_size=6), st.dictionaries(TRIPLES, STATES, max_size=5))
def test_existing_relations_keep_their_places_and_people_never_contradict_themselves(those, states):
    scene = replace(SCENE, relations=tuple(those))
    statements = [said(triple[2], state, subject=triple[0], object_=triple[1]) for triple, state in states.items()]
    found = with_statements(scene, statements)
    assert [replace(one, state="asserted") for one in found.relations[: len(those)]] == [
        replace(one, state="asserted") for one in those
    ]
    by_people = [one for one in found.relations if one.source == "human"]
    for triple, state in states.items():
        assert {one.state for one in by_people if (one.subject, one.object, one.predicate) == triple} == {state}
    assert with_statements(found, statements) == found


def test_an_index_row_says_what_the_scene_says(output: Folder):
    write(output, {"s-1": [said("lead", "asserted"), said("ride", "denied")]})
    layers = Layers.of(output)
    rows = [layers.applied_row(row) for row in read_index(output, CommitLog(output).read(0))]
    for row, scene in zip(rows, committed_scenes(output), strict=True):
        assert row["num_relations"] == len(row["relations"])
        assert [
            (one["subject_id"], one["predicate"], one["object_id"], one["source"], one["state"])
            for one in row["relations"]
        ] == relations(scene)
    last = rows[0]["relations"][-1]
    assert (last["subject"], last["object"], last["object_box"], last["score"]) == ("person", "horse", [1, 2, 9, 9], 1)


def test_the_last_word_counts_and_what_is_withdrawn_leaves_what_others_said(output: Folder):
    write(output, {"s-1": [said("ride", "asserted")]}, sample="a")
    write(output, {"s-1": [said("ride", "denied")]}, sample="b")
    assert next(committed_scenes(output)).relations[-1].state == "denied"
    write(output, {"s-1": [said("ride", "withdrawn")]}, sample="b")
    assert next(committed_scenes(output)).relations[-1].state == "asserted"
    both = Layers.of(output)
    assert both.sha256 == Layers.of(output, 1).sha256, "what is said is the same"
    write(output, {"s-1": [said("ride", "withdrawn")]}, sample="a")
    assert next(committed_scenes(output)) == SCENE
    assert Layers.of(output).counts() == {"layers": 4, "scenes": 0, "asserted": 0, "denied": 0}


def test_a_layer_is_a_function_of_what_it_says_and_reads_back(output: Folder):
    layer = write(output, {"s-1": [said("ride", "asserted")]})
    data = output.read(layer_name(0))
    assert Layer.from_json(data, name="layer") == layer
    assert data == layer.to_json()
    assert len(data.splitlines()) == 1


def test_who_comes_second_does_not_overwrite(output: Folder):
    layer = write(output, {"s-1": [said("ride", "asserted")]})
    data = output.read(layer_name(0))
    assert not append_layer(output, replace(layer, sample="b"))
    assert output.read(layer_name(0)) == data
    assert not (Path(output.url) / "tmp").exists()


def test_so_many_layers_as_were_there_are_read_whatever_came_later(output: Folder):
    write(output, {"s-1": [said("ride", "asserted")]})
    before = Layers.of(output)
    write(output, {"s-1": [said("ride", "denied")]})
    assert Layers.of(output, 1).sha256 == before.sha256 != Layers.of(output).sha256
    with pytest.raises(BadInputError, match=r"layers/00000002\.json: missing, and 3 layers"):
        Layers.of(output, 3)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda data: data[:-40], "not valid JSON"),
        (lambda data: data.replace(b'"asserted"', b'"denied"'), "content has sha256"),
        (lambda data: data.replace(b"relmill.layer/1", b"relmill.layer/2"), "schema is 'relmill.layer/2'.*newer"),
        (lambda data: b"[1]", "schema is None"),
        (lambda data: b"", "not valid JSON"),
    ],
)
def test_a_damaged_layer_is_named(output: Folder, damage, told):
    write(output, {"s-1": [said("ride", "asserted")]})
    path = output.local_path(layer_name(0))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BadInputError, match=rf"out/layers/00000000\.json.*{told}"):
        list(committed_scenes(output))


def test_a_whole_layer_with_a_wrong_value_is_refused_by_field(output: Folder):
    write(output, {"s-1": [replace(said("ride", "asserted"), state="perhaps")]})
    with pytest.raises(BadInputError, match=r"layers/00000000\.json: scenes\.s-1\.statements\.0\.state.*'perhaps'"):
        Layers.of(output)


def test_layers_that_do_not_follow_each_other_are_refused(output: Folder):
    write(output, {"s-1": [said("ride", "asserted")]})
    write(output, {"s-1": [said("ride", "denied")]}, previous="0" * 64)
    with pytest.raises(BadInputError, match=r"00000001\.json: is layer 1 behind 0000000000000000, not 1 behind"):
        Layers.of(output)


def test_a_layer_over_another_log_is_refused(output: Folder):
    write(output, {"s-1": [said("ride", "asserted")]})
    layers = Layers.of(output)
    layers.check_log(digest_of(output).of)
    for other in ("0" * 64, None):
        with pytest.raises(BadInputError, match=r"00000000\.json: lies over the log of another output.*first 1"):
            layers.check_log(lambda length, other=other: other)


def test_a_layer_over_another_scene_of_that_key_is_refused_where_it_is_read(output: Folder):
    write(output, {}, scenes={"s-2": SceneStatements(12345, (said("ride", "denied"),))})
    layers = Layers.of(output)
    rows = read_index(output, CommitLog(output).read(0))
    assert read_scene(output, rows[0], layers=layers) == SCENE, "nothing is said of it"
    for read in (lambda: read_scene(output, rows[1], layers=layers), lambda: layers.applied_row(rows[1])):
        with pytest.raises(BadInputError, match=r"00000000\.json: .*another scene 's-2'.*crc32 00003039"):
            read()
    write(output, {"s-2": [said("ride", "denied")]})
    with pytest.raises(BadInputError, match=r"00000001\.json: .*another scene 's-2'"):
        Layers.of(output)


def test_a_region_that_does_not_exist_is_named(output: Folder):
    write(output, {"s-1": [said("ride", "asserted", subject=99)]})
    with pytest.raises(BadInputError, match=r"s-1: a layer relates region 99 by 'ride', which the scene does not have"):
        list(committed_scenes(output))
    with pytest.raises(BadInputError, match="region 99"):
        Layers.of(output).applied_row(read_index(output, CommitLog(output).read(0))[0])
