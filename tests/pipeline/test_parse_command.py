"""`relmill parse` and `relmill evaluate parse` as a user runs them, with what may happen to a command on the way."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from xml.etree import ElementTree

import psutil
import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from schemas import BadInputError, UserError

ROOT = Path(__file__).resolve().parents[2]
RELMILL = [sys.executable, "-m", "pipeline"]
ODD = ["", " ", ".", "\t", "a", "A MAN ON A BUS", "ein Käfer 🐞 auf dem Tisch", "a\x00cat\u2028on a mat", "the the the"]
SVG = "{http://www.w3.org/2000/svg}"


def run(*arguments: object, data: bytes | None = None):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=data)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A file that takes long enough to be interrupted."""
    path = tmp_path / "many.txt"
    path.write_text("".join(f"a man with a dog and {number} cats riding a bus\n" for number in range(30_000)))
    return path


@contextmanager
def started(*arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """The command in a session of its own, as in a terminal of its own."""
    command = [*RELMILL, *(str(argument) for argument in arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, cwd=ROOT, start_new_session=True) as process:
        yield process
        process.kill()


def workers_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Those at work; waits for the first line, which a worker wrote."""
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["relations"]
    workers = [p for p in psutil.Process(process.pid).children() if "spawn_main" in " ".join(p.cmdline())]
    assert len(workers) == 2
    return workers


def has_ended(process: psutil.Process) -> bool:
    """An orphan may stay a zombie for as long as the machine's first process pleases."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_one_job_and_two_give_the_same_bytes_in_the_order_of_the_lines(tmp_path):
    made = [
        f"{a} {b} a {c} number {n}"
        for a in ("a man", "two dogs")
        for b in ("riding", "in")
        for c in ("bus", "hat")
        for n in range(30)
    ]
    texts = [*made, *ODD, *made[:100], *made, *made, *made, *reversed(made), *ODD]
    path = tmp_path / "captions.txt"
    path.write_bytes("".join(f"{text}\n" for text in texts).encode())
    one, two = (
        subprocess.run([*RELMILL, "parse", path, "--jobs", jobs], check=False, capture_output=True, cwd=ROOT)
        for jobs in ("1", "2")
    )
    assert (one.returncode, one.stderr) == (two.returncode, two.stderr) == (0, b"")
    assert one.stdout == two.stdout
    documents = [json.loads(line) for line in one.stdout.splitlines()]
    assert [document["caption"] for document in documents] == texts
    assert documents[0]["relations"][0]["predicate"] == "ride"


def test_captions_of_people_keep_their_order_and_their_words(test_data):
    file = test_data / "relations" / "captions_vcoco.jsonl.gz"
    if not file.is_file():
        pytest.skip(f"no {file}")
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        texts = [" ".join(text.split()) for line in islice(lines, 60) for text in json.loads(line)["captions"]]
    result = run("parse", data="\n".join(texts).encode())
    documents = [json.loads(line) for line in result.stdout.splitlines()]
    assert [document["caption"] for document in documents] == texts
    for document in documents:
        for part in (*document["phrases"], *document["relations"]):
            assert document["caption"][slice(*part["span"])] == part["text"]


def test_a_bad_line_ends_the_command_after_the_lines_before_it(tmp_path):
    path = tmp_path / "captions.txt"
    path.write_bytes(b"a cat\n\na d\xf6g\na cow\n")
    result = run("parse", path)
    assert isinstance(result.exception, BadInputError)
    assert [json.loads(line)["caption"] for line in result.stdout.splitlines()] == ["a cat", ""]


def test_a_killed_worker_ends_the_command_with_a_sentence(many):
    with started("parse", many, "--jobs", 2) as process:
        workers = workers_of(process)
        workers[0].kill()
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 1
    assert stderr.startswith(b"relmill: a worker of `relmill parse` died")
    assert len(stderr.splitlines()) == 1
    assert not any(worker.is_running() for worker in workers)


def test_ctrl_c_ends_everything_quickly_and_quietly(many):
    with started("parse", many, "--jobs", 2) as process:
        workers = workers_of(process)
        start = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
        assert time.monotonic() - start < 10
    assert process.returncode == 130
    assert stderr == b""
    assert not any(worker.is_running() for worker in workers)


def test_workers_end_with_a_command_that_was_killed(many):
    with started("parse", many, "--jobs", 2) as process:
        workers = workers_of(process)
        process.kill()
        deadline = time.monotonic() + 30
        while not all(map(has_ended, workers)):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_reader_that_has_enough_ends_the_command_quietly(many):
    with started("parse", many) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=30) == 0
        assert process.stderr.read() == b""


def test_explain_shows_the_tree_and_names_the_rules():
    result = run("parse", "--explain", "a man riding a brown horse")
    assert result.exit_code == 0
    words = [line.split() for line in result.output.splitlines()]
    assert ["2", "man", "NOUN", "NN", "ROOT"] in words
    assert ["6", "horse", "NOUN", "NN", "obj", "3", "riding"] in words
    assert ["2", "a", "brown", "horse", "13-26", "horse", "horse", "brown"] in words
    assert ["1", "man", "ride", "2", "horse", "riding", "6-12", "participle", "+", "object"] in words


def test_explain_says_where_there_is_nothing_to_show():
    assert run("parse", "--explain", "").output.split("\n\n")[1:] == ["no tree", "no phrases", "no relations\n"]


def test_a_caption_cannot_move_the_cursor():
    output = run("parse", "--explain", "a \x1b[31mred\x1b[0m cat\udcff").output
    assert "\x1b" not in output
    assert "\\x1b" in output


def test_the_drawing_is_xml_with_every_word_and_the_same_each_time(tmp_path):
    caption = 'a <b> & "cat" \x01 on a mat.'
    drawings = [tmp_path / "one.svg", tmp_path / "two.svg"]
    for path in drawings:
        assert run("parse", "--explain", caption, "--svg", path).exit_code == 0
    assert drawings[0].read_bytes() == drawings[1].read_bytes()
    root = ElementTree.parse(drawings[0]).getroot()
    assert root.tag == f"{SVG}svg"
    words = [element.text for element in root.iter(f"{SVG}tspan") if element.get("class") == "displacy-word"]
    assert {"&", "cat", "mat", "."} <= set(words)
    assert b"http" not in drawings[0].read_bytes().replace(b"http://www.w3.org/", b"")


def test_options_that_contradict_each_other_are_refused(tmp_path):
    for arguments, message in [
        (["--svg", "tree.svg"], "--svg draws the tree of one caption; give it with --explain"),
        (["captions.txt", "--explain", "a cat"], "leave out captions.txt"),
        (["--explain", "a cat", "--svg", tmp_path / "missing" / "tree.svg"], "cannot be written"),
    ]:
        result = run("parse", *arguments)
        assert isinstance(result.exception, UserError)
        assert message in str(result.exception)


def test_the_evaluation_parses_the_gold_or_takes_lines_and_says_the_same(tmp_path):
    gold = tmp_path / "gold.jsonl"
    gold.write_text(
        '{"caption": "a man riding a horse", "relations": [["man", "ride", "horse"]]}\n'
        '{"caption": "a cat", "relations": []}\n'
    )
    predictions = tmp_path / "parses.jsonl"
    predictions.write_bytes(run("parse", data=b"a man riding a horse\na cat\n").stdout_bytes)
    results = []
    for options in ([], ["--predictions", predictions]):
        json_file = tmp_path / "result.json"
        result = run("evaluate", "parse", "--gold", gold, *options, "--json", json_file, "--resamples", 10, "--seed", 3)
        assert result.exit_code == 0, result.output
        assert "gold.jsonl: 2 captions" in result.output
        results.append(json.loads(json_file.read_text()))
    assert [result.pop("model") for result in results] == ["builtin", "parses.jsonl"]
    assert results[0] == results[1]
    assert (results[0]["seed"], results[0]["resamples"]) == (3, 10)
