"""Outputs in an object store: read through copies that are checked, shared and bounded."""

import contextlib
import errno
import hashlib
import multiprocessing
import os
import resource
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from made_outputs import finished, read_all, stream_of

from schemas import BadInputError, StorageError
from stages.pack import CommitLog
from stages.storage import Folder
from stages.stream import Sample, SceneStream, SourceConfig, StreamBatch, StreamConfig, StreamLoader

SIZES = (3, 2, 3, 1, 3, 2)
STARTS = [sum(SIZES[:number]) for number in range(len(SIZES))]
SHARD_BYTES = 10240
"""Of the tar of up to three small scenes: a record."""


class MadeStore(MemoryFileSystem):
    """An object store of this process and its forks that notes each copy, and has bad days."""

    protocol = "made"
    journal: Path
    die_in_copy = False
    forbidden = "nothing"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return super()._strip_protocol(path.replace("made://", "memory://"))

    def get_file(self, rpath, lpath, **kwargs):
        if self.die_in_copy:
            Path(lpath).write_bytes(self.cat_file(rpath)[:1000])
            os.kill(os.getpid(), signal.SIGKILL)
        with self.journal.open("a") as file:
            file.write(rpath.rsplit("/", 1)[-1] + "\n")
        return super().get_file(rpath, lpath, **kwargs)

    def _allow(self, path):
        if self.forbidden in path:
            raise PermissionError(errno.EACCES, "Forbidden")

    def cat_file(self, path, **kwargs):
        self._allow(path)
        return super().cat_file(path, **kwargs)

    def info(self, path, **kwargs):
        self._allow(path)
        return super().info(path, **kwargs)


@pytest.fixture
def local(tmp_path) -> str:
    return finished(tmp_path / "out", SIZES)


@pytest.fixture
def store(local, tmp_path) -> Iterator[type[MadeStore]]:
    """With the finished output in it, as `made://out`."""
    fsspec.register_implementation("made", MadeStore, clobber=True)
    MadeStore.journal = tmp_path / "journal"
    MadeStore.journal.touch()
    MadeStore.die_in_copy, MadeStore.forbidden = False, "nothing"
    for file in files_of(Path(local)):
        MadeStore().pipe_file(f"made://out/{file.relative_to(local)}", file.read_bytes())
    yield MadeStore
    MadeStore().rm("made://out", recursive=True)


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def copies_in(cache: Path) -> list[Path]:
    """Of shards; everything else in there is an empty lock."""
    copies = sorted(cache.glob("*.tar"))
    assert all(path.suffix == ".lock" and not path.stat().st_size for path in set(cache.iterdir()) - set(copies))
    return copies


def remote(cache: Path, url: str = "made://out", *, cache_bytes: int = 2**30, **options) -> SceneStream:
    sources = (SourceConfig(output=url, **options),)
    return SceneStream(StreamConfig(sources=sources, epochs=1, cache=cache, cache_bytes=cache_bytes))


def shards_of(output: str) -> dict[str, str]:
    """Digest to name, in the order of the log."""
    return {entry.shard.sha256: entry.shard.name for entry in CommitLog(Folder(output)).entries() if entry.shard}


def samples_of(batch: StreamBatch) -> tuple[Sample, ...]:
    return batch.own


def test_a_remote_output_is_read_like_a_local_one(store, local, tmp_path):
    here = stream_of(local, epochs=1).read(range(100))
    assert remote(tmp_path / "cache").read(range(100)) == here
    copies = copies_in(tmp_path / "cache")
    assert {path.stem for path in copies} == set(shards_of(local))
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() == path.stem for path in copies)


def test_a_copy_is_used_again_also_when_the_store_has_lost_the_shard(store, local, tmp_path):
    expected = remote(tmp_path / "cache").read(range(100))
    for name in shards_of(local).values():
        store().rm_file(f"made://out/{name}")
    assert remote(tmp_path / "cache").read(range(100)) == expected


def test_workers_share_copies_and_each_shard_is_copied_once(store, local, tmp_path):
    """Both workers want every shard: batches lie across them."""
    loader = StreamLoader(remote(tmp_path / "cache"), batch_size=3, make=samples_of, num_workers=2)
    found = [sample for batch in loader for sample in batch]
    assert found == stream_of(local, epochs=1).read(range(100))
    copied = store.journal.read_text().split()
    assert sorted(copied) == sorted(name.removeprefix("shards/") for name in shards_of(local).values())
    assert len(copies_in(tmp_path / "cache")) == len(SIZES)


