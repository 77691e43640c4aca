"""The audit page's server: what it answers, what it refuses, and what is on the disk afterwards."""

import asyncio
import contextlib
import io
import json
import re
import resource
import shutil
import socket
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from audit_sample_made import labelled_by_prior, sample_of_all
from PIL import Image as Picture

from pipeline.audit.desk import Desk
from pipeline.audit.guard import HEADERS, MOST_BODY
from pipeline.audit.serve import serve
from pipeline.audit.server import PAGE_FILES, build_app
from pipeline.cli import main
from schemas import Image, Region, Relation, Scene, UserError
from schemas.commit import DATASET_VERSION
from schemas.unit import Unit
from stages.audit import read_verdicts
from stages.optional import require_audit
from stages.pack import CommitLog, pack_unit
from stages.storage import Folder

fastapi_testclient = pytest.importorskip("fastapi.testclient", reason="needs the audit extra")

TOKEN = "feedc0de" * 4
OURS = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def output(tmp_path_factory) -> Path:
    return labelled_by_prior(tmp_path_factory.mktemp("labelled") / "out", 12)


@pytest.fixture
def sample(output, tmp_path) -> Path:
    sample_of_all(output, tmp_path / "sample")
    return tmp_path / "sample"


@contextlib.contextmanager
def client_of(sample: Path, *, auditor: str | None = None, **options):
    with contextlib.closing(Desk(sample, auditor=auditor)) as desk:
        app = build_app(desk, token=TOKEN, **options)
        client = fastapi_testclient.TestClient(app, base_url=OURS, raise_server_exceptions=False)
        client.headers.update({"origin": OURS, "x-relmill-token": TOKEN})
        client.desk = desk
        yield client


@pytest.fixture
def client(sample):
    with client_of(sample) as client:
        yield client


def say(client, item: int = 0, judgement: str | None = "right", auditor: str = "anna", **more):
    document = {"sample": client.desk.digest, "auditor": auditor, "item": item, "judgement": judgement, **more}
    return client.post("/verdict", json=document)


