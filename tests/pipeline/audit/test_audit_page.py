"""The audit page in a browser: judged by keyboard, the server killed and started again, and what is on the disk."""

import contextlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from audit_sample_made import labelled_by_prior, sample_of_all
from hard_sample_made import HOSTILE, hard_sample

from pipeline.label import label, prepare
from schemas.job import build_job
from stages.audit import read_sample, read_verdicts

playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install --group test")
pytest.importorskip("uvicorn", reason="needs the audit extra")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
PATIENCE_MS = 20_000


class Server:
    """`relmill audit serve` as a process of its own."""

    def __init__(self, sample: Path, *options: str, port: int = 0) -> None:
        self.sample = sample
        command = [sys.executable, "-m", "pipeline", "audit", "serve", str(sample), "--port", str(port), *options]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        line = self.process.stdout.readline()
        self.address = re.search(r"http://\S+/", line)[0]
        self.port = int(re.search(r":(\d+)/", self.address)[1])

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.close()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def serve():
    """Starts servers, and ends them."""
    with contextlib.ExitStack() as stack:

        def start(*arguments, **options) -> Server:
            server = Server(*arguments, **options)
            stack.callback(server.close)
            return server

        yield start


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with playwright.sync_playwright() as driver:
        context = driver.chromium.launch_persistent_context(
            str(tmp_path_factory.mktemp("browser")), executable_path=CHROMIUM, args=FLAGS
        )
        context.set_default_timeout(PATIENCE_MS)
        yield context
        context.close()


class Visit:
    """A page that is open, and all that happened on it."""

    def __init__(self, browser, address: str, *, width: int = 1280, height: int = 800) -> None:
        self.page = browser.new_page()
        self.page.set_viewport_size({"width": width, "height": height})
        self.faults, self.addresses = [], []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda message: message.type == "error" and self.faults.append(message.text))
        self.page.on("request", lambda request: self.addresses.append(request.url))
        self.page.goto(address)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def wait(self, place: str, text: str) -> None:
        playwright.expect(self.page.locator(place)).to_contain_text(text, timeout=PATIENCE_MS)

    def text(self, place: str) -> str:
        return self.page.locator(place).inner_text()


@pytest.fixture
def visit(browser):
    with contextlib.ExitStack() as stack:

        def open_page(*arguments, **options) -> Visit:
            found = Visit(browser, *arguments, **options)
            stack.callback(found.page.close)
            return found

        yield open_page


@pytest.fixture(scope="module")
def labels(request, tmp_path_factory) -> Path:
    """Labels of the COCO sample where there is one, else of drawn pictures."""
    folder = tmp_path_factory.mktemp("labels") / "out"
    try:
        coco = request.getfixturevalue("test_data") / "coco_sample"
    except pytest.skip.Exception:
        return labelled_by_prior(folder, 24)
    dataset = {"format": "coco", "annotations": f"{coco}/instances.json", "images": f"{coco}/images",
               "captions": f"{coco}/captions.json", "limit": 30}  # fmt: skip
    document = {"dataset": dataset, "tag": {"backend": "prior", "prior": "builtin"}, "output": str(folder)}
    assert label(prepare(build_job(document)), quiet=True).sealed
    return folder


def said(sample: Path) -> list[tuple[int, str | None, str]]:
    num_items = json.loads((sample / "sample.json").read_text())["num_items"]
    verdicts = read_verdicts(sample, num_items=num_items)
    assert {verdict.auditor for verdict in verdicts} <= {"anna"}
    return [(verdict.item, verdict.judgement, verdict.note) for verdict in verdicts]


def test_ten_triplets_are_judged_by_keyboard_and_survive_a_killed_server(labels, tmp_path, serve, visit):
    sample = tmp_path / "sample"
    total = sample_of_all(labels, sample)[0].num_items
    assert total >= 14
    first = serve(sample)
    page = visit(first.address)

    # Who judges? Typed and confirmed without a mouse.
    playwright.expect(page.page.locator("#name-dialog")).to_be_visible()
    page.press("a", "n", "n", "a", "Enter")
    page.wait("#progress-text", f"0 of {total} judged")
    page.wait("#place", f"Item 1 of {total}")

    keys = ["1", "2", "3", "4", "5", "r", "w", "b", "p"]
    meant = [
        "right",
        "wrong",
        "wrong box",
        "wrong predicate",
        "unsure",
        "right",
        "wrong",
        "wrong box",
        "wrong predicate",
    ]
    for done, key in enumerate(keys, 1):
        page.press(key)
        page.wait("#progress-text", f"{done} of {total} judged")
        page.wait("#place", f"Item {done + 1} of {total}")
    page.press("n")
    page.page.keyboard.type("r: hardly 2 see")  # in a note, keys are letters
    page.press("Enter", "u")
    page.wait("#progress-text", f"10 of {total} judged")
    page.wait("#precision", "Precision so far")
    expected = [(item, judgement, "") for item, judgement in enumerate(meant)] + [(9, "unsure", "r: hardly 2 see")]
    assert said(sample) == expected

    # The server dies; a verdict that it did not take is not counted, loudly, and not lost.
    first.kill()
    page.wait("#place", f"Item 11 of {total}")
    page.press("r")
    page.wait("#alarm-text", "NOT KEPT yet")
    assert f"10 of {total} judged" in page.text("#progress-text")
    assert said(sample) == expected
    second = serve(sample, port=first.port)
    page.wait("#progress-text", f"11 of {total} judged")  # sent again by itself, with the new server's token
    playwright.expect(page.page.locator("#alarm")).to_be_hidden()
    expected.append((10, "right", ""))
    assert said(sample) == expected

    # Who loads the page anew goes on where they stood.
    page.page.reload()
    page.wait("#progress-text", f"11 of {total} judged")
    page.wait("#place", f"Item 12 of {total}")

    # Undo takes back the last word, and shows the item again.
    page.press("z")
    page.wait("#progress-text", f"10 of {total} judged")
    page.wait("#place", f"Item 11 of {total}")
    page.press("w")
    page.wait("#place", f"Item 12 of {total}")
    # Who goes back sees what they said, and may change it; then the next unjudged item comes.
    page.press("ArrowLeft", "ArrowLeft")
    page.wait("#place", f"Item 10 of {total}")
    playwright.expect(page.page.locator("[data-judgement=unsure]")).to_have_attribute("aria-pressed", "true")
    assert page.page.locator("#note").input_value() == "r: hardly 2 see"
    page.press("1")
    page.wait("#place", f"Item 12 of {total}")
    page.press("2")
    page.wait("#progress-text", f"12 of {total} judged")
    second.kill()
    expected += [(10, None, ""), (10, "wrong", ""), (9, "right", "r: hardly 2 see"), (11, "wrong", "")]
    assert said(sample) == expected

    assert all(address.startswith(first.address) for address in page.addresses)
    # Of a killed server: what was being asked when it died, and what was asked then.
    expected_faults = ("ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE", "403")
    assert all(any(each in fault for each in expected_faults) for fault in page.faults), page.faults


