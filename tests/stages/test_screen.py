"""Screen: every odd picture and box ends in its own place, with a reason; the others are untouched."""

import hashlib
import io
import math
import pickle
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from schemas import Image, Region, Rejected, Relation, Scene, TransientError
from schemas.job import ScreenJob
from stages.ingest import FolderImages
from stages.picture import decode_rgb
from stages.screen import Screen, fit_box


def encoded(picture: Pillow.Image, format_: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format_, **options)
    return file.getvalue()


def photo(width: int = 64, height: int = 48) -> Pillow.Image:
    noise = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Pillow.fromarray(noise)


def huge_png() -> bytes:
    """A few bytes that claim to be 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")


class Pictures:
    """An image source that holds its pictures."""

    def __init__(self, **pictures: bytes | Exception) -> None:
        self.pictures = pictures

    def read(self, name: str) -> bytes:
        if name not in self.pictures:
            raise FileNotFoundError(name)
        if isinstance(found := self.pictures[name], Exception):
            raise found
        return found


def screened(data: bytes | Exception, scene: Scene | None = None, **limits: int) -> Scene | Rejected:
    stage = Screen(Pictures(a=data), ScreenJob(**limits), boxes_are_fractions=False)
    (outcome,) = stage.process([scene or Scene("k", Image("a"))])
    return outcome


ANIMATION = [photo(), photo().rotate(90)]


@pytest.mark.parametrize(
    ("reason", "data"),
    [
        ("image-truncated", encoded(photo(), "JPEG")[:-200]),
        ("image-truncated", encoded(photo(), "JPEG", progressive=True)[:-200]),
        ("image-truncated", encoded(photo())[: 64 * 48]),
        ("image-truncated", b""),
        ("image-undecodable", b"<html>404</html>"),
        ("image-undecodable", encoded(photo())[:8] + b"\x00" * 100),
        ("image-undecodable", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n"),
        ("image-too-small", encoded(photo(1, 1))),
        ("image-too-small", encoded(photo(100, 7))),
        ("image-too-large", huge_png()),
        ("image-animated", encoded(ANIMATION[0], "GIF", save_all=True, append_images=ANIMATION[1:])),
        ("image-animated", encoded(ANIMATION[0], "PNG", save_all=True, append_images=ANIMATION[1:])),
        ("image-animated", encoded(ANIMATION[0], "WEBP", save_all=True, append_images=ANIMATION[1:])),
        ("image-unreadable", PermissionError("a")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_picture_that_cannot_be_labelled_is_rejected(reason: str, data: bytes | Exception) -> None:
    outcome = screened(data)
    assert isinstance(outcome, Rejected)
    assert (outcome.key, outcome.stage, outcome.reason) == ("k", "screen", reason)
    assert outcome.detail


@pytest.mark.parametrize(
    ("ending", "data"),
    [
        ("jpg", encoded(photo(), "JPEG")),
        ("jpg", encoded(photo().convert("CMYK"), "JPEG")),
        ("jpg", encoded(photo(), "MPO", save_all=True, append_images=[photo()])),
        ("png", encoded(photo())),
        ("png", encoded(Pillow.fromarray(np.full((48, 64), 40_000, dtype=np.uint16)))),
        ("png", encoded(photo().convert("P"))),
        ("webp", encoded(photo(), "WEBP")),
        ("gif", encoded(photo(), "GIF")),
        ("bmp", encoded(photo(), "BMP")),
        ("tiff", encoded(photo(), "TIFF")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_picture_is_measured_and_its_bytes_are_kept(ending: str, data: bytes) -> None:
    outcome = screened(data, Scene("k", Image("a", width=64, height=48)))
    assert isinstance(outcome, Scene)
    image = outcome.image
    assert (image.width, image.height, image.format) == (64, 48, ending)
    assert image.data == data
    assert image.sha256 == hashlib.sha256(data).hexdigest()
    assert outcome.provenance.repairs == ()


def test_exif_orientation_is_ignored() -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6
    outcome = screened(encoded(photo(), "JPEG", exif=exif), Scene("k", Image("a", width=64, height=48)))
    assert isinstance(outcome, Scene)


def test_size_that_differs_from_the_annotation_is_rejected() -> None:
    outcome = screened(encoded(photo()), Scene("k", Image("a", width=48, height=64)))
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "image-size-mismatch"
    assert "64 x 48" in outcome.detail
    assert "48 x 64" in outcome.detail


def test_limits_come_from_the_job() -> None:
    outcome = screened(encoded(photo()), max_pixels=64 * 48 - 1)
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "image-too-large"
    assert isinstance(screened(encoded(photo()), max_pixels=64 * 48), Scene)


def test_scene_with_too_many_boxes_is_rejected_before_its_picture_is_read() -> None:
    scene = Scene("k", Image("absent"), regions=tuple(Region(i, "dog", (0, 0, 9, 9)) for i in range(3)))
    outcome = screened(b"", scene, max_boxes=2)
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "too-many-boxes"


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../a", "x/../../a", "..\\a", "file:///etc/passwd", "C:a", "", "x/", "a\0"]
)
def test_name_that_leads_out_of_the_folder_is_rejected(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (tmp_path / "a").write_bytes(encoded(photo()))
    (outcome,) = Screen(FolderImages(str(folder)), ScreenJob(), boxes_are_fractions=False).process(
        [Scene("k", Image(name))]
    )
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "image-unsafe-path"


def test_missing_picture_is_rejected_and_its_neighbours_are_not(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a b.png").write_bytes(encoded(photo()))
    scenes = [Scene("1", Image("sub/a b.png")), Scene("2", Image("gone.png")), Scene("3", Image("sub/a b.png"))]
    stage = pickle.loads(pickle.dumps(Screen(FolderImages(str(tmp_path)), ScreenJob(), boxes_are_fractions=False)))
    outcomes = stage.process(scenes)
    assert [outcome.key for outcome in outcomes] == ["1", "2", "3"]
    assert [type(outcome) for outcome in outcomes] == [Scene, Rejected, Scene]
    assert outcomes[1].reason == "image-missing"


def test_fault_of_the_store_is_left_to_the_runtime() -> None:
    with pytest.raises(TransientError):
        screened(TransientError("try later"))


def relation(subject: int, object_: int) -> Relation:
    return Relation(subject, object_, "hold", "hold obj", 1.0, "human")


def test_boxes_are_clipped_or_dropped_with_their_relations() -> None:
    scene = Scene(
        "k",
        Image("a", width=64, height=48),
        regions=(
            Region(0, "person", (1, 2, 30, 40)),
            Region(1, "noise", (-0.4, 0, 64.00001, 48.9)),
            Region(2, "clipped", (10, 10, 90, 20)),
            Region(3, "outside", (64, 0, 70, 10)),
            Region(4, "flat", (5, 5, 5, 9)),
        ),
        relations=(relation(0, 2), relation(0, 3), relation(4, 0)),
    )
    outcome = screened(encoded(photo()), scene)
    assert isinstance(outcome, Scene)
    assert {region.id: region.box for region in outcome.regions} == {
        0: (1, 2, 30, 40),
        1: (0, 0, 64, 48),
        2: (10, 10, 64, 20),
    }
    assert outcome.relations == (relation(0, 2),)
    assert [repair.reason for repair in outcome.provenance.repairs] == [
        "box-clipped",
        "box-outside",
        "box-zero-area",
        "relation-without-region",
        "relation-without-region",
    ]


def test_fractions_become_pixels_of_the_picture() -> None:
    scene = Scene("k", Image("a"), regions=(Region(0, "dog", (0.25, 0.5, 1.0, 1.0)),))
    stage = Screen(Pictures(a=encoded(photo())), ScreenJob(), boxes_are_fractions=True)
    (outcome,) = stage.process([scene])
    assert outcome.regions[0].box == (16, 24, 64, 48)
    with pytest.raises(ValueError, match="need the pictures"):
        Screen(None, ScreenJob(), boxes_are_fractions=True)


def test_without_pixels_boxes_are_clipped_to_the_annotated_size_if_there_is_one() -> None:
    box = Region(0, "dog", (-5.0, 0.0, 100.0, 10.0))
    sized, unsized = Scene("1", Image("a", 64, 48), (box,)), Scene("2", Image("a"), (box,))
    outcomes = Screen(None, ScreenJob(), boxes_are_fractions=False).process([sized, unsized])
    assert [outcome.regions[0].box for outcome in outcomes] == [(0, 0, 64, 10), (0, 0, 100, 10)]
    assert outcomes[0].image == sized.image


@given(
    box=st.tuples(*[st.floats(allow_nan=True, allow_infinity=True)] * 4) | st.tuples(*[st.floats(-50, 150)] * 4),
    width=st.integers(1, 100),
    height=st.integers(1, 100),
)
def test_fitted_box_is_inside_with_positive_area(box: tuple[float, ...], width: int, height: int) -> None:
    fitted, reason = fit_box(box, width, height)
    if fitted is None:
        assert reason in {"box-not-finite", "box-zero-area", "box-outside"}
        return
    x1, y1, x2, y2 = fitted
    assert 0 <= x1 < x2 <= width
    assert 0 <= y1 < y2 <= height
    assert fit_box(fitted, width, height) == (fitted, None)
    if box[0] >= 0 and box[1] >= 0 and box[2] <= width and box[3] <= height:
        assert fitted == box


def grey16(values: np.ndarray) -> bytes:
    return encoded(Pillow.fromarray(values.astype(np.uint16)))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (lambda: encoded(Pillow.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF"), (255, 0, 0)),
        (lambda: encoded(Pillow.new("LA", (8, 8), (0, 0))), (255, 255, 255)),
        (lambda: encoded(Pillow.new("LA", (8, 8), (7, 255))), (7, 7, 7)),
        (lambda: encoded(Pillow.new("RGBA", (8, 8), (9, 8, 7, 255))), (9, 8, 7)),
        (lambda: encoded(Pillow.new("P", (8, 8), 0), transparency=0), (255, 255, 255)),
        (lambda: encoded(Pillow.new("1", (8, 8), 1)), (255, 255, 255)),
        (lambda: grey16(np.full((8, 8), 257 * 100)), (100, 100, 100)),
        (lambda: grey16(np.full((8, 8), 65535)), (255, 255, 255)),
        (lambda: encoded(Pillow.fromarray(np.full((8, 8), 0.2, dtype=np.float32)), "TIFF"), (51, 51, 51)),
    ],
)
def test_every_mode_becomes_rgb(data: Callable[[], bytes], expected: tuple[int, int, int]) -> None:
    picture = decode_rgb(data())
    assert (picture.mode, picture.size) == ("RGB", (8, 8))
    assert picture.getpixel((3, 3)) == expected


def test_sixteen_bits_are_scaled_not_cut_off() -> None:
    values = np.linspace(0, 65535, 64).reshape(8, 8)
    greys = np.asarray(decode_rgb(grey16(values)))[..., 0].astype(float)
    assert np.abs(greys - np.floor(values) / 257).max() <= 0.5
    assert math.isclose(greys.max(), 255)
