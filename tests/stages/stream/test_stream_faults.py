"""What is wrong is told, or replaced if asked for, and never given out: bad input, damage, killed processes."""

import contextlib
import gc
import hashlib
import json
import multiprocessing
import os
import random
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from made_outputs import Output, finished, read_all, scene, stream_of

from schemas import BadInputError, RelmillError, Scene, TransientError
from schemas.commit import Commit
from schemas.unit import Unit
from stages.pack import CommitLog, pack_unit, read_index
from stages.storage import Folder
from stages.stream import SceneStream, SourceConfig, StreamBatch, StreamConfig, StreamLoader, dead_readers_told


def scenes_of(batch: StreamBatch) -> list[tuple[int, str, bool, Scene]]:
    return [(sample.position, sample.key, sample.is_substitute, sample.scene()) for sample in batch.own]


def read_here(stream: SceneStream) -> list[tuple[int, str, bool, Scene]]:
    return [(sample.position, sample.key, sample.is_substitute, sample.scene()) for sample in stream.read(range(1000))]


def read_in_worker(stream: SceneStream) -> list[tuple[int, str, bool, Scene]]:
    batches = StreamLoader(stream, batch_size=3, make=scenes_of, num_workers=1)
    return [found for batch in batches for found in batch]


everywhere = pytest.mark.parametrize("read", [read_here, read_in_worker])


# Bad input


def commit_file(output: Path, number: int) -> Path:
    return output / "commits" / f"{number:08d}.json"


def edit_commit(output: Path, number: int, **values) -> None:
    document = json.loads(commit_file(output, number).read_text())
    commit_file(output, number).write_text(json.dumps({**document, **values}))


def edit_entry(output: Path, number: int, kind: str, **values) -> None:
    entry = json.loads(commit_file(output, number).read_text())[kind]
    edit_commit(output, number, **{kind: {**entry, **values}})


def file_of(output: Path, number: int, kind: str) -> Path:
    return output / json.loads(commit_file(output, number).read_text())[kind]["name"]


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


def no_output(output: Path) -> str:
    output.mkdir()
    return r"no dataset\.json here; not an output folder of relmill label"


def no_commits(output: Path) -> str:
    Output(output)
    return "has no commits, .* run `relmill label`, or read it with `follow`"


def no_seal(output: Path) -> str:
    finished(output, (4, 3))
    commit_file(output, 2).unlink()
    return r"its log has 2 entries and no seal\)\. Finish `relmill label`"


def no_scenes(output: Path) -> str:
    finished(output, (0, 0))
    return "is complete and has no scenes; see its report"


def commit_cut_short(output: Path) -> str:
    finished(output, (4, 3))
    commit_file(output, 1).write_bytes(commit_file(output, 1).read_bytes()[:-9])
    return r"commits/00000001\.json: not a commit entry .*; the file is damaged"


def commit_missing(output: Path) -> str:
    finished(output, (4, 3))
    commit_file(output, 1).unlink()
    return r"commits/00000001\.json: missing, though commits/00000002\.json is there; restore the file"


def commit_of_a_newer_version(output: Path) -> str:
    finished(output, (4, 3))
    edit_commit(output, 1, v=2)
    return r"commits/00000001\.json: commit version 2; this relmill reads 1\. Install the newer relmill"


def shard_outside_of_the_output(output: Path) -> str:
    finished(output, (4, 3))
    shard = file_of(output, 0, "shard")
    shard.rename(output.parent / "x.tar")
    edit_entry(output, 0, "shard", name="../x.tar")
    return r"commits/00000000\.json: not a commit entry .*'\.\./x\.tar' is no name of a file in the output folder"


def shard_missing(output: Path) -> str:
    finished(output, (4, 3))
    file_of(output, 1, "shard").unlink()
    return r"shards/00000001-\w+\.tar: named by a commit, but missing; restore it, or label anew"


def shard_cut_short(output: Path) -> str:
    finished(output, (4, 3))
    shard = file_of(output, 1, "shard")
    size = shard.stat().st_size
    os.truncate(shard, size - 1)
    return rf"shards/00000001-\w+\.tar: {size - 1} bytes, its commit says {size}; restore the file"


def shard_of_other_bytes(output: Path) -> str:
    finished(output, (4, 3))
    shard = file_of(output, 1, "shard")
    committed = hashlib.sha256(shard.read_bytes()).hexdigest()
    shard.write_bytes(shard.read_bytes()[::-1])
    found = hashlib.sha256(shard.read_bytes()).hexdigest()
    return (
        r"shards/00000001-\w+\.tar: picture of s-0000\d at byte \d+ is damaged \(crc32\); "
        rf"sha256 of the shard is {found}, its commit says {committed}; restore the shard"
    )


