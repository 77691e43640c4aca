import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import duckdb
import pytest
from outputs_made import dead, make_output, meter_of, rejected, riding

from pipeline.report import write_report
from pipeline.report.page import index_query
from pipeline.report.sample import spread
from schemas import Caption, Relation, Scene
from schemas.commit import commit_name
from stages.pack import CommitLog
from stages.storage import Folder


def report_of(folder: Folder, **arguments) -> tuple[dict, str]:
    write_report(folder, arguments.pop("meter", None) or meter_of(folder), sealed=arguments.pop("sealed", True))
    return json.loads(folder.read("report.json")), folder.read("report.html").decode()


class Tags(HTMLParser):
    """Every tag of a page with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs) -> None:
        self.seen.append((tag, dict(attrs)))


@pytest.fixture
def mixed(tmp_path: Path) -> Folder:
    """Two units: one label right, one wrong, one that no human judged, one scene rejected, one dead."""
    return make_output(
        tmp_path / "out",
        [
            [riding("made-0"), riding("made-1", human="lead", score=0.2)],
            [riding("made-2", human=None), rejected("made-3"), dead("made-4")],
        ],
    )


def test_the_figures_are_those_of_the_output(mixed: Folder) -> None:
    report, _ = report_of(mixed)
    assert report["schema"] == "relmill.report/1"
    assert report["state"] == "sealed"
    totals = report["totals"]
    assert [totals[name] for name in ("planned", "written", "rejected", "dead", "relations")] == [5, 3, 1, 1, 5]
    assert report["balanced"] is True
    assert report["sample"] == {"scenes": 3, "scenes_with_labels": 3, "units": 2, "units_committed": 2}
    assert report["sources"] == {"tagger": 3, "human": 2}
    assert report["predicates"] == [{"predicate": "ride", "labelled": 3, "human": 1}]
    assert report["score_histogram"]["counts"] == {"tagger": [0, 0, 1, 0, 0, 0, 0, 0, 2, 0]}
    assert report["problems"] == []
    score = report["score"]
    assert (score["scenes"], score["scenes_without_human_relations"]) == (2, 1)
    assert (score["triplets"]["labelled"], score["triplets"]["human"], score["triplets"]["matched"]) == (2, 2, 1)
    assert score["pairs"]["matched"] == 2
    assert [stage["stage"] for stage in report["run"]["stages"]] == ["screen", "tag", "pack"]


def test_a_count_that_does_not_add_up_is_said(mixed: Folder) -> None:
    meter = meter_of(mixed)
    meter.totals = replace(meter.totals, written=2)
    report, page = report_of(mixed, meter=meter)
    assert report["balanced"] is False
    assert "does not add up" in page


def test_an_unfinished_run_says_so_and_how_to_go_on(mixed: Folder) -> None:
    report, page = report_of(mixed, meter=meter_of(mixed, num_records=9), sealed=False)
    assert report["state"] == "unfinished"
    assert "5 of 9 scenes are done" in page


def test_without_human_relations_there_is_no_score(tmp_path: Path) -> None:
    report, page = report_of(make_output(tmp_path, [[riding("made-0", human=None)]]))
    assert report["score"] is None
    assert "no truth to measure against" in page


def test_an_output_without_commits_has_a_report(tmp_path: Path) -> None:
    folder = make_output(tmp_path, [], seal=False)
    full = make_output(tmp_path / "other", [[riding("made-0")]])
    meter = replace(meter_of(full, num_records=5), totals=replace(meter_of(full).totals, planned=0, written=0))
    report, page = report_of(folder, meter=meter, sealed=False)
    assert report["sample"]["scenes"] == 0
    assert "No scene to draw" in page


def test_the_page_loads_nothing_and_lets_no_caption_in(tmp_path: Path) -> None:
    evil = '<script>alert(1)</script><img src="https://evil.example/x">{{ 7*7 }}'
    relation = Relation(3, 5, f"ride {evil}", evil, 0.9, "tagger")
    scene = replace(riding("made-0"), captions=(Caption(f"a man riding a horse {evil}", "given"),))
    scene = replace(scene, relations=(*scene.relations, relation))
    _, page = report_of(make_output(tmp_path / "<b>out", [[scene, rejected("<i>key")]]))

    tags = Tags(page).seen
    assert not {"script", "iframe", "link", "object", "base", "form"} & {tag for tag, _ in tags}
    addresses = [value for _, attributes in tags for name, value in attributes.items() if name in ("src", "href")]
    assert addresses
    assert all(value and value.startswith("data:image/jpeg;base64,") for value in addresses)
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]
    assert "url(" not in page
    assert "@import" not in page
    policy = next(attributes["content"] for tag, attributes in tags if tag == "meta" and "http-equiv" in attributes)
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert "{{ 7*7 }}" in page
    assert "<script>" not in page


def test_evidence_is_marked_in_the_caption(mixed: Folder) -> None:
    _, page = report_of(mixed)
    quote = (
        '<mark class="subject">a man</mark> <mark class="predicate">riding</mark> <mark class="object">a horse</mark>'
    )
    assert quote in page


def test_each_reason_has_words_and_a_place_to_look(mixed: Folder) -> None:
    _, page = report_of(mixed)
    lost = CommitLog(mixed).read(1)
    assert lost
    assert lost.dead
    assert lost.dead.name in page
    assert "incomplete download" in page
    assert "ValueError: boom" in page
    assert "48 of 64 rows &lt;b&gt;there&lt;/b&gt;" in page


def test_damage_becomes_a_line_and_the_rest_is_reported(mixed: Folder) -> None:
    shard = CommitLog(mixed).read(0).shard
    path = Path(mixed.path(shard.name))
    path.write_bytes(bytes(path.stat().st_size))
    report, page = report_of(mixed)
    assert any(shard.name in problem for problem in report["problems"])
    assert report["examples"] == ["made-2"]
    assert shard.name in page


@pytest.mark.parametrize("kind", ["index", "dead"])
@pytest.mark.parametrize("damage", ["missing", "cut", "garbage"])
def test_a_damaged_index_or_dead_letter_file_is_a_line(mixed: Folder, kind: str, damage: str) -> None:
    entry = getattr(CommitLog(mixed).read(1), kind)
    path = Path(mixed.path(entry.name))
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(b"x" * (entry.bytes if damage == "garbage" else entry.bytes // 2))
    report, _ = report_of(mixed)
    assert any(entry.name in problem for problem in report["problems"])
    assert report["sample"]["scenes"] == 2


def test_a_commit_cannot_name_a_file_outside_the_output(mixed: Folder, tmp_path: Path) -> None:
    index = CommitLog(mixed).read(1).index
    outside = tmp_path / "outside.parquet"
    outside.write_bytes(Path(mixed.path(index.name)).read_bytes())
    entry = json.loads(mixed.read(commit_name(1)))
    entry["index"]["name"] = "index/../../outside.parquet"
    mixed.replace(commit_name(1), json.dumps(entry).encode())
    report, _ = report_of(mixed)
    told = "outside.parquet' is no name of a file in the output folder"
    assert any(told in problem for problem in report["problems"])
    assert report["sample"]["scenes"] == 2


def test_examples_are_the_same_on_every_run(tmp_path: Path) -> None:
    units = [[riding(f"made-{u:02d}-{i}") for i in range(4)] for u in range(10)]
    folder = make_output(tmp_path, units)
    first, _ = report_of(folder)
    again, _ = report_of(folder)
    assert first["examples"] == again["examples"]
    assert len(first["examples"]) == 12
    assert len({key[:7] for key in first["examples"]}) >= 8  # spread over the units, not the first shard's twelve


def test_a_report_of_a_long_log_reads_a_bounded_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_output(tmp_path, [[riding(f"made-{u:04d}")] for u in range(140)])
    names: list[str] = []
    read = Folder.read
    monkeypatch.setattr(Folder, "read", lambda self, name, *span: names.append(name) or read(self, name, *span))
    report, _ = report_of(folder)
    assert report["sample"]["units"] == 128
    assert report["sample"]["units_committed"] == 140
    assert len([name for name in names if name.startswith("commits/")]) < 139
    assert len([name for name in names if name.startswith("index/")]) == 128
    assert len({name for name in names if name.startswith("shards/")}) == 12


def test_pictures_that_cannot_be_drawn_are_lines(tmp_path: Path) -> None:
    def without_picture(key: str) -> Scene:
        scene = riding(key)
        return replace(scene, image=replace(scene.image, data=b"no picture", sha256=None))

    report, _ = report_of(make_output(tmp_path, [[without_picture("made-0"), riding("made-1")]]))
    assert report["examples"] == ["made-1"]
    assert any("made-0" in problem and "decoded" in problem for problem in report["problems"])


def test_the_duckdb_query_of_the_page_runs(mixed: Folder, tmp_path: Path) -> None:
    folder = make_output(tmp_path / "it's here", [[riding("made-0"), riding("made-1")], [rejected("made-2")]])
    (Path(folder.url) / "index" / "stray.parquet").write_bytes(b"named by no commit")
    *setup, query = index_query(folder.url).split(";\n\n")
    with duckdb.connect() as database:
        for statement in setup:
            database.execute(statement)
        assert database.execute(query).fetchall() == [("person", "ride", "horse", 2, 0.83)]


def test_commands_on_the_page_are_quoted(tmp_path: Path) -> None:
    _, page = report_of(make_output(tmp_path / "a b;c", [[riding("made-0")]]))
    command = re.search(r"<pre>relmill inspect (.*?) --num", page)
    assert command
    assert command[1] == f"&#39;{tmp_path}/a b;c&#39;"


@pytest.mark.parametrize(("total", "wanted"), [(0, 5), (3, 5), (5, 5), (100, 7), (1_700_000, 128)])
def test_a_spread_is_even_and_within_bounds(total: int, wanted: int) -> None:
    for seed in ("a", "b", "c"):
        numbers = spread(total, wanted, seed=seed)
        assert len(set(numbers)) == len(numbers) == min(total, wanted)
        assert all(0 <= number < total for number in numbers)
        gaps = [b - a for a, b in pairwise(numbers)]
        assert not gaps or max(gaps) - min(gaps) <= 1
