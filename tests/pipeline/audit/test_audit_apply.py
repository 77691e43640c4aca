"""`relmill audit apply`: verdicts become what people say of an output, for every reader; nothing is rewritten."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from audit_sample_made import judge, labelled_by_prior, sample_of_all
from typer.testing import CliRunner

from pipeline.audit import apply as apply_room
from pipeline.audit.apply import apply_verdicts
from pipeline.cli import app
from pipeline.evaluate.label_outputs import HumanRelations, Output
from pipeline.evaluate.labels import evaluate_labels
from pipeline.inspect import inspect_output
from pipeline.repair import find_garbage
from pipeline.status import read_status
from schemas import BadInputError, ConflictError, Scene, StorageError, UserError
from schemas.audit import AuditItem
from schemas.layer import Layer
from stages.audit import read_item, read_sample
from stages.evaluate.read.shards import read_shards
from stages.pack import CommitLog, Layers, append_layer, committed_scenes, read_index
from stages.storage import Folder
from stages.stream import SceneStream, SourceConfig, StreamConfig

NUM_SCENES = 12


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output, and a sample of all its labels."""
    folder = tmp_path_factory.mktemp("apply")
    sample_of_all(labelled_by_prior(folder / "out", NUM_SCENES), folder / "sample")
    labelled_by_prior(folder / "other", NUM_SCENES, seed=6)
    return folder


