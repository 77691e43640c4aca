"""The report of an audit: one file that says what was found, whatever the labels hold, and needs no output for it."""

import io
import json
import re
import shutil
import socket
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from audit_sample_made import judge, labelled_by_prior, sample_of_all
from PIL import Image as Picture

from pipeline import cli
from pipeline.audit.plots import interval_bar, reliability_plot, threshold_plot
from pipeline.audit.report import write_audit_report
from schemas import BadInputError, Caption, Evidence, Image, Region, Relation, Scene, UserError
from schemas.commit import DATASET_VERSION
from schemas.unit import Unit
from stages.audit import read_sample
from stages.pack import CommitLog, pack_unit
from stages.storage import Folder

SCRIPT = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Elements and texts of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(self.source)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def of(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def jpeg(width: int, height: int, colour=(8, 8, 10)) -> bytes:
    target = io.BytesIO()
    Picture.new("RGB", (width, height), colour).save(target, "JPEG")
    return target.getvalue()


def strange_output(path: Path, *, pixels: bool = True) -> Path:
    """Names, captions and boxes such as nobody wishes for; relations of scene i have score (i + 1) / 10."""
    names = [("person", "horse"), (SCRIPT, "a & b"), ("איש", "סוס"), ("x" * 300, "y"), ("man", "man"), ("cup", "table")]
    boxes = [
        ((3.0, 3.0, 14.0, 15.0), (1580.0, 1180.0, 1600.0, 1200.0)),  # tiny, in two corners
        ((700.0, 500.0, 712.0, 509.0), (704.0, 503.0, 716.0, 512.0)),  # tiny, over each other
        ((0.0, 0.0, 1600.0, 1200.0), (0.0, 0.0, 1600.0, 1200.0)),  # all of the picture
        ((-50.0, 30.0, 400.0, 5000.0), (900.0, 700.0, 300.0, 100.0)),  # outside, and the wrong way round
        ((10.0, 20.0, 10.0, 20.0), (500.0, 20.0, 500.0, 900.0)),  # no area
        ((100.0, 100.0, 180.0, 160.0), (60.0, 150.0, 700.0, 420.0)),
    ]
    scenes = []
    for i, ((subject, object_), (first, second)) in enumerate(zip(names, boxes, strict=True)):
        text = f"{SCRIPT} {'so ' * 60}a man rides it" if i == 1 else "הרוכב רוכב על סוס" if i == 2 else "one upon two"
        evidence = Evidence(0, (0, 3), (4, 8), (9, 12))
        scenes.append(Scene(
            f"odd-{i}", Image(f"{i}.jpg", 1600, 1200, "jpg", data=jpeg(1600, 1200) if pixels else None),
            regions=(Region(0, subject, first), Region(7, object_, second)),
            captions=(Caption(text, "given"),),
            relations=(Relation(0, 7, "ride" if i % 2 else SCRIPT, "rides", (i + 1) / 10, "tagger",
                                evidence=(evidence,)),),
        ))  # fmt: skip
    path.mkdir(parents=True)
    (path / "dataset.json").write_text(json.dumps({"schema": DATASET_VERSION, "job": "j", "vocabulary_sha256": ""}))
    folder = Folder(str(path))
    CommitLog(folder).append(pack_unit(Unit(0, "unit0", "records", 0, 0, len(scenes)), scenes, folder), None)
    return path


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    return labelled_by_prior(tmp_path_factory.mktemp("labelled") / "out", 24)


def judged_sample(output: Path, folder: Path, **options) -> Path:
    """Everything judged by two: right from score 0.9 on, and one of two says wrong box below; item 0 is wrong."""
    sample, items = sample_of_all(output, folder, **options)
    ann = {item.number: "right" if item.score >= 0.9 else "wrong" for item in items} | {0: "wrong"}
    bob = {item.number: "right" if item.score >= 0.8 else "wrong box" for item in items} | {0: "wrong predicate"}
    judge(folder, "ann", ann, num_items=sample.num_items, notes={0: f"{SCRIPT} not that"})
    judge(folder, "bob", bob, num_items=sample.num_items, notes={0: "לא נכון"})
    return folder


def test_the_command_writes_both_files_and_prints_the_main_figures(labelled, tmp_path, capsys, monkeypatch):
    folder = judged_sample(labelled, tmp_path / "sample")
    monkeypatch.setattr(sys, "argv", ["relmill", "audit", "report", str(folder), "--json", str(tmp_path / "f.json")])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code
    said = capsys.readouterr().out
    figures = json.loads((folder / "report.json").read_text())
    assert json.loads((tmp_path / "f.json").read_text()) == figures
    percent = f"{100 * figures['precision']['value']:.1f} %"
    assert percent in said
    assert f"report: {folder}/report.html" in said
    page = Page(folder / "report.html")
    assert percent in page.text
    assert sorted(path.name for path in folder.iterdir()) == [
        "items.jsonl", "report.html", "report.json", "sample.json", "verdicts",
    ]  # fmt: skip


def test_a_report_of_the_same_verdicts_is_the_same_file(labelled, tmp_path):
    folder = judged_sample(labelled, tmp_path / "sample")
    write_audit_report(folder)
    first = (folder / "report.html").read_bytes(), (folder / "report.json").read_bytes()
    write_audit_report(folder)
    assert ((folder / "report.html").read_bytes(), (folder / "report.json").read_bytes()) == first


def test_a_fully_judged_census_has_the_precision_of_its_verdicts(labelled, tmp_path):
    folder = judged_sample(labelled, tmp_path / "sample")
    _, items = read_sample(folder)
    figures = write_audit_report(folder).figures
    right = [0.0 if i.number == 0 else ((i.score >= 0.9) + (i.score >= 0.8)) / 2 for i in items]
    assert figures["precision"]["value"] == pytest.approx(np.mean(right))
    low, high = figures["precision"]["interval_95"]
    assert low == high
    for row in figures["by"]["predicate"]:
        mine = [share for share, item in zip(right, items, strict=True) if item.predicate == row["name"]]
        assert row["value"] == pytest.approx(np.mean(mine))
        assert row["judged"] == row["population"] == len(mine)


def test_the_page_asks_nobody_for_anything(labelled, tmp_path):
    folder = judged_sample(labelled, tmp_path / "sample")
    write_audit_report(folder)
    page = Page(folder / "report.html")
    assert not {"script", "link", "iframe", "object", "form", "base"} & {tag for tag, _ in page.elements}
    for tag, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        for name in ("src", "href", "srcset", "xlink:href", "action"):
            assert attributes.get(name, "data:").startswith("data:"), (tag, name)
    assert not re.search(r"url\(|@import", page.source)
    policy = next(meta["content"] for meta in page.of("meta") if "content" in meta and "default-src" in meta["content"])
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_the_gallery_shows_each_error_where_it_can_be_found_again(labelled, tmp_path):
    folder = judged_sample(labelled, tmp_path / "sample")
    _, items = read_sample(folder)
    write_audit_report(folder)
    page = Page(folder / "report.html")
    shown = [int(attributes["id"][5:]) for attributes in page.of("li") if "id" in attributes]
    # Both say wrong first, in the order of the sample, then those of which only one does.
    both = [item.number for item in items if item.score < 0.8 or item.number == 0]
    one = [item.number for item in items if 0.8 <= item.score < 0.9 and item.number]
    assert shown == (both + one)[:60]
    assert shown[0] == 0
    assert f"relmill trace {labelled} {items[0].key} {items[0].relation}" in page.text
    assert "not that" in page.text
    assert {"subject", "predicate", "object"} <= {attributes["class"] for attributes in page.of("mark")}
    images = page.of("img")
    assert len(images) == len(shown)
    assert all(image["alt"] and image["src"].startswith("data:image/jpeg;base64,/9j/") for image in images)

    write_audit_report(folder, most_errors=2)
    assert len(Page(folder / "report.html").of("img")) == 2
    assert f"{len(both) + len(one) - 2} more are in the verdicts" in Page(folder / "report.html").text


def test_what_others_wrote_is_shown_as_text(tmp_path):
    folder = judged_sample(strange_output(tmp_path / f"{SCRIPT.replace('/', '')}'out"), tmp_path / "sample")
    write_audit_report(folder)
    page = Page(folder / "report.html")
    assert not page.of("script")
    assert page.text.count("alert(1)") >= 5  # a name, a predicate, a caption, a note, the output
    assert "<script>" not in page.source
    assert "הרוכב" in page.text
    for attributes in page.of("rect"):
        if attributes.get("class") in {"subject-box", "object-box"}:
            numbers = [float(attributes[name]) for name in ("x", "y", "width", "height")]
            assert all(0 <= number <= 480 for number in numbers)


def test_an_output_that_is_gone_costs_the_pictures_only(labelled, tmp_path):
    output = tmp_path / "out"
    shutil.copytree(labelled, output)
    folder = judged_sample(output, tmp_path / "sample")
    whole = write_audit_report(folder)
    assert whole.problem == ""
    shutil.move(output, tmp_path / "moved")
    without = write_audit_report(folder)
    assert without.figures == whole.figures
    assert "fewer than the" in without.problem
    page = Page(folder / "report.html")
    assert not page.of("img")
    assert "There are no pictures and captions" in page.text
    assert "no pictures" in without.to_text()
    # Told where it is now, it has them again.
    assert write_audit_report(folder, output=str(tmp_path / "moved")).problem == ""
    assert Page(folder / "report.html").of("img")


def test_a_damaged_scene_costs_its_own_picture_only(labelled, tmp_path):
    output = tmp_path / "out"
    shutil.copytree(labelled, output)
    folder = judged_sample(output, tmp_path / "sample")
    _, items = read_sample(folder)
    shard = output / items[0].shard
    data = bytearray(shard.read_bytes())
    data[items[0].image.offset + 40] ^= 255
    shard.write_bytes(data)
    report = write_audit_report(folder)
    assert report.problem == ""
    page = Page(folder / "report.html")
    assert "is damaged (crc32)" in page.text
    assert page.of("img")


def test_an_output_without_pictures_has_captions_all_the_same(tmp_path):
    folder = judged_sample(strange_output(tmp_path / "out", pixels=False), tmp_path / "sample")
    write_audit_report(folder)
    page = Page(folder / "report.html")
    assert not page.of("img")
    assert "the output has none" in page.text
    assert page.of("mark")


def test_a_half_judged_sample_says_what_is_missing(labelled, tmp_path):
    folder = tmp_path / "sample"
    sample, _ = sample_of_all(labelled, folder, drawn=3, auditors=("ann", "bob"), overlap=0.5)
    judge(folder, "ann", {0: "right", 1: "unsure", 2: "wrong"}, num_items=sample.num_items)
    report = write_audit_report(folder)
    progress = report.figures["progress"]
    assert (progress["judged"], progress["unsure"], progress["unseen"]) == (2, 1, sample.num_items - 3)
    ann, bob = progress["auditors"]
    assert (ann["judged"], ann["of"]) == (3, len(sample.items_of("ann")))
    assert (bob["auditor"], bob["judged"]) == ("bob", 0)
    assert 0 < report.figures["unjudged"]["share"] < 1
    assert "of which nothing is judged yet" in Page(folder / "report.html").text


def test_only_unsure_verdicts_give_a_page_without_figures(labelled, tmp_path):
    folder = tmp_path / "sample"
    sample, _ = sample_of_all(labelled, folder)
    judge(folder, "ann", {0: "unsure"}, num_items=sample.num_items)
    write_audit_report(folder)
    assert "there is no figure" in Page(folder / "report.html").text


def test_bad_input_is_told_without_a_traceback(labelled, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "sample"
    sample, _ = sample_of_all(labelled, folder)
    with pytest.raises(UserError, match="nobody has judged anything yet"):
        write_audit_report(folder)
    with pytest.raises(UserError, match=r"--precision 90"):
        write_audit_report(folder, wanted=90)
    with pytest.raises(BadInputError, match="draw a sample"):
        write_audit_report(tmp_path / "none")
    judge(folder, "ann", {0: "right"}, num_items=sample.num_items)
    with (folder / "verdicts" / "ann.jsonl").open("a") as file:
        file.write("{}\n")
    monkeypatch.setattr(sys, "argv", ["relmill", "audit", "report", str(folder)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    assert "ann.jsonl:2" in capsys.readouterr().err


def test_no_connection_is_opened(labelled, tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("the report opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    write_audit_report(judged_sample(labelled, tmp_path / "sample"))


def test_plots_are_whole_without_points():
    empty = {"wanted": 0.9, "surely": None, "likely": None, "curve": []}
    share = {"value": 1.0, "interval_95": None, "judged": 1, "population": 9.0}
    cut = {"threshold": 0.5, "precision": share, "kept": {"value": 1.0, "interval_95": None}, "right_kept": 1.0}
    bins = [{"low": 0.9, "high": 1.0, "mean_score": 1.0, **share}]
    for plot in (
        reliability_plot([], what="score"), reliability_plot(bins, what="score"),
        threshold_plot(empty), threshold_plot({**empty, "curve": [cut], "likely": cut}),
        interval_bar(None, None), interval_bar(1.0, (0.9, 1.0)),
    ):  # fmt: skip
        assert plot.startswith("<svg ")
        assert plot.endswith("</svg>")
        assert "nan" not in plot
