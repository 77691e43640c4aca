"""Storage: a name appears whole or not at all, once, on disk and on an object store alike."""

import os
import threading
from pathlib import Path

import pytest

from schemas import StorageError, UserError
from stages.storage import Folder


@pytest.fixture(params=["local", "s3"])
def folder(request, tmp_path: Path) -> Folder:
    if request.param == "local":
        return Folder(str(tmp_path / "out"))
    request.getfixturevalue("s3_server")
    return Folder(f"s3://relmill/{tmp_path.name}")


def test_what_is_created_is_read_back(folder):
    assert folder.create("commits/0.json", b"one")
    assert folder.read("commits/0.json") == b"one"
    assert folder.read("commits/0.json", 1, 3) == b"ne"
    assert folder.exists("commits/0.json")
    assert folder.names("commits") == ["0.json"]
    assert folder.info("commits/0.json")["size"] == 3


def test_create_never_overwrites(folder):
    assert folder.create("a/b.json", b"first")
    assert not folder.create("a/b.json", b"second")
    assert folder.read("a/b.json") == b"first"


def test_of_many_racing_creators_one_wins(folder):
    won = []

    def create(number: int) -> None:
        if Folder(folder.url).create("race.json", str(number).encode()):
            won.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert folder.read("race.json") == str(won[0]).encode()


def test_replace_overwrites(folder):
    folder.replace("report.json", b"old")
    folder.replace("report.json", b"new")
    assert folder.read("report.json") == b"new"


def test_another_client_sees_a_new_file_at_once(folder):
    other = Folder(folder.url)
    assert not other.exists("late.json")
    assert other.names("") in ([], ["late.json"])
    folder.create("late.json", b"x")
    assert other.exists("late.json")


def test_missing_files_are_missing(folder):
    assert not folder.exists("none")
    assert folder.names("none") == []
    with pytest.raises(FileNotFoundError):
        folder.read("none")


def test_an_exception_while_writing_publishes_nothing(folder):
    def write_half() -> None:
        with folder.scratch() as path:
            path.write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert folder.names("shards") == []


def test_publish_puts_the_file_whole(folder):
    with folder.scratch() as path:
        path.write_bytes(b"x" * 6_000_000)  # above one multipart part
        assert folder.publish(path, "shards/a.tar")
        assert not folder.publish(path, "shards/a.tar")
    assert folder.info("shards/a.tar")["size"] == 6_000_000


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission_is_a_storage_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="cannot be written"):
        Folder(str(tmp_path)).create("x", b"")


def test_a_path_through_a_file_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        Folder(str(tmp_path / "file")).create("x", b"")


def test_stores_without_conditional_create_are_refused():
    with pytest.raises(UserError, match="only if it is absent"):
        Folder("memory://x").check_writable_log()
    with pytest.raises(UserError, match="nosuch"):
        Folder("nosuch://x")