@pytest.fixture(scope="module")
def hard(tmp_path_factory):
    """A server of the hard sample, and its items."""
    sample = hard_sample(tmp_path_factory.mktemp("hard"))
    server = Server(sample, "--auditor", "anna")
    yield server, read_sample(sample)[1]
    server.close()


def test_a_strangers_text_is_shown_as_text(hard, visit):
    server, items = hard
    page = visit(server.address)
    page.wait("#place", "Item 1 of")
    (number,) = [item.number for item in items if HOSTILE in item.object]
    page.press(*["ArrowRight"] * number)
    page.wait("#place", f"Item {number + 1} of")
    page.wait("#trace", HOSTILE)
    assert HOSTILE in page.text("#triplet")
    assert page.page.locator("#main script, #main img:not(#image)").count() == 0
    assert page.page.title() == "Relmill audit"
    assert page.page.locator("blockquote").evaluate("node => getComputedStyle(node).direction") == "rtl"
    assert page.faults == []


def test_a_verdict_that_the_disk_does_not_take_is_told_and_not_counted(hard, visit):
    server, items = hard
    page = visit(server.address)
    page.wait("#place", f"Item 1 of {len(items)}")
    page.press("r")
    page.wait("#progress-text", f"1 of {len(items)} judged")
    page.wait("#place", f"Item 2 of {len(items)}")
    pid, (soft, most) = server.process.pid, resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (100, most))
    page.press("w")
    page.wait("#alarm-text", "NOT KEPT")
    page.wait("#alarm-text", "free space")
    assert f"1 of {len(items)} judged" in page.text("#progress-text")
    assert f"Item 2 of {len(items)}" in page.text("#place")
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, most))
    page.press("w")
    page.wait("#progress-text", f"2 of {len(items)} judged")
    playwright.expect(page.page.locator("#alarm")).to_be_hidden()
    page.press("z")
    page.wait("#progress-text", f"1 of {len(items)} judged")
    page.press("z")
    page.wait("#progress-text", f"0 of {len(items)} judged")
    assert all("507" in fault for fault in page.faults), page.faults


def test_a_damaged_picture_is_told_and_one_can_go_on(hard, visit):
    server, items = hard
    shard = server.sample.parent / "out" / items[0].shard
    page = visit(server.address)
    page.page.route("**/image/*", lambda route: route.continue_())  # past the browser's cache
    whole = shard.read_bytes()
    at = items[0].image.offset + 20
    shard.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    try:
        page.page.reload()
        page.wait("#image-problem", "is damaged (crc32)")
        page.press("ArrowRight")
        page.wait("#place", f"Item 2 of {len(items)}")
        playwright.expect(page.page.locator("#image-problem")).to_be_hidden()
    finally:
        shard.write_bytes(whole)


OVERLAPS = """() => {
  const place = (node) => node.getBoundingClientRect();
  const meet = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
  const figure = place(document.querySelector("#figure"));
  const labels = [...document.querySelectorAll("#boxes .label > rect")];
  const boxes = [...document.querySelectorAll("#boxes .frame.subject > rect.line, #boxes .frame.object > rect.line")];
  const found = [];
  for (const label of labels) {
    const a = place(label);
    const name = label.parentNode.textContent;
    const inside = a.left >= figure.left && a.right <= figure.right && a.top >= figure.top && a.bottom <= figure.bottom;
    if (!inside) found.push(`${name} leaves`);
    for (const box of boxes) if (meet(a, place(box))) found.push(`${name} covers a box`);
    for (const other of labels) if (other !== label && meet(a, place(other))) found.push(`${name} covers a label`);
  }
  return { found, numLabels: labels.length };
}"""


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_labels_cover_no_box_and_stay_in_the_figure(width, height, hard, visit):
    server, items = hard
    page = visit(server.address, width=width, height=height)
    for number in range(1, len(items) + 1):
        page.wait("#place", f"Item {number} of {len(items)}")
        page.press("o")
        drawn = page.page.evaluate(OVERLAPS)
        assert drawn["found"] == [], (page.text("#triplet"), drawn)
        assert drawn["numLabels"] >= 2
        page.press("o", "ArrowRight")
    assert page.page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.faults == []
