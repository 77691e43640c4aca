import io
import json
import tarfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from outputs_made import dead, make_output, rejected, riding
from PIL import Image as Pictures

from pipeline.inspect import inspect_output
from pipeline.inspect.inspection import clean
from pipeline.show.draw import draw_scene
from schemas import BadInputError, Caption, Evidence, Image, Region, Relation, Scene, UserError, scene_to_json
from schemas.commit import Commit
from schemas.job import load_job
from schemas.unit import Unit
from stages.pack import CommitLog, pack_unit
from stages.storage import Folder


@pytest.fixture
def output(tmp_path: Path) -> Folder:
    """Nine units of two scenes; `made-05` was rejected and `made-06` died."""
    units = [[riding(f"made-{u * 2:02d}"), riding(f"made-{u * 2 + 1:02d}", human=None)] for u in range(9)]
    units[2][1] = rejected("made-05")
    units[3][0] = dead("made-06")
    return make_output(tmp_path / "out", units, seal=False)


def shard_of(folder: Folder, number: int = 0) -> Path:
    return Path(folder.path(CommitLog(folder).read(number).shard.name))


def write_tar(path: Path, members: Sequence[tuple[tarfile.TarInfo | str, bytes]]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_an_output_in_figures_and_a_few_scenes(output: Folder) -> None:
    found = inspect_output(output.url, num=2)
    assert found.facts["counts"] == {"planned": 18, "written": 16, "rejected": 1, "dead": 1, "relations": 24}
    assert found.facts["balanced"] is True
    assert found.facts["sealed"] is False
    assert found.facts["reasons"] == {"dead.tag.exception": 1, "rejected.screen.image-truncated": 1}
    assert (found.num_sampled, found.classes) == (16, {"horse": 16, "person": 16})
    assert found.predicates == {"ride": 24}
    assert found.sources == {"tagger": 16, "human": 8}
    assert len(found.scenes) == 2
    assert not found.problems


def test_the_text_says_who_does_what_to_whom_and_why(output: Folder) -> None:
    text = inspect_output(output.url, keys=["made-00"]).to_text(colour=False)
    assert "person#3 --ride (0.83, tagger)--> horse#5\n" in text
    assert "«a man [riding] a horse» caption 0" in text
    assert "person#3 --ride (human)--> horse#5" in text
    short = inspect_output(output.url, num=1).to_text(colour=False)
    assert "person#3 --ride (0.83, tagger)--> horse#5   «a man [riding] a horse» caption 0" in short


def test_a_key_shows_where_everything_came_from(output: Folder) -> None:
    text = inspect_output(output.url, keys=["made-00"]).to_text(colour=False)
    assert "tag: prior/1" in text
    assert riding("made-00").image.sha256 in text
    assert "[4, 2, 30, 40]" in text


def test_every_written_scene_is_found_by_its_key(output: Folder) -> None:
    keys = [f"made-{i:02d}" for i in range(18) if i not in (5, 6)]
    assert [scene.key for scene in inspect_output(output.url, keys=keys).scenes] == keys


@pytest.mark.parametrize(
    ("key", "words"), [("made-05", "rejected by screen, image-truncated"), ("made-06", "dead by tag, exception")]
)
def test_a_key_that_was_not_written_is_told_why(output: Folder, key: str, words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        inspect_output(output.url, keys=[key])


def test_a_scene_that_a_retry_wrote_is_found(output: Folder) -> None:
    log = CommitLog(output)
    unit = Unit(9, "retry", "plan/retry", 0, 0, 1, taken_back=(("dead.tag.exception", 1),))
    last = log.append(pack_unit(unit, [riding("made-06")], output), log.last())
    log.append(Commit(number=10, unit="", sealed=True), last)
    assert inspect_output(output.url, keys=["made-06"]).scenes[0].key == "made-06"


def test_an_unknown_key_is_told_how_many_there_are_and_what_is_near(output: Folder) -> None:
    for key in ("made-0", "made-085", "", "zzz"):
        with pytest.raises(BadInputError, match=r"among its 16 scenes; keys there are for example made-\d\d"):
            inspect_output(output.url, keys=[key])


def test_a_key_is_found_in_few_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_output(tmp_path, [[riding(f"made-{u:04d}")] for u in range(60)])
    names: list[str] = []
    read = Folder.read
    monkeypatch.setattr("pipeline.inspect.output._SAMPLE_SCENES", 1)
    monkeypatch.setattr(Folder, "read", lambda self, name, *span: names.append(name) or read(self, name, *span))
    assert inspect_output(folder.url, keys=["made-0043"]).scenes[0].key == "made-0043"
    assert len(names) < 40


def test_json_holds_the_scenes_as_they_are_in_the_shard(output: Folder) -> None:
    document = json.loads(json.dumps(inspect_output(output.url, keys=["made-00"]).to_json()))
    assert document["scenes"] == [json.loads(scene_to_json(riding("made-00")))]
    assert document["counts"]["written"] == 16


def test_a_single_shard_is_read_without_its_output(output: Folder, tmp_path: Path) -> None:
    moved = tmp_path / "moved.tar"
    moved.write_bytes(shard_of(output).read_bytes())
    found = inspect_output(str(moved), num=9)
    assert found.facts["counts"] == {"scenes": 2, "pictures": 2}
    assert [scene.key for scene in found.scenes] == ["made-00", "made-01"]
    assert inspect_output(str(moved), keys=["made-01"]).scenes[0].image.data == riding("made-01").image.data
    with pytest.raises(BadInputError, match="no scene 'made-02' among its 2 scenes"):
        inspect_output(str(moved), keys=["made-02"])


@pytest.mark.parametrize("target", ["out", "shard"])
def test_the_first_scene_is_drawn(output: Folder, tmp_path: Path, target: str) -> None:
    png = tmp_path / "one.png"
    inspect_output(output.url if target == "out" else str(shard_of(output)), draw=png)
    with Pictures.open(png) as picture:
        assert (picture.format, picture.size) == ("PNG", (1024, 768))


def test_a_drawing_that_cannot_be_made_or_written_is_an_error(output: Folder, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no scene to draw"):
        inspect_output(output.url, num=0, draw=tmp_path / "one.png")
    with pytest.raises(UserError, match="cannot be written"):
        inspect_output(output.url, draw=tmp_path / "nowhere" / "one.png")


def test_what_is_no_output_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.tar").write_text("hello")
    (tmp_path / "empty.tar").write_bytes(b"")
    for target, words in [
        (tmp_path, "no dataset.json"),
        (tmp_path / "absent", "no dataset.json"),
        (tmp_path / "absent.tar", "No such file"),
        (tmp_path / "text.tar", "not a tar"),
        (tmp_path / "empty.tar", "not a tar"),
        ("s3://bucket/shards/0.tar", "this machine only"),
    ]:
        with pytest.raises(BadInputError, match=words):
            inspect_output(str(target))


def test_an_output_with_nothing_committed_yet(tmp_path: Path) -> None:
    found = inspect_output(make_output(tmp_path, [], seal=False).url)
    assert found.facts["counts"] == "nothing committed yet"
    assert not found.scenes


def test_a_torn_shard_names_the_member_and_the_byte_wherever_it_is_cut(output: Folder, tmp_path: Path) -> None:
    whole = shard_of(output).read_bytes()
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        ends = [info.offset_data + -(-info.size // 512) * 512 for info in tar]
    torn = tmp_path / "torn.tar"
    for cut in range(0, ends[-1], 177):
        torn.write_bytes(whole[:cut])
        with pytest.raises(BadInputError) as error:
            inspect_output(str(torn))
        assert str(torn) in str(error.value)
        if cut > ends[0]:
            assert "made-0" in str(error.value)


def test_a_shard_cut_inside_a_member_says_how_much_is_missing(output: Folder, tmp_path: Path) -> None:
    whole = shard_of(output).read_bytes()
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        second = tar.getmembers()[1]
    torn = tmp_path / "torn.tar"
    torn.write_bytes(whole[: second.offset_data + 10])
    words = rf"'made-00\.json' starts at byte {second.offset_data} and needs {second.size} bytes; the file ends at byte"
    with pytest.raises(BadInputError, match=words):
        inspect_output(str(torn))


def test_a_changed_picture_or_record_is_found(output: Folder, tmp_path: Path) -> None:
    whole = shard_of(output).read_bytes()
    bad = tmp_path / "bad.tar"
    bad.write_bytes(whole.replace(riding("made-00").image.data, b"\0" * len(riding("made-00").image.data), 1))
    with pytest.raises(BadInputError, match=r"'made-00\.png' at byte 512: damaged"):
        inspect_output(str(bad), keys=["made-00"])
    bad.write_bytes(whole.replace(b'"predicate":"ride"', b'"predicate":ride""', 1))
    with pytest.raises(BadInputError, match=r"'made-00\.json' at byte \d+: not a relmill"):
        inspect_output(str(bad), keys=["made-00"])


def test_a_damaged_shard_of_an_output_is_a_problem_or_for_its_key_an_error(output: Folder) -> None:
    shard = shard_of(output)
    shard.write_bytes(bytes(shard.stat().st_size))
    found = inspect_output(output.url, num=20)
    assert found.num_sampled == 14
    assert any(shard.name in problem for problem in found.problems)
    assert shard.name in found.to_text(colour=False)
    with pytest.raises(BadInputError, match=shard.name):
        inspect_output(output.url, keys=["made-00"])
    shard.unlink()
    with pytest.raises(BadInputError, match="missing"):
        inspect_output(output.url, keys=["made-00"])


def test_hostile_members_are_told_and_never_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text("secret")
    link, device = tarfile.TarInfo("link.json"), tarfile.TarInfo("device.json")
    link.type, link.linkname = tarfile.SYMTYPE, str(secret)
    device.type = tarfile.CHRTYPE
    scene = scene_to_json(replace(riding("made-0"), image=Image("a.png")))
    path = write_tar(
        tmp_path / "hostile.tar",
        [
            ("made-0.json", scene),
            (link, b""),
            (device, b""),
            ("made-0.json", b"{}"),
            ("../../up.png", b"x"),
            ("\x1b[2J.png", b"y"),
        ],
    )
    found = inspect_output(str(path))
    assert [scene.key for scene in found.scenes] == ["made-0"]
    assert len(found.problems) == 5
    text = found.to_text(colour=False)
    assert "\x1b" not in text
    assert "secret" not in text.replace("secret.json", "")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hostile.tar", "secret.json"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"key": 1}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"key":"made-0","image":{"name":"a","width":1e999}}',
    ],
)
def test_json_that_is_no_scene_is_named(tmp_path: Path, data: bytes) -> None:
    path = write_tar(tmp_path / "bad.tar", [("made-0.json", data)])
    with pytest.raises(BadInputError, match=r"member 'made-0\.json' at byte 512"):
        inspect_output(str(path))


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_flipped_bytes_end_in_our_errors_only(output: Folder, tmp_path: Path, data: st.DataObject) -> None:
    whole = bytearray(shard_of(output).read_bytes()[:6000])
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "flipped.tar"
    path.write_bytes(whole + bytes(10240))
    with suppress(UserError):
        inspect_output(str(path), num=2, draw=tmp_path / "one.png").to_text(colour=True)


integers = st.integers(-(2**40), 2**40)
numbers = st.floats(-1e12, 1e12)
spans = st.tuples(integers, integers)
texts = st.text(max_size=30)
hostile_scenes = st.builds(
    Scene,
    key=texts,
    image=st.builds(Image, name=texts, width=st.none() | integers, height=st.none() | integers),
    regions=st.lists(
        st.builds(Region, id=st.integers(0, 4), name=texts, box=st.tuples(*[numbers] * 4)), max_size=4
    ).map(tuple),
    captions=st.lists(st.builds(Caption, text=texts, source=st.just("given")), max_size=2).map(tuple),
    relations=st.lists(
        st.builds(
            Relation,
            subject=st.integers(-1, 5),
            object=st.integers(-1, 5),
            predicate=texts,
            text=texts,
            score=numbers,
            source=st.sampled_from(["tagger", "human"]),
            state=st.sampled_from(["asserted", "denied"]),
            evidence=st.lists(st.builds(Evidence, integers, spans, spans, spans), max_size=1).map(tuple),
        ),
        max_size=4,
    ).map(tuple),
)


@settings(max_examples=30)
@given(scene=hostile_scenes)
def test_any_valid_record_can_be_drawn_and_shown(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Ids that nothing has, spans outside captions, boxes inside out: legal JSON, so it must not stop a reader."""
    picture = draw_scene(scene, max_side=160)
    assert max(picture.size) == 160
    assert min(picture.size) >= 32
    path = write_tar(tmp_path_factory.mktemp("any") / "any.tar", [("k.json", scene_to_json(replace(scene, key="k")))])
    text = inspect_output(str(path), keys=["k"]).to_text(colour=False)
    assert all(character.isprintable() or character == "\n" for character in text)


def test_a_drawing_shows_boxes_arrows_and_verdicts() -> None:
    plain = replace(riding("made-0"), relations=())
    drawn = draw_scene(riding("made-0"))
    assert drawn.size == (640, 480)
    assert drawn.tobytes() == draw_scene(riding("made-0")).tobytes()
    assert drawn.tobytes() != draw_scene(plain).tobytes()
    colours = {colour for _, colour in drawn.getcolors(maxcolors=1 << 20)}
    assert (21, 115, 71) in colours  # a human agrees
    denied = Relation(3, 5, "ride", "ride", 1.0, "human", state="denied")
    refused = draw_scene(replace(riding("made-0", human=None), relations=(*riding("x", human=None).relations, denied)))
    assert (176, 42, 55) in {colour for _, colour in refused.getcolors(maxcolors=1 << 20)}


def test_text_that_would_steer_a_terminal_is_escaped() -> None:
    assert clean("a\x1b[31m\u202eb\n\u00e9") == "a\\x1b[31m\\u202eb\\n\u00e9"


def test_the_demo_job_is_valid() -> None:
    file = Path(__file__).parents[2] / "examples" / "demo.yaml"
    job = load_job(file)
    assert (job.dataset.format, job.dataset.count) == ("scenes", 200)
    assert job.output == str(file.parents[1] / "out" / "demo")