@pytest.fixture
def audit(made: Path, tmp_path: Path) -> Path:
    """A copy of it all, in which the sample names the copied output."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    name = tmp_path / "sample" / "sample.json"
    name.write_text(name.read_text().replace(str(made / "out"), str(tmp_path / "out")))
    return tmp_path


@pytest.fixture
def other(made: Path, tmp_path: Path) -> Path:
    """A copy of an output of other pictures, whose scenes have the same keys."""
    return shutil.copytree(made / "other", tmp_path / "elsewhere")


def items_of(audit: Path) -> list[AuditItem]:
    return list(read_sample(audit / "sample")[1])


def say(audit: Path, judgements: dict, *, auditor: str = "ann") -> None:
    judge(audit / "sample", auditor, judgements, num_items=len(items_of(audit)))


def apply(audit: Path):
    return apply_verdicts(audit / "sample")


def by_people(scene: Scene, item: AuditItem) -> set[str]:
    return {
        one.state
        for one in scene.relations
        if one.source == "human"
        and (one.subject, one.object, one.predicate) == (item.subject_id, item.object_id, item.predicate)
    }


def files_of(output: Path) -> dict[str, bytes]:
    return {str(path.relative_to(output)): path.read_bytes() for path in output.rglob("*") if path.is_file()}


def test_verdicts_reach_every_reader_and_nothing_is_rewritten(audit: Path):
    out, items = audit / "out", items_of(audit)
    before = files_of(out)
    say(audit, {0: "right", 1: "wrong", 2: "wrong box", 3: "unsure", 4: "right", 5: "wrong predicate"})
    done = apply(audit)
    assert (done.layer, done.num_asserted, done.num_denied, done.num_unsure) == ("layers/00000000.json", 2, 3, 1)
    after = files_of(out)
    assert after.keys() - before.keys() == {"layers/00000000.json"}
    assert before.items() <= after.items()

    expected = {0: "asserted", 1: "denied", 2: "denied", 4: "asserted", 5: "denied"}
    scenes = {scene.key: scene for scene in committed_scenes(Folder(str(out)))}
    assert len(scenes) == NUM_SCENES
    for number, state in expected.items():
        assert by_people(scenes[items[number].key], items[number]) == {state}
    # Whatever names a relation by its place still finds it.
    for item in items:
        there, shard = scenes[item.key].relations[item.relation], read_item(Folder(str(out)), item)
        assert there == shard.relations[item.relation]
        assert (there.subject, there.object, there.predicate, there.source) == (
            item.subject_id, item.object_id, item.predicate, item.source,
        )  # fmt: skip

    stream = SceneStream(StreamConfig(sources=(SourceConfig(output=str(out)),), epochs=1))
    assert {sample.key: sample.scene() for sample in stream.read(range(100))} == scenes

    of_index = {scene.key: scene for _, scene in Output(str(out)).scenes()}
    truth = HumanRelations(Output(str(out)))
    for number, state in expected.items():
        assert by_people(of_index[items[number].key], items[number]) == {state}
        assert {
            one.state for one in truth.find(items[number].key).relations if one.predicate == items[number].predicate
        }
    raw = {one.image: one for one in read_shards(str(out), human=True)}
    asserted = sum(
        len(
            {
                (r.subject, r.object, r.predicate)
                for r in scene.relations
                if r.source == "human" and r.state == "asserted"
            }
        )
        for scene in scenes.values()
    )
    assert sum(len(one.predicates) for one in raw.values()) == asserted

    shown = inspect_output(str(out), keys=[items[1].key])
    assert shown.scenes == [scenes[items[1].key]]
    assert shown.facts["layers"] == {
        "layers": 1, "scenes": len({items[n].key for n in expected}), "asserted": 2, "denied": 3,
    }  # fmt: skip
    assert read_status(Folder(str(out))).layers == shown.facts["layers"]
    assert find_garbage(Folder(str(out)), grace_s=0) == []


def test_the_same_verdicts_again_write_nothing_and_a_changed_mind_writes_a_layer(audit: Path):
    say(audit, {0: "right", 1: "wrong"})
    first = apply(audit)
    again = apply(audit)
    assert (again.layer, again.num_unchanged, again.num_asserted, again.num_denied) == (None, 2, 0, 0)
    assert "nothing new, so nothing is written" in str(again)
    say(audit, {0: "wrong", 1: None})
    later = apply(audit)
    assert (first.layer, later.layer) == ("layers/00000000.json", "layers/00000001.json")
    assert (later.num_denied, later.num_withdrawn, later.num_unchanged) == (1, 1, 0)
    item = items_of(audit)[0]
    scene = next(one for one in committed_scenes(Folder(str(audit / "out"))) if one.key == item.key)
    assert by_people(scene, item) == {"denied"}


def test_a_verdict_outweighs_what_people_said_in_the_output_itself(audit: Path):
    folder, items = Folder(str(audit / "out")), items_of(audit)
    said_there = [item for item in items if by_people(read_item(folder, item), item) == {"asserted"}]
    assert said_there, "the drawn scenes say all that holds"
    say(audit, {said_there[0].number: "wrong"})
    apply(audit)
    shard = read_item(folder, said_there[0])
    scene = next(one for one in committed_scenes(folder) if one.key == shard.key)
    assert by_people(scene, said_there[0]) == {"denied"}
    assert len(scene.relations) == len(shard.relations), "changed where it stands"


def test_several_auditors_decide_by_majority_and_ties_are_told(audit: Path):
    say(audit, {0: "right", 1: "right", 2: "right"}, auditor="ann")
    say(audit, {0: "right", 1: "wrong", 2: "unsure"}, auditor="bob")
    say(audit, {0: "wrong"}, auditor="eve")
    done = apply(audit)
    assert (done.num_asserted, done.num_denied, [tie.item.number for tie in done.ties]) == (2, 0, [1])
    item = items_of(audit)[1]
    assert f"item 1, {item.key}: {item.subject} {item.predicate} {item.object} (ann: asserted, bob: denied)" in str(
        done
    )
    (statement,) = [
        one for one in Layers.of(Folder(str(audit / "out"))).of_sample(_sample(audit), items_of(audit)[0].key).values()
        if one.predicate == items_of(audit)[0].predicate and one.object == items_of(audit)[0].object_id
        and one.subject == items_of(audit)[0].subject_id
    ]  # fmt: skip
    assert statement.auditors == ("ann", "bob")


def _sample(audit: Path) -> str:
    return json.loads((audit / "out" / "layers" / "00000000.json").read_text())["sample"]


def test_on_the_terminal(audit: Path):
    say(audit, {0: "right", 1: "wrong", 2: "unsure"})
    result = CliRunner().invoke(app, ["audit", "apply", str(audit / "sample")])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == f"{audit / 'out'}/layers/00000000.json"
    assert [line.split()[:2] for line in lines[1:7]] == [
        ["asserted", "1"], ["denied", "1"], ["unchanged", "0,"], ["withdrawn", "0"], ["unsure", "1;"], ["ties", "0"],
    ]  # fmt: skip
    assert lines[-1].startswith("next ")
    status = CliRunner().invoke(app, ["status", str(audit / "out")])
    assert "layers     1: people assert 1 relations and deny 1" in status.output
    shown = CliRunner().invoke(app, ["inspect", str(audit / "out"), "--num", "0"])
    assert "layers       layers 1, scenes" in shown.output


def test_an_output_that_lies_elsewhere_now(audit: Path):
    say(audit, {0: "right"})
    (audit / "out").rename(audit / "moved")
    with pytest.raises(BadInputError, match=r"out: no dataset\.json here"):
        apply(audit)
    assert apply_verdicts(audit / "sample", str(audit / "moved")).num_asserted == 1
    assert (audit / "moved" / "layers" / "00000000.json").is_file()


def test_a_labelling_that_is_resumed_is_not_disturbed(made: Path, tmp_path: Path):
    whole, out = made / "out", tmp_path / "out"
    shutil.copytree(whole, out)
    for name in ("00000001.json", "00000002.json"):
        (out / "commits" / name).unlink()
    sample_of_all(out, tmp_path / "sample")
    judge(tmp_path / "sample", "ann", {0: "wrong", 1: "right"}, num_items=2)
    done = apply_verdicts(tmp_path / "sample")
    assert (done.num_asserted, done.num_denied) == (1, 1)
    layer = files_of(out)["layers/00000000.json"]
    labelled_by_prior(out, NUM_SCENES)
    found, expected = files_of(out), files_of(whole)
    kept = ("shards/", "index/", "commits/", "dead/", "dataset.json", "vocabulary.json", "dataset_card.md")
    assert {n: d for n, d in found.items() if n.startswith(kept)} == {
        n: d for n, d in expected.items() if n.startswith(kept)
    }
    assert found["layers/00000000.json"] == layer
    assert sum(one.source == "human" for scene in committed_scenes(Folder(str(out))) for one in scene.relations)
    assert apply_verdicts(tmp_path / "sample").num_unchanged == 2


def test_whoever_comes_second_reads_again_and_both_words_stand(audit: Path, monkeypatch):
    of_bob = audit / "of_bob"
    shutil.copytree(audit / "sample", of_bob)
    say(audit, {0: "right"})
    judge(of_bob, "bob", {0: "right", 1: "wrong"}, num_items=len(items_of(audit)))
    raced = []

    def append(folder, layer):
        if not raced:
            raced.append(layer)
            monkeypatch.setattr(apply_room, "append_layer", append_layer)
            assert apply_verdicts(of_bob).layer == "layers/00000000.json"
        return append_layer(folder, layer)

    monkeypatch.setattr(apply_room, "append_layer", append)
    done = apply(audit)
    assert (done.layer, done.num_unchanged) == (None, 1), "the other one has said it"
    say(audit, {2: "right"})
    assert apply(audit).layer == "layers/00000001.json"
    assert Layers.of(Folder(str(audit / "out"))).counts()["asserted"] == 2


def test_who_loses_every_race_is_told(audit: Path, monkeypatch):
    say(audit, {0: "right"})
    monkeypatch.setattr(apply_room, "append_layer", lambda folder, layer: False)
    with pytest.raises(ConflictError, match="20 times others wrote a layer"):
        apply(audit)


def test_what_the_output_denies_itself_is_left_out(audit: Path, monkeypatch):
    say(audit, {0: "right", 1: "right"})
    read, denied = apply_room.read_item, items_of(audit)[1]

    def doubted(folder, item, **options):
        scene = read(folder, item, **options)
        relations = list(scene.relations)
        if item.number == denied.number:
            relations[item.relation] = replace(relations[item.relation], state="denied")
        return replace(scene, relations=tuple(relations))

    monkeypatch.setattr(apply_room, "read_item", doubted)
    done = apply(audit)
    assert (done.num_asserted, done.num_already_denied) == (1, 1)
    assert "left out   1 that the output denies itself" in str(done)


def test_nobody_has_judged_anything(audit: Path):
    with pytest.raises(UserError, match="nobody has judged anything yet; run `relmill audit serve"):
        apply(audit)


def test_an_output_that_the_sample_is_not_from_is_refused(audit: Path, other: Path):
    say(audit, {0: "right"})
    with pytest.raises(BadInputError, match="is not the output that the sample was drawn from"):
        apply_verdicts(audit / "sample", str(other))
    assert not (other / "layers").exists()


def test_a_layer_of_another_output_is_refused_by_all_who_look(audit: Path, other: Path):
    say(audit, {0: "right"})
    apply(audit)
    shutil.copytree(audit / "out" / "layers", other / "layers")
    sample_of_all(other, audit / "second")
    judge(audit / "second", "ann", {0: "right"}, num_items=2)
    told = r"00000000\.json: lies over the log of another output"
    with pytest.raises(BadInputError, match=told):
        apply_verdicts(audit / "second")
    with pytest.raises(BadInputError, match=told):
        SceneStream(StreamConfig(sources=(SourceConfig(output=str(other)),))).open()
    with pytest.raises(BadInputError, match="it lies over another output"):
        list(committed_scenes(Folder(str(other))))


def test_a_damaged_layer_is_refused_and_inspect_shows_the_rest(audit: Path):
    say(audit, {0: "right"})
    apply(audit)
    path = audit / "out" / "layers" / "00000000.json"
    path.write_bytes(path.read_bytes()[:-20])
    for read in (
        lambda: apply(audit),
        lambda: SceneStream(StreamConfig(sources=(SourceConfig(output=str(audit / "out")),))).open(),
        lambda: Output(str(audit / "out")),
        lambda: read_status(Folder(str(audit / "out"))),
    ):
        with pytest.raises(BadInputError, match=r"layers/00000000\.json: not valid JSON.*damaged"):
            read()
    shown = inspect_output(str(audit / "out"))
    assert [problem for problem in shown.problems if "00000000.json: not valid JSON" in problem]
    assert shown.scenes


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"predicate": "invent"}, "item 0: is .*'invent'.* by the sample, but relation"),
        ({"subject_id": 999}, r"item 0: is \(999, "),
        ({"key": "scenes-nobody"}, "draw a sample anew|Draw a sample anew"),
        ({"shard": "../secret.tar"}, "no name of a file in the output"),
    ],
)
def test_a_sample_that_does_not_fit_its_output_is_refused(audit: Path, change, told):
    items = [asdict(item) for item in items_of(audit)]
    items[0] |= change
    (audit / "sample" / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    say(audit, {0: "right"})
    with pytest.raises(BadInputError, match=told):
        apply(audit)
    assert not (audit / "out" / "layers").exists()


def test_an_output_that_cannot_be_written(audit: Path):
    say(audit, {0: "right"})
    (audit / "out" / "layers").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be written"):
        apply(audit)
    (audit / "out" / "layers").unlink()
    assert apply(audit).num_asserted == 1


def test_labels_are_measured_against_what_people_say_since(audit: Path):
    folder, out = Folder(str(audit / "out")), str(audit / "out")
    few = {"num_resamples": 20, "num_ap_resamples": 10}
    before = evaluate_labels(out, **few)
    right = [item for item in items_of(audit) if by_people(read_item(folder, item), item) == {"asserted"}]
    say(audit, {item.number: "wrong" for item in right[:3]})
    apply(audit)
    after = evaluate_labels(out, **few)
    assert before.score.overall.num_matched - after.score.overall.num_matched == 3
    assert after.score.false_positives.denied - before.score.false_positives.denied == 3
    assert after.to_json()["layers"]["denied"] == 3
    assert "people since assert 0 more, or again, and deny 3" in after.to_text()
    assert "people since" not in before.to_text()


def test_the_index_stays_that_of_the_shards(audit: Path):
    out = Folder(str(audit / "out"))
    rows = [row for commit in CommitLog(out).entries() for row in read_index(out, commit)]
    say(audit, {0: "wrong"})
    apply(audit)
    assert [row for commit in CommitLog(out).entries() for row in read_index(out, commit)] == rows


def test_an_output_in_an_object_store(audit: Path, s3_server):
    remote = Folder(f"s3://relmill/{audit.name}")
    for name in files_of(audit / "out"):
        assert remote.publish(audit / "out" / name, name)
    say(audit, {0: "right", 1: "wrong"})
    done = apply_verdicts(audit / "sample", remote.url)
    assert (done.layer, done.num_asserted, done.num_denied) == ("layers/00000000.json", 1, 1)
    assert apply_verdicts(audit / "sample", remote.url).layer is None
    assert apply(audit).layer == "layers/00000000.json"
    assert (audit / "out" / "layers" / "00000000.json").read_bytes() == remote.read("layers/00000000.json")
    layer = Layers.of(remote)
    assert not append_layer(remote, Layer.from_json(remote.read("layers/00000000.json"), name="it"))
    assert layer.counts()["layers"] == Layers.of(remote).number == 1