def index_missing(output: Path) -> str:
    finished(output, (4, 3))
    file_of(output, 0, "index").unlink()
    return r"index/00000000-\w+\.parquet: named by a commit, but missing; restore it, or label anew"


def index_of_other_bytes(output: Path) -> str:
    finished(output, (4, 3))
    index = file_of(output, 0, "index")
    committed = hashlib.sha256(index.read_bytes()).hexdigest()
    flip(index, 100)
    found = hashlib.sha256(index.read_bytes()).hexdigest()
    return rf"index/00000000-\w+\.parquet: sha256 is {found}, its commit says {committed}; restore the file"


def index_of_a_newer_version(output: Path) -> str:
    finished(output, (4, 3))
    index = file_of(output, 0, "index")
    pq.write_table(pq.read_table(index).replace_schema_metadata({"schema": "relmill.index/2"}), index)
    data = index.read_bytes()
    edit_entry(output, 0, "index", bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    return r"index/.*: schema is relmill\.index/2; this relmill reads relmill\.index/1\. Install the newer relmill"


def scene_of_a_newer_version(output: Path) -> str:
    made = Output(output)
    made.commit([replace(scene(0), schema="relmill.scene/2")])
    made.seal()
    return r"^s-00000: schema is 'relmill\.scene/2'; this version of relmill reads 'relmill\.scene/1'"


@everywhere
@pytest.mark.parametrize(
    "spoil",
    [
        no_output, no_commits, no_seal, no_scenes, commit_cut_short, commit_missing, commit_of_a_newer_version,
        shard_outside_of_the_output, shard_missing, shard_cut_short, shard_of_other_bytes, index_missing,
        index_of_other_bytes, index_of_a_newer_version, scene_of_a_newer_version,
    ],
)  # fmt: skip
def test_bad_input_is_told_in_one_line(tmp_path, spoil: Callable[[Path], str], read):
    """The line names the file and the cure, whichever process finds it."""
    message = spoil(tmp_path / "out")
    with pytest.raises(BadInputError, match=message) as caught:
        read(stream_of(str(tmp_path / "out"), epochs=1))
    assert type(caught.value) is BadInputError
    assert "\n" not in str(caught.value)
    if spoil is not scene_of_a_newer_version:
        assert str(caught.value).startswith(str(tmp_path / "out"))


@everywhere
def test_different_class_names_are_refused_unless_allowed(tmp_path, read):
    one = finished(tmp_path / "one", (2, 2))
    two = finished(tmp_path / "two", (2, 2), names=("person", "zebra"), prefix="t")

    def stream(**options) -> SceneStream:
        sources = (SourceConfig(output=one), SourceConfig(output=two))
        return SceneStream(StreamConfig(sources=sources, **options))

    with pytest.raises(BadInputError, match=rf"{one} and {two} have different class names .* mixed_vocabularies"):
        # The stream has no end, but it must not begin.
        read(stream())
    assert {sample.key[0] for sample in stream(mixed_vocabularies=True).read(range(8))} == {"s", "t"}


@pytest.mark.parametrize("name", ["../x.tar", "shards/../../x.tar", "/etc/passwd", "", ".", "shards/\0.tar"])
@pytest.mark.parametrize("kind", ["shard", "index", "dead"])
def test_a_commit_names_files_of_its_output_only(tmp_path, kind, name):
    document = json.loads(Commit(0, "u").to_json())
    document[kind] = {"name": name, "bytes": 1, "sha256": "0" * 64}
    (tmp_path / "commits").mkdir()
    commit_file(tmp_path, 0).write_text(json.dumps(document))
    with pytest.raises(BadInputError, match=r"commits/00000000\.json: not a commit entry .* the file is damaged"):
        CommitLog(Folder(str(tmp_path))).read(0)


@pytest.mark.parametrize("digest", ["", "../../x", "0" * 63, "0" * 63 + "G", 7, None])
def test_a_digest_in_a_commit_can_be_one(digest):
    """Copies of remote shards are called after it."""
    document = json.loads(Commit(0, "u").to_json())
    document["shard"] = {"name": "shards/x.tar", "bytes": 1, "sha256": digest}
    with pytest.raises(BadInputError, match="not a commit entry"):
        Commit.from_json(json.dumps(document).encode())


def test_an_error_of_ones_own_code_is_not_taken_for_a_dead_worker(tmp_path):
    def make(batch: StreamBatch) -> None:
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit") as caught:
        list(StreamLoader(stream_of(finished(tmp_path / "out", (4,))), batch_size=2, make=make, num_workers=1))
    assert not isinstance(caught.value, RelmillError)
    # A frame of PyTorch that holds the error, which holds the frame, would hold the worker until some later test.
    caught.value.with_traceback(None)
    del caught


# Damage

SIZES = (6, 5, 7)


def damage(output: str, *keys: str, member: str = "image") -> None:
    """Flip the last bit of the middle byte of a member of these scenes."""
    folder = Folder(output)
    for commit in CommitLog(folder).entries():
        for row in read_index(folder, commit):
            if row["key"] in keys:
                flip(Path(output) / row["shard"], row[f"{member}_offset"] + row[f"{member}_length"] // 2)


@everywhere
@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("member", ["image", "json"])
def test_a_sound_scene_of_the_same_window_takes_the_place_of_a_damaged_one(tmp_path, read, member, follow):
    output = finished(tmp_path / "out", SIZES)

    def stream() -> SceneStream:
        return stream_of(output, epochs=2, window_shards=1, damaged="substitute", follow=follow)

    sound = read(stream())
    damage(output, "s-00002", "s-00009", member=member)
    found = read(stream())
    assert [position for position, *_ in found] == list(range(2 * sum(SIZES))), "no position is left out or moved"
    for (_, before, _, _), (_, key, is_substitute, made) in zip(sound, found, strict=True):
        assert is_substitute == (before in ("s-00002", "s-00009"))
        assert is_substitute or key == before
        assert made == scene(int(key[2:])), "also a substitute is whole"
    shards = {f"s-{i:05d}": i >= 6 for i in range(11)}
    replaced = [(sound[position][1], key) for position, key, is_substitute, _ in found if is_substitute]
    assert len(replaced) == 4
    assert all(shards[before] == shards[key] for before, key in replaced), "of another window"


@everywhere
def test_the_message_says_which_member_is_damaged_and_that_the_shard_is_another(tmp_path, read):
    output = finished(tmp_path / "out", SIZES)
    committed = json.loads(commit_file(tmp_path / "out", 1).read_text())["shard"]["sha256"]
    damage(output, "s-00007")
    found = hashlib.sha256(file_of(tmp_path / "out", 1, "shard").read_bytes()).hexdigest()
    message = (
        rf"shards/00000001-\w+\.tar: picture of s-00007 at byte \d+ is damaged \(crc32\); sha256 of the shard is "
        rf"{found}, its commit says {committed}; restore the shard, or .*substitute"
    )
    with pytest.raises(BadInputError, match=message):
        read(stream_of(output, epochs=1))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_too_many_damaged_scenes_are_an_error(tmp_path, num_workers):
    output = finished(tmp_path / "out", SIZES)
    damage(output, "s-00002", "s-00009", "s-00016")

    def loader(most: int) -> StreamLoader:
        stream = stream_of(output, epochs=1, damaged="substitute")
        return StreamLoader(stream, batch_size=4, make=scenes_of, num_workers=num_workers, most_substitutes=most)

    allowed = loader(3)
    assert sum(map(len, allowed)) == sum(SIZES)
    assert allowed.num_substitutes == 3
    refused = loader(2)
    with pytest.raises(BadInputError, match=r"3 samples are damaged, more than 2 \(most_substitutes\)"):
        list(refused)
    assert refused.position < sum(SIZES), "the batch with the last straw was not given out"


@everywhere
def test_a_window_without_a_sound_scene_is_an_error(tmp_path, read):
    output = finished(tmp_path / "out", SIZES)
    damage(output, *(f"s-{i:05d}" for i in range(6, 11)))
    with pytest.raises(BadInputError, match=r"00000001-.*is damaged \(crc32\), as is every other scene near it"):
        read(stream_of(output, epochs=1, window_shards=1, damaged="substitute"))
    assert len(read(stream_of(output, epochs=1, window_shards=3, damaged="substitute"))) == sum(SIZES)


def test_substitutes_are_the_same_for_any_ranks_and_workers(tmp_path):
    output = finished(tmp_path / "out", SIZES)
    damage(output, "s-00001", "s-00002", "s-00003", "s-00012")
    stream = stream_of(output, epochs=2, window_shards=2, damaged="substitute")
    expected = [(position, key) for position, key, *_ in read_here(stream)]
    for num_ranks, num_workers, batch_size in [(1, 0, 5), (3, 0, 6), (2, 2, 4)]:
        found = []
        for rank in range(num_ranks):
            loader = StreamLoader(stream, batch_size=batch_size, make=scenes_of, rank=rank, num_ranks=num_ranks,
                                  num_workers=num_workers)  # fmt: skip
            found += [(position, key) for batch in loader for position, key, *_ in batch]
            assert loader.num_substitutes > 0
        assert sorted(found) == expected


def test_all_ranks_agree_on_the_whole_batch_when_one_reads_a_damaged_picture(tmp_path):
    """Those that need no picture of a scene must see that it is replaced, too."""
    output = finished(tmp_path / "out", SIZES)
    damage(output, "s-00001", "s-00009")
    stream = stream_of(output, epochs=1, damaged="substitute")

    def whole(batch: StreamBatch) -> list[tuple[str, bool, str, bool]]:
        own = {sample.position for sample in batch.own}
        return [
            (s.key, s.is_substitute, s.scene().key, (s.image is not None) == (s.position in own)) for s in batch.all
        ]

    seen = []
    for rank in range(3):
        loader = StreamLoader(stream, batch_size=6, make=whole, rank=rank, num_ranks=3, whole_batch=True)
        seen.append([found for batch in loader for found in batch])
    assert seen[0] == seen[1] == seen[2]
    assert all(key == inside and picture_as_asked for key, _, inside, picture_as_asked in seen[0])
    assert sum(is_substitute for _, is_substitute, *_ in seen[0]) == 2


# Killed processes


def go_on_writing(path: str, attempt: int, *, num_shards: int | None) -> None:
    """Add shards to what the log has, so many and then the seal, or until killed."""
    folder, draw = Folder(path), random.Random(attempt)
    log = CommitLog(folder)
    last = log.last()
    number = 0 if last is None else last.number + 1
    # Published and never committed, as by a writer that was killed in between.
    pack_unit(Unit(number, "lost", "records", 0, 0, 1), [scene(attempt, prefix="lost")], folder)
    while num_shards is None or num_shards > 0:
        written = 0 if last is None else last.totals.written
        scenes = [scene(written + i) for i in range(draw.randint(1, 5))]
        number = 0 if last is None else last.number + 1
        unit = Unit(number, f"{attempt}-{number}", "records", 0, 0, len(scenes))
        last = log.append(pack_unit(unit, scenes, folder), last)
        num_shards = None if num_shards is None else num_shards - 1
    assert last is not None
    log.append(Commit(last.number + 1, "", sealed=True), last)


def write_while_being_killed(path: str, num_kills: int) -> None:
    draw = random.Random(5)
    for attempt in range(num_kills):
        writer = multiprocessing.get_context("fork").Process(
            target=go_on_writing, args=(path, attempt), kwargs={"num_shards": None}
        )
        writer.start()
        time.sleep(draw.uniform(0, 0.06))
        writer.kill()
        writer.join()
        assert writer.exitcode == -signal.SIGKILL
    go_on_writing(path, num_kills, num_shards=5)


def test_a_reader_sees_what_is_committed_only_while_its_writer_is_killed(tmp_path):
    output = tmp_path / "out"
    Output(output)
    # Not forked from here: this process has threads.
    writer = multiprocessing.get_context("spawn").Process(target=write_while_being_killed, args=(str(output), 8))
    writer.start()

    def stream() -> SceneStream:
        return stream_of(str(output), epochs=1, follow=True, timeout_s=20, window_shards=2)

    live = read_in_worker(stream())
    writer.join()
    assert writer.exitcode == 0
    total = CommitLog(Folder(str(output))).last().totals.written
    assert sorted(key for _, key, *_ in live) == [f"s-{i:05d}" for i in range(total)], "every scene once, no other"
    assert all(made == scene(int(key[2:])) for _, key, _, made in live)
    assert [key for _, key, *_ in live] == read_all(stream(), batch_size=4)


def children_of(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children()


def wait_for(condition: Callable[[], bool], what: str, *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def has_ended(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() == psutil.STATUS_ZOMBIE  # whoever adopted it may not collect it
    return True


def test_a_killed_worker_ends_the_iteration_and_the_state_goes_on(tmp_path):
    output = Output(tmp_path / "out")
    output.add(6)
    output.add(6)

    def loader() -> StreamLoader:
        stream = stream_of(str(output.path), epochs=1, follow=True, timeout_s=20, window_shards=2)
        return StreamLoader(stream, batch_size=4, make=scenes_of, num_workers=1)

    strangers = set(children_of(os.getpid()))
    first, found = loader(), []

    def kill_a_worker() -> None:
        wait_for(lambda: first.position == 12, "not all that is committed was read")
        time.sleep(0.2)  # until the loop waits for the next batch
        (set(children_of(os.getpid())) - strangers).pop().kill()

    killer = threading.Thread(target=kill_a_worker)
    killer.start()
    started = time.monotonic()
    with pytest.raises(TransientError, match=r"a worker that reads ahead died.* go on from the last state") as caught:
        found.extend(sample for batch in first for sample in batch)
    killer.join()
    assert time.monotonic() - started < 15
    assert "Traceback" not in str(caught.value)
    output.add(5)
    output.seal()
    second = loader()
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    found += [sample for batch in second for sample in batch]
    assert found == read_here(stream_of(str(output.path), epochs=1, follow=True, window_shards=2))
    assert len(found) == 17


def test_a_worker_that_dies_while_its_batch_is_learned_from_is_told(tmp_path):
    strangers = set(children_of(os.getpid()))
    loader = StreamLoader(stream_of(finished(tmp_path / "out", [8])), batch_size=2, make=scenes_of, num_workers=1)

    def train() -> None:
        for _ in loader:
            (set(children_of(os.getpid())) - strangers).pop().kill()
            time.sleep(20)

    with pytest.raises(TransientError, match="a worker that reads ahead died"), dead_readers_told():
        train()


def train_without_end(path: str) -> None:
    stream = stream_of(path, follow=True, timeout_s=600, window_shards=2)
    for _ in StreamLoader(stream, batch_size=4, make=scenes_of, num_workers=2):
        pass


@pytest.mark.parametrize("waits_for", ["commit", "dataset.json"])
def test_workers_that_wait_end_with_a_killed_training(tmp_path, waits_for):
    if waits_for == "commit":
        Output(tmp_path / "out").add(3)
    training = multiprocessing.get_context("fork").Process(target=train_without_end, args=(str(tmp_path / "out"),))
    training.start()
    wait_for(lambda: len(children_of(training.pid)) == 2, "no workers")
    workers = children_of(training.pid)
    time.sleep(0.3)  # until they wait
    training.kill()
    training.join()
    try:
        wait_for(lambda: all(map(has_ended, workers)), "workers outlive their training")
    finally:
        for worker in workers:
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()


# What is left behind


def files_below(folder: Path) -> Sequence[Path]:
    return sorted(folder.rglob("*"))


def test_reading_leaves_no_files_threads_or_temporary_files(tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    output = finished(tmp_path / "out", [5] * 12)
    before = files_below(tmp_path)
    process = psutil.Process()

    def num_open() -> int:
        return sum(file.path.startswith(output) for file in process.open_files())

    stream = stream_of(output, window_shards=2)  # keeps at most four shards open
    stream.read([0])
    stream.close()
    gc.collect()
    # Of what other tests left behind some may go while this one runs; nothing may come.
    files, threads = process.num_fds(), process.num_threads()
    seen = []
    for start in StreamLoader(stream, batch_size=50, make=start_of):
        seen.append((num_open(), process.num_fds() - files))
        if start >= 5000:
            break
    assert max(shards for shards, _ in seen) == 4
    assert max(others for _, others in seen) <= 4
    stream.close()
    assert num_open() == 0
    assert process.num_fds() <= files
    assert process.num_threads() <= threads
    assert files_below(tmp_path) == before
    assert stream.read([3]), "reading opens what it needs again"
    assert num_open() > 0
    del stream
    assert num_open() == 0, "a stream that is dropped leaves no open files, either"


def start_of(batch: StreamBatch) -> int:
    return batch.start


def test_workers_and_their_pipes_end_with_the_iteration(tmp_path):
    output = finished(tmp_path / "out", SIZES)
    process = psutil.Process()
    gc.collect()
    files, children = process.num_fds(), process.children()
    for stop in (4, 100):  # in the middle, and at the end
        for start in StreamLoader(stream_of(output, epochs=2), batch_size=4, make=start_of, num_workers=2):
            if start >= stop:
                break
        assert process.children() == children
    # A pipe is closed by the thread that writes to it, which nobody waits for.
    wait_for(lambda: process.num_fds() <= files, "pipes are left")
