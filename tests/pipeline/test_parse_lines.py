"""From lines of bytes to chunks of captions, and from parses to lines of JSON."""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from pipeline.parse_lines import CHUNK_CHARACTERS, CHUNK_LINES, print_parses, read_chunks
from pipeline.parse_workers import json_line, parse_here, parse_in_workers
from schemas import BadInputError, UserError
from stages.parse.parsed import Parse, ParsedAttribute, ParsedPhrase
from stages.parse.parser import CaptionParser

ROOT = Path(__file__).resolve().parents[2]


class FirstWord:
    """Takes the first word of a caption for its only phrase."""

    def parse(self, texts: Iterable[str]) -> list[Parse]:
        words = [text.partition(" ")[0] for text in texts]
        return [Parse((ParsedPhrase((0, len(word)), word, word),) if word else ()) for word in words]


def captions(data: bytes) -> list[str]:
    return [caption for chunk in read_chunks(data.splitlines(keepends=True), "captions.txt") for caption in chunk]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"a cat\na dog\n", ["a cat", "a dog"]),
        (b"a cat\na dog", ["a cat", "a dog"]),
        (b"a cat\r\na dog\r\n", ["a cat", "a dog"]),
        (b"\na cat\n\n", ["", "a cat", ""]),
        (b" a cat \n", [" a cat "]),
        (b"\xef\xbb\xbfa cat\n", ["a cat"]),
        ("ein Käfer\n".encode(), ["ein Käfer"]),
    ],
)
def test_a_line_is_a_caption_without_its_end(data, expected):
    assert captions(data) == expected


def test_a_chunk_ends_after_enough_lines_or_characters():
    lines = [b"a cat\n"] * (2 * CHUNK_LINES + 1)
    assert [len(chunk) for chunk in read_chunks(lines, "-")] == [CHUNK_LINES, CHUNK_LINES, 1]
    paragraphs = [b"x" * (CHUNK_CHARACTERS // 2) + b"\n"] * 3
    assert [len(chunk) for chunk in read_chunks(paragraphs, "-")] == [2, 1]


def test_a_line_that_is_not_utf8_is_named_after_those_before_it():
    chunks = read_chunks([b"a cat\n", b"a d\xf6g\n", b"a cow\n"], "captions.txt")
    assert list(next(chunks)) == ["a cat"]
    with pytest.raises(BadInputError, match=r"captions.txt: line 2 is not UTF-8 .* at byte 4"):
        next(chunks)


@pytest.mark.parametrize(
    "caption", ["a \x00 \x1b[31m \x7f cat", "a\x0bcat\x85\u2028on\u2029a mat", "ein \ud800 Käfer", "🐈"]
)
def test_any_caption_gives_one_line_of_json_that_says_it(caption):
    line = json_line(Parse((ParsedPhrase((0, 1), "cat", "cat"),), attributes=(ParsedAttribute(0, caption),)), caption)
    document = json.loads(line.decode("utf-8"))
    assert document["caption"] == document["attributes"][0]["value"] == caption
    assert len(line.decode("utf-8").splitlines()) == 1
    assert line.endswith(b"\n")


def test_letters_of_other_languages_stay_legible():
    assert "Käfer".encode() in json_line(Parse(), "ein Käfer")


def test_each_chunk_gives_the_lines_of_its_captions():
    first, second = parse_here([["a cat", ""], ["two dogs"]], FirstWord())
    assert [json.loads(line)["phrases"][0]["name"] for line in [first.splitlines()[0], second]] == ["a", "two"]
    assert json.loads(first.splitlines()[1]) == {"caption": "", "phrases": [], "relations": [], "attributes": []}


def test_the_cut_into_chunks_changes_nothing():
    texts = [f"{a} {b} a {c}" for a in ("a man", "two dogs") for b in ("on", "riding", "with") for c in ("bus", "hat")]
    parser = CaptionParser()
    whole = b"".join(parse_here([texts], parser))
    assert b"".join(parse_here([[text] for text in texts], parser)) == whole
    assert b"".join(parse_here([texts[:5], texts[5:]], parser)) == whole


def test_a_worker_names_the_pipeline_that_is_missing():
    with pytest.raises(BadInputError, match="'no_such_model' cannot be loaded"):
        list(parse_in_workers([["a cat"]], model="no_such_model", num_workers=1))


@pytest.mark.parametrize("num_jobs", [0, -1])
def test_no_jobs_is_refused(num_jobs):
    with pytest.raises(UserError, match=f"--jobs is {num_jobs}; give the number of processes"):
        print_parses("-", model="builtin", num_jobs=num_jobs)


@pytest.mark.parametrize("file", ["missing.txt", "."])
def test_a_file_that_cannot_be_read_is_named(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInputError, match=rf"{file}: cannot be read: .*; give a file of captions"):
        print_parses(file, model="builtin")


def test_numpy_waits_until_its_threads_are_set():
    """Whatever `relmill parse` imports before that; OpenBLAS asks for the number of threads once."""
    code = "import sys, pipeline.cli, pipeline.parse_lines, pipeline.explain; print('numpy' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout == "False\n"
