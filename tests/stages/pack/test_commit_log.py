"""The commit log, on this machine and in an object store: all of it or an error, never a part."""

from collections.abc import Callable

import pytest

from schemas import BadInputError
from schemas.commit import Commit, commit_name
from stages.pack import CommitLog
from stages.storage import Folder

# Up to and beyond one, two and several of the groups in which entries of a store are asked for.
LENGTHS = [0, 1, 2, 3, 4, 7, 31, 32, 70]

MakeFolder = Callable[[str], Folder]


@pytest.fixture(scope="module", params=["local", "s3"])
def make_folder(request, tmp_path_factory) -> MakeFolder:
    if request.param == "s3":
        request.getfixturevalue("s3_server")
        return lambda name: Folder(f"s3://relmill/log-{tmp_path_factory.getbasetemp().name}-{name}")
    path = tmp_path_factory.mktemp("log")
    return lambda name: Folder(str(path / name))


def entries_of(length: int, *, sealed: bool = False) -> list[Commit]:
    return [Commit(number, f"unit{number}", sealed=sealed and number == length - 1) for number in range(length)]


def write(folder: Folder, entries: list[Commit], *, without: int | None = None) -> CommitLog:
    for entry in entries:
        if entry.number != without:
            assert folder.create(commit_name(entry.number), entry.to_json())
    return CommitLog(folder)


@pytest.mark.parametrize("length", LENGTHS)
def test_all_entries_are_read_from_any_place(make_folder, length):
    entries = entries_of(length)
    log = write(make_folder(f"all-{length}"), entries)
    assert log.length() == length
    for start in {0, length // 2, length}:
        assert list(log.entries(start)) == entries[start:]


def test_nothing_is_read_behind_a_seal(make_folder):
    entries = entries_of(5, sealed=True)
    folder = make_folder("sealed")
    log = write(folder, entries)
    assert folder.create(commit_name(5), b"what no driver writes")
    assert list(log.entries()) == entries


@pytest.mark.parametrize("lost", [0, 1, 6, 38])
def test_a_lost_entry_is_not_taken_for_the_end(make_folder, lost):
    log = write(make_folder(f"lost-{lost}"), entries_of(40), without=lost)
    with pytest.raises(BadInputError, match=rf"{commit_name(lost)}: missing, though {commit_name(lost + 1)} is there"):
        list(log.entries())


def test_an_entry_in_the_place_of_another_is_refused(make_folder):
    folder = make_folder("moved")
    log = write(folder, entries_of(3), without=1)
    assert folder.create(commit_name(1), entries_of(3)[2].to_json())
    with pytest.raises(BadInputError, match=rf"{commit_name(1)}: says that it is entry 2; restore the file"):
        list(log.entries())


def test_entries_that_come_while_the_end_is_looked_for_are_no_loss(make_folder):
    """Of two that are committed while a reader asks, it may have missed the first and see the second."""
    folder = make_folder("race")
    write(folder, entries_of(2))

    class Late(Folder):
        """Answers the question for the entry after the next only once both have come."""

        def exists(self, name: str) -> bool:
            for entry in entries_of(4)[2:]:
                folder.create(commit_name(entry.number), entry.to_json())
            return super().exists(name)

    log = CommitLog(Late(folder.url))
    first = list(log.entries())
    assert first == entries_of(2)
    assert first + list(log.entries(len(first))) == entries_of(4)