def reason(answer, status: int) -> str:
    """Of a refusal: one line of JSON, and nothing else."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()
    assert list(document) == ["error"]
    assert "\n" not in document["error"]
    return document["error"]


def kept(sample: Path) -> list[tuple[str, int, str | None, str]]:
    num_items = json.loads((sample / "sample.json").read_text())["num_items"]
    return [(v.auditor, v.item, v.judgement, v.note) for v in read_verdicts(sample, num_items=num_items)]


def raw(app, path: str, *, method: str = "GET", headers=((b"host", b"127.0.0.1:8000"),), body=()) -> tuple[int, bytes]:
    """Ask as no client would: the path goes as it is, and the body in pieces without a length."""
    from urllib.parse import unquote

    pieces, sent = list(body), []

    async def receive():
        return {"type": "http.request", "body": pieces.pop(0) if pieces else b"", "more_body": bool(pieces)}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": unquote(path), "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": list(headers), "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000),
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


# Judging


def test_a_verdict_is_on_the_disk_when_it_is_answered_and_there_when_one_comes_back(client, sample):
    entered = client.post("/enter", json={"auditor": "anna"}).json()
    assert entered["items"] == list(range(len(client.desk.items)))
    assert entered["verdicts"] == []
    assert entered["progress"]["judged"] == 0
    assert entered["progress"]["precision"] is None

    answer = say(client, 3, "wrong box", note="the other horse")
    assert answer.status_code == 200
    assert answer.json()["progress"]["judged"] == 1
    assert kept(sample) == [("anna", 3, "wrong box", "the other horse")]
    say(client, 1, "right")
    say(client, 3, "wrong")
    assert client.post("/enter", json={"auditor": "anna"}).json()["verdicts"] == [
        {"item": 1, "judgement": "right", "note": ""}, {"item": 3, "judgement": "wrong", "note": ""},
    ]  # fmt: skip
    assert say(client, 3, None).json()["progress"]["judged"] == 1
    client.desk.close()
    with client_of(sample) as another:
        entered = another.post("/enter", json={"auditor": "anna"}).json()
        assert entered["verdicts"] == [{"item": 1, "judgement": "right", "note": ""}]


def test_the_running_precision_is_that_of_the_auditor_alone(client):
    for item in range(8):
        answer = say(client, item, "right" if item < 6 else "wrong", auditor="anna")
        say(client, item, "wrong", auditor="ben")
    precision = answer.json()["progress"]["precision"]
    low, high = precision["interval_95"]
    assert 0 < low < precision["value"] < high < 1
    assert precision["value"] > 0.5
    assert say(client, 8, "wrong", auditor="ben").json()["progress"]["precision"]["value"] == 0


def test_named_auditors_get_their_part_and_nobody_else_gets_in(output, tmp_path):
    sample, _ = sample_of_all(output, tmp_path / "sample", auditors=("anna", "ben"), overlap=0.5)
    with client_of(tmp_path / "sample") as client:
        facts = client.get("/sample").json()
        assert facts["auditor"] is None
        assert facts["auditors"] == ["anna", "ben"]
        ours = client.post("/enter", json={"auditor": "ben"}).json()
        assert ours["items"] == sample.items_of("ben")
        theirs = (set(sample.items_of("anna")) - set(ours["items"])).pop()
        assert "not for ben to judge" in reason(say(client, theirs, auditor="ben"), 400)
        assert "no auditor of this sample" in reason(client.post("/enter", json={"auditor": "eve"}), 400)
        assert kept(tmp_path / "sample") == []


def test_a_name_on_the_command_line_is_the_only_one(sample):
    with client_of(sample, auditor="anna") as client:
        assert client.get("/sample").json()["auditor"] == "anna"
        assert say(client, 0).status_code == 200
        assert "only anna judges here" in reason(say(client, 0, auditor="ben"), 400)


def test_two_servers_cannot_write_one_file(client, sample):
    say(client, 0)
    with client_of(sample) as another:
        assert "another `relmill audit serve` has it open" in reason(
            another.post("/enter", json={"auditor": "anna"}), 409
        )
        assert say(another, 0, auditor="ben").status_code == 200


def test_every_item_comes_with_its_trace(client):
    num_evidence = 0
    for item in client.desk.items:
        answer = client.get(f"/item/{item.number}").json()
        assert (answer["subject"], answer["predicate"], answer["object"]) == (item.subject, item.predicate, item.object)
        assert answer["problem"] == ""
        assert {item.subject_id, item.object_id} <= {region["id"] for region in answer["regions"]}
        assert answer["trace"]["stages"]
        for evidence in answer["trace"]["evidence"]:
            num_evidence += 1
            assert "".join(segment["text"] for segment in evidence["segments"]) == evidence["text"]
            assert any(candidate["chosen"] for candidate in evidence["candidates"])
    assert num_evidence > 0


# The disk is full


def test_a_full_disk_is_told_and_loses_no_earlier_verdict(client, sample):
    for item in range(3):
        say(client, item, "right")
    path = sample / "verdicts" / "anna.jsonl"
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, hard))  # a part of the next line fits
    try:
        answer = say(client, 3, "wrong")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "the verdict is not kept" in reason(answer, 507)
    assert path.read_bytes() == before
    assert client.post("/enter", json={"auditor": "anna"}).json()["progress"]["judged"] == 3
    assert say(client, 3, "wrong").json()["progress"]["judged"] == 4
    assert path.read_bytes().startswith(before)
    assert kept(sample)[-1] == ("anna", 3, "wrong", "")


# Damage


def test_a_damaged_scene_is_told_and_the_next_can_be_judged(output, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(output, copy)
    _, items = sample_of_all(copy, tmp_path / "sample")
    item = items[0]
    data = bytearray((copy / item.shard).read_bytes())
    data[item.scene.offset + 9] ^= 1
    (copy / item.shard).write_bytes(data)
    with client_of(tmp_path / "sample") as client:
        answer = client.get("/item/0").json()
        assert "is damaged (crc32)" in answer["problem"]
        assert answer["trace"] is None
        assert answer["subject_box"] == list(item.subject_box)
        assert "is damaged (crc32)" in reason(client.get("/image/0"), 400)
        other = next(other for other in items if other.key != item.key)
        assert client.get(f"/item/{other.number}").json()["problem"] == ""
        assert say(client, 0, "unsure").status_code == 200


def test_a_damaged_picture_is_told_and_its_words_are_there(output, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(output, copy)
    _, (item, *_) = sample_of_all(copy, tmp_path / "sample")
    data = bytearray((copy / item.shard).read_bytes())
    data[item.image.offset + 9] ^= 1
    (copy / item.shard).write_bytes(data)
    with client_of(tmp_path / "sample") as client:
        assert "image of" in reason(client.get("/image/0"), 400)
        assert client.get("/item/0").json()["trace"] is not None


# Pictures


def made_sample(folder: Path, *pictures: tuple[str, bytes | None], key: str = "s", name: str = "person") -> Path:
    """A sample of one relation on each picture, all committed as they are."""
    regions = (Region(0, name, (0.0, 0.0, 4.0, 8.0)), Region(5, "horse", (1.0, 2.0, 9.0, 9.0)))
    scenes = [
        Scene(f"{key}-{i}", Image(f"{i}.{format_}", 10, 10, format_, data=data), regions,
              relations=(Relation(0, 5, "ride", "riding", 0.5, "tagger"),))
        for i, (format_, data) in enumerate(pictures)
    ]  # fmt: skip
    (folder / "out").mkdir(parents=True)
    (folder / "out" / "dataset.json").write_text(json.dumps({"schema": DATASET_VERSION, "job": "made"}))
    target = Folder(str(folder / "out"))
    CommitLog(target).append(pack_unit(Unit(0, "unit0", "records", 0, 0, len(scenes)), scenes, target), None)
    sample_of_all(folder / "out", folder / "sample")
    return folder / "sample"


def encoded(format_: str) -> bytes:
    target = io.BytesIO()
    Picture.new("RGB", (10, 10), "green").save(target, format_)
    return target.getvalue()


def test_a_picture_is_sent_as_it_is_stored_and_as_what_it_is(tmp_path):
    """The name of a format in the scene is not believed; what browsers do not show is sent as PNG."""
    formats = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
    sample = made_sample(tmp_path, *[("html", encoded(format_)) for format_ in formats])
    with client_of(sample) as client:
        for item in client.desk.items:
            format_ = formats[int(item.key.removeprefix("s-"))]
            answer = client.get(f"/image/{item.number}")
            assert answer.status_code == 200
            if format_ == "TIFF":
                assert answer.headers["content-type"] == "image/png"
                assert Picture.open(io.BytesIO(answer.content)).getpixel((5, 5)) == (0, 128, 0)
            else:
                assert answer.headers["content-type"] == f"image/{format_.lower()}"
                assert answer.content == encoded(format_)


def test_what_is_no_picture_is_never_sent(tmp_path):
    hostile = b"<html><script>alert(1)</script>"
    drawing = b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    with client_of(made_sample(tmp_path, ("jpg", hostile), ("svg", drawing), ("eps", b"%!PS-Adobe"))) as client:
        for number in range(3):
            assert "its picture cannot be read" in reason(client.get(f"/image/{number}"), 400)


def test_an_output_without_pictures_says_so(tmp_path):
    with client_of(made_sample(tmp_path, ("jpg", None))) as client:
        assert client.get("/item/0").json()["image"] is None
        assert "--no-pixels" in reason(client.get("/image/0"), 400)


# Paths

OUTSIDE = [
    "/image/../../etc/passwd", "/image/%2e%2e/%2e%2e/etc/passwd", "/image/..%2f..%2fetc%2fpasswd", "/../etc/passwd",
    "//etc/passwd", "/etc/passwd", "/image//etc/passwd", "/image/s-0", "/image/coco-1%2f..%2f2", "/image/", "/image/-1",
    "/image/999", "/image/1e3", "/image/0/../1", "/image/0%00", "/item/../sample.json", "/item/x", "/item/99999999",
    "/page/", "/page/page.js", "/index.html", "/server.py", "/__init__.py", "/page.js/", "/page.js/..%2f..%2fserver.py",
    "/docs", "/redoc", "/openapi.json", "/verdicts/anna.jsonl", "/sample.json", "/page.CSS", "/\\..\\server.py",
]  # fmt: skip


@pytest.mark.parametrize("path", OUTSIDE)
def test_no_path_leads_anywhere(client, path):
    status, body = raw(client.app, path)
    assert status in (404, 422)
    assert list(json.loads(body)) == ["error"]
    assert b"root:" not in body


def test_a_shard_outside_of_the_output_is_not_opened(client, sample, tmp_path):
    client.desk.close()
    lines = (sample / "items.jsonl").read_text().splitlines()
    (tmp_path / "secret").write_bytes(b"x" * 100_000)
    document = {**json.loads(lines[0]), "shard": "../secret", "key": "../../etc/passwd"}
    (sample / "items.jsonl").write_text("\n".join([json.dumps(document), *lines[1:]]) + "\n")
    with client_of(sample) as another:
        assert "no name of a file in the output" in another.get("/item/0").json()["problem"]
        assert "no name of a file in the output" in reason(another.get("/image/0"), 400)


def test_the_page_is_its_listed_files_and_no_others(client):
    folder = files("pipeline.audit").joinpath("page")
    assert {path.name for path in folder.iterdir()} == {"index.html", *PAGE_FILES}
    for name, kind in PAGE_FILES.items():
        answer = client.get(f"/{name}")
        assert answer.headers["content-type"] == kind
        assert answer.content == folder.joinpath(name).read_bytes()


# The page cannot be made to run a stranger's text


def page_texts() -> dict[str, str]:
    return {path.name: path.read_text() for path in files("pipeline.audit").joinpath("page").iterdir()}


def test_the_page_sets_what_it_shows_as_text():
    for name, text in page_texts().items():
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "srcdoc"):
            assert word not in text, f"{name}: {word}"


def test_the_page_has_no_inline_code_and_fetches_nothing_from_elsewhere():
    texts = page_texts()
    assert not re.search(r"<script(?![^>]* src=)", texts["index.html"])
    assert not re.search(r"<style|\sstyle=|\son\w+=", texts["index.html"])
    for name, text in texts.items():
        found = set(re.findall(r"https?://[^\s\"'<)]+", text))
        assert found <= {"http://www.w3.org/2000/svg"}, name
        assert not re.search(r"(src|href|url)\s*[=(]\s*[\"']?//", text), name


def test_every_answer_has_the_headers_also_a_refusal(client):
    answers = [
        client.get("/"), client.get("/sample"), client.get("/item/0"), client.get("/image/0"), client.get("/nothing"),
        client.post("/verdict", content=b"x"), client.get("/", headers={"host": "evil.example"}),
        client.put("/verdict", json={}),
    ]  # fmt: skip
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 404, 415, 403, 405]
    for answer in answers:
        for name, value in HEADERS.items():
            assert answer.headers.get_list(name) == [value]
        assert "access-control-allow-origin" not in answer.headers
    assert HEADERS["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )


def test_a_bug_is_told_with_the_headers_and_without_a_traceback(client):
    client.desk.output = None
    answer = client.get("/image/0")
    assert "a bug in Relmill" in reason(answer, 500)
    assert answer.headers["x-content-type-options"] == "nosniff"


# Who may ask


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "LOCALHOST", "[::1]:8000", "127.0.0.1:9999"])
def test_this_machine_is_known_by_its_names_on_any_port_of_a_tunnel(client, host):
    assert client.get("/sample", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example", "127.0.0.1@evil.example",
     "192.168.1.5:8000", "", "127.0.0.1:8000:1", "[::1", "127.0.0.1:8000/", "localhost:x"],
)  # fmt: skip
def test_a_name_that_a_stranger_points_at_us_is_refused(client, host):
    assert "Host header" in reason(client.get("/sample", headers={"host": host}), 403)


def test_none_or_two_hosts_are_refused(client):
    ours = (b"host", b"127.0.0.1:8000")
    assert raw(client.app, "/sample", headers=())[0] == 403
    assert raw(client.app, "/sample", headers=(ours, (b"Host", b"evil.example")))[0] == 403


def test_on_another_address_the_machine_is_known_by_any_address_but_not_by_a_strangers_name(sample):
    with client_of(sample, names=["auditbox"], any_address=True) as client:
        for host, status in (("192.168.1.5:8000", 200), ("[fe80::1]:8000", 200), ("auditbox:8000", 200),
                             ("evil.example", 403)):  # fmt: skip
            assert client.get("/sample", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("headers", "status", "why"),
    [
        ({"x-relmill-token": ""}, 403, "token"),
        ({"x-relmill-token": "0" * 32}, 403, "token"),
        ({"x-relmill-token": "ü".encode()}, 403, "token"),
        ({"origin": "http://evil.example"}, 403, "own page"),
        ({"origin": "http://127.0.0.1:9000"}, 403, "own page"),
        ({"origin": "http://localhost:8000"}, 403, "own page"),
        ({"origin": "null"}, 403, "own page"),
        ({"origin": ""}, 403, "own page"),
        ({"content-type": "text/plain"}, 415, "application/json"),
        ({"content-type": "application/x-www-form-urlencoded"}, 415, "application/json"),
        ({"content-type": "multipart/form-data; boundary=application/json"}, 415, "application/json"),
    ],
)
def test_another_pages_verdict_is_refused(client, sample, headers, status, why):
    document = {"sample": client.desk.digest, "auditor": "anna", "item": 0, "judgement": "right"}
    for path, body in (("/verdict", document), ("/enter", {"auditor": "anna"})):
        answer = client.post(path, content=json.dumps(body), headers={"content-type": "application/json", **headers})
        assert why in reason(answer, status)
    assert not (sample / "verdicts").exists()


def test_a_request_without_origin_is_refused(client):
    del client.headers["origin"]
    assert "own page" in reason(say(client), 403)


@pytest.mark.parametrize(
    ("change", "status", "why"),
    [
        ({"item": "0"}, 422, "item: "),
        ({"item": True}, 422, "item: "),
        ({"item": 1.5}, 422, "item: "),
        ({"item": 10**30}, 400, "not for anna to judge"),
        ({"item": -1}, 400, "not for anna to judge"),
        ({"judgement": "maybe"}, 422, "judgement: "),
        ({"judgement": "..."}, 422, "judgement: "),
        ({"auditor": "../../etc/anna"}, 400, "give a name of at most 40"),
        ({"auditor": "<b>anna</b>"}, 400, "give a name of at most 40"),
        ({"auditor": ""}, 400, "give a name of at most 40"),
        ({"auditor": "a" * 41}, 400, "give a name of at most 40"),
        ({"note": "x" * 2001}, 400, "give at most 2000"),
        ({"note": None}, 422, "note: "),
        ({"more": 1}, 422, "more: "),
        ({"sample": "0" * 16}, 400, "another sample"),
    ],
)
def test_a_verdict_that_is_none_is_refused_and_nothing_is_written(client, sample, change, status, why):
    document = {"sample": client.desk.digest, "auditor": "anna", "item": 0, "judgement": "right", **change}
    assert why in reason(client.post("/verdict", json=document), status)
    assert kept(sample) == []


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"auditor": "anna"}', b"[" * 30_000,
     b'{"sample": "0", "auditor": "anna", "item": 0, "judgement": "right", "note": "\\ud800"}',
     b'{"sample": "0", "auditor": "anna", "item": 0, "judgement": "right", "\\ud800": 1}'],
)  # fmt: skip
def test_what_is_no_verdict_at_all_is_refused(client, sample, body):
    answer = client.post("/verdict", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    assert list(answer.json()) == ["error"]
    assert kept(sample) == []


def test_a_long_request_is_refused_with_and_without_a_length(client, sample):
    answer = client.post("/verdict", content=b" " * (MOST_BODY + 1), headers={"content-type": "application/json"})
    assert str(MOST_BODY) in reason(answer, 413)
    headers = [(b"host", b"127.0.0.1:8000"), (b"origin", OURS.encode()), (b"x-relmill-token", TOKEN.encode()),
               (b"content-type", b"application/json")]  # fmt: skip
    endless = [b" " * 1000] * 1_000_000
    assert raw(client.app, "/verdict", method="POST", headers=headers, body=endless)[0] == 413
    assert kept(sample) == []


def test_the_longest_note_in_any_script_is_kept(client, sample):
    note = "😀" * 2000
    assert say(client, 0, "unsure", note=note).status_code == 200
    assert kept(sample) == [("anna", 0, "unsure", note)]


# The command


def failure(capsys, monkeypatch, *arguments: object) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["relmill", "audit", "serve", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    captured = capsys.readouterr()
    assert captured.err.startswith("relmill: ")
    assert captured.err.count("\n") == 1
    return ended.value.code, captured.err


def test_a_port_in_use_is_told(sample, capsys, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as other:
        status, message = failure(capsys, monkeypatch, sample, "--port", other.getsockname()[1])
    assert status == 2
    assert "give another --port" in message


def test_an_address_of_another_machine_is_told(sample, capsys, monkeypatch):
    assert failure(capsys, monkeypatch, sample, "--host", "192.0.2.1", "--port", 0)[0] == 2


def test_a_missing_sample_is_told(tmp_path, capsys, monkeypatch):
    status, message = failure(capsys, monkeypatch, tmp_path / "nothing")
    assert status == 2
    assert "relmill audit sample" in message


def test_a_name_that_is_none_is_told(sample, capsys, monkeypatch):
    assert "give a name of at most 40" in failure(capsys, monkeypatch, sample, "--auditor", "../anna")[1]


def test_an_output_that_is_gone_is_told(output, tmp_path, capsys, monkeypatch):
    copy = tmp_path / "copy"
    shutil.copytree(output, copy)
    sample_of_all(copy, tmp_path / "sample")
    shutil.rmtree(copy)
    status, message = failure(capsys, monkeypatch, tmp_path / "sample")
    assert status == 2
    assert str(copy) in message


def test_others_than_this_machine_are_let_in_with_a_warning_only(sample, monkeypatch):
    import uvicorn

    said, warned = [], []
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: sockets[0].getsockname())
    for host in ("127.0.0.1", "0.0.0.0"):
        serve(sample, auditor=None, host=host, port=0, open_page=False, say=said.append, warn=warned.append)
    assert re.search(r"http://127\.0\.0\.1:\d+/", said[0])
    assert "0.0.0.0" not in said[1]
    assert len(warned) == 1
    assert "whoever can reach this machine" in warned[0]


def test_a_missing_library_is_named_with_its_cure():
    with pytest.raises(UserError, match=r"needs no_such_library, .*pip install 'relmill\[audit\]'"):
        require_audit("relmill audit serve", "json", "no_such_library")
