"""Encoded pictures: opened safely, and turned to RGB the same way for every stage that looks at one."""

import io
import warnings

import numpy as np
from PIL import Image

FORMATS = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "BMP": "bmp", "TIFF": "tiff"}
"""Pillow's name of each format we read to its file ending. Pillow's other decoders, some of which start programs (EPS),
are never given a stranger's bytes. MPO is what phones and stereo cameras write: a JPEG with more pictures behind it."""

# 16-bit samples are divided by 257, which takes 65535 to 255; cutting off what is above 255 would make nearly all of
# such a picture white.
_STEPS_16_TO_8 = 257


def open_picture(data: bytes) -> Image.Image:
    """Read the header of an encoded picture; pixels are decoded on demand.

    Raises:
        OSError: if it is in none of `FORMATS`, or its header is damaged (decoders may raise other errors, too).
        PIL.Image.DecompressionBombError: if it has more pixels than Pillow will decode.
    """
    with warnings.catch_warnings():
        # Pillow warns at half of what it refuses; the screen stage has the job's own limit. (MPO comes by way of JPEG.)
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(io.BytesIO(data), formats=[name for name in FORMATS if name != "MPO"])


def decode_rgb(data: bytes) -> Image.Image:
    """Decode a picture to 8-bit RGB, whatever its own mode.

    CMYK is converted, transparency (also of palettes) is laid over white, 16-bit grey is scaled to 8 bit. Of an
    animation the first frame is taken. EXIF orientation is not applied: boxes are in the order of the stored pixels,
    as in COCO. (Pillow turns TIFF files by itself, and gives their turned size.)

    Raises:
        OSError: as `open_picture`, or if the picture is cut short.
    """
    with open_picture(data) as image:
        image.load()
        return _to_rgb(image)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _wide_grey_to_rgb(image)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(ground, layer).convert("RGB")
    return image.convert("RGB")


def _wide_grey_to_rgb(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits: `I;16` in either byte order, `I`, which some decoders give for it, and float."""
    grey = np.asarray(image if image.mode == "F" else image.convert("I"), dtype=np.float64)
    grey = np.nan_to_num(grey)
    low, high = float(grey.min()), float(grey.max())
    if low < 0 or high > _STEPS_16_TO_8 * 255:
        # 32-bit pictures have no common scale: their own range becomes the scale.
        grey = (grey - low) * (255 / (high - low))
    elif image.mode == "F" and high <= 1:
        grey = grey * 255
    else:
        grey = grey / _STEPS_16_TO_8
    return Image.fromarray(np.rint(np.clip(grey, 0, 255)).astype(np.uint8)).convert("RGB")