def test_a_local_output_is_not_copied(local, tmp_path):
    sources = (SourceConfig(output=local),)
    SceneStream(StreamConfig(sources=sources, epochs=1, cache=tmp_path / "cache")).read(range(100))
    assert not (tmp_path / "cache").exists()


def test_copies_lie_in_the_users_cache_folder_by_default(store, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    stream_of("made://out", epochs=1).read(range(100))
    assert len(copies_in(tmp_path / "xdg" / "relmill" / "shards")) == len(SIZES)


def test_what_was_used_longest_ago_goes_when_the_bound_is_reached(store, local, tmp_path):
    cache = tmp_path / "cache"
    digests = list(shards_of(local))

    def use(*shards: int) -> None:
        stream = remote(cache, cache_bytes=3 * SHARD_BYTES, window_shards=1, follow=True)
        for shard in shards:
            stream.read([STARTS[shard]])
            time.sleep(0.02)  # times of files are counted in ticks of the kernel's clock

    def kept() -> list[int]:
        return sorted(digests.index(path.stem) for path in copies_in(cache))

    use(0, 1, 2)
    assert kept() == [0, 1, 2]
    use(3)
    assert kept() == [1, 2, 3]
    use(1, 5)
    assert kept() == [1, 3, 5]
    use(*range(6))
    assert kept() == [3, 4, 5]
    assert sum(path.stat().st_size for path in copies_in(cache)) == 3 * SHARD_BYTES


def test_a_shard_above_the_bound_is_read_all_the_same(store, local, tmp_path):
    found = remote(tmp_path / "cache", cache_bytes=1).read(range(100))
    assert found == stream_of(local, epochs=1).read(range(100))
    assert len(copies_in(tmp_path / "cache")) == 1


def test_a_reader_goes_on_with_a_copy_that_was_evicted(store, tmp_path):
    cache = tmp_path / "cache"
    reader = remote(cache, window_shards=1, follow=True)
    first = reader.read([0])
    (copy,) = copies_in(cache)
    remote(cache, cache_bytes=1).read(range(100))
    assert not copy.exists()
    store().rm("made://out/shards", recursive=True)
    rest = reader.read(range(1, SIZES[0]))
    assert len({sample.key for sample in [*first, *rest]}) == SIZES[0]
    assert all(sample.scene().key == sample.key for sample in rest)


def read_often(cache: Path, seed: int) -> None:
    for _ in range(10):
        sources = (SourceConfig(output="made://out", window_shards=1),)
        stream = SceneStream(StreamConfig(sources=sources, seed=seed, epochs=1, cache=cache, cache_bytes=1))
        assert len(stream.read(range(100))) == sum(SIZES)
        stream.close()


def test_processes_that_evict_each_others_copies_read_on(store, tmp_path):
    """A copy may be gone as soon as others can see it."""
    fork = multiprocessing.get_context("fork")
    readers = [fork.Process(target=read_often, args=(tmp_path / "cache", seed)) for seed in range(4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert [reader.exitcode for reader in readers] == [0, 0, 0, 0]
    assert len(copies_in(tmp_path / "cache")) <= 4


def test_what_a_killed_process_copied_in_part_is_neither_used_nor_kept(store, local, tmp_path):
    cache = tmp_path / "cache"
    store.die_in_copy = True
    reader = multiprocessing.get_context("fork").Process(target=read_often, args=(cache, 0))
    reader.start()
    reader.join()
    assert reader.exitcode == -signal.SIGKILL
    assert [path.stat().st_size for path in cache.glob(".*.part")] == [1000], "it died in the middle"
    store.die_in_copy = False
    assert remote(cache).read(range(100)) == stream_of(local, epochs=1).read(range(100))
    assert len(copies_in(cache)) == len(SIZES)


def test_a_copy_that_was_damaged_here_is_made_anew(store, local, tmp_path):
    cache = tmp_path / "cache"
    expected = stream_of(local, epochs=1).read(range(100))
    assert remote(cache).read(range(100)) == expected
    num_copied = len(store.journal.read_text().splitlines())
    damaged = copies_in(cache)[0]
    damaged.write_bytes(bytes(byte ^ 1 for byte in damaged.read_bytes()))
    assert remote(cache).read(range(100)) == expected
    assert len(store.journal.read_text().splitlines()) == num_copied + 1
    assert hashlib.sha256(damaged.read_bytes()).hexdigest() == damaged.stem


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_remote_shard_of_other_bytes_is_refused(store, local, tmp_path, num_workers):
    committed, name = next(iter(shards_of(local).items()))
    data = bytearray(store().cat_file(f"made://out/{name}"))
    data[-1] ^= 1  # in the padding, where no scene's checksum tells
    store().pipe_file(f"made://out/{name}", bytes(data))
    found = hashlib.sha256(data).hexdigest()
    loader = StreamLoader(remote(tmp_path / "cache"), batch_size=99, make=samples_of, num_workers=num_workers)
    with pytest.raises(
        BadInputError, match=rf"^made://out/{name}: sha256 is {found}, its commit says {committed}; res"
    ):
        list(loader)
    assert committed not in {path.stem for path in copies_in(tmp_path / "cache")}


def test_a_remote_shard_that_is_cut_short_or_missing_is_refused(store, local, tmp_path):
    name = next(iter(shards_of(local).values()))
    store().pipe_file(f"made://out/{name}", bytes(9000))
    with pytest.raises(BadInputError, match=rf"^made://out/{name}: 9000 bytes, its commit says {SHARD_BYTES}; restore"):
        remote(tmp_path / "cache").read(range(100))
    store().rm_file(f"made://out/{name}")
    with pytest.raises(BadInputError, match=rf"^made://out/{name}: named by a commit, but missing; restore it"):
        remote(tmp_path / "cache").read(range(100))
    copies_in(tmp_path / "cache")


@pytest.mark.parametrize("name", ["dataset.json", "commits/", "index/", "shards/"])
@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_file_that_may_not_be_read_is_told_in_one_line(store, tmp_path, name, num_workers):
    store.forbidden = name
    loader = StreamLoader(remote(tmp_path / "cache"), batch_size=4, make=samples_of, num_workers=num_workers)
    with pytest.raises(BadInputError, match=rf"^made://out/{name}.*: no permission to read it; grant it") as caught:
        list(loader)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_cache_that_cannot_be_written_is_a_storage_error(store, tmp_path, num_workers):
    (tmp_path / "file").write_text("")
    loader = StreamLoader(remote(tmp_path / "file" / "cache"), batch_size=4, make=samples_of, num_workers=num_workers)
    with pytest.raises(StorageError, match=r"file/cache: a shard cannot be kept here: .*give another folder \(cache\)"):
        list(loader)


@contextlib.contextmanager
def no_room_on_disk() -> Iterator[None]:
    """Files of this process end at 5,000 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_a_storage_error_and_leaves_no_part(store, tmp_path):
    with no_room_on_disk(), pytest.raises(StorageError, match=rf"{tmp_path}/cache/.* cannot be written: .*free space"):
        remote(tmp_path / "cache").read(range(100))
    assert copies_in(tmp_path / "cache") == []


# The real thing


def upload(local: str, url: str, *, names: list[str] | None = None) -> None:
    folder = Folder(url)
    for file in files_of(Path(local)):
        name = str(file.relative_to(local))
        if names is None or name in names:
            assert folder.create(name, file.read_bytes())


def test_worker_processes_read_from_s3(s3_server, local, tmp_path):
    url = f"s3://relmill/stream-{tmp_path.name}"
    upload(local, url)
    assert Folder(url).exists("dataset.json"), "this process has a connection, which a fork must not go on with"
    stream = remote(tmp_path / "cache", url)
    assert len(stream.read([0, 1])) == 2
    loader = StreamLoader(stream, batch_size=4, make=samples_of, num_workers=2)
    found = [sample for batch in loader for sample in batch]
    assert found == stream_of(local, epochs=1).read(range(100))
    assert {path.stem for path in copies_in(tmp_path / "cache")} == set(shards_of(local))


def test_an_output_on_s3_is_followed_while_it_grows(s3_server, local, tmp_path):
    url = f"s3://relmill/live-{tmp_path.name}"
    entries = list(CommitLog(Folder(local)).entries())

    def write(first: int, end: int) -> None:
        for entry in entries[first:end]:
            upload(local, url, names=[file.name for file in (entry.shard, entry.index) if file])
            upload(local, url, names=[f"commits/{entry.number:08d}.json"])

    upload(local, url, names=["dataset.json"])
    write(0, 3)
    writer = threading.Timer(0.5, write, [3, len(entries)])
    writer.start()
    stream = remote(tmp_path / "cache", url, follow=True, timeout_s=20, window_shards=2)
    live = read_all(stream, batch_size=4, num_workers=1)
    writer.join()
    assert live == read_all(stream_of(local, epochs=1, follow=True, window_shards=2), batch_size=4)
