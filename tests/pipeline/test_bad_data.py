"""Bad pictures, boxes, ids and captions: each ends in the right place with a reason, the others are unaffected."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image as Pillow

from schemas import Scene
from stages.pack import CommitLog, committed_scenes, dead_letters
from stages.storage import Folder

GOOD = ["good-1.jpg", "good-2.jpg", "good-3.jpg"]


def encoded(mode: str = "RGB", size=(64, 48), fmt: str = "JPEG", **options) -> bytes:
    buffer = io.BytesIO()
    Pillow.new(mode, size, 1).save(buffer, fmt, **options)
    return buffer.getvalue()


def animated() -> bytes:
    buffer = io.BytesIO()
    frames = [Pillow.new("RGB", (64, 48), colour) for colour in ("red", "green", "blue")]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


PICTURES = {
    **{name: encoded() for name in GOOD},
    "truncated.jpg": encoded(size=(640, 480))[:-2500],
    "empty.jpg": b"",
    "text.jpg": b"this is no picture",
    "dot.png": encoded(size=(1, 1), fmt="PNG"),
    "cmyk.jpg": encoded("CMYK"),
    "deep.png": encoded("I;16", fmt="PNG"),
    "animated.gif": animated(),
    "other-size.jpg": encoded(size=(32, 32)),
}
ENDS = {
    "truncated.jpg": "image-truncated",
    "empty.jpg": "image-truncated",
    "text.jpg": "image-undecodable",
    "dot.png": "image-too-small",
    "animated.gif": "image-animated",
    "other-size.jpg": "image-size-mismatch",
    "missing.jpg": "image-missing",
    "../outside.jpg": "image-unsafe-path",
}
CAPTIONS = ["A man riding a horse.", "", "x" * 10_000, "a man \U0001f600 on a horse \U0001f40e", "a man on\na horse"]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for name, data in PICTURES.items():
        (tmp_path / "images" / name).write_bytes(data)
    (tmp_path / "outside.jpg").write_bytes(encoded())
    names = [*PICTURES, "missing.jpg", "../outside.jpg"]
    images = [{"id": i, "file_name": n, "width": 64, "height": 48} for i, n in enumerate(names, 1)]
    images[names.index("dot.png")] |= {"width": 1, "height": 1}
    images[names.index("truncated.jpg")] |= {"width": 640, "height": 480}
    annotations = [box(10 * i + j, i, j, b) for i in range(1, len(names) + 1) for j, b in enumerate([MAN, HORSE], 1)]
    # Everything that can be wrong with a box happens to the first picture, which must come through.
    for number, bad in enumerate([[100, 100, 20, 20], [5, 5, 0, 10], [5, 5, float("nan"), 3], [60, 40, 50, 50]]):
        annotations.append(box(900 + number, 1, 2, bad))
    annotations.append(box(11, 1, 1, MAN))  # the same annotation again
    annotations.append(box(950, 4711, 1, MAN))  # of no image
    annotations.append(box(960, 2, 99, MAN))  # of no category
    images += [{"id": 70, "file_name": GOOD[0]}, {"id": 70, "file_name": GOOD[1]}]
    document = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "horse"}],
    }
    (tmp_path / "instances.json").write_text(json.dumps(document))
    captions = [{"id": i, "image_id": 1, "caption": text} for i, text in enumerate(CAPTIONS)]
    (tmp_path / "captions.json").write_text(json.dumps({"annotations": captions}))
    (tmp_path / "job.yaml").write_text(
        "dataset: {format: coco, annotations: instances.json, images: images, captions: captions.json}\n"
        "output: out\nunit_size: 4\n"
    )
    return tmp_path


MAN, HORSE = [10, 5, 20, 30], [5, 20, 40, 25]


def box(id_: int, image: int, category: int, bbox: list) -> dict:
    return {"id": id_, "image_id": image, "category_id": category, "bbox": bbox, "iscrowd": 0}


def relmill(*arguments: str, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pipeline", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=200, **options)


@pytest.mark.parametrize("kind", ["inline", pytest.param("ray", marks=pytest.mark.extended)])
def test_every_fault_ends_in_its_place(dataset, kind):
    done = relmill("label", str(dataset / "job.yaml"), "--runtime", kind, "--quiet")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    folder = Folder(str(dataset / "out"))
    commits = list(CommitLog(folder).entries())
    totals = commits[-1].totals
    assert totals.balanced()
    assert totals.dead == 0
    letters = [letter for commit in commits for letter in dead_letters(folder, commit)]
    scenes = {scene.image.name: scene for scene in committed_scenes(folder)}
    by_key = {letter["key"]: letter["reason"] for letter in letters}
    names = [*PICTURES, "missing.jpg", "../outside.jpg"]
    for number, name in enumerate(names, 1):
        if name in ENDS:
            assert by_key[f"coco-{number}"] == ENDS[name], name
            assert name not in scenes
        else:
            assert scenes[name].image.data == PICTURES[name], "bytes are kept as they are"
    assert by_key["coco-70"] == "duplicate-image-id"
    assert by_key["coco-4711"] == "annotation-without-image"
    assert totals.planned == len(names) + 2
    assert all(letter["detail"] for letter in letters)
    assert_first_scene(scenes[GOOD[0]])


def assert_first_scene(scene: Scene) -> None:
    reasons = [repair.reason for repair in scene.provenance.repairs]
    for reason in (
        "box-outside",
        "box-zero-area",
        "box-not-finite",
        "box-clipped",
        "caption-empty",
        "caption-too-long",
    ):
        assert reason in reasons, reasons
    assert [caption.text for caption in scene.captions] == [CAPTIONS[0], CAPTIONS[3], CAPTIONS[4]]
    for region in scene.regions:
        assert 0 <= region.box[0] < region.box[2] <= 64
        assert 0 <= region.box[1] < region.box[3] <= 48
    assert any(relation.predicate == "ride" for relation in scene.relations)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "instances.json"),
        ("", "instances.json"),
        ("[1, 2]", "instances.json"),
        ('{"images": [{"id": 1, "file_name"', "instances.json"),
        ('{"images": [], "annotations": [], "categories": []}', "no image"),
        (None, "instances.json"),
    ],
)
def test_a_damaged_annotation_file_is_one_message(dataset, content, message):
    path = dataset / "instances.json"
    path.unlink() if content is None else path.write_text(content)
    done = relmill("label", str(dataset / "job.yaml"), "--set", "dataset.captions=null")
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_job_can_leave_the_pictures_out(dataset):
    done = relmill("label", str(dataset / "job.yaml"), "--no-pixels", "--quiet")
    assert done.returncode == 0, done.stderr
    scenes = list(committed_scenes(Folder(str(dataset / "out"))))
    assert len(scenes) == len(PICTURES) + 2
    assert all(scene.image.data is None for scene in scenes)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small file system")
@pytest.mark.parametrize("kind", ["inline", pytest.param("ray", marks=pytest.mark.extended)])
def test_a_full_disk_stops_the_run_which_resumes_with_room(dataset, kind):
    small = dataset / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("cannot mount a small file system here")
    try:
        arguments = ("label", str(dataset / "job.yaml"), "--runtime", kind, "--quiet", "--set", f"output={small}/out")
        done = relmill(*arguments, "--set", "unit_size=2")
        assert done.returncode == 1, done.stdout + done.stderr
        assert "No space left" in done.stderr
        assert "Traceback" not in done.stderr
        subprocess.run(["mount", "-o", "remount,size=8m", str(small)], check=True)
        done = relmill(*arguments, "--set", "unit_size=2")
        assert done.returncode == 0, done.stderr
        relmill("label", str(dataset / "job.yaml"), "--quiet", "--set", "unit_size=2")
        assert digests(small / "out") == digests(dataset / "out")
    finally:
        subprocess.run(["umount", str(small)], check=True)


def digests(out: Path) -> list[tuple]:
    return [(entry.number, entry.unit, entry.shard, entry.dead) for entry in CommitLog(Folder(str(out))).entries()]
