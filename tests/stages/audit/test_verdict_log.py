"""What an auditor said is kept once it is confirmed, and nothing else is."""

import json
import os
import resource
import signal
from pathlib import Path

import pytest

from schemas import BadInputError, ConflictError, StorageError, UserError
from schemas.audit import MOST_NOTE, AuditSample
from stages.audit import VerdictLog, latest, read_verdicts


def log_of(folder: Path, auditor: str = "ana", num_items: int = 5) -> VerdictLog:
    return VerdictLog(folder, auditor, num_items=num_items, now=lambda: "2000-01-01T00:00:00+00:00")


def test_what_was_said_is_read_back_and_the_last_word_counts(tmp_path: Path) -> None:
    log = log_of(tmp_path)
    log.append(3, "right")
    log.append(0, "wrong box", "the other horse")
    log.append(3, "unsure", "\u202e too dark \n")
    log.append(1, "wrong")
    log.append(1, None)
    log.close()
    again = log_of(tmp_path)
    assert again.verdicts == log.verdicts == read_verdicts(tmp_path, num_items=5)
    assert {place: verdict.judgement for place, verdict in latest(again.verdicts).items()} == {
        ("ana", 3): "unsure", ("ana", 0): "wrong box",
    }  # fmt: skip
    lines = (tmp_path / "verdicts" / "ana.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[1]) == {
        "item": 0, "auditor": "ana", "judgement": "wrong box", "note": "the other horse",
        "time": "2000-01-01T00:00:00+00:00", "v": 1,
    }  # fmt: skip


def test_auditors_have_files_of_their_own(tmp_path: Path) -> None:
    ana, ben = log_of(tmp_path), log_of(tmp_path, "ben")
    ana.append(0, "right")
    ben.append(0, "wrong")
    found = latest(read_verdicts(tmp_path, num_items=5))
    assert {place: verdict.judgement for place, verdict in found.items()} == {
        ("ana", 0): "right", ("ben", 0): "wrong",
    }  # fmt: skip


def test_half_a_line_of_a_killed_server_was_never_confirmed(tmp_path: Path) -> None:
    log = log_of(tmp_path)
    log.append(0, "right")
    log.close()
    path = tmp_path / "verdicts" / "ana.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"item":1,"auditor":"ana","judg')
    assert [verdict.item for verdict in read_verdicts(tmp_path, num_items=5)] == [0]
    again = log_of(tmp_path)
    assert path.read_bytes() == whole
    again.append(2, "wrong")
    assert [verdict.item for verdict in read_verdicts(tmp_path, num_items=5)] == [0, 2]


def test_what_was_confirmed_survives_a_kill(tmp_path: Path) -> None:
    process = os.fork()
    if not process:
        log = log_of(tmp_path)
        for item in range(4):
            log.append(item, "right")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(process, 0)
    assert [verdict.item for verdict in log_of(tmp_path).verdicts] == [0, 1, 2, 3]


def test_a_full_disk_loses_nothing_that_was_said_before(tmp_path: Path) -> None:
    log = log_of(tmp_path)
    log.append(0, "right")
    path = tmp_path / "verdicts" / "ana.jsonl"
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, limits[1]))
        with pytest.raises(StorageError, match=r"ana\.jsonl: the verdict is not kept: .*free space and say it again"):
            log.append(1, "wrong")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before
    assert [verdict.item for verdict in log.verdicts] == [0]
    log.append(1, "wrong")
    assert [verdict.item for verdict in read_verdicts(tmp_path, num_items=5)] == [0, 1]


def test_two_servers_do_not_write_one_file(tmp_path: Path) -> None:
    log = log_of(tmp_path)
    with pytest.raises(ConflictError, match="another `relmill audit serve` has it open"):
        log_of(tmp_path)
    log.close()
    log_of(tmp_path)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "-x", "a" * 41, "ünal", "a\n"])
def test_a_name_that_could_be_no_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="give a name of at most 40 letters"):
        log_of(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("item", "judgement", "note", "problem"),
    [
        (5, "right", "", "item 5: the sample has the items 0 to 4"),
        (-1, "right", "", "item -1: the sample has"),
        (0, "true", "", "judgement 'true': give one of right, wrong, wrong box, wrong predicate, unsure"),
        (0, "right", "x" * (MOST_NOTE + 1), "the note has 2001 characters; give at most 2000"),
    ],
)
def test_what_cannot_be_said_is_refused(tmp_path: Path, item: int, judgement, note: str, problem: str) -> None:
    log = log_of(tmp_path)
    with pytest.raises(UserError, match=problem):
        log.append(item, judgement, note)
    assert log.path.read_bytes() == b""


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"item":0,"auditor":"ana","judgement":"sure"}', r"ana\.jsonl:1: judgement: Input should be 'right'"),
        ('{"item":9,"auditor":"ana","judgement":"right"}', r"ana\.jsonl:1: item 9, version 1; the sample has 5 items"),
        ('{"item":0,"auditor":"ana","judgement":"right","v":2}', "item 0, version 2; .* reads version 1"),
        ('{"item":0,"auditor":"ben","judgement":"right"}', "has verdicts of somebody else"),
        ("nonsense", r"ana\.jsonl:1: the line: Invalid JSON"),
    ],
)
def test_a_damaged_file_is_told(tmp_path: Path, line: str, problem: str) -> None:
    (tmp_path / "verdicts").mkdir()
    (tmp_path / "verdicts" / "ana.jsonl").write_text(line + "\n")
    with pytest.raises(BadInputError, match=problem):
        read_verdicts(tmp_path, num_items=5)


def sample_of(**options) -> AuditSample:
    return AuditSample("out", 1, "0", 0, (), None, 50, (), 10, **options)


def test_items_are_dealt_out_behind_those_that_all_judge() -> None:
    assert sample_of().items_of("anybody") == list(range(10))
    sample = sample_of(auditors=("ana", "ben", "cem"), overlap=0.25)
    parts = [sample.items_of(name) for name in sample.auditors]
    assert parts == [[0, 1, 2, 3, 6, 9], [0, 1, 2, 4, 7], [0, 1, 2, 5, 8]]
    with pytest.raises(UserError, match="'dan' is no auditor of this sample; it has ana, ben, cem"):
        sample.items_of("dan")
